"""Crossings of surveyed streets: which places belong together, where their mouths lie, what is left out.

In a survey a crossing of two dual carriageways is four places, a staggered crossing two, a small roundabout many. Where
a street between two places is too short for the mouths at its ends, the places become one crossing and the street a
part of its inside. Where that would swallow too much, the lesser street is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from navsim.geometry import Array, Polyline
from navsim.roads.osm.graph import Edge, ends_by_place
from navsim.roads.osm.osm_setbacks import DEAD_END, Arm, Setback, arm_of, setbacks

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
