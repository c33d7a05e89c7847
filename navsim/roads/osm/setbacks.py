"""Mouths of mapped streets: how far the streets of a crossing are cut back.

A street is cut back until its kerbs are clear of all others. A kerb corner of radius r between two kerbs at an angle a
touches either kerb at a distance of r (1 + cos a) from the other street. The mouth lies where both kerbs are that
far from all other streets. Streets that leave side by side have no corner between them and only need a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from navsim.geometry import Array, Polyline, wrap_angle

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
        gaps, needed = _gaps(part, other, kerb_radius)
        station, covered = _clear_station(part.outward.stations, gaps, needed, arm.half_width + other.half_width)
        if station > found.station or (covered and not found.covered):
            found = Setback(max(station, found.station), other.street, found.covered or covered)
    return Setback(arm.outward.snapped(found.station + RUN_OUT), found.cause, found.covered)


def _gaps(arm: Arm, other: Arm, kerb_radius: float) -> tuple[Array, Array]:
    """Return the distance of an arm's kerbs from another arm and the needed distance, at each vertex (N,) [m]."""
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
    return distances[side, columns], MIN_GAP + share * kerb_radius * (1 + np.cos(angles))


def _clear_station(stations: Array, gaps: Array, needed: Array, widths: float) -> tuple[float, bool]:
    """Return the station after which gaps (N,) are as wide as needed, and whether the streets always overlap."""
    close = np.flatnonzero(gaps < needed)
    if not len(close):
        return 0.0, False
    last = int(close[-1])
    if last < len(gaps) - 1:
        return float(stations[last + 1]), False
    # The gap never suffices: the mouth lies where it is almost the largest, unless one street lies on the other.
    max_gap = float(gaps[np.isfinite(gaps)].max())
    if max_gap < -0.35 * widths:
        return float(stations[-1]), True
    return float(stations[int(np.flatnonzero(np.isfinite(gaps) & (gaps >= max_gap - 0.5))[0])]), False
