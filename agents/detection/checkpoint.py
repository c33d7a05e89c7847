"""Checkpoints of detectors: safetensors files with all that is needed to use them in the header."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor

from agents.detection.config import DetectorName
from agents.detection.faster_rcnn import FasterRcnn
from agents.detection.interface import Detector
from agents.detection.two_stage import TwoStageDetector
from agents.training.averaging import WeightAverage
from agents.training.tensors import (
    check_continuable,
    header_texts,
    load_weights,
    named_tensors,
    optimizer_tensors,
    read_tensors,
    restore_optimizer,
)
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.storage import write_bytes

FORMAT = "navsim-detection"
FORMAT_VERSION = 1

_NETWORK, _TRAINED = "network.", "trained."


@dataclass(frozen=True)
class DetectionInfo:
    """What a checkpoint's header says."""

    detector: DetectorName
    """Who built the network."""
    class_names: tuple[str, ...]
    """What it finds, in order."""
    cameras: tuple[Camera, ...]
    """Cameras whose pictures it learned from."""
    run: dict[str, Any] = field(default_factory=dict)
    """Resolved configuration of the training run."""
    progress: dict[str, Any] = field(default_factory=dict)
    """How far training was."""
    versions: dict[str, str] = field(default_factory=dict)
    """Software that trained it."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What changes while a detector learns."""

    average: WeightAverage[Detector]
    """The weights to be used."""
    network: Detector
    """The weights that are trained."""
    optimizer: torch.optim.Optimizer
    """What changes them."""


def build_detector(name: DetectorName, classes: int, camera: Camera, seed: int) -> Detector:
    """Build a detector with weights drawn from `seed` alone.

    Raises:
        ConfigError: If it is torchvision's and torchvision cannot be imported.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        own = name == "own"
        detector = TwoStageDetector(classes) if own else FasterRcnn(classes, camera.height, camera.width)
    return cast(Detector, detector.to(memory_format=torch.channels_last))  # type: ignore[call-overload]


def save_detector(path: Path, info: DetectionInfo, detector: Detector) -> None:
    """Write a detector for use, at once or not at all.

    Raises:
        StorageError: If it cannot be written; `path` is as it was.
    """
    _write(path, info, named_tensors(_NETWORK, detector))


def save_learned(path: Path, info: DetectionInfo, learned: Learned) -> None:
    """Write a detector, and besides it all that training needs to continue, at once or not at all.

    Raises:
        StorageError: If it cannot be written; `path` is as it was.
    """
    tensors = named_tensors(_NETWORK, learned.average.network) | named_tensors(_TRAINED, learned.network)
    _write(path, info, tensors | optimizer_tensors(learned.optimizer))


def load_detector(path: Path) -> tuple[Detector, DetectionInfo]:
    """Load a detector in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged, foreign or of another format.
        ConfigError: If the detector is torchvision's and torchvision cannot be imported.
    """
    info, tensors = _read(path)
    detector = build_detector(info.detector, len(info.class_names), info.cameras[0], seed=0)
    load_weights(path, detector, tensors, _NETWORK)
    return detector.eval(), info


def restore_learned(path: Path, learned: Learned) -> DetectionInfo:
    """Load all that training needs to continue; returns the header.

    Raises:
        CheckpointError: If the file is unusable, holds another detector, or was not written by `save_learned`.
    """
    info, tensors = _read(path)
    check_continuable(path, tensors)
    load_weights(path, learned.network, tensors, _TRAINED)
    load_weights(path, learned.average.network, tensors, _NETWORK)
    restore_optimizer(learned.optimizer, tensors)
    return info


def _write(path: Path, info: DetectionInfo, tensors: dict[str, Tensor]) -> None:
    header = header_texts(FORMAT, FORMAT_VERSION, to_mapping(info))
    write_bytes(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, header))


def _read(path: Path) -> tuple[DetectionInfo, dict[str, Tensor]]:
    fields, tensors = read_tensors(path, FORMAT, FORMAT_VERSION)
    try:
        return from_mapping(DetectionInfo, fields, str(path)), tensors
    except ConfigError as error:
        raise CheckpointError(f"damaged header: {error}") from None
