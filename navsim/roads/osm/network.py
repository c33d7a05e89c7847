"""A road network from the smooth courses of surveyed streets and the plan of their crossings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Polyline
from navsim.roads.connectors import Way, judged_paths, lane_pairs
from navsim.roads.elements import Connector, Junction, Lane, Road, junction_kind
from navsim.roads.junctions import paved, strip
from navsim.roads.network import NetworkPlan, RoadNetwork, lane_inside, lanes_by_node, lay_lanes, manoeuvre_at
from navsim.roads.osm.crossings import Crossing, CrossingPlan
from navsim.roads.osm.graph import Edge
from navsim.roads.osm.tags import MARGIN

SEARCH = ((np.inf, 1), (np.inf, 12), (20.0, 8), (13.0, 8), (8.0, 8))
"""As in `navsim.roads.connectors`, shorter, for there are thousands."""
TOLERANCE = 0.35
"""Greatest fault of a connector that is kept for a lane without a better one."""
CRACK = 0.7
"""Half the width of gaps between streets that are paved over [m]."""
STRAIGHT = 0.02
"""Kerbs are straightened within this [m]: streets have a vertex every metre."""
SPLINTER = 0.25
"""Half the width of splinters that are taken away [m]."""
ISLAND = 6.0
"""Smaller islands are paved over [m^2]."""
GRID = 1e-4
"""Outlines are rounded to this [m], so that their union is sound."""


@dataclass(frozen=True, eq=False)
class StreetNetwork:
    """A network and what of it cannot be driven."""

    network: RoadNetwork
    """The network."""
    trapped: dict[int, set[bool]]
    """Directions (True is forward) of edges whose lanes enter a junction that they cannot leave."""


def build_street_network(edges: Sequence[Edge], centres: Sequence[Polyline], plan: CrossingPlan) -> StreetNetwork:
    """Lay lanes, crossings and pavement.

    Args:
        edges: The streets.
        centres: The smooth course of each.
        plan: Their crossings; its inner and dropped streets become no roads.
    """
    kept = [i for i in range(len(edges)) if i not in plan.inner and i not in plan.dropped]
    number = {edge: i for i, edge in enumerate(kept)}
    used = [crossing for crossing in plan.crossings if crossing.arms]
    node_of = {place: i for i, crossing in enumerate(used) for place in crossing.places}
    roads = [_road(edges[i], centres[i], node_of) for i in kept]
    trims = np.array([[0.0, centres[i].length] for i in kept]).reshape(-1, 2)
    nodes, junctions = [], []
    for node, crossing in enumerate(used):
        nodes.append(np.mean([arm.outward.points[0] for arm in crossing.arms], axis=0))
        for arm, mouth in zip(crossing.arms, crossing.mouths, strict=True):
            length = centres[arm.street].length
            trims[number[arm.street], 0 if arm.at_start else 1] = mouth if arm.at_start else length - mouth
        if len(crossing.arms) > 1:  # one alone is a dead end
            junctions.append(_junction(node, crossing, edges, centres, number))
    lanes = [lane for index, road in enumerate(roads) for lane in lay_lanes(index, road, trims[index])]
    carriageway = _paved([*(strip(road.centre, road.half_width) for road in roads), *(j.area for j in junctions)])
    connectors, trapped = _connectors(NetworkPlan(roads, lanes, junctions, trims), carriageway)
    network = RoadNetwork(np.array(nodes), tuple(roads), tuple(lanes), connectors, tuple(junctions), carriageway, trims)
    return StreetNetwork(network, _directions(lanes, trapped, kept))


def _road(edge: Edge, centre: Polyline, node_of: dict[int, int]) -> Road:
    """The road along an edge."""
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
    """The junction at a crossing: all between its mouths, with rounded kerb corners."""
    pieces = [
        strip(arm.outward.between(0.0, min(mouth, arm.outward.length)), arm.half_width)
        for arm, mouth in zip(crossing.arms, crossing.mouths, strict=True)
    ]
    pieces += [strip(centres[i], edges[i].kind.half_width) for i in crossing.inner]
    narrow = min(arm.half_width for arm in crossing.arms)
    ends = [arm.outward.points[0] for arm in crossing.arms]
    ends += [centres[i].points[end] for i in crossing.inner for end in (0, -1)]
    hub = shapely.MultiPoint(np.array(ends)).buffer(narrow)
    whole = shapely.union_all(shapely.simplify(np.array([*pieces, hub]), STRAIGHT), grid_size=GRID)
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


def _paved(areas: Sequence[shapely.Polygon]) -> shapely.Polygon | shapely.MultiPolygon:
    """The union of paved areas, without cracks, splinters and tiny islands: kerb stones need some room to stand."""
    whole = shapely.union_all(shapely.simplify(np.array(areas), STRAIGHT), grid_size=GRID)
    closed = whole.buffer(CRACK).buffer(-CRACK - SPLINTER).buffer(SPLINTER, join_style="mitre")
    return paved(
        [
            shapely.Polygon(part.exterior, [hole for hole in part.interiors if shapely.Polygon(hole).area > ISLAND])
            for part in shapely.get_parts(closed)
        ]
    )


def _connectors(
    plan: NetworkPlan, carriageway: shapely.Polygon | shapely.MultiPolygon
) -> tuple[tuple[Connector, ...], list[int]]:
    """The drivable ways through all junctions, and the lanes that enter one without such a way."""
    entering, leaving = lanes_by_node(plan)
    pairs = [
        (number, a, b)
        for number, junction in enumerate(plan.junctions)
        for a, b in lane_pairs(plan.lanes, entering.get(junction.node, []), leaving.get(junction.node, []))
    ]
    into = {a: lane_inside(plan, a, arriving=True) for a in {a for _, a, _ in pairs}}
    out = {b: lane_inside(plan, b, arriving=False) for b in {b for _, _, b in pairs}}
    paths = judged_paths([Way(into[a], out[b]) for _, a, b in pairs], carriageway, SEARCH)
    best: dict[int, float] = {}
    for (_, a, _), (fault, _) in zip(pairs, paths, strict=True):
        best[a] = min(best.get(a, np.inf), fault)
    connectors = tuple(
        Connector(number, a, b, path, manoeuvre_at(plan.junctions[number], path))
        for (number, a, b), (fault, path) in zip(pairs, paths, strict=True)
        if fault == 0 or (fault == best[a] and fault < TOLERANCE)
    )
    at_junctions = {lane for junction in plan.junctions for lane in entering.get(junction.node, [])}
    return connectors, sorted(at_junctions - {connector.from_lane for connector in connectors})


def _directions(lanes: Sequence[Lane], trapped: Sequence[int], kept: Sequence[int]) -> dict[int, set[bool]]:
    """The directions of edges to which lanes belong."""
    found: dict[int, set[bool]] = {}
    for lane in trapped:
        found.setdefault(kept[lanes[lane].road], set()).add(lanes[lane].forward)
    return found
