"""Average precision, as the COCO benchmark defines it (Lin et al. 2014, arXiv 1405.0312; pycocotools' cocoeval).

For each class, all detections in all pictures are ranked by score. A detection is a hit if it overlaps an object of its
class, in its picture, that no better one has hit, by at least a threshold (intersection over union); of several such
objects it takes the one that it overlaps most. What hits none but overlaps an object that is not counted is left out;
all others are misses. Down the ranking, precision is hits / (hits + misses) and recall is hits / objects. Average
precision is the mean, over the 101 recalls 0, 0.01, ..., 1, of the best precision that is reached at that recall or
above; 0 where it is not reached. `AP50` is that at a threshold of 0.5, `AP` its mean over 0.5, 0.55, ..., 0.95.

Towns are the independent units: intervals are percentile bootstraps over them.
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
"""Overlaps (10,) from which on a detection is a hit."""
RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls (101,) at which precision is read."""
_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Ranked:
    """Detections of one class in any number of pictures, matched to objects, the best first."""

    scores: Array
    """(N,)."""
    hits: NDArray[np.bool_]
    """At each threshold (N, 10)."""
    misses: NDArray[np.bool_]
    """At each threshold (N, 10); what is neither hit nor miss is left out."""
    towns: NDArray[np.intp]
    """Number of the town of each (N,)."""
    objects: NDArray[np.intp]
    """Number of counted objects in each town (T,)."""


@dataclass(frozen=True)
class Precision:
    """How well one class, or the mean class, is found."""

    ap50: Estimate | None
    """Average precision at an overlap of 0.5; None where there is no object."""
    ap: Estimate | None
    """Mean over overlaps from 0.5 to 0.95."""
    objects: int
    """Number of counted objects."""


@dataclass(frozen=True)
class DetectionScores:
    """How well objects are found in pictures of some towns."""

    pictures: int
    """Number of pictures."""
    towns: int
    """Number of towns; the intervals are of draws of towns."""
    classes: dict[str, Precision]
    """Each class by its name."""
    mean: Precision
    """Mean over the classes that are there."""


Matches = tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]
"""Detections of one class in one picture, the best first: scores (N,), hits (N, 10) and misses (N, 10)."""


def match(boxes: Array, scores: Array, objects: Array, counted: NDArray[np.bool_]) -> Matches:
    """Match detections to the objects of one class in one picture.

    Args:
        boxes: Detections (N, 4) [px].
        scores: Of them (N,).
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
    """Rank what was matched in P pictures.

    Args:
        pictures: What `match` gave for each.
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
    """Average precision (10,) at each threshold; NaN where there is no object.

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
    """Average precision of each class, and its mean over the classes of which there are objects.

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
    """AP50 and AP from values at each threshold (10,) and those of D draws (D, 10), some of which hold no object."""
    if np.isnan(whole).any():
        return None, None
    seen = drawn[~np.isnan(drawn).any(axis=1)]
    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    values = [(whole[0], seen[:, 0]), (whole.mean(), seen.mean(axis=1))]
    ap50, ap = (Estimate(float(value), *map(float, np.quantile(parts, tails))) for value, parts in values)
    return ap50, ap
