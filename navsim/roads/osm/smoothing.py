"""Smooth centre lines of mapped streets.

All centre lines are smoothed at once. A narrow Gaussian along the line removes the corners of the survey. Where a line
still bends too sharply, curve-shortening flow (Grayson, 1987) widens the bend. The ends do not move.

World frame: x east, y north [m].
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array

SPACING = 1.0
"""Distance between the vertices of a centre line [m]."""
SMOOTHING_SIGMA = 2.5
"""Standard deviation of the Gaussian along the centre line [m]."""
MIN_LENGTH = 5.0
"""Smallest length of a smoothed centre line [m]."""
STEPS_PER_CHECK = 50
"""Steps of the flow between two checks of the curvature."""
MAX_CHECKS = 40
"""Largest number of checks; a line that bends too sharply even then is dropped."""


def smoothed(lines: Sequence[Array], limits: Sequence[float], remove_corners: bool) -> list[Array | None]:
    """Smooth centre lines until their curvature is within limits.

    Args:
        lines: Vertices (N, 2) of each line [m].
        limits: Largest curvature of each line [1/m].
        remove_corners: Whether to apply the Gaussian first.

    Returns:
        Lines with the same ends and a vertex about every metre; None for a line that cannot be made smooth enough.
    """
    found: list[Array | None] = [resampled(line) for line in lines]
    pending = list(range(len(lines)))
    for check in range(MAX_CHECKS + 1):
        current = [line for i in pending if (line := found[i]) is not None]
        if not current:
            return found
        if check == 0 and remove_corners:
            moved = _blurred(current, steps=round(2 * SMOOTHING_SIGMA**2 / SPACING**2))
        elif check:
            moved = _shortened(current, np.repeat([limits[i] for i in pending], [len(line) for line in current]))
        else:
            moved = current
        for i, line in zip(pending, moved, strict=True):
            # The flow shrinks small rings to a point.
            found[i] = resampled(line) if np.hypot(*np.diff(line, axis=0).T).sum() > MIN_LENGTH else None
        pending = [i for i in pending if (line := found[i]) is not None and _curvatures(line).max() > limits[i]]
    for i in pending:
        found[i] = None
    return found


def resampled(line: Array) -> Array:
    """Return the line with vertices every `SPACING` [m] or a little less, at least three."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    stations = np.linspace(0.0, lengths[-1], count)
    return np.stack([np.interp(stations, lengths, line[:, 0]), np.interp(stations, lengths, line[:, 1])], axis=-1)


def _blurred(lines: Sequence[Array], steps: int) -> list[Array]:
    """Move every vertex halfway to the middle of its neighbours; each step adds half a squared spacing of variance."""
    points, inner = _concatenated(lines)
    for _ in range(steps):
        points = _step(points, np.where(inner, 0.5, 0.0))
    return _split_like(points, lines)


def _shortened(lines: Sequence[Array], limits: Array) -> list[Array]:
    """Run `STEPS_PER_CHECK` steps of the flow where curvatures exceed the limit of each vertex (N,) [1/m]."""
    points, inner = _concatenated(lines)
    for _ in range(STEPS_PER_CHECK):
        excess = np.clip((_curvatures(points) / limits - 0.85) / 0.1, 0.0, 1.0)
        points = _step(points, _spread_weights(excess * inner, inner) * 0.5)
    return _split_like(points, lines)


def _concatenated(lines: Sequence[Array]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the vertices of all lines (N, 2), and whether each is an inner vertex of its line (N,)."""
    counts = np.array([len(line) for line in lines])
    last = np.cumsum(counts) - 1
    inner = np.ones(counts.sum(), dtype=bool)
    inner[last] = inner[last - counts + 1] = False
    return np.concatenate(lines), inner


def _split_like(points: Array, lines: Sequence[Array]) -> list[Array]:
    """Split vertices (N, 2) into lines with as many vertices as the given ones."""
    return np.split(points, np.cumsum([len(line) for line in lines])[:-1])


def _step(points: Array, weights: Array) -> Array:
    """Move every vertex towards the middle of its neighbours by its weight (N,)."""
    moved = points.copy()
    moved[1:-1] += weights[1:-1, None] * ((points[:-2] + points[2:]) / 2 - points[1:-1])
    return moved


def _spread_weights(weights: Array, free: NDArray[np.bool_]) -> Array:
    """Return weights (N,) with a smaller weight for the neighbours of moving vertices."""
    wide = weights.copy()
    for _ in range(2):
        wide[1:-1] = np.maximum(wide[1:-1], 0.7 * np.maximum(wide[:-2], wide[2:]))
    return np.asarray(wide * free)


def _curvatures(points: Array) -> Array:
    """Return the magnitude of the curvature at every vertex (N,) [1/m]; not valid at the ends of lines."""
    steps = np.diff(points, axis=0)
    before, after = steps[:-1], steps[1:]
    turns = np.arctan2(
        before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0],
        (before * after).sum(axis=1),
    )
    sizes = np.hypot(steps[:, 0], steps[:, 1])
    found = np.zeros(len(points))
    found[1:-1] = np.abs(2 * turns) / np.maximum(sizes[1:] + sizes[:-1], 1e-9)
    return found
