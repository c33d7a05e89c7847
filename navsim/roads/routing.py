"""Routes through a road network, lane by lane, and a vehicle's progress along them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise

import networkx as nx
import numpy as np

from navsim.errors import TownError
from navsim.geometry import Polyline, Pose, wrap_angle
from navsim.roads.corridor import Corridor, route_corridor
from navsim.roads.elements import Manoeuvre
from navsim.roads.network import RoadNetwork, all_walks, inner_length, random_walk

MIN_END_SECTION = 15.0
"""Smallest length of lane before a route's first junction and after its last one [m]."""
MAX_ATTEMPTS = 400
"""Number of random walks that are tried before a route is searched for thoroughly."""
SEARCH_STEPS = 200_000
"""Largest number of steps of a thorough search, after which a town counts as having no such route."""
STEPS_PER_START = 10_000
"""Largest number of steps of a thorough search from one lane."""
_IN_LANE = 0.5  # offset up to which the route's own lane is the nearest one [m]


@dataclass(frozen=True)
class JunctionPassage:
    """Part of a route inside a junction."""

    start: float
    """Station on the route's path where the junction begins [m]."""
    end: float
    """Station on the route's path where the junction ends [m]."""
    manoeuvre: Manoeuvre
    """Manoeuvre of the route at the junction."""
    junction: int
    """Index of the junction."""


@dataclass(frozen=True)
class Progress:
    """Position of a vehicle along a route."""

    station: float
    """Distance along the route's path, in [0, length] [m]."""
    offset: float
    """Distance from the middle of the nearest lane in which the route may be driven, positive to the left [m]."""
    heading_error: float
    """Heading of the vehicle minus that of the path, in [-pi, pi) [rad]."""
    fraction: float
    """Fraction of the route already driven, in [0, 1]."""
    route_offset: float
    """Distance from the middle of the route's own lane, positive to the left [m]."""


def progress_along(path: Polyline, pose: Pose, near: float | None = None) -> Progress:
    """Locate a vehicle on a path.

    Args:
        path: Middle of the lane to drive [m].
        pose: Pose of the vehicle.
        near: Last station of the vehicle [m]; the search is limited to the path close to it.
    """
    station, offset = path.project((pose.x, pose.y), near)
    if station <= 0.0 or station >= path.length:
        # Beyond an end of the path, only the sideways part of the distance is an offset.
        end = path.pose(station)
        offset = (pose.y - end.y) * np.cos(end.heading) - (pose.x - end.x) * np.sin(end.heading)
    error = wrap_angle(pose.heading - path.heading(station))
    return Progress(station, float(offset), float(error), min(max(station / path.length, 0.0), 1.0), float(offset))


@dataclass(frozen=True, eq=False)
class Route:
    """Sequence of lanes and connectors from a start to a destination."""

    lanes: tuple[int, ...]
    """Indices of the lanes in driving order."""
    connectors: tuple[int, ...]
    """Indices of the connectors between the lanes; one fewer than lanes."""
    path: Polyline
    """Middle of the lanes and connectors from the start to the end of the route [m]."""
    passages: tuple[JunctionPassage, ...]
    """Passages through junctions, in driving order."""
    corridor: Corridor = field(default_factory=Corridor)
    """Lanes in which the route may be driven."""
    length: float = field(init=False)
    """Length of the path [m]."""

    def __post_init__(self) -> None:
        if len(self.lanes) != len(self.connectors) + 1:
            raise ValueError(
                f"a route of {len(self.lanes)} lanes needs one connector fewer, got {len(self.connectors)}"
            )
        object.__setattr__(self, "length", self.path.length)

    def progress(self, pose: Pose, near: float | None = None) -> Progress:
        """Locate a vehicle on the route.

        Args:
            pose: Pose of the vehicle.
            near: Last station of the vehicle [m]; the search is limited to the path close to it.
        """
        progress = progress_along(self.path, pose, near)
        if not self.corridor.sections or abs(progress.offset) <= _IN_LANE:
            return progress
        offset = self.corridor.lane_offset((pose.x, pose.y), progress.station, progress.offset)
        return replace(progress, offset=offset)

    def in_junction(self, station: float) -> bool:
        """Return whether `station` [m] lies inside a junction."""
        return any(passage.start <= station <= passage.end for passage in self.passages)


def make_route(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], start: float, end: float
) -> Route:
    """Join lanes and connectors into a route.

    Args:
        network: Network of the lanes.
        lanes: Indices of the lanes, in driving order.
        connectors: Indices of the connectors between the lanes.
        start: Station on the first lane where the route begins [m].
        end: Station on the last lane where the route ends [m].
    """
    if len(lanes) == 1:
        path = network.lanes[lanes[0]].path.between(start, end)
        return Route(tuple(lanes), (), path, (), route_corridor(network, lanes, (), (0.0, path.length)))
    first, last = network.lanes[lanes[0]].path, network.lanes[lanes[-1]].path
    pieces, passages = [first.between(start, first.length)], []
    station = pieces[0].length
    mouths = [0.0, station]
    for i, index in enumerate(connectors):
        connector = network.connectors[index]
        exit_station = station + connector.path.length
        passages.append(JunctionPassage(station, exit_station, connector.manoeuvre, connector.junction))
        lane = network.lanes[lanes[i + 1]].path if i + 2 < len(lanes) else last.between(0.0, end)
        pieces += [connector.path, lane]
        station = exit_station + lane.length
        mouths += [exit_station, station]
    corridor = route_corridor(network, lanes, connectors, mouths)
    return Route(tuple(lanes), tuple(connectors), Polyline.joined(pieces), tuple(passages), corridor)


