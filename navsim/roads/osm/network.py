"""Road network from the smooth centre lines of mapped streets and their crossings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from navsim.geometry import Polyline
from navsim.roads.connectors import MIN_CLEARANCE, LanePair, lane_pairs, paths_with_faults
from navsim.roads.elements import Connector, Junction, Lane, Road, junction_kind
from navsim.roads.junctions import paved, strip
from navsim.roads.network import (
    RoadNetwork,
    UnconnectedNetwork,
    lane_in_junction,
    lanes_by_node,
    manoeuvre_at,
    road_lanes,
)
from navsim.roads.osm.crossings import Crossing, TownCrossings
from navsim.roads.osm.graph import Edge
from navsim.roads.osm.restrictions import ForbiddenTurns, Turn, forbidden_passages
from navsim.roads.osm.tags import MARGIN

SEARCH = ((np.inf, 1), (np.inf, 12), (20.0, 8), (13.0, 8), (8.0, 8))
"""Search stages as in `navsim.roads.connectors`, but fewer, because there are thousands of connectors."""
MAX_FAULT = 0.35
"""Largest fault of a connector that is kept for a lane without a better one."""
CRACK = 0.7
"""Half of the largest width of gaps between streets that are paved over [m]."""
KERB_TOLERANCE = 0.02
"""Tolerance of the simplification of kerbs [m]; streets have a vertex every metre."""
SLIVER = 0.25
"""Half of the largest width of slivers that are removed [m]."""
MIN_ISLAND = 6.0
"""Smallest area of an island that is not paved over [m^2]."""
GRID = 1e-4
"""Grid that outlines are rounded to, so that their union is valid [m]."""


@dataclass(frozen=True, eq=False)
class StreetNetwork:
    """A network and its lanes that cannot be driven."""

    network: RoadNetwork
    """Roads, junctions and connectors."""
    dead_end_lanes: dict[int, set[bool]]
    """Directions (True is forward) of edges whose lanes enter a junction that they cannot leave."""
    num_forbidden: int
    """Number of turns between roads that restrictions forbid."""
    num_lifted: int
    """Number of road ends without another way on than forbidden turns, which are kept there."""
    num_spanning: int
    """Number of restrictions that pass ways outside a single crossing and are ignored."""


def build_street_network(
    edges: Sequence[Edge], centres: Sequence[Polyline], crossings: TownCrossings, rules: ForbiddenTurns
) -> StreetNetwork:
    """Build the road network.

    Args:
        edges: The streets.
        centres: Smooth centre line of each street [m].
        crossings: Crossings of the streets; inner and dropped streets do not become roads.
        rules: Turns of the streets that restrictions forbid.
    """
    kept = [i for i in range(len(edges)) if i not in crossings.inner and i not in crossings.dropped]
    number = {edge: i for i, edge in enumerate(kept)}
    used = [crossing for crossing in crossings.crossings if crossing.arms]
    node_of = {node: i for i, crossing in enumerate(used) for node in crossing.nodes}
    roads = [_road(edges[i], centres[i], node_of) for i in kept]
    spans = crossings.spans(centres)
    trims = np.array([spans[i] for i in kept]).reshape(-1, 2)
    nodes, junctions = [], []
    for node, crossing in enumerate(used):
        nodes.append(np.mean([arm.outward.points[0] for arm in crossing.arms], axis=0))
        if len(crossing.arms) > 1:  # a single arm is a dead end
            junctions.append(_junction(node, crossing, edges, centres, number))
    lanes = [lane for index, road in enumerate(roads) for lane in road_lanes(index, road, trims[index])]
    carriageway = _paved([*(strip(road.centre, road.half_width) for road in roads), *(j.area for j in junctions)])
    unconnected, wanted = UnconnectedNetwork(roads, lanes, junctions, trims), _forbidden(edges, used, number, rules)
    connectors, dead_end_lanes, forbidden = _connectors(unconnected, carriageway, wanted)
    carriageway, junctions = _widened(carriageway, junctions, connectors)
    built = RoadNetwork(np.array(nodes), tuple(roads), tuple(lanes), connectors, tuple(junctions), carriageway, trims)
    lifted = {arriving for arriving, _ in wanted - forbidden}
    inner_ways = [{way for i in crossing.inner for way in edges[i].ways} for crossing in used]
    spanning = [each for each in rules.passages if not any(ways.issuperset(each.ways) for ways in inner_ways)]
    directions = _directions(lanes, dead_end_lanes, kept)
    return StreetNetwork(built, directions, len(forbidden), len(lifted), len(spanning))


def _forbidden(
    edges: Sequence[Edge], crossings: Sequence[Crossing], number: dict[int, int], rules: ForbiddenTurns
) -> set[Turn]:
    """Return the forbidden turns between road ends at all crossings."""
    found = set[Turn]()
    for crossing in crossings:
        arms = [(arm.street, arm.at_start) for arm in crossing.arms]
        for (i, at_start), (j, leaves_start) in forbidden_passages(edges, arms, crossing.inner, rules):
            if edges[i].kind.lanes_towards(not at_start) and edges[j].kind.lanes_towards(leaves_start):
                found.add(((number[i], at_start), (number[j], leaves_start)))
    return found


def _road(edge: Edge, centre: Polyline, node_of: dict[int, int]) -> Road:
    """Return the road along an edge."""
    kind = edge.kind
    return Road(
        node_of[edge.start],
        node_of[edge.end],
        centre,
        kind.lanes_forward,
        kind.lanes_backward,
        kind.lane_width,
        MARGIN,
        kind.speed_limit,
        ring=kind.ring,
    )


def _junction(
    node: int, crossing: Crossing, edges: Sequence[Edge], centres: Sequence[Polyline], number: dict[int, int]
) -> Junction:
    """Return the junction of a crossing: the area between its mouths, with rounded kerb corners."""
    pieces = [
        strip(arm.outward.between(0.0, min(mouth, arm.outward.length)), arm.half_width)
        for arm, mouth in zip(crossing.arms, crossing.mouths, strict=True)
    ]
    pieces += [strip(centres[i], edges[i].kind.half_width) for i in crossing.inner]
    narrow = min(arm.half_width for arm in crossing.arms)
    ends = [arm.outward.points[0] for arm in crossing.arms]
    ends += [centres[i].points[end] for i in crossing.inner for end in (0, -1)]
    nodes = shapely.MultiPoint(np.array(ends))
    # Where several streets meet on a ring's part, its island makes room for the turns between them.
    on_ring = any(edges[i].kind.ring for i in crossing.inner)
    several = sum(not edges[arm.street].kind.ring for arm in crossing.arms) > 1
    hub = (nodes.convex_hull if on_ring and several else nodes).buffer(narrow)
    whole = shapely.union_all(shapely.simplify(np.array([*pieces, hub]), KERB_TOLERANCE), grid_size=GRID)
    rounded = whole.buffer(crossing.kerb_radius).buffer(-crossing.kerb_radius)
    area = max(shapely.get_parts(rounded), key=lambda part: float(part.area))
    middle = np.mean(ends, axis=0)
    mouths = [arm.outward.position(mouth) for arm, mouth in zip(crossing.arms, crossing.mouths, strict=True)]
    angles = [float(np.arctan2(*(mouth - middle)[::-1])) for mouth in mouths]
    order = sorted(range(len(angles)), key=lambda i: angles[i])
    arms = [crossing.arms[i] for i in order]
    headings = tuple(float(arm.outward.headings[0]) for arm in arms)
    kind = junction_kind(headings, any(edges[arm.street].kind.ring for arm in arms))
    return Junction(node, tuple(number[arm.street] for arm in arms), headings, shapely.Polygon(area.exterior), kind)


def _paved(areas: Sequence[shapely.Polygon | shapely.MultiPolygon]) -> shapely.Polygon | shapely.MultiPolygon:
    """Return the union of paved areas without cracks, slivers and tiny islands, where kerb stones do not fit."""
    whole = shapely.union_all(shapely.simplify(np.array(areas), KERB_TOLERANCE), grid_size=GRID)
    closed = whole.buffer(CRACK).buffer(-CRACK - SLIVER).buffer(SLIVER, join_style="mitre")
    return paved(
        [
            shapely.Polygon(part.exterior, [hole for hole in part.interiors if shapely.Polygon(hole).area > MIN_ISLAND])
            for part in shapely.get_parts(closed)
        ]
    )


def _connectors(
    network: UnconnectedNetwork, carriageway: shapely.Polygon | shapely.MultiPolygon, forbidden: set[Turn]
) -> tuple[tuple[Connector, ...], list[int], set[Turn]]:
    """Return the drivable connectors, the lanes that enter a junction without one, and the forbidden turns left out.

    Turns that are `forbidden` between road ends are left out, unless no other drivable way leads on.
    """

    def is_allowed(before: Lane, after: Lane) -> bool:
        return ((before.road, not before.forward), (after.road, after.forward)) not in forbidden

    entering, leaving = lanes_by_node(network)
    pairs = [
        (number, a, b)
        for number, junction in enumerate(network.junctions)
        for a, b in lane_pairs(
            network.lanes,
            entering.get(junction.node, []),
            leaving.get(junction.node, []),
            is_allowed=is_allowed,
        )
    ]
    into = {a: lane_in_junction(network, a, arriving=True) for a in {a for _, a, _ in pairs}}
    out = {b: lane_in_junction(network, b, arriving=False) for b in {b for _, _, b in pairs}}
    paths = paths_with_faults([LanePair(into[a], out[b]) for _, a, b in pairs], carriageway, SEARCH)
    best: dict[int, float] = {}
    for (_, a, _), (fault, _) in zip(pairs, paths, strict=True):
        best[a] = min(best.get(a, np.inf), fault)
    connectors = tuple(
        Connector(number, a, b, path, manoeuvre_at(network.junctions[number], path))
        for (number, a, b), (fault, path) in zip(pairs, paths, strict=True)
        if fault == 0 or (fault == best[a] and fault < MAX_FAULT)
    )
    at_junctions = {lane for junction in network.junctions for lane in entering.get(junction.node, [])}
    dead_ends = sorted(at_junctions - {connector.from_lane for connector in connectors})
    stuck = {(network.lanes[i].road, not network.lanes[i].forward) for i in dead_ends}
    kept = {turn for turn in forbidden if turn[0] not in stuck}
    return (connectors, dead_ends, forbidden) if kept == forbidden else _connectors(network, carriageway, kept)


def _widened(
    carriageway: shapely.Polygon | shapely.MultiPolygon, junctions: list[Junction], connectors: Sequence[Connector]
) -> tuple[shapely.Polygon | shapely.MultiPolygon, list[Junction]]:
    """Return the carriageway and the junctions with room for a car on each connector.

    A junction of a wide street and a short narrow one inside it can be too narrow for the wide street's outer lanes.
    """
    lines = np.array([shapely.LineString(connector.path.points) for connector in connectors])
    kerbs = carriageway.boundary
    shapely.prepare(kerbs)
    narrow = np.flatnonzero(shapely.dwithin(kerbs, lines, MIN_CLEARANCE)).tolist()
    if not narrow:
        return carriageway, junctions
    ways = {i: shapely.buffer(lines[i], MIN_CLEARANCE + SLIVER) for i in narrow}
    wide = list(junctions)
    for i, way in ways.items():
        junction = wide[connectors[i].junction]
        area = shapely.union(junction.area, way, grid_size=GRID)
        wide[connectors[i].junction] = replace(junction, area=shapely.Polygon(area.exterior))
    return _paved([carriageway, *ways.values()]), wide


def _directions(lanes: Sequence[Lane], dead_end_lanes: Sequence[int], kept: Sequence[int]) -> dict[int, set[bool]]:
    """Return the directions of the edges that the lanes belong to; `kept` holds the edge of each road."""
    found: dict[int, set[bool]] = {}
    for lane in dead_end_lanes:
        found.setdefault(kept[lanes[lane].road], set()).add(lanes[lane].forward)
    return found
