"""How far streets are cut back at a crossing of any shape: until their kerbs have parted.

Where a kerb corner of radius r joins two kerbs that meet at an angle a, it touches either kerb at a distance of
r (1 + cos a) from the other street. So a mouth lies where both kerbs of a street are that far from all others. Streets
that leave side by side have no corner between them; they need only be apart.

Crossings of surveyed streets: which places belong together, where their mouths lie, what is left out.

In a survey a crossing of two dual carriageways is four places, a staggered crossing two, a small roundabout many. Where
a street between two places is too short for the mouths at its ends, the places become one crossing and the street a
part of its inside. Where that would swallow too much, the lesser street is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.osm.graph import Edge, ends_by_place

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


MIN_LEFT = 6.0
"""Least length of a street between its mouths [m]."""
LONGEST_INNER = 45.0
"""Longest street that becomes the inside of a crossing [m]."""
WIDEST = 50.0
"""Greatest distance between places of one crossing [m]."""
KERB_RADII = (7.0, 4.5)
"""Radius of kerb corners [m], and what it shrinks to where a street would be too short otherwise."""
ROUNDS = 25
"""Most rounds of joining places."""


@dataclass(frozen=True, eq=False)
class Crossing:
    """Places that are one crossing."""

    places: tuple[int, ...]
    """The places."""
    arms: tuple[Arm, ...]
    """The street ends that leave it."""
    mouths: tuple[float, ...]
    """Station of each arm's mouth [m]."""
    inner: tuple[int, ...]
    """Streets inside."""
    kerb_radius: float
    """Of its kerb corners [m]."""


@dataclass(frozen=True, eq=False)
class CrossingPlan:
    """All crossings of a town."""

    crossings: tuple[Crossing, ...]
    """In the order of their first places."""
    inner: frozenset[int]
    """Streets that became parts of crossings."""
    dropped: frozenset[int]
    """Streets for which there is no room; without them the others fit."""


