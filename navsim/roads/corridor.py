"""Corridor of a route: every lane in which the route may be driven, not only the one that was drawn for it.

On a road of several lanes, nobody with a position fix that is off by 2 m can know which lane a route means. So each
lane of the right direction counts as right, and at the end of a road each lane that leads on along the route.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from navsim.geometry import Polyline
from navsim.roads.network import RoadNetwork

_REACH = 10.0  # distance from a section within which its lanes still count [m]; about two lengths of the car


@dataclass(frozen=True, eq=False)
class CorridorSection:
    """Part of a corridor on one road or in one junction."""

    start: float
    """Station on the route's path where the section begins [m]."""
    end: float
    """Station on the route's path where the section ends [m]."""
    lanes: tuple[Polyline, ...]
    """Middles of the lanes or connectors in which the section may be driven [m]."""
    ways_on: tuple[Polyline, ...]
    """Middles of the lanes that lead on along the route, each continued over the next section and the lane behind it
    [m]; empty for a junction."""


@dataclass(frozen=True, eq=False)
class Corridor:
    """Lanes in which a route may be driven; without sections if it has one lane everywhere."""

    sections: tuple[CorridorSection, ...] = ()
    """Roads and junctions in driving order."""
    connectors: frozenset[int] = frozenset()
    """Indices of the connectors that lead on along the route."""
    wrong_lanes: tuple[tuple[int, ...], ...] = ()
    """For each junction of the route, the indices of the connectors that begin in lanes that do not lead on."""

    def lane_offset(self, point: Sequence[float], station: float, offset: float) -> float:
        """Return the distance to the middle of the nearest right lane [m], positive if the point lies to its left.

        Args:
            point: Position (2,) [m].
            station: Place of the position along the route [m].
            offset: Its distance from the middle of the route's own lane [m], positive to the left.
        """
        near = (each for each in self.sections if each.start - _REACH <= station <= each.end + _REACH)
        offsets = [lane.project(point)[1] for section in near for lane in section.lanes]
        return min([offset, *offsets], key=abs)

    def way_on(self, point: Sequence[float], station: float) -> Polyline | None:
        """Return the nearest lane that leads on along the route, with its continuation; None on roads with one lane.

        Args:
            point: Position (2,) [m].
            station: Place of the position along the route [m].
        """
        begun = [each for each in self.sections if each.ways_on and each.start <= station]
        ways = begun[-1].ways_on if begun else ()
        return min(ways, key=lambda way: abs(way.project(point)[1]), default=None)


def route_corridor(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], mouths: Sequence[float]
) -> Corridor:
    """Return the corridor of a route.

    Args:
        network: Network of the route.
        lanes: Indices of the route's lanes.
        connectors: Indices of the connectors between them.
        mouths: Stations on the route's path where it begins, enters and leaves each junction, and ends [m].
    """
    beside = [_same_direction(network, lane) for lane in lanes]
    if all(len(group) == 1 for group in beside):
        return Corridor()
    sections, right, wrong = [], set[int](), []
    for i, group in enumerate(beside):
        start, end = mouths[2 * i], mouths[2 * i + 1]
        if i == len(connectors):
            last = tuple(network.lanes[lane].path for lane in group)
            sections.append(CorridorSection(start, end, last, last))
            break
        on = {lane: [c for c in network.successors(lane) if _leads_into(network, c, beside[i + 1])] for lane in group}
        leading = [lane for lane in group if on[lane]]
        ways = tuple(_way_on(network, lane, on[lane], lanes[i + 1]) for lane in leading)
        sections.append(CorridorSection(start, end, tuple(network.lanes[lane].path for lane in group), ways))
        through = [c for lane in leading for c in on[lane]]
        paths = tuple(network.connectors[c].path for c in through)
        sections.append(CorridorSection(end, mouths[2 * i + 2], paths, ()))
        right.update(through)
        wrong.append(tuple(c for lane in group if not on[lane] for c in network.successors(lane)))
    return Corridor(tuple(sections), frozenset(right), tuple(wrong))


def _same_direction(network: RoadNetwork, lane: int) -> tuple[int, ...]:
    """Return the lanes of a lane's road in its direction, from the divider outwards."""
    key = network.lanes[lane].road, network.lanes[lane].forward
    first = lane - network.lanes[lane].index  # lanes are grouped by road and direction
    last = first
    while last < len(network.lanes) and (network.lanes[last].road, network.lanes[last].forward) == key:
        last += 1
    return tuple(range(first, last))


def _leads_into(network: RoadNetwork, connector: int, lanes: Sequence[int]) -> bool:
    """Whether a connector ends in one of some lanes."""
    return network.connectors[connector].to_lane in lanes


def _way_on(network: RoadNetwork, lane: int, connectors: Sequence[int], wanted: int) -> Polyline:
    """Join a lane, one of its connectors and the lane behind that: the wanted lane, or the one closest to it."""
    chosen = min(connectors, key=lambda c: abs(network.connectors[c].to_lane - wanted))
    connector = network.connectors[chosen]
    return Polyline.joined([network.lanes[lane].path, connector.path, network.lanes[connector.to_lane].path])
