"""Street graph: edges between the nodes where streets meet, merged, cleaned and connected.

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
"""Smallest length of a street that ends at its own start [m]."""
MIN_DEAD_END = 25.0
"""Smallest length of a dead end [m]."""


@dataclass(frozen=True, eq=False)
class Edge:
    """A street between two nodes."""

    start: int
    """Index of the node where the street begins."""
    end: int
    """Index of the node where the street ends."""
    points: Array
    """Centre line (N, 2) [m] from node to node."""
    kind: StreetKind
    """Cross section and class, in the direction from start to end."""
    ways: tuple[int, ...]
    """Identifiers of the ways along the street, from start to end."""

    @property
    def length(self) -> float:
        """Length of the centre line [m]."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def reversed(self) -> "Edge":
        """The street in the opposite direction."""
        return Edge(self.end, self.start, self.points[::-1], self.kind.reversed, self.ways[::-1])

    def one_way(self, forward: bool) -> "Edge":
        """Return the street with the lanes of one direction only."""
        kind = replace(self.kind, lanes_backward=0) if forward else replace(self.kind, lanes_forward=0)
        return replace(self, kind=kind)


def cleaned(edges: Sequence[Edge], trim_dead_ends: bool = False) -> list[Edge]:
    """Merge edges into streets, remove dead ends and keep the largest connected part.

    Connections count in either direction, so one-way streets that leave an extract stay.

    Args:
        edges: Edges that meet at their ends only.
        trim_dead_ends: Whether to remove all dead ends, not only short ones.
    """
    rest = list(edges)
    while True:
        merged = _without_dead_ends(_merged(rest), np.inf if trim_dead_ends else MIN_DEAD_END)
        merged = _without_dead_end_lanes(_largest_part(merged))
        if len(merged) == len(rest) and all(a is b for a, b in zip(merged, rest, strict=True)):
            return merged
        rest = merged


End = tuple[int, bool]
"""End of an edge: its index and whether it is its start."""


def ends_by_node(edges: Sequence[Edge]) -> dict[int, list[End]]:
    """Return the edge ends (edge, whether it is the start) that meet at each node."""
    found: dict[int, list[End]] = {}
    for index, edge in enumerate(edges):
        found.setdefault(edge.start, []).append((index, True))
        found.setdefault(edge.end, []).append((index, False))
    return found


def _merged(edges: Sequence[Edge]) -> list[Edge]:
    """Join edges at nodes where exactly two meet that have lanes in the same directions."""
    links: dict[End, End] = {}
    for ends in ends_by_node(edges).values():
        if len(ends) == 2 and ends[0][0] != ends[1][0] and _same_directions(edges, *ends):
            links[ends[0]], links[ends[1]] = ends[1], ends[0]
    used: set[int] = set()
    found = []
    # Chains start at their free ends. Only closed rings without a crossing have none, and they are dropped.
    free_ends = [(i, start) for i in range(len(edges)) for start in (True, False) if (i, start) not in links]
    for first in free_ends:
        if first[0] not in used:
            chain = list(_chain(links, first))
            used.update(index for index, _ in chain)
            found.append(_joined([edges[i] if forward else edges[i].reversed for i, forward in chain]))
    return [edge for edge in found if edge.start != edge.end or edge.length >= MIN_LOOP]


def _chain(links: dict[End, End], first: End) -> Iterable[End]:
    """Yield the edges of a chain from a free end on, each with whether it is passed forward."""
    end = first
    while True:
        yield end
        leaving = (end[0], not end[1])
        if leaving not in links:
            return
        end = links[leaving]


def _same_directions(edges: Sequence[Edge], first: End, second: End) -> bool:
    """Return whether two edges that meet have lanes in the same directions."""
    arriving = edges[first[0]].kind.reversed if first[1] else edges[first[0]].kind
    leaving = edges[second[0]].kind if second[1] else edges[second[0]].kind.reversed
    return (arriving.lanes_forward > 0, arriving.lanes_backward > 0) == (
        leaving.lanes_forward > 0,
        leaving.lanes_backward > 0,
    )


def _joined(parts: Sequence[Edge]) -> Edge:
    """Join parts into one street with the kind of the greatest part of its length."""
    if len(parts) == 1:
        return parts[0] if parts[0].kind.lanes_forward else parts[0].reversed
    lengths: dict[StreetKind, float] = {}
    for part in parts:
        lengths[part.kind] = lengths.get(part.kind, 0.0) + part.length
    points = np.concatenate([parts[0].points, *(part.points[1:] for part in parts[1:])])
    kind, ways = max(lengths, key=lambda kind: lengths[kind]), tuple(way for part in parts for way in part.ways)
    street = Edge(parts[0].start, parts[-1].end, points, kind, ways)
    return street if street.kind.lanes_forward else street.reversed


def _without_dead_ends(edges: Sequence[Edge], min_length: float) -> list[Edge]:
    """Remove dead ends shorter than `min_length` [m] until there are none."""
    rest = list(edges)
    while True:
        degrees = Counter(node for edge in rest for node in (edge.start, edge.end))
        kept = [edge for edge in rest if min(degrees[edge.start], degrees[edge.end]) > 1 or edge.length >= min_length]
        if len(kept) == len(rest):
            return kept
        rest = kept


def _largest_part(edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges of the connected part with the greatest total length."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_edges_from((edge.start, edge.end) for edge in edges)
    part_of = {node: i for i, part in enumerate(nx.connected_components(graph)) for node in part}
    lengths: dict[int, float] = {}
    for edge in edges:
        lengths[part_of[edge.start]] = lengths.get(part_of[edge.start], 0.0) + edge.length
    largest = max(lengths, key=lambda part: lengths[part], default=-1)
    return [edge for edge in edges if part_of[edge.start] == largest]


def _without_dead_end_lanes(edges: Sequence[Edge]) -> list[Edge]:
    """Remove lanes to nodes that no other street leaves, until there are none."""
    rest = list(edges)
    while True:
        dead_end_lanes: dict[int, set[bool]] = {}
        for ends in ends_by_node(rest).values():
            if len(ends) > 1:
                _mark_dead_end_lanes(rest, ends, dead_end_lanes)
        if not dead_end_lanes:
            return rest
        rest = without_lanes(rest, dead_end_lanes)


def without_lanes(edges: Sequence[Edge], removed: dict[int, set[bool]]) -> list[Edge]:
    """Remove the lanes of edges in the given directions (True is forward), and edges without lanes."""
    kept = []
    for index, edge in enumerate(edges):
        lost = removed.get(index, set())
        left = [forward for forward in (True, False) if edge.kind.lanes_towards(forward) and forward not in lost]
        if lost and len(left) == 1:
            kept.append(edge.one_way(left[0]))
        elif left:
            kept.append(edge)
    return kept


def _mark_dead_end_lanes(edges: Sequence[Edge], ends: Sequence[End], dead_end_lanes: dict[int, set[bool]]) -> None:
    """Add to `dead_end_lanes` the lanes that arrive at a node and cannot leave it by another end."""
    leaving = [end for end in ends if edges[end[0]].kind.lanes_towards(end[1])]
    for end in ends:
        if edges[end[0]].kind.lanes_towards(not end[1]) and not any(other != end for other in leaving):
            dead_end_lanes.setdefault(end[0], set()).add(not end[1])
