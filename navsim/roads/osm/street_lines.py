"""Lines of mapped streets: smooth centre lines, and mouths, where streets are cut back at a crossing.

All centre lines are smoothed at once. A narrow Gaussian along the line removes the corners of the survey. Where a line
still bends too sharply, curve-shortening flow (Grayson, 1987) widens the bend. The ends do not move.

A street is cut back until its kerbs are clear of all others. A kerb corner of radius r between two kerbs at an angle a
touches either kerb at a distance of r (1 + cos a) from the other street. The mouth lies where both kerbs are that
far from all other streets. Streets that leave side by side have no corner between them and only need a gap.

World frame: x east, y north [m].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.osm.tags import MARGIN

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


def sharp_bends(line: Array, limit: float) -> tuple[Array, list[int]]:
    """Return a smoothed line (N, 2) [m] and the vertices in the middle of its bends over a curvature [1/m]."""
    (smooth,) = _blurred([resampled(line)], steps=round(2 * SMOOTHING_SIGMA**2 / SPACING**2))
    over = np.flatnonzero(_curvatures(smooth) > limit)
    bends = np.split(over, np.flatnonzero(np.diff(over) > MIN_LENGTH / SPACING) + 1) if len(over) else []
    middles = [int(bend[len(bend) // 2]) for bend in bends]
    margin = int(MIN_LENGTH / SPACING)
    return smooth, [i for i in middles if margin < i < len(smooth) - 1 - margin]


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


REACH = 70.0
"""Largest distance from the node to a mouth [m]."""
MIN_SETBACK = 4.0
"""Smallest distance from the node to a mouth [m]."""
RUN_OUT = 2.0
"""Distance from the end of a kerb corner to the mouth [m]."""
DEAD_END = 5.0
"""Distance from the end of a dead-end street to the ends of its lanes [m], so that a car has room."""
MIN_GAP = 0.3
"""Smallest distance between the kerbs of two streets at a mouth [m]."""
LANES_CLEAR = 0.3 - 2 * MARGIN
"""Distance between the kerbs of two streets whose lanes are just clear of each other [m]."""
CORNER_ANGLES = (np.deg2rad(18.0), np.deg2rad(45.0))
"""Angles between two streets of no kerb corner (at most) and of a full one (at least) [rad]."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One end of a street, seen from its crossing."""

    street: int
    """Index of the street."""
    at_start: bool
    """Whether the crossing is at the street's start."""
    outward: Polyline
    """Centre line from the crossing outwards, at most `REACH` long, with a vertex about every metre [m]."""
    half_width: float
    """Distance from the centre line to either kerb [m]."""
    length: float
    """Length of the whole street [m]."""
    inner: bool = False
    """Whether the street lies inside the crossing."""
    kerbs: Array = field(init=False)
    """Points on both kerbs (2, N, 2) beside the vertices [m]."""
    tree: cKDTree = field(init=False)
    """Spatial index of the vertices."""

    def __post_init__(self) -> None:
        headings = self.outward.headings
        aside = self.half_width * np.stack([-np.sin(headings), np.cos(headings)], axis=-1)
        object.__setattr__(self, "kerbs", np.stack([self.outward.points + aside, self.outward.points - aside]))
        object.__setattr__(self, "tree", cKDTree(self.outward.points))

    @cached_property
    def near_half(self) -> "Arm":
        """Part of the arm up to the middle of its street."""
        middle = self.length / 2
        return self if self.outward.length <= middle else replace(self, outward=self.outward.between(0.0, middle))


@dataclass(frozen=True)
class Setback:
    """Position of an arm's mouth."""

    station: float
    """Distance of the mouth from the crossing along the arm [m]."""
    cause: int | None
    """Index of the street that requires the largest setback."""
    covered: bool = False
    """Whether the arm overlaps that street along its whole length."""


def arm_of(street: int, centre: Polyline, half_width: float, at_start: bool, inner: bool = False) -> Arm:
    """Return the arm at one end of a street."""
    reach = min(REACH, centre.length)
    if at_start:
        return Arm(street, True, centre.between(0.0, reach), half_width, centre.length, inner)
    outward = centre.between(centre.length - reach, centre.length).reversed()
    return Arm(street, False, outward, half_width, centre.length, inner)


