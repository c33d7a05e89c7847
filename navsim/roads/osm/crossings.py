"""Crossings of mapped streets: which nodes form one crossing, where the mouths lie, which streets are dropped.

In map data, a crossing of two dual carriageways has four nodes, a staggered crossing two, a small roundabout many. If a
street between two nodes is too short for the mouths at its ends, the nodes become one crossing and the street lies
inside it. If that crossing would be too large, the less important street is dropped.

A street is cut back until its kerbs are clear of all others. A kerb corner of radius r between two kerbs at an angle a
touches either kerb at a distance of r (1 + cos a) from the other street. The mouth lies where both kerbs are that
far from all other streets. Streets that leave side by side have no corner between them and only need a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.osm.graph import Edge, ends_by_node

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
        return Arm(street, True, centre.between(0.0, reach), half_width, inner)
    return Arm(street, False, centre.between(centre.length - reach, centre.length).reversed(), half_width, inner)


def setbacks(arms: Sequence[Arm], inner: Sequence[Arm], kerb_radius: float) -> list[Setback]:
    """Return the setback of each arm of a crossing.

    Args:
        arms: Street ends that leave the crossing.
        inner: Both ends of the streets inside it.
        kerb_radius: Radius of its kerb corners [m].
    """
    return [_setback(arm, [other for other in (*arms, *inner) if other is not arm], kerb_radius) for arm in arms]


def _setback(arm: Arm, others: Sequence[Arm], kerb_radius: float) -> Setback:
    """Return the setback of one arm."""
    found = Setback(MIN_SETBACK, None)
    for other in others:
        gaps, needed = _gaps(arm, other, kerb_radius)
        station, covered = _clear_station(arm.outward.stations, gaps, needed, arm.half_width + other.half_width)
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


MIN_LENGTH = 6.0
"""Smallest length of a street between its mouths [m]."""
MAX_INNER_LENGTH = 45.0
"""Largest length of a street inside a crossing [m]."""
MAX_DIAMETER = 50.0
"""Largest distance between nodes of one crossing [m]."""
KERB_RADII = (7.0, 4.5)
"""Radius of kerb corners, and the smaller one where a street would be too short otherwise [m]."""
MAX_ROUNDS = 25
"""Largest number of rounds of merging nodes."""


@dataclass(frozen=True, eq=False)
class Crossing:
    """Nodes that form one crossing."""

    nodes: tuple[int, ...]
    """Indices of the street graph's nodes."""
    arms: tuple[Arm, ...]
    """Street ends that leave the crossing."""
    mouths: tuple[float, ...]
    """Station of each arm's mouth [m]."""
    inner: tuple[int, ...]
    """Indices of the streets inside the crossing."""
    kerb_radius: float
    """Radius of the kerb corners [m]."""


@dataclass(frozen=True, eq=False)
class TownCrossings:
    """All crossings of a town."""

    crossings: tuple[Crossing, ...]
    """Crossings in the order of their first nodes."""
    inner: frozenset[int]
    """Indices of the streets inside crossings."""
    dropped: frozenset[int]
    """Indices of the streets that do not fit; without them the others do."""