class _Planner:
    """Joins places until every street has room between its mouths."""

    def __init__(self, edges: Sequence[Edge], centres: Sequence[Polyline]) -> None:
        self.edges, self.centres = edges, centres
        self.inner: set[int] = set()
        self.dropped: set[int] = set()
        self.arms = {
            (i, start): arm_of(i, centre, edge.kind.half_width, start)
            for i, (edge, centre) in enumerate(zip(edges, centres, strict=True))
            for start in (True, False)
        }
        meeting = ends_by_place(edges)
        self.members: dict[int, list[int]] = {place: [place] for place in sorted(meeting)}
        self.ends: dict[int, list[tuple[int, bool]]] = {place: list(meeting[place]) for place in self.members}
        self.cluster: dict[int, int] = {place: place for place in self.members}
        self.radius: dict[int, float] = dict.fromkeys(self.members, KERB_RADII[0])
        self.where: dict[int, Array] = {}
        for edge in edges:
            self.where[edge.start], self.where[edge.end] = edge.points[0], edge.points[-1]
        self.inside: dict[int, list[Arm]] = {}
        self.mouths: dict[tuple[int, bool], Setback] = {}

    def run(self) -> None:
        """Join, shrink and leave out, until all fits."""
        dirty = set(self.members)
        for _ in range(ROUNDS):
            for cluster in sorted(dirty):
                self._cut_back(cluster)
            dirty = self._settle()
            if not dirty:
                return
        self.dropped.update(i for i in self._open() if self._left(i) < MIN_LEFT)

    def _open(self) -> list[int]:
        """Streets that are neither left out nor parts of a crossing."""
        return [i for i in range(len(self.edges)) if i not in self.inner and i not in self.dropped]

    def _cut_back(self, cluster: int) -> None:
        """Find the mouths of a crossing."""
        ends = [end for end in self.ends[cluster] if end[0] not in self.inner and end[0] not in self.dropped]
        self.ends[cluster] = ends
        if len(ends) < 2:
            self.mouths.update({end: Setback(self.arms[end].outward.snapped(DEAD_END), None) for end in ends})
            return
        found = setbacks([self.arms[end] for end in ends], self.inside.get(cluster, []), self.radius[cluster])
        self.mouths.update(zip(ends, found, strict=True))

    def _left(self, index: int) -> float:
        """Length of a street between its mouths [m]."""
        taken = self.mouths[index, True].station + self.mouths[index, False].station
        return self.centres[index].length - taken

    def _settle(self) -> set[int]:
        """Treat the streets without room, one at each crossing; the crossings that changed."""
        changed: set[int] = set()
        short = [(self._left(i), i) for i in self._open()]
        covered = [i for i in self._open() if any(self.mouths[i, start].covered for start in (True, False))]
        for index in [*covered, *(i for left, i in sorted(short) if left < MIN_LEFT)]:
            pair = {self.cluster[self.edges[index].start], self.cluster[self.edges[index].end]}
            if pair & changed or index in self.dropped:
                continue
            if index in covered or not (self._shrunk(index, pair) or self._joined(index, pair)):
                pair |= self._leave_out(index)
            changed |= {self.cluster[place] for place in pair}
        return changed

    def _shrunk(self, index: int, pair: set[int]) -> bool:
        """Shrink the kerb corners at both ends of a street, if that may be enough."""
        small = KERB_RADII[1]
        shrinkable = [cluster for cluster in pair if self.radius[cluster] > small and len(self.ends[cluster]) > 1]
        if not shrinkable or self._left(index) + len(shrinkable) * (KERB_RADII[0] - small) < MIN_LEFT:
            return False
        self.radius.update(dict.fromkeys(shrinkable, small))
        return True

    def _joined(self, index: int, pair: set[int]) -> bool:
        """Make the places at both ends of a street one crossing, if it is not too large."""
        if self.centres[index].length > LONGEST_INNER or any(len(self.ends[cluster]) < 2 for cluster in pair):
            return False
        places = np.array([self.where[place] for cluster in sorted(pair) for place in self.members[cluster]])
        if np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)).max() > WIDEST:
            return False
        self.inner.add(index)
        first, *rest = sorted(pair)
        width = self.edges[index].kind.half_width
        new = [arm_of(index, self.centres[index], width, start, inner=True) for start in (True, False)]
        self.inside[first] = [arm for cluster in sorted(pair) for arm in self.inside.pop(cluster, [])] + new
        for other in rest:
            self.members[first] += self.members.pop(other)
            self.ends[first] += self.ends.pop(other)
            self.radius.pop(other)
            self.cluster.update(dict.fromkeys(self.members[first], first))
        self.radius[first] = KERB_RADII[0]
        return True

    def _leave_out(self, index: int) -> set[int]:
        """Leave out a street or the one that takes its room, whichever counts less; the crossings that it leaves."""
        rivals = [self.mouths[index, start] for start in (True, False)]
        worst = max(rivals, key=lambda mouth: mouth.station).rival
        chosen = index
        if worst is not None and worst not in self.inner | self.dropped:
            chosen = max(index, worst, key=lambda i: (self.edges[i].kind.rank, -self.centres[i].length, i))
        self.dropped.add(chosen)
        return {self.cluster[self.edges[chosen].start], self.cluster[self.edges[chosen].end]}

    def plan(self) -> CrossingPlan:
        """What was found."""
        crossings = []
        for cluster, places in self.members.items():
            ends = [end for end in self.ends[cluster] if end[0] not in self.inner and end[0] not in self.dropped]
            inside = tuple(arm.street for arm in self.inside.get(cluster, []) if arm.at_start)
            arms = tuple(self.arms[end] for end in ends)
            mouths = tuple(self.mouths[end].station for end in ends)
            crossings.append(Crossing(tuple(places), arms, mouths, inside, self.radius[cluster]))
        return CrossingPlan(tuple(crossings), frozenset(self.inner), frozenset(self.dropped))


def plan_crossings(edges: Sequence[Edge], centres: Sequence[Polyline]) -> CrossingPlan:
    """Find the crossings of streets.

    Args:
        edges: The streets.
        centres: The smooth course of each.
    """
    planner = _Planner(edges, centres)
    planner.run()
    return planner.plan()
