"""Crossings of mapped streets: which nodes form one crossing, and which streets are dropped.

In map data, a crossing of two dual carriageways has four nodes, a staggered crossing two, a small roundabout many. If a
street between two nodes is too short for the mouths at its ends, the nodes become one crossing and the street lies
inside it. If that crossing would be too large even as a last resort, the less important street is dropped. A
roundabout that would lose a street becomes one crossing instead: without a part of its ring, streets would lose a
direction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from navsim.geometry import Array, Polyline
from navsim.roads.osm.graph import Edge, ends_by_node
from navsim.roads.osm.street_lines import DEAD_END, Arm, Setback, arm_of, setbacks

MIN_LENGTH = 6.0
"""Smallest length of a street between its mouths [m]."""
MAX_INNER_LENGTH = 45.0
"""Largest length of a street inside a crossing [m]."""
MAX_DIAMETER = 50.0
"""Largest distance between nodes of one crossing [m]."""
WIDE_INNER_LENGTH = 110.0
"""Largest length of a street inside a crossing that would have to be dropped otherwise [m]."""
WIDE_DIAMETER = 120.0
"""Largest distance between nodes of a crossing without which a street would have to be dropped [m]."""
MAX_RING_DIAMETER = 60.0
"""Largest diameter of a roundabout's ring that may become one crossing [m]."""
RING_MARGIN = 30.0
"""Largest distance from such a ring to other nodes of its crossing, where streets split before the ring [m]."""
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

    def spans(self, centres: Sequence[Polyline]) -> dict[int, tuple[float, float]]:
        """Return the stations [m] of the first and the last mouth of each street outside crossings, by its index."""
        ends: dict[tuple[int, bool], float] = {}
        for crossing in self.crossings:
            for arm, mouth in zip(crossing.arms, crossing.mouths, strict=True):
                ends[arm.street, arm.at_start] = mouth if arm.at_start else centres[arm.street].length - mouth
        return {i: (ends[i, True], ends[i, False]) for i in sorted({street for street, _ in ends})}


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
        self.rings = _rings(edges)
        self.round: set[int] = set()
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
        far = [self.cluster[self.edges[i].end if start else self.edges[i].start] for i, start in ends]
        far = [-1 if other == cluster else other for other in far]
        arms = [self.arms[end] for end in ends]
        found = setbacks(arms, far, self.inside.get(cluster, []), self.radius[cluster])
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
            resolved = index not in covered and self._try_smaller_corners(index, pair)
            if not resolved and (index not in covered or self.edges[index].kind.ring):
                resolved = self._try_merge(index, pair)
            if not resolved:
                pair |= self._make_room(index, pair, index in covered)
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

    def _try_merge(self, index: int, pair: set[int], wide: bool = False) -> bool:
        """Merge the crossings at both ends of a street if the result is not too large; return whether it was done."""
        max_length = WIDE_INNER_LENGTH if wide else MAX_INNER_LENGTH
        if self.centres[index].length > max_length or any(len(self.ends[cluster]) < 2 for cluster in pair):
            return False
        limit = MAX_RING_DIAMETER + RING_MARGIN if pair & self.round else MAX_DIAMETER
        limit = max(limit, WIDE_DIAMETER) if wide else limit
        if self._diameter(node for cluster in pair for node in self.members[cluster]) > limit:
            return False
        self._merge(pair, [index])
        return True

    def _try_merge_ring(self, streets: Iterable[int]) -> set[int]:
        """Make a roundabout at one of the streets one crossing if it is not too large; return the crossing, if any."""
        touched = {node for i in streets for node in (self.edges[i].start, self.edges[i].end)}
        for ring in self.rings:
            nodes = {node for i in ring for node in (self.edges[i].start, self.edges[i].end)}
            clusters = {self.cluster[node] for node in nodes}
            if nodes & touched and not clusters & self.round and self._diameter(nodes) <= MAX_RING_DIAMETER:
                first = self._merge(clusters, [i for i in ring if i not in self.inner])
                self.round.add(first)
                return {first}
        return set()

    def _diameter(self, nodes: Iterable[int]) -> float:
        """Return the largest distance between nodes [m]."""
        positions = np.array([self.positions[node] for node in sorted(nodes)])
        return float(np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1)).max())

    def _merge(self, clusters: set[int], streets: Sequence[int]) -> int:
        """Merge crossings into one, with streets between them inside it; return its number."""
        self.inner.update(streets)
        first, *rest = sorted(clusters)
        new = [
            arm_of(i, self.centres[i], self.edges[i].kind.half_width, start, inner=True)
            for i in streets
            for start in (True, False)
        ]
        self.inside[first] = [arm for cluster in sorted(clusters) for arm in self.inside.pop(cluster, [])] + new
        for other in rest:
            self.members[first] += self.members.pop(other)
            self.ends[first] += self.ends.pop(other)
            self.radius.pop(other)
            self.cluster.update(dict.fromkeys(self.members[first], first))
        self.radius[first] = KERB_RADII[0]
        if clusters & self.round:
            self.round.add(first)
        return first

    def _make_room(self, index: int, pair: set[int], covered: bool) -> set[int]:
        """Make a large crossing or drop a street so that a street fits; return the crossings affected.

        At a roundabout nothing is dropped if it can become one crossing. Of a street and the cause of its larger
        setback, the less important one is dropped.
        """
        mouths = [self.mouths[index, start] for start in (True, False)]
        cause = max(mouths, key=lambda mouth: mouth.station).cause
        candidates = [index] if cause is None or cause in self.inner | self.dropped else [index, cause]
        merged = self._try_merge_ring(candidates)
        if merged or (not covered and self._try_merge(index, pair, wide=True)):
            return merged or pair
        dropped = max(candidates, key=lambda i: (self.edges[i].kind.rank, -self.centres[i].length, i))
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


def _rings(edges: Sequence[Edge]) -> list[list[int]]:
    """Return the streets of each roundabout's ring."""
    on_ring = [i for i, edge in enumerate(edges) if edge.kind.ring]
    graph: nx.Graph[int] = nx.Graph()
    graph.add_edges_from((edges[i].start, edges[i].end) for i in on_ring)
    return [[i for i in on_ring if edges[i].start in nodes] for nodes in nx.connected_components(graph)]


def find_crossings(edges: Sequence[Edge], centres: Sequence[Polyline]) -> TownCrossings:
    """Find the crossings of streets.

    Args:
        edges: The streets.
        centres: Smooth centre line of each street [m].
    """
    finder = _CrossingFinder(edges, centres)
    finder.run()
    return finder.result()