class _CrossingFinder:
    """Merges nodes into crossings until every street is long enough between its mouths."""

    def __init__(self, edges: Sequence[Edge], centres: Sequence[Polyline]) -> None:
        self.edges, self.centres = edges, centres
        self.inner: set[int] = set()
        self.dropped: set[int] = set()
        self.arms = {
            (i, start): arm_of(i, centre, edge.kind.half_width, start)
            for i, (edge, centre) in enumerate(zip(edges, centres, strict=True))
            for start in (True, False)
        }
        meeting = ends_by_node(edges)
        self.members: dict[int, list[int]] = {node: [node] for node in sorted(meeting)}
        self.ends: dict[int, list[tuple[int, bool]]] = {node: list(meeting[node]) for node in self.members}
        self.cluster: dict[int, int] = {node: node for node in self.members}
        self.radius: dict[int, float] = dict.fromkeys(self.members, KERB_RADII[0])
        self.positions: dict[int, Array] = {}
        for edge in edges:
            self.positions[edge.start], self.positions[edge.end] = edge.points[0], edge.points[-1]
        self.inside: dict[int, list[Arm]] = {}
        self.mouths: dict[tuple[int, bool], Setback] = {}

    def run(self) -> None:
        """Merge nodes, shrink corners and drop streets until all streets fit."""
        pending = set(self.members)
        for _ in range(MAX_ROUNDS):
            for cluster in sorted(pending):
                self._update_mouths(cluster)
            pending = self._resolve_short_streets()
            if not pending:
                return
        self.dropped.update(i for i in self._active_streets() if self._remaining_length(i) < MIN_LENGTH)

    def _active_streets(self) -> list[int]:
        """Return the streets that are neither dropped nor inside a crossing."""
        return [i for i in range(len(self.edges)) if i not in self.inner and i not in self.dropped]

    def _update_mouths(self, cluster: int) -> None:
        """Update the mouths of a crossing."""
        ends = [end for end in self.ends[cluster] if end[0] not in self.inner and end[0] not in self.dropped]
        self.ends[cluster] = ends
        if len(ends) < 2:
            self.mouths.update({end: Setback(self.arms[end].outward.snapped(DEAD_END), None) for end in ends})
            return
        found = setbacks([self.arms[end] for end in ends], self.inside.get(cluster, []), self.radius[cluster])
        self.mouths.update(zip(ends, found, strict=True))

    def _remaining_length(self, index: int) -> float:
        """Return the length of a street between its mouths [m]."""
        setback = self.mouths[index, True].station + self.mouths[index, False].station
        return self.centres[index].length - setback

    def _resolve_short_streets(self) -> set[int]:
        """Resolve the streets that are too short, at most one at each crossing; return the changed crossings."""
        changed: set[int] = set()
        short = [(self._remaining_length(i), i) for i in self._active_streets()]
        covered = [i for i in self._active_streets() if any(self.mouths[i, start].covered for start in (True, False))]
        for index in [*covered, *(i for remaining, i in sorted(short) if remaining < MIN_LENGTH)]:
            pair = {self.cluster[self.edges[index].start], self.cluster[self.edges[index].end]}
            if pair & changed or index in self.dropped:
                continue
            if index in covered or not (self._try_smaller_corners(index, pair) or self._try_merge(index, pair)):
                pair |= self._drop(index)
            changed |= {self.cluster[node] for node in pair}
        return changed

    def _try_smaller_corners(self, index: int, pair: set[int]) -> bool:
        """Shrink the kerb corners at both ends of a street if that may suffice; return whether it was done."""
        small = KERB_RADII[1]
        shrinkable = [cluster for cluster in pair if self.radius[cluster] > small and len(self.ends[cluster]) > 1]
        if not shrinkable or self._remaining_length(index) + len(shrinkable) * (KERB_RADII[0] - small) < MIN_LENGTH:
            return False
        self.radius.update(dict.fromkeys(shrinkable, small))
        return True

    def _try_merge(self, index: int, pair: set[int]) -> bool:
        """Merge the crossings at both ends of a street if the result is not too large; return whether it was done."""
        if self.centres[index].length > MAX_INNER_LENGTH or any(len(self.ends[cluster]) < 2 for cluster in pair):
            return False
        positions = np.array([self.positions[node] for cluster in sorted(pair) for node in self.members[cluster]])
        if np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1)).max() > MAX_DIAMETER:
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

    def _drop(self, index: int) -> set[int]:
        """Drop the less important of a street and the cause of its larger setback; return the crossings affected."""
        mouths = [self.mouths[index, start] for start in (True, False)]
        cause = max(mouths, key=lambda mouth: mouth.station).cause
        dropped = index
        if cause is not None and cause not in self.inner | self.dropped:
            dropped = max(index, cause, key=lambda i: (self.edges[i].kind.rank, -self.centres[i].length, i))
        self.dropped.add(dropped)
        return {self.cluster[self.edges[dropped].start], self.cluster[self.edges[dropped].end]}

    def result(self) -> TownCrossings:
        """Return the crossings found so far."""
        crossings = []
        for cluster, nodes in self.members.items():
            ends = [end for end in self.ends[cluster] if end[0] not in self.inner and end[0] not in self.dropped]
            inside = tuple(arm.street for arm in self.inside.get(cluster, []) if arm.at_start)
            arms = tuple(self.arms[end] for end in ends)
            mouths = tuple(self.mouths[end].station for end in ends)
            crossings.append(Crossing(tuple(nodes), arms, mouths, inside, self.radius[cluster]))
        return TownCrossings(tuple(crossings), frozenset(self.inner), frozenset(self.dropped))


def find_crossings(edges: Sequence[Edge], centres: Sequence[Polyline]) -> TownCrossings:
    """Find the crossings of streets.

    Args:
        edges: The streets.
        centres: Smooth centre line of each street [m].
    """
    finder = _CrossingFinder(edges, centres)
    finder.run()
    return finder.result()
