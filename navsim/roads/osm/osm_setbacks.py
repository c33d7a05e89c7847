"""How far streets are cut back at a crossing of any shape: until their kerbs have parted.

Where a kerb corner of radius r joins two kerbs that meet at an angle a, it touches either kerb at a distance of
r (1 + cos a) from the other street. So a mouth lies where both kerbs of a street are that far from all others. Streets
that leave side by side have no corner between them; they need only be apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from navsim.geometry import Array, Polyline, wrap_angle

REACH = 70.0
"""How far along a street its mouth may lie [m]."""
MIN_SETBACK = 4.0
"""Least distance from the place of a crossing to a mouth [m]."""
RUN_OUT = 2.0
"""Distance from the end of a kerb corner to the mouth [m]."""
DEAD_END = 5.0
"""Distance from the end of a blind street to the ends of its lanes [m], so that a car has room."""
APART = 0.3
"""Least distance between the kerbs of two streets at a mouth [m]."""
SIDE_BY_SIDE = (np.deg2rad(18.0), np.deg2rad(45.0))
"""Up to the first angle streets have no kerb corner between them, from the second on a full one [rad]."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One end of a street, seen from its crossing."""

    street: int
    """Index of the street."""
    at_start: bool
    """Whether it is the street's first end."""
    outward: Polyline
    """Its course from the crossing outwards, at most `REACH` long, with a vertex about every metre."""
    half_width: float
    """Distance from the course to either kerb [m]."""
    inner: bool = False
    """Whether the street became the inside of the crossing."""
    kerbs: Array = field(init=False)
    """Points on both kerbs (2, N, 2) beside the vertices [m]."""
    tree: cKDTree = field(init=False)
    """Finds the nearest vertex."""

    def __post_init__(self) -> None:
        headings = self.outward.headings
        aside = self.half_width * np.stack([-np.sin(headings), np.cos(headings)], axis=-1)
        object.__setattr__(self, "kerbs", np.stack([self.outward.points + aside, self.outward.points - aside]))
        object.__setattr__(self, "tree", cKDTree(self.outward.points))


@dataclass(frozen=True)
class Setback:
    """Where an arm's mouth lies."""

    station: float
    """Distance along the arm [m]."""
    rival: int | None
    """Index of the street that it is cut back for most."""
    covered: bool = False
    """Whether it lies on that street as far as can be seen."""


def arm_of(street: int, centre: Polyline, half_width: float, at_start: bool, inner: bool = False) -> Arm:
    """The arm at one end of a street."""
    reach = min(REACH, centre.length)
    if at_start:
        return Arm(street, True, centre.between(0.0, reach), half_width, inner)
    return Arm(street, False, centre.between(centre.length - reach, centre.length).reversed(), half_width, inner)


def setbacks(arms: Sequence[Arm], inner: Sequence[Arm], kerb_radius: float) -> list[Setback]:
    """Where the mouth of each arm of a crossing lies.

    Args:
        arms: Street ends that leave the crossing.
        inner: Both ends of the streets inside it.
        kerb_radius: Of its kerb corners [m].
    """
    return [_setback(arm, [other for other in (*arms, *inner) if other is not arm], kerb_radius) for arm in arms]


def _setback(arm: Arm, others: Sequence[Arm], kerb_radius: float) -> Setback:
    """The mouth of one arm."""
    found = Setback(MIN_SETBACK, None)
    for other in others:
        gaps, needed = _gaps(arm, other, kerb_radius)
        station, covered = _parting(arm.outward.stations, gaps, needed, arm.half_width + other.half_width)
        if station > found.station or (covered and not found.covered):
            found = Setback(max(station, found.station), other.street, found.covered or covered)
    return Setback(arm.outward.snapped(found.station + RUN_OUT), found.rival, found.covered)


def _gaps(arm: Arm, other: Arm, kerb_radius: float) -> tuple[Array, Array]:
    """For each vertex of an arm (N,): distance of its kerbs from another arm, and what is needed [m]."""
    found = other.tree.query(arm.kerbs)
    distances, nearest = np.asarray(found[0], dtype=float), np.asarray(found[1])  # (2, N)
    # A kerb that lies behind the beginning of the other street, or past the end of an inner one, is not beside it.
    beyond = (nearest == 0) | (other.inner & (nearest == len(other.outward.points) - 1))
    distances = np.where(beyond, np.inf, distances) - other.half_width
    side = np.asarray(distances.argmin(axis=0))
    columns = np.arange(len(side))
    angles = np.abs(wrap_angle(arm.outward.headings - other.outward.headings[nearest[side, columns]]))
    low, high = SIDE_BY_SIDE
    share = np.clip((angles - low) / (high - low), 0.0, 1.0)
    return distances[side, columns], APART + share * kerb_radius * (1 + np.cos(angles))


def _parting(stations: Array, gaps: Array, needed: Array, widths: float) -> tuple[float, bool]:
    """The station from which on gaps (N,) are as wide as needed, and whether they are overlaps all along."""
    close = np.flatnonzero(gaps < needed)
    if not len(close):
        return 0.0, False
    last = int(close[-1])
    if last < len(gaps) - 1:
        return float(stations[last + 1]), False
    # They never part: a mouth where they are about as far apart as they get, unless one lies on the other.
    known = gaps[np.isfinite(gaps)]
    most = float(known.max())
    if most < -0.35 * widths:
        return float(stations[-1]), True
    return float(stations[int(np.flatnonzero(np.isfinite(gaps) & (gaps >= most - 0.5))[0])]), False
