"""Street graph: edges between the nodes where streets meet, merged and cleaned.

World frame: x east, y north [m].
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import networkx as nx
import numpy as np
import shapely

from navsim.geometry import Array, Polyline
from navsim.roads.osm.tags import StreetKind

MIN_LOOP = 90.0
"""Smallest length of a street that ends at its own start [m]."""
MIN_DEAD_END = 25.0
"""Smallest length of a dead end [m]."""
RETREAT = 15.0
"""Distance from a crossing to the end of a street that no car can leave by that crossing [m]."""
MIN_APART = 1.5
"""Smallest distance of streets side by side [m]; closer ones are one street that was drawn twice."""
MIN_PART = 100.0
"""Smallest length of the streets of a part that is not connected with others [m]."""


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
    segments: tuple[int, ...] = ()
    """Indices of the extract's segments along the street, from start to end."""

    @property
    def length(self) -> float:
        """Length of the centre line [m]."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    @property
    def reversed(self) -> "Edge":
        """The street in the opposite direction."""
        return Edge(self.end, self.start, self.points[::-1], self.kind.reversed, self.ways[::-1], self.segments[::-1])

    def one_way(self, forward: bool) -> "Edge":
        """Return the street with the lanes of one direction only."""
        kind = replace(self.kind, lanes_backward=0) if forward else replace(self.kind, lanes_forward=0)
        return replace(self, kind=kind)


class DroppedSegments:
    """The extract's segments that are not a part of the town, with the reason."""

    def __init__(self) -> None:
        """Begin with no dropped segment."""
        self.reasons: dict[int, str] = {}

    def compare(self, before: Iterable[Edge], after: Sequence[Edge], reason: str) -> Sequence[Edge]:
        """Record the segments that a step has dropped; return the edges after it."""
        left = {segment for edge in after for segment in edge.segments}
        lost = (segment for edge in before for segment in edge.segments if segment not in left)
        self.reasons.update(dict.fromkeys(lost, reason))
        return after


def cleaned(
    edges: Sequence[Edge], dropped: DroppedSegments, trim_dead_ends: bool = False, bends: Collection[int] = ()
) -> list[Edge]:
    """Merge edges into streets, and remove dead ends and small parts that are not connected with others.

    Connections count in either direction, so one-way streets that leave an extract stay.

    Args:
        edges: Edges that meet at their ends only.
        dropped: Record of the segments that are dropped.
        trim_dead_ends: Whether to remove all dead ends, not only short ones.
        bends: Nodes in sharp bends, where two streets are not merged.
    """
    rest: Sequence[Edge] = list(edges)
    min_dead_end = np.inf if trim_dead_ends else MIN_DEAD_END
    while True:
        found = dropped.compare(rest, _merged(rest, bends), "rings without a crossing")
        found = dropped.compare(found, _without_dead_ends(found, min_dead_end), "short dead ends")
        found = dropped.compare(found, _without_small_parts(found), "small parts apart")
        found = dropped.compare(found, _without_dead_end_lanes(found), "dead-end directions")
        if len(found) == len(rest) and all(a is b for a, b in zip(found, rest, strict=True)):
            return list(found)
        rest = found


End = tuple[int, bool]
"""End of an edge: its index and whether it is its start."""


def ends_by_node(edges: Sequence[Edge]) -> dict[int, list[End]]:
    """Return the edge ends (edge, whether it is the start) that meet at each node."""
    found: dict[int, list[End]] = {}
    for index, edge in enumerate(edges):
        found.setdefault(edge.start, []).append((index, True))
        found.setdefault(edge.end, []).append((index, False))
    return found


def _merged(edges: Sequence[Edge], bends: Collection[int]) -> list[Edge]:
    """Join edges at nodes outside `bends` where exactly two meet that have lanes in the same directions."""
    links: dict[End, End] = {}
    for node, ends in ends_by_node(edges).items():
        if node not in bends and len(ends) == 2 and ends[0][0] != ends[1][0] and _same_directions(edges, *ends):
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
    segments = tuple(segment for part in parts for segment in part.segments)
    street = Edge(parts[0].start, parts[-1].end, points, kind, ways, segments)
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


