"""Road network: roads with lanes, junctions with connectors, the carriageway, and walks from lane to lane."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from navsim.errors import TownError
from navsim.geometry import Array, Polyline, mirrored_points
from navsim.roads.connectors import LanePair, connector_paths, lane_pairs, manoeuvre_of
from navsim.roads.elements import Connector, DrivingSide, Junction, JunctionKind, Lane, Manoeuvre, Road, junction_kind
from navsim.roads.junctions import Approach, approaches_by_node, check_trims, junction_shape, paved, strip

__all__ = ["Connector", "Junction", "Lane", "Manoeuvre", "Road", "RoadNetwork", "build_network"]


@dataclass(frozen=True, eq=False)
class RoadNetwork:
    """Roads that meet at junctions. Indices count from 0 in the order of the tuples."""

    nodes: Array
    """End points of the roads (N, 2) [m]; read-only."""
    roads: tuple[Road, ...]
    """Roads between the nodes."""
    lanes: tuple[Lane, ...]
    """Lanes grouped by road: forward from the divider outwards, then backward."""
    connectors: tuple[Connector, ...]
    """Paths through the junctions, grouped by junction."""
    junctions: tuple[Junction, ...]
    """Junctions, one at every node where at least two road ends meet."""
    carriageway: shapely.Polygon | shapely.MultiPolygon
    """Paved area from kerb to kerb."""
    trims: Array
    """Stations of the first and the last mouth on each road's centre line (R, 2) [m]; read-only."""
    _followers: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    _tree: shapely.STRtree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.nodes.flags.writeable = False
        self.trims.flags.writeable = False
        followers: list[list[int]] = [[] for _ in self.lanes]
        for index, connector in enumerate(self.connectors):
            followers[connector.from_lane].append(index)
        shapely.prepare(self.carriageway)
        object.__setattr__(self, "_followers", tuple(map(tuple, followers)))
        object.__setattr__(self, "_tree", shapely.STRtree([junction.area for junction in self.junctions]))

    @property
    def side(self) -> DrivingSide:
        """Side of the road on which traffic drives."""
        return self.roads[0].side

    @property
    def mirrored(self) -> "RoadNetwork":
        """Mirror image, with traffic on the other side; indices stay the same."""
        return RoadNetwork(
            mirrored_points(self.nodes),
            tuple(road.mirrored for road in self.roads),
            tuple(lane.mirrored for lane in self.lanes),
            tuple(connector.mirrored for connector in self.connectors),
            tuple(junction.mirrored for junction in self.junctions),
            shapely.transform(self.carriageway, mirrored_points),
            self.trims.copy(),
        )

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest and largest coordinates of the carriageway: x0, y0, x1, y1 [m]."""
        x0, y0, x1, y1 = self.carriageway.bounds
        return x0, y0, x1, y1

    @cached_property
    def driven_paths(self) -> tuple[Polyline, ...]:
        """Paths of all lanes, then of all connectors, in the direction of driving."""
        return (*(lane.path for lane in self.lanes), *(connector.path for connector in self.connectors))

    def is_drivable(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Return whether points (N, 2) [m] lie on the carriageway (N,)."""
        x, y = np.asarray(points, dtype=float).reshape(-1, 2).T
        return np.asarray(shapely.contains_xy(self.carriageway, x, y))

    def successors(self, lane: int) -> tuple[int, ...]:
        """Return the indices of the connectors that continue `lane`."""
        return self._followers[lane]

    def mouths(self, road: int) -> tuple[float, float]:
        """Return the stations on the centre line where a road leaves its first and enters its last junction [m]."""
        return float(self.trims[road, 0]), float(self.trims[road, 1])

    def junction_at(self, point: ArrayLike) -> int | None:
        """Return the index of the junction whose area contains `point` (2,) [m], if any."""
        hits = self._tree.query(shapely.Point(np.asarray(point, dtype=float)), predicate="intersects")
        return int(hits[0]) if len(hits) else None


