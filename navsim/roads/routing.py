"""Routes: ways through a network lane by lane, and where a car is along them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import networkx as nx
import numpy as np

from navsim.errors import TownError
from navsim.geometry import Polyline, Pose, wrap_angle
from navsim.roads.elements import Connector, Manoeuvre
from navsim.roads.network import RoadNetwork

RUN_UP = 15.0
"""Least length of lane before a route's first junction and after its last one [m]."""
TRIES = 400
"""How many random ways are tried before a town is said to have no such route."""


@dataclass(frozen=True)
class JunctionPassage:
    """The part of a route that lies inside a junction."""

    start: float
    """Station on the route's path where the junction begins [m]."""
    end: float
    """Station where it ends [m]."""
    manoeuvre: Manoeuvre
    """What the route does there."""
    junction: int
    """Index of the junction."""


@dataclass(frozen=True)
class Progress:
    """Where a vehicle is along a route."""

    station: float
    """Distance along the route's path, in [0, length] [m]."""
    offset: float
    """Distance from the middle of the route's lane, positive to the left [m]."""
    heading_error: float
    """Heading of the vehicle minus that of the path, in [-pi, pi) [rad]."""
    fraction: float
    """Part of the route that lies behind, in [0, 1]."""


def progress_along(path: Polyline, pose: Pose, near: float | None = None) -> Progress:
    """Locate a vehicle on a path.

    Args:
        path: Middle of the lane to drive [m].
        pose: The vehicle's pose.
        near: Its last station [m]; only the path close to it is searched.
    """
    station, offset = path.project((pose.x, pose.y), near)
    if station <= 0.0 or station >= path.length:
        # Beyond an end of the path only the sideways distance is an offset.
        end = path.pose(station)
        offset = (pose.y - end.y) * np.cos(end.heading) - (pose.x - end.x) * np.sin(end.heading)
    error = wrap_angle(pose.heading - path.heading(station))
    return Progress(station, float(offset), float(error), min(max(station / path.length, 0.0), 1.0))


@dataclass(frozen=True, eq=False)
class Route:
    """A drive from one lane, through junctions, to another lane."""

    lanes: tuple[int, ...]
    """Indices of the lanes in driving order."""
    connectors: tuple[int, ...]
    """Indices of the connectors between them; one fewer than lanes."""
    path: Polyline
    """Middle of the lane to drive, from the start to the end of the route [m]."""
    passages: tuple[JunctionPassage, ...]
    """The junctions on the way, in driving order."""
    length: float = field(init=False)
    """Length of the path [m]."""

    def __post_init__(self) -> None:
        if len(self.lanes) != len(self.connectors) + 1:
            raise ValueError(f"{len(self.lanes)} lanes need one connector fewer, got {len(self.connectors)}")
        object.__setattr__(self, "length", self.path.length)

    def progress(self, pose: Pose, near: float | None = None) -> Progress:
        """Locate a vehicle on the route.

        Args:
            pose: The vehicle's pose.
            near: Its last station [m]; only the path close to it is searched.
        """
        return progress_along(self.path, pose, near)

    def in_junction(self, station: float) -> bool:
        """Whether `station` [m] lies inside a junction."""
        return any(passage.start <= station <= passage.end for passage in self.passages)


def make_route(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], start: float, end: float
) -> Route:
    """Join lanes and connectors into a route.

    Args:
        network: The network they belong to.
        lanes: Indices of the lanes, in driving order.
        connectors: Indices of the connectors between them.
        start: Station on the first lane where the route begins [m].
        end: Station on the last lane where it ends [m].
    """
    if len(lanes) == 1:
        return Route(tuple(lanes), (), network.lanes[lanes[0]].path.between(start, end), ())
    first, last = network.lanes[lanes[0]].path, network.lanes[lanes[-1]].path
    pieces, passages = [first.between(start, first.length)], []
    station = pieces[0].length
    for i, index in enumerate(connectors):
        connector = network.connectors[index]
        exit_station = station + connector.path.length
        passages.append(JunctionPassage(station, exit_station, connector.manoeuvre, connector.junction))
        lane = network.lanes[lanes[i + 1]].path if i + 2 < len(lanes) else last.between(0.0, end)
        pieces += [connector.path, lane]
        station = exit_station + lane.length
    return Route(tuple(lanes), tuple(connectors), Polyline.joined(pieces), tuple(passages))


def sample_route(
    network: RoadNetwork,
    rng: np.random.Generator,
    min_length: float = 300.0,
    max_length: float = 600.0,
    min_junctions: int = 2,
    again: bool = False,
) -> Route:
    """Draw a route that visits no junction and no road twice, unless it may.

    Args:
        network: Where to drive.
        rng: Source of all that is random here.
        min_length: Least length [m].
        max_length: Greatest length [m].
        min_junctions: How many junctions are passed at least.
        again: Whether the route may come back to junctions and roads; it never turns back on a road.

    Raises:
        TownError: If no such route is found.
    """
    if not 0 < min_length <= max_length or min_junctions < 1:
        raise TownError(
            f"a route needs 0 < min_length <= max_length and min_junctions >= 1, "
            f"got {min_length}, {max_length} and {min_junctions}"
        )
    for _ in range(TRIES):
        target = rng.uniform(min_length, max_length)
        lanes, connectors = _random_way(network, rng, target, min_junctions, again)
        ends = _ends(network, lanes, connectors, target, rng) if len(connectors) >= min_junctions else None
        if ends is not None:
            return make_route(network, lanes, connectors, *ends)
    raise TownError(
        f"found no route of {min_length:.0f} to {max_length:.0f} m through at least {min_junctions} junctions "
        f"in a network of {len(network.roads)} roads"
    )


