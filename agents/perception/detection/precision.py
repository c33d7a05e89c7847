"""Average precision, as the COCO benchmark defines it (Lin et al. 2014, arXiv 1405.0312; pycocotools' cocoeval).

For each class, all detections in all pictures are ranked by score. A detection is a hit if its overlap (intersection
over union) with an object of its class in its picture reaches a threshold, and no better detection has hit that object.
Of several such objects it takes the one of the largest overlap. A detection that hits none but overlaps an object that
is not counted is left out; all others are misses. Down the ranking, precision is hits / (hits + misses) and recall is
hits / objects. Average precision is the mean over the 101 recalls 0, 0.01, ..., 1 of the best precision at that recall
or above, 0 where that recall is not reached. `AP50` is its value at a threshold of 0.5, `AP` its mean over 0.5, 0.55,
..., 0.95.

Towns are the independent units: intervals are percentile bootstraps over towns. T: towns, K: classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.perception.detection.proposals import overlaps
from navsim.evaluation.statistics.intervals import CONFIDENCE, Estimate
from navsim.geometry import Array

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Smallest overlaps (10,) of a hit."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls (101,) at which precision is read."""
_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Ranked:
    """Detections of one class in many pictures, matched to objects, the best first."""

    scores: Array
    """Scores of the detections (N,)."""
    hits: NDArray[np.bool_]
    """Which are hits at each threshold (N, 10)."""
    misses: NDArray[np.bool_]
    """Which are misses at each threshold (N, 10); the others are left out."""
    towns: NDArray[np.intp]
    """Number of each detection's town (N,)."""
    objects: NDArray[np.intp]
    """Number of counted objects in each town (T,)."""


@dataclass(frozen=True)
class Precision:
    """Average precision of one class, or its mean over classes."""

    ap50: Estimate | None
    """Average precision at an overlap of 0.5; None without objects."""
    ap: Estimate | None
    """Mean average precision over overlaps from 0.5 to 0.95; None without objects."""
    objects: int
    """Number of counted objects."""


@dataclass(frozen=True)
class DetectionScores:
    """Average precision of a detector on pictures of some towns."""

    pictures: int
    """Number of pictures."""
    towns: int
    """Number of towns, over which the intervals are."""
    classes: dict[str, Precision]
    """Average precision of each class, by name."""
    mean: Precision
    """Mean over the classes with objects."""


Matches = tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]
"""Detections of one class in one picture, the best first: scores (N,), hits (N, 10) and misses (N, 10)."""


def match(boxes: Array, scores: Array, objects: Array, counted: NDArray[np.bool_]) -> Matches:
    """Match detections to the objects of one class in one picture.

    Args:
        boxes: Detections (N, 4) [px].
        scores: Scores of the detections (N,).
        objects: Boxes (G, 4) [px].
        counted: Which objects count (G,).
    """
    order = np.argsort(-scores, kind="stable")
    overlap = overlaps(torch.from_numpy(boxes[order]), torch.from_numpy(objects)).numpy()
    hits, left_out = (np.zeros((len(order), len(THRESHOLDS)), bool) for _ in range(2))
    for column, threshold in enumerate(THRESHOLDS):
        free = counted.copy()
        for row, own in enumerate(overlap):
            fits = np.where(free, own, -1.0)
            if fits.max(initial=-1.0) >= threshold:
                free[fits.argmax()] = False
                hits[row, column] = True
            else:
                left_out[row, column] = bool((own[~counted] >= threshold).any())
    return scores[order], hits, ~hits & ~left_out


def ranked(
    pictures: Sequence[Matches],
    towns: NDArray[np.intp],
    objects: NDArray[np.intp],
    count: int,
) -> Ranked:
    """Rank the detections of P pictures.

    Args:
        pictures: Matches of each picture.
        towns: Number of each picture's town (P,).
        objects: Number of counted objects in each picture (P,).
        count: Number of towns, T.
    """
    lengths = [len(scores) for scores, _, _ in pictures]
    none = np.zeros((0, len(THRESHOLDS)), bool)
    scores = np.concatenate([np.zeros(0), *(each[0] for each in pictures)])
    hits, misses = (np.concatenate([none, *(each[part] for each in pictures)]) for part in (1, 2))
    order = np.argsort(-scores, kind="stable")
    owners = np.repeat(towns, lengths).astype(np.intp)
    totals = np.bincount(towns, objects, minlength=count).astype(np.intp)
    return Ranked(scores[order], hits[order], misses[order], owners[order], totals)


def average_precision(found: Ranked, weights: Array | None = None) -> Array:
    """Return the average precision (10,) at each threshold; NaN without objects.

    Args:
        found: The detections of a class.
        weights: How often each town is taken (T,); None takes each once.
    """
    often = np.ones(len(found.objects)) if weights is None else weights
    objects = float(found.objects @ often)
    if objects == 0:
        return np.full(len(THRESHOLDS), np.nan)
    share = often[found.towns][:, None]
    hits, misses = np.cumsum(found.hits * share, axis=0), np.cumsum(found.misses * share, axis=0)
    precision = hits / np.maximum(hits + misses, 1e-12)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    recall = hits / objects
    values = np.zeros(len(THRESHOLDS))
    for column in range(len(THRESHOLDS)):
        first = np.searchsorted(recall[:, column], RECALLS - 1e-9)
        reached = first < len(recall)
        values[column] = best[first[reached], column].sum() / len(RECALLS)
    return values


def precisions(classes: Sequence[Ranked], rng: np.random.Generator) -> tuple[list[Precision], Precision]:
    """Return the average precision of each class, and its mean over the classes with objects.

    Args:
        classes: Detections of each class, over the same towns.
        rng: Draws towns for the intervals.
    """
    count = len(classes[0].objects)
    draws = rng.multinomial(count, np.full(count, 1 / count), size=_DRAWS).astype(float)
    whole = np.array([average_precision(each) for each in classes])  # (K, 10)
    drawn = np.array([[average_precision(each, draw) for each in classes] for draw in draws])  # (D, K, 10)
    each = [Precision(*_estimates(whole[k], drawn[:, k]), int(found.objects.sum())) for k, found in enumerate(classes)]
    there = [k for k, found in enumerate(classes) if found.objects.sum()]
    if not there:
        return each, Precision(None, None, 0)
    mean = _estimates(whole[there].mean(axis=0), drawn[:, there].mean(axis=1))
    return each, Precision(*mean, sum(part.objects for part in each))


def _estimates(whole: Array, drawn: Array) -> tuple[Estimate | None, Estimate | None]:
    """Return AP50 and AP from values at each threshold (10,) and those of D draws (D, 10), some without objects."""
    if np.isnan(whole).any():
        return None, None
    seen = drawn[~np.isnan(drawn).any(axis=1)]
    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    values = [(whole[0], seen[:, 0]), (whole.mean(), seen.mean(axis=1))]
    ap50, ap = (Estimate(float(value), *map(float, np.quantile(parts, tails))) for value, parts in values)
    return ap50, ap