def _without_small_parts(edges: Sequence[Edge]) -> list[Edge]:
    """Keep the longest connected part, and others that are at least `MIN_PART` long and do not lie on it."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_edges_from((edge.start, edge.end) for edge in edges)
    part_of = {node: i for i, part in enumerate(nx.connected_components(graph)) for node in part}
    parts: dict[int, list[Edge]] = {}
    for edge in edges:
        parts.setdefault(part_of[edge.start], []).append(edge)
    lines = {part: shapely.MultiLineString([edge.points for edge in own]) for part, own in parts.items()}
    longest = max(lines, key=lambda part: float(lines[part].length), default=-1)
    kept = {
        part
        for part, line in lines.items()
        if part == longest or (line.length >= MIN_PART and not _lies_on(line, lines[longest]))
    }
    return [edge for edge in edges if part_of[edge.start] in kept]


def _lies_on(line: shapely.MultiLineString, other: shapely.MultiLineString) -> bool:
    """Return whether most vertices of a line lie on another one, which was drawn twice."""
    shapely.prepare(other)
    return float(np.mean(shapely.dwithin(other, shapely.points(shapely.get_coordinates(line)), MIN_APART))) > 0.5


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
    """Remove the lanes of edges in the given directions (True is forward).

    An edge without other lanes keeps them if it is long enough. It then ends before the node that its lanes lead to.
    """
    kept: list[Edge] = []
    new_node = unused_node(edges)
    for index, edge in enumerate(edges):
        lost = removed.get(index, set())
        left = [forward for forward in (True, False) if edge.kind.lanes_towards(forward) and forward not in lost]
        if lost and len(left) == 1:
            kept.append(edge.one_way(left[0]))
        elif left:
            kept.append(edge)
        elif edge.length >= MIN_DEAD_END + RETREAT:
            kept.append(_detached(edge, edge.kind.lanes_forward > 0, new_node))
            new_node += 1
    return kept


def unused_node(edges: Iterable[Edge]) -> int:
    """Return the smallest index that is larger than those of all nodes."""
    return max((node for edge in edges for node in (edge.start, edge.end)), default=0) + 1


def split_at(edge: Edge, vertices: Sequence[int], first_node: int) -> list[Edge]:
    """Split an edge at inner vertices of its centre line; new nodes are numbered from `first_node` on.

    All parts belong to the same segments, because the vertices are not those of the map any more.
    """
    nodes = [edge.start, *range(first_node, first_node + len(vertices)), edge.end]
    cuts = [0, *vertices, len(edge.points) - 1]
    return [
        replace(edge, start=a, end=b, points=edge.points[first : last + 1])
        for (a, b), (first, last) in zip(pairwise(nodes), pairwise(cuts), strict=True)
    ]


def _detached(edge: Edge, forward: bool, node: int) -> Edge:
    """Return an edge with the lanes of one direction, which ends at a node of its own before the next crossing."""
    line = Polyline((edge if forward else edge.reversed).points)
    points = line.between(0.0, line.length - RETREAT).points
    whole = edge.one_way(forward) if forward else edge.one_way(forward).reversed
    return replace(whole, end=node, points=points)


def _mark_dead_end_lanes(edges: Sequence[Edge], ends: Sequence[End], dead_end_lanes: dict[int, set[bool]]) -> None:
    """Add to `dead_end_lanes` the lanes that arrive at a node and cannot leave it by another end."""
    leaving = [end for end in ends if edges[end[0]].kind.lanes_towards(end[1])]
    for end in ends:
        if edges[end[0]].kind.lanes_towards(not end[1]) and not any(other != end for other in leaving):
            dead_end_lanes.setdefault(end[0], set()).add(not end[1])


def heading_at(edges: Sequence[Edge], end: End) -> float:
    """Return the heading of a street away from one of its ends [rad]."""
    points = edges[end[0]].points if end[1] else edges[end[0]].points[::-1]
    return float(np.arctan2(*(points[min(5, len(points) - 1)] - points[0])[::-1]))