def sample_lane_route(
    network: RoadNetwork, rng: np.random.Generator, min_length: float = 60.0, max_length: float = 150.0
) -> Route:
    """Draw a route along one lane, without any junction.

    Raises:
        TownError: If no lane is `min_length` [m] long.
    """
    if not 0 < min_length <= max_length:
        raise TownError(f"a route needs 0 < min_length <= max_length, got {min_length} and {max_length}")
    fitting = [i for i, lane in enumerate(network.lanes) if lane.path.length >= min_length]
    if not fitting:
        longest = max(lane.path.length for lane in network.lanes)
        raise TownError(f"no lane is {min_length:.0f} m long; the longest has {longest:.0f} m")
    lane = fitting[int(rng.integers(len(fitting)))]
    room = network.lanes[lane].path.length
    length = rng.uniform(min_length, min(max_length, room))
    start = rng.uniform(0.0, room - length)
    return make_route(network, [lane], [], start, start + length)


def shortest_route(
    network: RoadNetwork, start_lane: int, start_station: float, end_lane: int, end_station: float
) -> Route:
    """Find the shortest route between two places on lanes.

    Args:
        network: Where to drive.
        start_lane: Index of the lane to start on.
        start_station: Station on it [m].
        end_lane: Index of the lane to end on.
        end_station: Station on it [m].

    Raises:
        TownError: If the places do not exist, or no way leads from one to the other.
    """
    for lane, station in ((start_lane, start_station), (end_lane, end_station)):
        _check_place(network, lane, station)
    if start_lane == end_lane and start_station < end_station:
        return make_route(network, [start_lane], [], start_station, end_station)
    graph: nx.DiGraph[int] = nx.DiGraph()
    for index, connector in enumerate(network.connectors):
        length = connector.path.length + network.lanes[connector.to_lane].path.length
        graph.add_edge(connector.from_lane, connector.to_lane, length=length, connector=index)
    lanes = _shortest_lanes(graph, start_lane, end_lane)
    connectors = [graph.edges[edge]["connector"] for edge in pairwise(lanes)]
    return make_route(network, lanes, connectors, start_station, end_station)


def _shortest_lanes(graph: "nx.DiGraph[int]", start: int, end: int) -> list[int]:
    """Lanes from `start` to `end`; around the block when both are the same."""
    try:
        if start != end:
            return list(nx.dijkstra_path(graph, start, end, weight="length"))
        ways = [
            [start, *nx.dijkstra_path(graph, follower, end, weight="length")]
            for follower in graph.successors(start)
            if nx.has_path(graph, follower, end)
        ]
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        ways = []
    if not ways:
        raise TownError(f"no way leads from lane {start} to lane {end}")
    return min(ways, key=lambda way: nx.path_weight(graph, way, "length"))


def _check_place(network: RoadNetwork, lane: int, station: float) -> None:
    """Refuse a place that is not on a lane, or at its very end."""
    if not 0 <= lane < len(network.lanes):
        raise TownError(f"there is no lane {lane}; lanes are 0 to {len(network.lanes) - 1}")
    if not 0 <= station <= network.lanes[lane].path.length:
        raise TownError(f"lane {lane} has stations 0 to {network.lanes[lane].path.length:.2f} m, got {station}")


def _random_way(
    network: RoadNetwork, rng: np.random.Generator, target: float, min_junctions: int, again: bool
) -> tuple[list[int], list[int]]:
    """Wander from a random lane until `target` [m] can be reached; the way may be too short when it got stuck."""
    lanes, connectors = [int(rng.integers(len(network.lanes)))], list[int]()
    roads, junctions = {network.lanes[lanes[0]].road}, set[int]()
    room = network.lanes[lanes[0]].path.length
    while room < target or len(connectors) < min_junctions:
        open_ways = [
            index
            for index in network.successors(lanes[-1])
            if again
            or (
                network.connectors[index].junction not in junctions
                and network.lanes[network.connectors[index].to_lane].road not in roads
            )
        ]
        if not open_ways:
            break
        chosen = _pick(network.connectors, open_ways, rng)
        connector = network.connectors[chosen]
        connectors.append(chosen)
        lanes.append(connector.to_lane)
        junctions.add(connector.junction)
        roads.add(network.lanes[connector.to_lane].road)
        room += connector.path.length + network.lanes[connector.to_lane].path.length
    return lanes, connectors


def _pick(connectors: Sequence[Connector], open_ways: Sequence[int], rng: np.random.Generator) -> int:
    """Choose a manoeuvre first and a connector second, so that no manoeuvre becomes rare."""
    manoeuvres = sorted({connectors[index].manoeuvre for index in open_ways})
    manoeuvre = manoeuvres[int(rng.integers(len(manoeuvres)))]
    fitting = [index for index in open_ways if connectors[index].manoeuvre == manoeuvre]
    return fitting[int(rng.integers(len(fitting)))]


def _ends(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], target: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Stations on the first and last lane between which the way is `target` [m] long, or None."""
    first, last = network.lanes[lanes[0]].path.length, network.lanes[lanes[-1]].path.length
    inner = sum(network.connectors[index].path.length for index in connectors)
    inner += sum(network.lanes[index].path.length for index in lanes[1:-1])
    rest = target - inner  # to be shared by the first and the last lane
    low, high = max(RUN_UP, rest - last), min(first, rest - RUN_UP)
    if low > high:
        return None
    run_up = rng.uniform(low, high)
    return first - run_up, rest - run_up
