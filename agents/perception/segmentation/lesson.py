"""Learning to tell classes apart. N: pictures, B: pictures of a batch, K: classes."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agents.perception.segmentation.config import SegmentationConfig
from agents.perception.segmentation.network import (
    SegmentationNetwork,
    SegmentationNetworkConfig,
    build_segmentation_network,
)
from agents.perception.segmentation.pictures import LabelledPictures
from agents.perception.segmentation.prediction import predicted_classes, score_pictures
from agents.perception.training import BatchLosses, Lesson, NetworkInfo, Validation
from agents.policies.formats import Format
from navsim.config import to_mapping
from navsim.geometry import Array
from navsim.seeding import generator
from navsim.sensing.observation import Image
from navsim.world.scenery.meshes import CLASS_NAMES


@dataclass(frozen=True, kw_only=True)
class SegmentationInfo(NetworkInfo):
    """What a checkpoint's header says."""

    network: SegmentationNetworkConfig
    """The network's size."""


def _build(info: SegmentationInfo, seed: int) -> SegmentationNetwork:
    return build_segmentation_network(info.network, len(info.class_names), seed)


NETWORKS = Format("navsim-segmentation", 1, SegmentationInfo, _build)
"""Checkpoints of segmentation networks."""


def segmentation_lesson(config: SegmentationConfig) -> Lesson[Image, SegmentationNetwork]:
    """What a network learns by a configuration."""

    def validate(network: SegmentationNetwork, pictures: LabelledPictures, dtype: torch.dtype) -> Validation:
        predicted = predicted_classes(network, pictures.images, dtype)
        scores = score_pictures(pictures, predicted, generator(config.seed, "validation"))
        curves: dict[str, dict[str, float | None]] = {
            "validation": {"mean_iou": scores.mean_iou, "accuracy": scores.accuracy},
            "validation_iou": {score.name: score.iou for score in scores.classes},
        }
        return Validation({"validation": to_mapping(scores)}, curves)

    return Lesson(
        networks=NETWORKS,
        info=SegmentationInfo(class_names=CLASS_NAMES, network=config.network),
        losses=partial(pixel_losses, balance=config.balance),
        validate=validate,
        merit=lambda row: float(row["validation"]["mean_iou"]),
        measure="mIoU",
    )


def pixel_losses(pictures: LabelledPictures, device: torch.device, balance: float) -> BatchLosses[SegmentationNetwork]:
    """The cross entropy of batches of pictures, averaged over their pixels; see `class_weights` for `balance`."""
    classes = torch.from_numpy(pictures.labels).to(device)
    weights = torch.tensor(class_weights(class_shares(pictures), balance), dtype=torch.float32, device=device)

    def losses(network: SegmentationNetwork, images: Tensor, index: Tensor, mirrored: Tensor) -> dict[str, Tensor]:
        wanted = classes[index]
        wanted = torch.where(mirrored[:, None, None], wanted.flip(2), wanted)
        return {"loss": functional.cross_entropy(network(images).float(), wanted.long(), weights)}

    return losses


def class_shares(pictures: LabelledPictures) -> Array:
    """Share (K,) of each class in the pixels."""
    counts = np.bincount(pictures.labels.ravel(), minlength=len(CLASS_NAMES))
    return np.asarray(counts / counts.sum())


def class_weights(shares: Array, balance: float) -> Array:
    """Weights (K,) of the classes' pixels in the loss, 1 on average over the pixels; 0 for classes that are not there.

    Args:
        shares: Share (K,) of each class in the pixels.
        balance: 0 weighs all pixels alike, 1 all classes.
    """
    there = shares > 0
    weights = np.where(there, np.where(there, shares, 1.0) ** -balance, 0.0)
    return np.asarray(weights / (weights * shares).sum())