def setbacks(arms: Sequence[Arm], ends: Sequence[int], inner: Sequence[Arm], kerb_radius: float) -> list[Setback]:
    """Return the setback of each arm of a crossing.

    Streets that meet again at their other ends, such as the halves of a ring with two arms, are compared up to their
    middles. So is a street that comes back to this crossing with all others.

    Args:
        arms: Street ends that leave the crossing.
        ends: Crossing at the other end of each arm's street; -1 is this crossing.
        inner: Both ends of the streets inside the crossing.
        kerb_radius: Radius of its kerb corners [m].
    """
    found = []
    for arm, end in zip(arms, ends, strict=True):
        pairs = [
            (arm.near_half, other.near_half) if other_end == end else (arm, other)
            for other, other_end in zip(arms, ends, strict=True)
            if other is not arm
        ]
        pairs += [(arm, other) for other in inner]
        found.append(_setback(arm, [(arm.near_half if end < 0 else part, other) for part, other in pairs], kerb_radius))
    return found


def _setback(arm: Arm, pairs: Sequence[tuple[Arm, Arm]], kerb_radius: float) -> Setback:
    """Return the setback of one arm from its pairs with the others."""
    found = Setback(MIN_SETBACK, None)
    for part, other in pairs:
        station, covered = _clear_station(part.outward.stations, _gaps(part, other, kerb_radius), arm, other)
        if station > found.station or (covered and not found.covered):
            found = Setback(max(station, found.station), other.street, found.covered or covered)
    return Setback(arm.outward.snapped(found.station + RUN_OUT), found.cause, found.covered)


def _gaps(arm: Arm, other: Arm, kerb_radius: float) -> tuple[Array, Array, Array]:
    """Return distances of an arm from another one at each vertex (N,) [m].

    Returns:
        Distance of the kerbs from the other's kerbs, whether inside or outside, the needed distance, and the distance
        that is negative where streets that fork lie on each other.
    """
    found = other.tree.query(arm.kerbs)
    distances, nearest = np.asarray(found[0], dtype=float), np.asarray(found[1])  # (2, N)
    # A kerb behind the start of the other street, or past the end of an inner street, is not beside it.
    beyond = (nearest == 0) | (other.inner & (nearest == len(other.outward.points) - 1))
    distances = np.where(beyond, np.inf, distances) - other.half_width
    side = np.asarray(distances.argmin(axis=0))
    columns = np.arange(len(side))
    angles = np.abs(wrap_angle(arm.outward.headings - other.outward.headings[nearest[side, columns]]))
    low, high = CORNER_ANGLES
    share = np.clip((angles - low) / (high - low), 0.0, 1.0)
    gaps = distances[side, columns]
    centres = np.asarray(other.tree.query(arm.outward.points)[0], dtype=float) - arm.half_width - other.half_width
    apart = np.where(share == 0, np.minimum(gaps, centres), gaps)
    return gaps, MIN_GAP + share * kerb_radius * (1 + np.cos(angles)), apart


def _clear_station(stations: Array, distances: tuple[Array, Array, Array], arm: Arm, other: Arm) -> tuple[float, bool]:
    """Return the station after which an arm is clear of another one, and whether it lies on it along its whole length.

    Args:
        stations: Stations of the arm's vertices (N,) [m].
        distances: Distances from the other arm as from `_gaps`.
        arm: The arm.
        other: The other arm.
    """
    gaps, needed, apart = distances
    close = np.flatnonzero(gaps < needed)
    if not len(close):
        return 0.0, False
    last = int(close[-1])
    if last < len(gaps) - 1:
        return float(stations[last + 1]), False
    if gaps[np.isfinite(gaps)].max() < -0.35 * (arm.half_width + other.half_width):
        return float(stations[-1]), True
    # The gap never suffices: the mouth lies where it is almost the largest, and the lanes are clear if they can be.
    max_gap = float(apart[np.isfinite(apart)].max())
    almost = max(max_gap - 0.5, min(max_gap, LANES_CLEAR))
    return float(stations[int(np.flatnonzero(np.isfinite(apart) & (apart >= almost))[0])]), False
