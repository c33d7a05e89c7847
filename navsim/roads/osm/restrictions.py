"""Turn restrictions of mapped streets: which turns at a crossing are forbidden.

A restriction names the ways where a turn begins and ends, and the node or the ways that it passes between them
(OpenStreetMap wiki, Relation:restriction). A crossing may have several nodes with streets between them. Then a turn
from street to street is forbidden if every path through the crossing is.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from navsim.geometry import wrap_angle
from navsim.roads.osm.graph import Edge, End, ends_by_node, heading_at
from navsim.roads.osm.tags import TurnRestriction

Turn = tuple[End, End]
"""Turn at a node or crossing: the end where a car arrives and the one where it leaves."""


@dataclass(frozen=True, eq=False)
class ForbiddenTurns:
    """Turns that are forbidden."""

    turns: frozenset[Turn] = frozenset()
    """Forbidden turns at single nodes."""
    passages: tuple[TurnRestriction, ...] = ()
    """Restrictions of turns that pass ways."""
    num_missing: int = 0
    """Number of restrictions of streets that are left out."""

    def forbids(self, turn: Turn, before: tuple[int, ...], after: int) -> bool:
        """Return whether a turn at a node is forbidden, for a car that came along some ways and turns into another."""
        return turn in self.turns or any(
            before[-len(each.ways) - 1] in each.origins and (after in each.targets) != each.kind.only
            for each in self.passages
            if len(before) > len(each.ways) and before[-len(each.ways) :] in (each.ways, each.ways[::-1])
        )


def forbidden_turns(
    edges: Sequence[Edge],
    restrictions: Sequence[TurnRestriction],
    node_of: Mapping[int, int],
    levels: Collection[int] = (),
) -> ForbiddenTurns:
    """Return the turns that restrictions forbid, and those between streets on different levels.

    Args:
        edges: The streets.
        restrictions: Restrictions that hold at all times.
        node_of: Index of the edges' node for each identifier of a node in the extract.
        levels: Nodes where streets on different levels cross.
    """
    meeting, known = ends_by_node(edges), {way for edge in edges for way in edge.ways}
    turns = {turn for node in levels for turn in _turns_between_ways(edges, meeting.get(node, []))}
    passages, num_missing = [], 0
    for restriction in restrictions:
        if restriction.ways and known.issuperset(restriction.ways):
            passages.append(restriction)
            continue
        ends = meeting.get(node_of.get(restriction.nodes[0], -1), []) if len(restriction.nodes) == 1 else []
        meant = _turns_meant(edges, ends, restriction)
        num_missing += not meant
        if restriction.kind.only:
            arriving = {turn[0] for turn in meant}
            meant = {(a, b) for a in arriving for b in ends if (a, b) not in meant}
        turns |= meant
    return ForbiddenTurns(frozenset(turns), tuple(passages), num_missing)


def _turns_between_ways(edges: Sequence[Edge], ends: Sequence[End]) -> set[Turn]:
    """Return the turns at a node from one way into another."""
    return {(a, b) for a in ends for b in ends if _way_at(edges, a) != _way_at(edges, b)}


def _turns_meant(edges: Sequence[Edge], ends: Sequence[End], restriction: TurnRestriction) -> set[Turn]:
    """Return the turns at a node that a restriction means; where a way goes on beyond it, its direction decides."""
    turns = {
        (a, b)
        for a in ends
        for b in ends
        if _way_at(edges, a) in restriction.origins and _way_at(edges, b) in restriction.targets
    }
    origins, targets = {a for a, _ in turns}, {b for _, b in turns}
    several = len(origins) > len(restriction.origins) or len(targets) > len(restriction.targets)
    return {(a, b) for a, b in turns if not several or _is_turn(edges, a, b, restriction.kind.turn)}


def _is_turn(edges: Sequence[Edge], arriving: End, leaving: End, direction: str) -> bool:
    """Return whether a turn has the direction of a `RestrictionKind`."""
    turn = float(np.rad2deg(wrap_angle(heading_at(edges, leaving) - heading_at(edges, arriving) + np.pi)))
    ranges = {"left": (20.0, 170.0), "right": (-170.0, -20.0), "straight": (-60.0, 60.0)}
    if direction == "u":
        return abs(turn) >= 150.0
    low, high = ranges.get(direction, (-180.0, 180.0))
    return low <= turn <= high


def forbidden_passages(
    edges: Sequence[Edge], arms: Sequence[End], inner: Sequence[int], rules: ForbiddenTurns
) -> set[Turn]:
    """Return the turns between the arms of a crossing whose every path through it is forbidden.

    Args:
        edges: The streets.
        arms: Ends of the streets that leave the crossing.
        inner: Indices of the streets inside it.
        rules: Forbidden turns of the town.
    """
    ends = {*arms, *((i, start) for i in inner for start in (True, False))}
    concerned = any(turn[0] in ends for turn in rules.turns)
    ways = {way for i in inner for way in edges[i].ways}
    if not concerned and not any(ways.issuperset(each.ways) for each in rules.passages):
        return set()
    inside = ends_by_node([edges[i] for i in inner])
    inner_ends = {node: [(inner[i], start) for i, start in found] for node, found in inside.items()}
    turns = [(a, b) for a in arms for b in arms if a != b]
    return {
        turn
        for turn in turns
        if _leads(edges, inner_ends, turn, ForbiddenTurns()) and not _leads(edges, inner_ends, turn, rules)
    }


def _leads(edges: Sequence[Edge], inner: Mapping[int, Sequence[End]], turn: Turn, rules: ForbiddenTurns) -> bool:
    """Return whether an allowed path leads through a crossing; `inner` holds its inner streets' ends at each node."""
    first, last = turn
    memory = max((len(each.ways) for each in rules.passages), default=0) + 1
    pending: list[tuple[End, tuple[int, ...]]] = [(first, (_way_at(edges, first),))]
    seen = set(pending)
    while pending:
        arriving, before = pending.pop()
        node = _node_at(edges, arriving)
        for leaving in (*inner.get(node, ()), *([last] if _node_at(edges, last) == node else [])):
            i, at_start = leaving
            if leaving == arriving or rules.forbids((arriving, leaving), before, _way_at(edges, leaving)):
                continue
            if leaving == last:
                return True
            along = (*before, *(edges[i].ways if at_start else edges[i].ways[::-1]))
            state = ((i, not at_start), tuple(way for way, _ in groupby(along))[-memory:])
            if edges[i].kind.lanes_towards(at_start) and state not in seen:
                seen.add(state)
                pending.append(state)
    return False


def _node_at(edges: Sequence[Edge], end: End) -> int:
    """Return the node at an end of a street."""
    return edges[end[0]].start if end[1] else edges[end[0]].end


def _way_at(edges: Sequence[Edge], end: End) -> int:
    """Return the way at an end of a street."""
    return edges[end[0]].ways[0 if end[1] else -1]
