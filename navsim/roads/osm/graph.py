"""Streets as a graph: edges between the places where streets meet, merged, cleaned and connected.

World frame: x east, y north [m].
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np

from navsim.geometry import Array
from navsim.roads.osm.tags import StreetKind

MIN_LOOP = 90.0
"""Shorter streets that end where they begin are left out [m]."""
MIN_STUB = 25.0
"""Shorter dead ends are left out [m]."""


@dataclass(frozen=True, eq=False)
class Edge:
    """A street between two places."""

    start: int
    """Index of the place where it begins."""
    end: int
    """Index of the place where it ends."""
    points: Array
    """Its course (N, 2) [m] from place to place."""
    kind: StreetKind
    """Its cross-section, seen from start to end."""

    @property
    def length(self) -> float:
        """Length of its course [m]."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def reversed(self) -> "Edge":
        """The same street seen from its other end."""
        return Edge(self.end, self.start, self.points[::-1], self.kind.reversed)

    def one_way(self, forward: bool) -> "Edge":
        """The street with the lanes of one direction only."""
        kind = replace(self.kind, lanes_backward=0) if forward else replace(self.kind, lanes_forward=0)
        return replace(self, kind=kind)


def cleaned(edges: Sequence[Edge], trim_dead_ends: bool = False) -> list[Edge]:
    """Merge edges into streets, drop what leads nowhere and keep the largest connected part.

    Connected means in either direction: one-way streets that leave an extract can be driven, although nothing leads
    back.

    Args:
        edges: Edges that meet at their ends only.
        trim_dead_ends: Whether to leave out streets that end blindly.
    """
    rest = list(edges)
    while True:
        merged = _without_stubs(_merged(rest), np.inf if trim_dead_ends else MIN_STUB)
        merged = _with_ways_on(_largest_part(merged))
        if len(merged) == len(rest) and all(a is b for a, b in zip(merged, rest, strict=True)):
            return merged
        rest = merged


def ends_by_place(edges: Sequence[Edge]) -> dict[int, list[tuple[int, bool]]]:
    """The ends (edge, whether its start) that meet at each place."""
    found: dict[int, list[tuple[int, bool]]] = {}
    for index, edge in enumerate(edges):
        found.setdefault(edge.start, []).append((index, True))
        found.setdefault(edge.end, []).append((index, False))
    return found


def _merged(edges: Sequence[Edge]) -> list[Edge]:
    """Join edges at places where just two of them meet and traffic can go on as before."""
    links: dict[tuple[int, bool], tuple[int, bool]] = {}
    for ends in ends_by_place(edges).values():
        if len(ends) == 2 and ends[0][0] != ends[1][0] and _alike(edges, *ends):
            links[ends[0]], links[ends[1]] = ends[1], ends[0]
    used: set[int] = set()
    found = []
    # Chains are walked from their loose ends; what is left then are closed rings without any crossing.
    loose = [(i, start) for i in range(len(edges)) for start in (True, False) if (i, start) not in links]
    for first in loose:
        if first[0] not in used:
            chain = list(_chain(links, first))
            used.update(index for index, _ in chain)
            found.append(_joined([edges[i] if forward else edges[i].reversed for i, forward in chain]))
    return [edge for edge in found if edge.start != edge.end or edge.length >= MIN_LOOP]


def _chain(links: dict[tuple[int, bool], tuple[int, bool]], first: tuple[int, bool]) -> Iterable[tuple[int, bool]]:
    """Edges along a chain, each with whether it is walked forward, beginning at a loose end."""
    here = first
    while True:
        yield here
        leaving = (here[0], not here[1])
        if leaving not in links:
            return
        here = links[leaving]


def _alike(edges: Sequence[Edge], one: tuple[int, bool], other: tuple[int, bool]) -> bool:
    """Whether two edges that meet have lanes in the same directions."""
    arriving = edges[one[0]].kind.reversed if one[1] else edges[one[0]].kind
    leaving = edges[other[0]].kind if other[1] else edges[other[0]].kind.reversed
    return (arriving.lanes_forward > 0, arriving.lanes_backward > 0) == (
        leaving.lanes_forward > 0,
        leaving.lanes_backward > 0,
    )


def _joined(parts: Sequence[Edge]) -> Edge:
    """One street from its parts, with the cross-section of the greatest part of its length."""
    if len(parts) == 1:
        return parts[0] if parts[0].kind.lanes_forward else parts[0].reversed
    lengths: dict[StreetKind, float] = {}
    for part in parts:
        lengths[part.kind] = lengths.get(part.kind, 0.0) + part.length
    points = np.concatenate([parts[0].points, *(part.points[1:] for part in parts[1:])])
    street = Edge(parts[0].start, parts[-1].end, points, max(lengths, key=lambda kind: lengths[kind]))
    return street if street.kind.lanes_forward else street.reversed


def _without_stubs(edges: Sequence[Edge], shortest: float) -> list[Edge]:
    """Leave out dead ends shorter than `shortest` [m], again and again."""
    rest = list(edges)
    while True:
        degrees = Counter(place for edge in rest for place in (edge.start, edge.end))
        kept = [edge for edge in rest if min(degrees[edge.start], degrees[edge.end]) > 1 or edge.length >= shortest]
        if len(kept) == len(rest):
            return kept
        rest = kept


def _largest_part(edges: Sequence[Edge]) -> list[Edge]:
    """The edges of the connected part with the greatest length of streets."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_edges_from((edge.start, edge.end) for edge in edges)
    part_of = {place: i for i, part in enumerate(nx.connected_components(graph)) for place in part}
    lengths: dict[int, float] = {}
    for edge in edges:
        lengths[part_of[edge.start]] = lengths.get(part_of[edge.start], 0.0) + edge.length
    largest = max(lengths, key=lambda part: lengths[part], default=-1)
    return [edge for edge in edges if part_of[edge.start] == largest]


def _with_ways_on(edges: Sequence[Edge]) -> list[Edge]:
    """Take away lanes that lead to a crossing from which no other street leads on."""
    rest = list(edges)
    while True:
        doomed: dict[int, set[bool]] = {}
        for ends in ends_by_place(rest).values():
            if len(ends) > 1:
                _mark_trapped(rest, ends, doomed)
        if not doomed:
            return rest
        rest = without_lanes(rest, doomed)


def without_lanes(edges: Sequence[Edge], doomed: dict[int, set[bool]]) -> list[Edge]:
    """Leave out the lanes of some edges in some directions (True is forward), and edges that have none left."""
    kept = []
    for index, edge in enumerate(edges):
        lost = doomed.get(index, set())
        left = [forward for forward in (True, False) if edge.kind.lanes_towards(forward) and forward not in lost]
        if lost and len(left) == 1:
            kept.append(edge.one_way(left[0]))
        elif left:
            kept.append(edge)
    return kept


def _mark_trapped(edges: Sequence[Edge], ends: Sequence[tuple[int, bool]], doomed: dict[int, set[bool]]) -> None:
    """Note the lanes that arrive at a place and cannot leave it by another end."""
    leaving = [end for end in ends if edges[end[0]].kind.lanes_towards(end[1])]
    for end in ends:
        if edges[end[0]].kind.lanes_towards(not end[1]) and not any(other != end for other in leaving):
            doomed.setdefault(end[0], set()).add(not end[1])