def build_network(nodes: ArrayLike, roads: Sequence[Road], kerb_radius: float = 8.0) -> RoadNetwork:
    """Build junctions, lanes, connectors and carriageway from roads.

    Args:
        nodes: End points of the roads (N, 2) [m].
        roads: Roads whose centre lines run from node to node.
        kerb_radius: Radius of the kerb corners [m].

    Raises:
        TownError: If a road does not begin and end at its nodes, is too short for its junctions, or leaves a
            junction too close to its neighbour.
    """
    positions = np.array(nodes, dtype=float).reshape(-1, 2)
    _check_ends(positions, roads)
    trims = np.array([[0.0, road.centre.length] for road in roads]).reshape(-1, 2)
    junctions: list[Junction] = []
    for node, approaches in enumerate(approaches_by_node(len(positions), roads)):
        if len(approaches) < 2:
            continue  # the end of a dead-end road
        setbacks, area = junction_shape(approaches, kerb_radius)
        for approach, setback in zip(approaches, setbacks, strict=True):
            centre, end = roads[approach.road].centre, 0 if approach.at_start else 1
            trims[approach.road, end] = setback if approach.at_start else centre.length - setback
        junctions.append(_junction(node, approaches, area, any(roads[end.road].ring for end in approaches)))
    check_trims(roads, trims)
    lanes = [lane for index, road in enumerate(roads) for lane in road_lanes(index, road, trims[index])]
    strips = [strip(road.centre, road.half_width) for road in roads]
    carriageway = paved([*strips, *(junction.area for junction in junctions)])
    connectors = _connectors(UnconnectedNetwork(roads, lanes, junctions, trims), carriageway)
    return RoadNetwork(positions, tuple(roads), tuple(lanes), connectors, tuple(junctions), carriageway, trims)


def _junction(node: int, approaches: Sequence[Approach], area: shapely.Polygon, on_ring: bool) -> Junction:
    """Describe the junction at a node."""
    headings = tuple(approach.heading for approach in approaches)
    return Junction(node, tuple(end.road for end in approaches), headings, area, junction_kind(headings, on_ring))


def _check_ends(nodes: Array, roads: Sequence[Road], tolerance: float = 1e-3) -> None:
    """Raise TownError unless all roads begin and end at their nodes."""
    if not roads:
        raise TownError("a road network needs at least one road, got none")
    for index, road in enumerate(roads):
        for node, point in ((road.start, road.centre.points[0]), (road.end, road.centre.points[-1])):
            if not 0 <= node < len(nodes):
                raise TownError(f"road {index} ends at node {node}, but nodes are 0 to {len(nodes) - 1}")
            if np.hypot(*(nodes[node] - point)) > tolerance:
                raise TownError(f"road {index} ends at {tuple(point)}, but its node {node} is at {tuple(nodes[node])}")


def road_lanes(index: int, road: Road, trim: Array) -> list[Lane]:
    """Return the lanes of a road between its mouths."""
    return [
        Lane(index, forward, i, _lane_part(road, (forward, i), float(trim[0]), float(trim[1])))
        for forward, count in ((True, road.lanes_forward), (False, road.lanes_backward))
        for i in range(count)
    ]


def _lane_part(road: Road, lane: tuple[bool, int], start: float, end: float) -> Polyline:
    """Return the path of a `lane` (forward, index) between two stations of the centre line [m], as driven."""
    forward, index = lane
    whole = road.centre.shifted(road.lane_offset(forward, index))
    # A shifted line keeps the vertices, so stations on the two lines correspond vertex by vertex.
    first, last = np.interp([start, end], road.centre.stations, whole.stations)
    part = whole.between(float(first), float(last))
    return part if forward else part.reversed()


@dataclass(frozen=True, eq=False)
class UnconnectedNetwork:
    """Parts of a road network that its connectors are made from; fields as in `RoadNetwork`."""

    roads: Sequence[Road]
    """Roads of the network."""
    lanes: Sequence[Lane]
    """Lanes grouped by road."""
    junctions: Sequence[Junction]
    """Junctions of the network."""
    trims: Array
    """Stations of the mouths (R, 2) [m]."""


