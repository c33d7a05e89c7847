"""Checkpoints of segmentation networks: safetensors files with all that is needed to use them in the header."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from agents.segmentation.network import (
    SegmentationNetwork,
    SegmentationNetworkConfig,
    build_segmentation_network,
)
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

FORMAT = "navsim-segmentation"
FORMAT_VERSION = 1

_NETWORK, _TRAINED = "network.", "trained."


@dataclass(frozen=True)
class SegmentationInfo:
    """What a checkpoint's header says."""

    network: SegmentationNetworkConfig
    """The network's size."""
    class_names: tuple[str, ...]
    """What its scores are of, in order."""
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
    """What changes while a network learns."""

    average: WeightAverage[SegmentationNetwork]
    """The weights to be used."""
    network: SegmentationNetwork
    """The weights that are trained."""
    optimizer: torch.optim.Optimizer
    """What changes them."""


def save_segmentation(path: Path, info: SegmentationInfo, network: SegmentationNetwork) -> None:
    """Write a network for use, at once or not at all.

    Raises:
        StorageError: If it cannot be written; `path` is as it was.
    """
    _write(path, info, named_tensors(_NETWORK, network))


def save_learned(path: Path, info: SegmentationInfo, learned: Learned) -> None:
    """Write a network, and besides it all that training needs to continue, at once or not at all.

    Raises:
        StorageError: If it cannot be written; `path` is as it was.
    """
    tensors = named_tensors(_NETWORK, learned.average.network) | named_tensors(_TRAINED, learned.network)
    _write(path, info, tensors | optimizer_tensors(learned.optimizer))


def load_segmentation(path: Path) -> tuple[SegmentationNetwork, SegmentationInfo]:
    """Load a network in evaluation mode.

    Raises:
        CheckpointError: If the file is missing, damaged, foreign or of another format.
    """
    info, tensors = _read(path)
    network = build_segmentation_network(info.network, len(info.class_names), seed=0)
    load_weights(path, network, tensors, _NETWORK)
    return network.eval(), info


def restore_learned(path: Path, learned: Learned) -> SegmentationInfo:
    """Load all that training needs to continue; returns the header.

    Raises:
        CheckpointError: If the file is unusable, holds another network, or was not written by `save_learned`.
    """
    info, tensors = _read(path)
    check_continuable(path, tensors)
    load_weights(path, learned.network, tensors, _TRAINED)
    load_weights(path, learned.average.network, tensors, _NETWORK)
    restore_optimizer(learned.optimizer, tensors)
    return info


def _write(path: Path, info: SegmentationInfo, tensors: dict[str, Tensor]) -> None:
    header = header_texts(FORMAT, FORMAT_VERSION, to_mapping(info))
    write_bytes(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, header))


def _read(path: Path) -> tuple[SegmentationInfo, dict[str, Tensor]]:
    fields, tensors = read_tensors(path, FORMAT, FORMAT_VERSION)
    try:
        return from_mapping(SegmentationInfo, fields, str(path)), tensors
    except ConfigError as error:
        raise CheckpointError(f"damaged header: {error}") from None
