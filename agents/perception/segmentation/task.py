"""Segmentation as a task of perception: settings, loss, scores under several conditions.

N: pictures, B: pictures of a batch, K: classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le
from torch import Tensor
from torch.nn import functional

from agents.perception.config import PerceptionConfig
from agents.perception.run import Evaluator, PerceptionTask, condition_label
from agents.perception.segmentation.network import (
    SegmentationNetwork,
    SegmentationNetworkConfig,
    build_segmentation_network,
)
from agents.perception.segmentation.pictures import CLASSES, LabelledPictures, overlay_sheet
from agents.perception.segmentation.scores import SegmentationScores, predicted_classes, score_pictures
from agents.perception.training import BatchLosses, NetworkInfo, Objective, Validation
from agents.policies.checkpoint import CheckpointFormat
from agents.training.optimization import EmaConfig, OptimizerConfig
from navsim.config import to_mapping
from navsim.datasets.dataset import DataFolders
from navsim.geometry import Array
from navsim.number_formats import number, percent
from navsim.seeding import generator
from navsim.sensing.observation import Image
from navsim.tables import Table
from navsim.world.scenery.meshes import CLASS_NAMES


@dataclass(frozen=True)
class SegmentationConfig(PerceptionConfig):
    """Settings of the training of a segmentation network."""

    task: Literal["segmentation"] = "segmentation"
    """Name of the task: the class of every pixel."""
    data: DataFolders = Path("runs/segmentation/data")
    """Folder with the recorded drives, in `train` and `validation`, with their classes."""
    run_dir: Path = Path("runs/segmentation/network")
    every: int = 4
    """Step between the frames of the drives that are used, as neighbouring frames look alike [frames]."""
    epochs: int = 12
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=5e-3))
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.99))
    balance: Annotated[float, Ge(0), Le(1)] = 0.35
    """Strength of the weights of rare classes: a class of share p weighs p ** -balance, before the weights are scaled
    to 1 on average. 0 is the plain cross entropy; with 1 every class has the same total weight."""
    network: SegmentationNetworkConfig = field(default_factory=SegmentationNetworkConfig)
    """Size of the network."""


@dataclass(frozen=True, kw_only=True)
class SegmentationInfo(NetworkInfo):
    """Header of a segmentation network's checkpoint."""

    network: SegmentationNetworkConfig
    """Size of the network."""


def _build(info: SegmentationInfo, seed: int) -> SegmentationNetwork:
    return build_segmentation_network(info.network, len(info.class_names), seed)


NETWORKS = CheckpointFormat("navsim-segmentation", 1, SegmentationInfo, _build)
"""Checkpoints of segmentation networks."""


def segmentation_objective(config: SegmentationConfig) -> Objective[Image, SegmentationNetwork]:
    """Return network, loss and score of a segmentation network."""

    def validate(network: SegmentationNetwork, pictures: LabelledPictures, dtype: torch.dtype) -> Validation:
        predicted = predicted_classes(network, pictures.images, dtype)
        scores = score_pictures(pictures, predicted, generator(config.seed, "validation"))
        curves: dict[str, dict[str, float | None]] = {
            "validation": {"mean_iou": scores.mean_iou, "accuracy": scores.accuracy},
            "validation_iou": {score.name: score.iou for score in scores.classes},
        }
        return Validation({"validation": to_mapping(scores)}, curves)

    return Objective(
        networks=NETWORKS,
        info=SegmentationInfo(class_names=CLASS_NAMES, network=config.network),
        losses=partial(pixel_losses, balance=config.balance),
        validate=validate,
        score_key=lambda row: float(row["validation"]["mean_iou"]),
        score_name="mIoU",
    )


def pixel_losses(pictures: LabelledPictures, device: torch.device, balance: float) -> BatchLosses[SegmentationNetwork]:
    """Return the cross entropy on batches of pictures, averaged over pixels; see `class_weights` for `balance`."""
    classes = torch.from_numpy(pictures.labels).to(device)
    weights = torch.tensor(class_weights(class_shares(pictures), balance), dtype=torch.float32, device=device)

    def losses(network: SegmentationNetwork, images: Tensor, index: Tensor, mirrored: Tensor) -> dict[str, Tensor]:
        wanted = classes[index]
        wanted = torch.where(mirrored[:, None, None], wanted.flip(2), wanted)
        return {"loss": functional.cross_entropy(network(images).float(), wanted.long(), weights)}

    return losses


def class_shares(pictures: LabelledPictures) -> Array:
    """Return the share (K,) of each class in the pixels."""
    counts = np.bincount(pictures.labels.ravel(), minlength=len(CLASS_NAMES))
    return np.asarray(counts / counts.sum())


def class_weights(shares: Array, balance: float) -> Array:
    """Return the weights (K,) of the classes' pixels in the loss, 1 on average over the pixels; 0 for absent classes.

    Args:
        shares: Share (K,) of each class in the pixels.
        balance: Strength of the weights: 0 weighs all pixels alike, 1 all classes.
    """
    there = shares > 0
    weights = np.where(there, np.where(there, shares, 1.0) ** -balance, 0.0)
    return np.asarray(weights / (weights * shares).sum())


def score_table(scores: Mapping[str, SegmentationScores]) -> Table:
    """Build a table: a row per class in the pictures, the mean and its interval, and a column per condition."""
    first = next(iter(scores.values()))
    rows = []
    for k, score in enumerate(first.classes):
        cells = [found.classes[k].iou for found in scores.values()]
        if any(cell is not None for cell in cells):
            rows.append([score.name, *(number(cell, 3) for cell in cells)])
    for name, text in (("mean_iou", "mean"), ("low", "95% from"), ("high", "to")):
        rows.append([text, *(number(getattr(found, name), 3) for found in scores.values())])
    rows.append(["pixels right", *(percent(found.accuracy, 1) for found in scores.values())])
    title = f"Segmentation of {first.pictures} pictures in each look of {first.towns} held-out towns"
    return Table(["IoU", *map(condition_label, scores)], rows, title=title)


_EVALUATOR = Evaluator(
    predict=predicted_classes,
    score=score_pictures,
    kind=SegmentationScores,
    headline=lambda scores: f"mean IoU {scores.mean_iou:.3f}",
    sheet=overlay_sheet,
    table=score_table,
    network_text="A fully convolutional network",
    notes="The mean is over the classes in the pictures; intervals are over towns.",
)


def segmentation_task(
    config: SegmentationConfig,
) -> PerceptionTask[Image, SegmentationNetwork, Image, SegmentationScores]:
    """Return the task of predicting the class of every pixel."""
    return PerceptionTask(config, config.every, CLASSES, segmentation_objective(config), _EVALUATOR)
