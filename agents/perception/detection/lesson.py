"""Learning to find objects. B: pictures of a batch."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from agents.perception.detection.config import DetectionConfig, DetectorName
from agents.perception.detection.detector import TwoStageDetector
from agents.perception.detection.faster_rcnn import FasterRcnn
from agents.perception.detection.interface import Detector, Targets
from agents.perception.detection.pictures import BoxedPictures
from agents.perception.detection.precision import average_precision
from agents.perception.detection.prediction import CLASS_NAMES, found_objects, rank_found
from agents.perception.training import BatchLosses, Lesson, NetworkInfo, Validation
from agents.policies.formats import Format
from navsim.sensing.camera import Camera


@dataclass(frozen=True, kw_only=True)
class DetectionInfo(NetworkInfo):
    """What a checkpoint's header says."""

    detector: DetectorName
    """Who built the network."""


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


def _build(info: DetectionInfo, seed: int) -> Detector:
    return build_detector(info.detector, len(info.class_names), info.cameras[0], seed)


DETECTORS = Format("navsim-detection", 1, DetectionInfo, _build)
"""Checkpoints of detectors."""


def detection_lesson(config: DetectionConfig) -> Lesson[Targets, Detector]:
    """What a detector learns by a configuration."""
    return Lesson(
        networks=DETECTORS,
        info=DetectionInfo(class_names=CLASS_NAMES, detector=config.detector),
        losses=box_losses,
        validate=_validate,
        merit=lambda row: float(row["mean_ap50"]),
        measure="AP50",
        float_pictures=True,
    )


def box_losses(pictures: BoxedPictures, device: torch.device) -> BatchLosses[Detector]:
    """The detector's own losses of batches of pictures."""
    targets, width = pictures.labels.to(device), pictures.images.shape[2]

    def losses(network: Detector, images: Tensor, index: Tensor, turned: Tensor) -> dict[str, Tensor]:
        return network.losses(images, mirrored(targets[index], turned, width))

    return losses


def mirrored(targets: Targets, chosen: Tensor, width: int) -> Targets:
    """Mirror the boxes of the chosen ones (B,) of pictures left and right, which are `width` pixels wide."""
    x0, y0, x1, y1 = targets.boxes.unbind(dim=-1)
    turned = torch.stack([width - x1, y0, width - x0, y1], dim=-1)
    return Targets(torch.where(chosen[:, None, None], turned, targets.boxes), targets.classes)


def _validate(detector: Detector, pictures: BoxedPictures, dtype: torch.dtype) -> Validation:
    """AP50 on pictures of other towns, for each class that is there."""
    ranks = rank_found(pictures, found_objects(detector, pictures.images, dtype), len(CLASS_NAMES))
    scores = {name: float(average_precision(each)[0]) for name, each in zip(CLASS_NAMES, ranks, strict=True)}
    ap50 = {str(name): score for name, score in scores.items() if not np.isnan(score)}
    mean = float(np.mean([*ap50.values()])) if ap50 else 0.0
    return Validation({"ap50": ap50, "mean_ap50": mean}, {"validation_ap50": ap50})