def lanes_by_node(network: UnconnectedNetwork) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Return the indices of the lanes that end at each node and of those that begin there."""
    entering: dict[int, list[int]] = {}
    leaving: dict[int, list[int]] = {}
    for i, lane in enumerate(network.lanes):
        road = network.roads[lane.road]
        first, last = (road.start, road.end) if lane.forward else (road.end, road.start)
        leaving.setdefault(first, []).append(i)
        entering.setdefault(last, []).append(i)
    return entering, leaving


def _connectors(
    network: UnconnectedNetwork, carriageway: shapely.Polygon | shapely.MultiPolygon
) -> tuple[Connector, ...]:
    """Join the lanes that enter each junction to the lanes that leave it on every other road end."""
    entering, leaving = lanes_by_node(network)
    pairs = [
        (number, a, b)
        for number, junction in enumerate(network.junctions)
        for a, b in lane_pairs(network.lanes, entering.get(junction.node, []), leaving.get(junction.node, []), np.pi)
    ]
    into = {a: lane_in_junction(network, a, arriving=True) for a in {a for _, a, _ in pairs}}
    out = {b: lane_in_junction(network, b, arriving=False) for b in {b for _, _, b in pairs}}
    paths = connector_paths([LanePair(into[a], out[b]) for _, a, b in pairs], carriageway)
    return tuple(
        Connector(number, a, b, path, manoeuvre_at(network.junctions[number], path))
        for (number, a, b), path in zip(pairs, paths, strict=True)
    )


def manoeuvre_at(junction: Junction, path: Polyline) -> Manoeuvre:
    """Return the manoeuvre of a driver on `path` through a junction."""
    return Manoeuvre.ROUNDABOUT if junction.kind is JunctionKind.ROUNDABOUT else manoeuvre_of(path)


def lane_in_junction(network: UnconnectedNetwork, index: int, *, arriving: bool) -> Polyline:
    """Return a lane's continuation between its mouth and the node, in driving direction."""
    lane = network.lanes[index]
    road, (first, last) = network.roads[lane.road], network.trims[lane.road]
    at_end = lane.forward == arriving
    start, end = (float(last), road.centre.length) if at_end else (0.0, float(first))
    return _lane_part(road, (lane.forward, lane.index), start, end)


Walk = tuple[list[int], list[int]]
"""Indices of the lanes of a walk and of the connectors between them, one fewer."""


def random_walk(
    network: RoadNetwork, rng: np.random.Generator, target: float, min_junctions: int, allow_revisits: bool
) -> Walk:
    """Walk from a random lane until `target` [m] can be reached; the walk is shorter if it runs into a dead end."""
    lanes, connectors = [int(rng.integers(len(network.lanes)))], list[int]()
    reach = network.lanes[lanes[0]].path.length
    while reach < target or len(connectors) < min_junctions:
        options = _ways_on(network, lanes, connectors, allow_revisits)
        if not options:
            break
        chosen = _choose_connector(network.connectors, options, rng)
        connectors.append(chosen)
        lanes.append(network.connectors[chosen].to_lane)
        reach += network.connectors[chosen].path.length + network.lanes[lanes[-1]].path.length
    return lanes, connectors


def all_walks(
    network: RoadNetwork, rng: np.random.Generator, start: int, max_length: float, allow_revisits: bool
) -> Iterator[Walk]:
    """Yield all walks from a lane whose inner length is at most `max_length` [m], depth first in random order.

    The lists of a walk change when the next one is asked for.
    """
    lanes, connectors = [start], list[int]()
    branches = [rng.permutation(_ways_on(network, lanes, connectors, allow_revisits)).tolist()]
    while branches:
        if not branches[-1]:
            branches.pop()
            lanes.pop()
            connectors[-1:] = []
            continue
        connectors.append(branches[-1].pop())
        lanes.append(network.connectors[connectors[-1]].to_lane)
        if inner_length(network, lanes, connectors) <= max_length:
            yield lanes, connectors
            branches.append(rng.permutation(_ways_on(network, lanes, connectors, allow_revisits)).tolist())
        else:
            branches.append([])


def inner_length(network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int]) -> float:
    """Return the length of a walk without its first and last lane [m]."""
    inner = sum(network.connectors[index].path.length for index in connectors)
    return inner + sum(network.lanes[index].path.length for index in lanes[1:-1])


def _ways_on(
    network: RoadNetwork, lanes: Sequence[int], connectors: Sequence[int], allow_revisits: bool
) -> Sequence[int]:
    """Return the connectors that continue a walk; without revisits, those through a new junction to a new road."""
    options = network.successors(lanes[-1])
    if allow_revisits:
        return options
    roads = {network.lanes[lane].road for lane in lanes}
    junctions = {network.connectors[index].junction for index in connectors}
    return [
        index
        for index in options
        if network.connectors[index].junction not in junctions
        and network.lanes[network.connectors[index].to_lane].road not in roads
    ]


def _choose_connector(connectors: Sequence[Connector], options: Sequence[int], rng: np.random.Generator) -> int:
    """Choose a manoeuvre first and a connector second, so that no manoeuvre becomes rare."""
    manoeuvres = sorted({connectors[index].manoeuvre for index in options})
    manoeuvre = manoeuvres[int(rng.integers(len(manoeuvres)))]
    fitting = [index for index in options if connectors[index].manoeuvre == manoeuvre]
    return fitting[int(rng.integers(len(fitting)))]
