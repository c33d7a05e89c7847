"""Smooth courses for surveyed streets: corners become curves that a car can drive.

All streets are smoothed at once. A light Gaussian along the course takes away the corners of the survey; where a
course still bends too sharply it is shortened there, as under the curve-shortening flow (Grayson, 1987), until the
bend is as wide as it must be. The ends stay where they are.
"""

from collections.abc import Sequence

import numpy as np

from navsim.geometry import Array

SPACING = 1.0
"""Distance between the vertices of a course [m]."""
SOFTNESS = 2.5
"""Standard deviation of the Gaussian along the course [m]."""
SHORTEST = 5.0
"""Streets that become shorter are given up [m]."""
STEPS = 50
"""Steps of the flow between two looks at the whole."""
LOOKS = 40
"""Most looks; a course that bends too sharply even then is given up."""


def smoothed(courses: Sequence[Array], limits: Sequence[float], soften: bool) -> list[Array | None]:
    """Smooth courses.

    Args:
        courses: Vertices (N, 2) of each [m].
        limits: Greatest curvature of each [1/m].
        soften: Whether to take away small corners too.

    Returns:
        Courses with a vertex about every metre and the ends of the given ones; None where a street cannot be made
        gentle enough.
    """
    found: list[Array | None] = [_resampled(course) for course in courses]
    todo = list(range(len(courses)))
    for look in range(LOOKS + 1):
        chosen = [course for i in todo if (course := found[i]) is not None]
        if not chosen:
            return found
        if look == 0 and soften:
            moved = _blurred(chosen, steps=round(2 * SOFTNESS**2 / SPACING**2))
        elif look:
            moved = _relaxed(chosen, np.repeat([limits[i] for i in todo], [len(course) for course in chosen]))
        else:
            moved = chosen
        for i, course in zip(todo, moved, strict=True):
            # Small rings shrink to a point.
            found[i] = _resampled(course) if np.hypot(*np.diff(course, axis=0).T).sum() > SHORTEST else None
        todo = [i for i in todo if (course := found[i]) is not None and _curvatures(course).max() > limits[i]]
    for i in todo:
        found[i] = None
    return found


def _resampled(course: Array) -> Array:
    """Vertices every `SPACING` [m] or a little less, at least three."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(course, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    at = np.linspace(0.0, lengths[-1], count)
    return np.stack([np.interp(at, lengths, course[:, 0]), np.interp(at, lengths, course[:, 1])], axis=-1)


def _blurred(courses: Sequence[Array], steps: int) -> list[Array]:
    """Let every vertex move halfway to the middle of its neighbours; each step adds half a spacing to the variance."""
    points, inner = _chained(courses)
    for _ in range(steps):
        points = _moved(points, np.where(inner, 0.5, 0.0))
    return _unchained(points, courses)


def _relaxed(courses: Sequence[Array], limits: Array) -> list[Array]:
    """Shorten courses for a while where they bend more sharply than the limit at each of their vertices (N,) [1/m]."""
    points, inner = _chained(courses)
    for _ in range(STEPS):
        excess = np.clip((_curvatures(points) / limits - 0.85) / 0.1, 0.0, 1.0)
        points = _moved(points, _spread(excess * inner, inner) * 0.5)
    return _unchained(points, courses)


def _chained(courses: Sequence[Array]) -> tuple[Array, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """All vertices (N, 2) one after the other, and whether each is no end of its course (N,)."""
    counts = np.array([len(course) for course in courses])
    last = np.cumsum(counts) - 1
    inner = np.ones(counts.sum(), dtype=bool)
    inner[last] = inner[last - counts + 1] = False
    return np.concatenate(courses), inner


def _unchained(points: Array, courses: Sequence[Array]) -> list[Array]:
    """Vertices (N, 2) as courses of the same lengths as the given ones."""
    return np.split(points, np.cumsum([len(course) for course in courses])[:-1])


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