def sample_route(
    network: RoadNetwork,
    rng: np.random.Generator,
    min_length: float = 300.0,
    max_length: float = 600.0,
    min_junctions: int = 2,
    allow_revisits: bool = False,
) -> Route:
    """Draw a random route; if random walks find none, one is searched for step by step.

    Args:
        network: Network of the route.
        rng: Random generator of the draws.
        min_length: Smallest length [m].
        max_length: Largest length [m].
        min_junctions: Smallest number of junctions on the route.
        allow_revisits: Whether the route may visit a junction or road twice. It never turns back on a road.

    Raises:
        TownError: If no such route is found.
    """
    if not 0 < min_length <= max_length or min_junctions < 1:
        raise TownError(
            f"a route needs 0 < min_length <= max_length and min_junctions >= 1, "
            f"got {min_length}, {max_length} and {min_junctions}"
        )
    for _ in range(MAX_ATTEMPTS):
        target = rng.uniform(min_length, max_length)
        lanes, connectors = random_walk(network, rng, target, min_junctions, allow_revisits)
        ends = _end_stations(network, lanes, connectors, target, rng) if len(connectors) >= min_junctions else None
        if ends is not None:
            return make_route(network, lanes, connectors, *ends)
    found = _search_route(network, rng, (min_length, max_length), min_junctions, allow_revisits)
    if found is not None:
        return found
    raise TownError(
        f"found no route of {min_length:.0f} to {max_length:.0f} m through at least {min_junctions} junctions "
        f"in a network of {len(network.roads)} roads"
    )


def sample_lane_route(
    network: RoadNetwork, rng: np.random.Generator, min_length: float = 60.0, max_length: float = 150.0
) -> Route:
    """Draw a random route along one lane, without any junction.

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
    available = network.lanes[lane].path.length
    length = rng.uniform(min_length, min(max_length, available))
    start = rng.uniform(0.0, available - length)
    return make_route(network, [lane], [], start, start + length)


def shortest_route(
    network: RoadNetwork, start_lane: int, start_station: float, end_lane: int, end_station: float
) -> Route:
    """Find the shortest route between two positions on lanes.

    Args:
        network: Network of the route.
        start_lane: Index of the first lane.
        start_station: Station on the first lane [m].
        end_lane: Index of the last lane.
        end_station: Station on the last lane [m].

    Raises:
        TownError: If a position does not exist, or no route leads from one to the other.
    """
    for lane, station in ((start_lane, start_station), (end_lane, end_station)):
        _check_lane_station(network, lane, station)
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
    """Return the lanes from `start` to `end`; if both are equal, around the block."""
    try:
        if start != end:
            return list(nx.dijkstra_path(graph, start, end, weight="length"))
        loops = [
            [start, *nx.dijkstra_path(graph, follower, end, weight="length")]
            for follower in graph.successors(start)
            if nx.has_path(graph, follower, end)
        ]
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        loops = []
    if not loops:
        raise TownError(f"no route leads from lane {start} to lane {end}")
    return min(loops, key=lambda loop: nx.path_weight(graph, loop, "length"))


def _check_lane_station(network: RoadNetwork, lane: int, station: float) -> None:
    """Raise TownError unless the network has this lane and the lane has this station [m]."""
    if not 0 <= lane < len(network.lanes):
        raise TownError(f"lane must be 0 to {len(network.lanes) - 1}, got {lane}")
    if not 0 <= station <= network.lanes[lane].path.length:
        raise TownError(f"station on lane {lane} must be 0 to {network.lanes[lane].path.length:.2f} m, got {station}")


def _search_route(
    network: RoadNetwork,
    rng: np.random.Generator,
    lengths: tuple[float, float],
    min_junctions: int,
    allow_revisits: bool,
) -> Route | None:
    """Return a route of a length within bounds, by a search from all lanes in random order; None if it finds none."""
    left = SEARCH_STEPS
    for start in rng.permutation(len(network.lanes)).tolist():
        steps = min(left, STEPS_PER_START)
        longest = lengths[1] - 2 * MIN_END_SECTION
        for walk in islice(all_walks(network, rng, start, longest, allow_revisits), steps):
            left -= 1
            inner = inner_length(network, *walk)
            ends = sum(network.lanes[lane].path.length for lane in (walk[0][0], walk[0][-1]))
            low, high = max(lengths[0], inner + 2 * MIN_END_SECTION), min(lengths[1], inner + ends)
            if len(walk[1]) >= min_junctions and low <= high:
                stations = _end_stations(network, *walk, rng.uniform(low, high), rng)
                if stations is not None:
                    return make_route(network, *walk, *stations)
    return None


def _end_stations(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], target: float, rng: np.random.Generator
) -> tuple[float, float] | None:
    """Return the stations on the first and last lane for a route of `target` length [m], or None if impossible."""
    first, last = network.lanes[lanes[0]].path.length, network.lanes[lanes[-1]].path.length
    rest = target - inner_length(network, lanes, connectors)  # length on the first and the last lane together
    low, high = max(MIN_END_SECTION, rest - last), min(first, rest - MIN_END_SECTION)
    if low > high:
        return None
    first_length = rng.uniform(low, high)
    return first - first_length, rest - first_length
