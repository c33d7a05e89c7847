"""Smooth courses for surveyed streets: corners become curves that a car can drive.

All streets are smoothed at once. A light Gaussian along the course takes away the corners of the survey; where a
course still bends too sharply it is shortened there, as under the curve-shortening flow (Grayson, 1987), until the
bend is as wide as it must be. The ends stay where they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from navsim.geometry import Array

SPACING = 1.0
"""Distance between the vertices of a course [m]."""
SOFTNESS = 2.5
"""Standard deviation of the Gaussian along the course [m]."""
STEPS = 1500
"""Most steps of the flow."""


@dataclass(frozen=True, eq=False)
class _Chains:
    """Vertices of many courses in one array, with masks that tell them apart."""

    points: Array
    """(N, 2) [m]."""
    counts: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    """Vertices of each course."""

    @property
    def inner(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Whether a vertex is no end of its course (N,)."""
        last = np.cumsum(self.counts) - 1
        mask = np.ones(len(self.points), dtype=bool)
        mask[last] = mask[last - self.counts + 1] = False
        return mask

    def split(self) -> list[Array]:
        """The courses one by one."""
        return np.split(self.points, np.cumsum(self.counts)[:-1])


def smoothed(courses: Sequence[Array], limits: Sequence[float], soften: bool) -> list[Array]:
    """Smooth courses.

    Args:
        courses: Vertices (N, 2) of each [m].
        limits: Greatest curvature of each [1/m].
        soften: Whether to take away small corners too.

    Returns:
        Courses with a vertex about every metre and the ends of the given ones.
    """
    rough = [_resampled(course) for course in courses]
    chains = _Chains(np.concatenate(rough), np.array([len(course) for course in rough]))
    if soften:
        chains = _blurred(chains, steps=round(2 * SOFTNESS**2 / SPACING**2))
    chains = _relaxed(chains, np.repeat(np.asarray(limits, dtype=float), chains.counts))
    return [_resampled(course) for course in chains.split()]


def _resampled(course: Array) -> Array:
    """Vertices every `SPACING` [m] or a little less, at least three."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(course, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    at = np.linspace(0.0, lengths[-1], count)
    return np.stack([np.interp(at, lengths, course[:, 0]), np.interp(at, lengths, course[:, 1])], axis=-1)


def _blurred(chains: _Chains, steps: int) -> _Chains:
    """Let every vertex move halfway to the middle of its neighbours; each step adds half a spacing to the variance."""
    points, inner = chains.points.copy(), chains.inner
    for _ in range(steps):
        points = _moved(points, np.where(inner, 0.5, 0.0))
    return _Chains(points, chains.counts)


def _relaxed(chains: _Chains, limits: Array) -> _Chains:
    """Shorten the courses where they bend more sharply than their limits (N,) [1/m], until they do not."""
    points, inner = chains.points.copy(), chains.inner
    owners = np.repeat(np.arange(len(chains.counts)), chains.counts)
    active = np.ones(len(points), dtype=bool)
    for step in range(STEPS):
        if step % 50 == 0:  # courses that are done need no more work
            sharp = np.bincount(owners, inner & (_curvatures(points) > limits)) > 0
            active = sharp[owners]
            if not active.any():
                break
            some, bound, free = points[active], limits[active], inner[active]
        excess = np.clip((_curvatures(some) / bound - 0.85) / 0.1, 0.0, 1.0) * free
        some = _moved(some, _spread(excess, free) * 0.5)
        if step % 50 == 49:
            points[active] = some
    return _Chains(points, chains.counts)


def _moved(points: Array, weights: Array) -> Array:
    """Move every vertex towards the middle of its neighbours by its weight (N,)."""
    moved = points.copy()
    moved[1:-1] += weights[1:-1, None] * ((points[:-2] + points[2:]) / 2 - points[1:-1])
    return moved


def _spread(weights: Array, free: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Array:
    """Let the neighbours of moving vertices move a little too (N,)."""
    wide = weights.copy()
    for _ in range(2):
        wide[1:-1] = np.maximum(wide[1:-1], 0.7 * np.maximum(wide[:-2], wide[2:]))
    return np.asarray(wide * free)


def _curvatures(points: Array) -> Array:
    """Magnitude of the curvature at every vertex (N,) [1/m]; meaningless at the ends of courses."""
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
