"""Scores of segmentation: confusion matrices and intersection over union.

N: pictures, H and W: height and width [px], K: classes, U: towns.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.perception.pictures import predictions
from agents.perception.segmentation.network import SegmentationNetwork
from agents.perception.segmentation.pictures import LabelledPictures
from navsim.evaluation.statistics.intervals import ENDS
from navsim.geometry import Array
from navsim.sensing.observation import Image
from navsim.world.scenery.meshes import CLASS_NAMES

_DRAWS = 2000
Counts = NDArray[np.int64]
"""Pixels (K, K) by true class (row) and predicted class (column)."""


@dataclass(frozen=True)
class ClassScore:
    """Intersection over union of one class."""

    name: str
    """Name of the class."""
    pixels: float
    """Share of the class in all pixels."""
    iou: float | None
    """Intersection over union; None if no pixel shows the class."""
    low: float | None
    """Lower end of the 95% interval."""
    high: float | None
    """Upper end of the 95% interval."""


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of all classes in pictures of some towns."""

    pictures: int
    """Number of pictures."""
    towns: int
    """Number of towns, U, over which the intervals are."""
    classes: tuple[ClassScore, ...]
    """Scores of each class, also of those that no pixel shows."""
    mean_iou: float
    """Mean intersection over union of the classes in the pictures."""
    low: float
    """Lower end of the mean's 95% interval."""
    high: float
    """Upper end of the mean's 95% interval."""
    accuracy: float
    """Share of the pixels with the right class."""

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of the classes that count for the mean."""
        return tuple(score.name for score in self.classes if score.iou is not None)


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Counts:
    """Count pixels by true and predicted class.

    Args:
        truth: True classes (...), each from 0 to classes - 1.
        predicted: Predicted classes of the same pixels (...).
        classes: Number of classes, K.
    """
    both = truth.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(both, minlength=classes**2).reshape(classes, classes)


def intersection_over_union(counts: NDArray[np.integer]) -> Array:
    """Return TP / (TP + FP + FN) of each class (..., K) from counts (..., K, K), over all pixels of all pictures.

    That is the measure of Pascal VOC and of Cityscapes (Everingham et al., IJCV 2015; Cordts et al., CVPR 2016). It is
    NaN for a class that no pixel shows; predictions of it lower the scores of the classes in the pictures.
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1).astype(float)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    union = true + predicted - right
    return np.asarray(np.where(true > 0, right / np.maximum(union, 1), np.nan))


def score_towns(counts: Counts, names: tuple[str, ...], pictures: int, rng: np.random.Generator) -> SegmentationScores:
    """Score pictures of several towns, with percentile bootstraps over the towns (Efron).

    Pictures of one town look alike, so drawing pictures would give intervals that are too narrow. A draw of towns
    without a class is scored by the others.

    Args:
        counts: Confusion of each town (U, K, K), with at least one pixel.
        names: Names of the classes (K,).
        pictures: Number of pictures.
        rng: Draws the towns.
    """
    total = counts.sum(axis=0)
    found = intersection_over_union(total)
    drawn = rng.integers(len(counts), size=(_DRAWS, len(counts)))
    weights = np.stack([(drawn == town).sum(axis=1) for town in range(len(counts))], axis=1)  # (draws, U)
    resampled = intersection_over_union(np.tensordot(weights, counts, axes=1))
    low, high = (_percentile(resampled, end) for end in ENDS)
    means = np.nanmean(resampled, axis=1)
    share = total.sum(axis=1) / total.sum()
    return SegmentationScores(
        pictures=pictures,
        towns=len(counts),
        classes=tuple(
            ClassScore(name, float(share[k]), _value(found[k]), _value(low[k]), _value(high[k]))
            for k, name in enumerate(names)
        ),
        mean_iou=float(np.nanmean(found)),
        low=float(np.percentile(means, ENDS[0])),
        high=float(np.percentile(means, ENDS[1])),
        accuracy=float(np.trace(total) / total.sum()),
    )


def _percentile(values: Array, end: float) -> Array:
    """Return the percentile of each column of values (draws, K) without its NaNs; NaN for a column of NaNs."""
    columns = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.percentile(column, end) if len(column) else np.nan for column in columns])


def _value(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


_BATCH = 32


def predicted_classes(network: SegmentationNetwork, images: Image, dtype: torch.dtype = torch.float32) -> Image:
    """Predict the likeliest class of every pixel.

    Args:
        network: In evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        dtype: Type of the layers' arithmetic.

    Returns:
        Classes (N, H, W) uint8.
    """

    def likeliest(pictures: Tensor) -> Tensor:
        scores: Tensor = network(pictures)
        return scores.argmax(dim=1).byte().cpu()

    return np.asarray(torch.cat(predictions(network, images, likeliest, dtype, dtype, _BATCH)))


def score_pictures(pictures: LabelledPictures, predicted: Image, rng: np.random.Generator) -> SegmentationScores:
    """Score predicted classes (N, H, W) of pictures; `rng` draws towns for the intervals."""
    return score_towns(town_counts(pictures, predicted), CLASS_NAMES, len(pictures), rng)


def town_counts(pictures: LabelledPictures, predicted: Image) -> Counts:
    """Return the confusion of each town (U, K, K), with towns in the order of their names."""
    chosen = [pictures.towns == town for town in np.unique(pictures.towns)]
    return np.stack([confusion(pictures.labels[own], predicted[own], len(CLASS_NAMES)) for own in chosen])
