"""Towns from extracts: crossings, defective data and whole cities."""

import hashlib
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import shapely

from navsim.errors import TownError
from navsim.roads.connectors import connector_faults
from navsim.roads.elements import Manoeuvre
from navsim.roads.junctions import strip
from navsim.roads.network import RoadNetwork
from navsim.roads.osm import town as osm_town
from navsim.roads.osm.simplification import Fate
from navsim.roads.osm.town import ATTRIBUTION, OsmConfig, build_osm_town
from navsim.roads.routing import sample_route
from navsim.seeding import generator
from navsim.simulation.town import load_town_map, town_group, town_seed, town_slug
from tests.roads.osm.osm_documents import TWO_WAY, Document, carriageways, city, cross, grid, roundabout

ONE_WAY = {**TWO_WAY, "oneway": "yes"}


def town(document: Document, folder: Path, trim_dead_ends: bool = False, parts: int = 1) -> RoadNetwork:
    """Return the network of a document after `check`."""
    network = build_osm_town(document.write(folder / "map.osm"), OsmConfig(trim_dead_ends)).network
    check(network, parts)
    return network


def check(network: RoadNetwork, parts: int = 1) -> None:
    """Assert what holds in every town: no lane is a trap, all can be driven, as many parts as the map, on the road."""
    at_junction = {junction.node for junction in network.junctions}
    for index, lane in enumerate(network.lanes):
        road = network.roads[lane.road]
        if (road.end if lane.forward else road.start) in at_junction:
            assert network.successors(index), f"lane {index} enters a junction that it cannot leave"
    paths = [connector.path for connector in network.connectors]
    assert connector_faults(paths, network.carriageway).max() < 0.36
    for connector, path in zip(network.connectors, paths, strict=True):
        before, after = network.lanes[connector.from_lane].path, network.lanes[connector.to_lane].path
        assert np.hypot(*(path.points[0] - before.points[-1])) < 1e-6
        assert np.hypot(*(path.points[-1] - after.points[0])) < 1e-6
    for lane in network.lanes:
        assert lane.path.length > 1.0
        assert np.abs(lane.path.curvatures).max() < 0.13
        assert network.is_drivable(lane.path.points).all()
    graph = nx.Graph((road.start, road.end) for road in network.roads)
    assert nx.number_connected_components(graph) == parts
    assert shapely.is_valid(network.carriageway)


def manoeuvres(network: RoadNetwork) -> list[Manoeuvre]:
    return sorted(connector.manoeuvre for connector in network.connectors)


def test_a_crossing_has_its_twelve_ways(tmp_path: Path) -> None:
    network = town(cross(), tmp_path)
    assert len(network.roads) == 4
    assert len(network.junctions) == 1
    assert manoeuvres(network) == sorted([*[Manoeuvre.LEFT] * 4, *[Manoeuvre.STRAIGHT] * 4, *[Manoeuvre.RIGHT] * 4])
    assert network.bounds == pytest.approx((-100, -100, 100, 100), abs=0.3)


def test_one_way_streets_are_driven_one_way(tmp_path: Path) -> None:
    document = cross()
    document.ways[0] = (document.ways[0][0], ONE_WAY)  # from the middle eastwards
    document.ways[1] = (document.ways[1][0], {**ONE_WAY, "oneway": "-1"})  # from the north to the middle
    network = town(document, tmp_path)
    east, north = (
        [
            lane
            for lane in network.lanes
            if abs(lane.path.headings.mean() - heading) < 0.1 and lane.path.points[:, axis].min() > 5
        ]
        for heading, axis in ((0.0, 0), (-np.pi / 2, 1))
    )
    assert len(east) == len(north) == 1
    assert len(network.lanes) == 6
    assert len(network.connectors) == 7  # west, south and north enter; east, west and south are left; none turns back


def test_lanes_are_chosen_by_the_turn(tmp_path: Path) -> None:
    document = cross()
    document.ways = [(nodes, {"highway": "primary", "lanes": "4"}) for nodes, _ in document.ways]
    network = town(document, tmp_path)
    for connector in network.connectors:
        before, after = network.lanes[connector.from_lane].index, network.lanes[connector.to_lane].index
        expected = {Manoeuvre.LEFT: {(0, 0)}, Manoeuvre.RIGHT: {(1, 1)}, Manoeuvre.STRAIGHT: {(0, 0), (1, 1)}}
        assert (before, after) in expected[connector.manoeuvre]
    assert len(network.connectors) == 4 + 4 + 8


@pytest.mark.parametrize(("forward", "backward"), [(3, 3), (4, 4), (4, 2), (6, 0)])
def test_wide_streets_have_all_their_lanes(tmp_path: Path, forward: int, backward: int) -> None:
    document = grid(3, 3, 150.0)
    tags = {"highway": "primary", "lanes:forward": str(forward), "lanes:backward": str(backward)}
    document.ways[1] = (document.ways[1][0], {**tags, **({} if backward else {"oneway": "yes"})})
    network = town(document, tmp_path)
    wide = {i for i, road in enumerate(network.roads) if road.lanes == forward + backward}
    assert len(wide) == 2
    for index in wide:
        lanes = [lane for lane in network.lanes if lane.road == index]
        assert sorted((lane.forward, lane.index) for lane in lanes) == sorted(
            [(True, i) for i in range(forward)] + [(False, i) for i in range(backward)]
        )
    straight = [
        (network.lanes[each.from_lane], network.lanes[each.to_lane])
        for each in network.connectors
        if {network.lanes[each.from_lane].road, network.lanes[each.to_lane].road} == wide
    ]
    assert len(straight) == forward + backward  # each lane goes on into the one of its own number
    assert all(before.index == after.index for before, after in straight)


def test_a_roundabout_is_a_ring_driven_counterclockwise(tmp_path: Path) -> None:
    made = Document()
    ring = [made.node(25 * np.cos(a), 25 * np.sin(a)) for a in np.arange(16) * np.pi / 8]
    made.way([*ring, ring[0]], {"highway": "tertiary", "junction": "roundabout"})
    for i in (0, 4, 8, 12):
        made.way([ring[i], made.node(*(5 * np.array(made.nodes[ring[i]])))])
    network = town(made, tmp_path)
    assert len(network.junctions) == 4
    one_way = [lane for lane in network.lanes if network.roads[lane.road].lanes == 1]
    assert len(one_way) == 4
    assert all(np.ptp(lane.path.headings) > 0.1 and lane.path.headings[-1] > lane.path.headings[0] for lane in one_way)
    assert not network.is_drivable([(0.0, 0.0)])[0]


def test_a_tiny_roundabout_is_a_plain_crossing(tmp_path: Path) -> None:
    made = Document()
    ring = [made.node(5 * np.cos(a), 5 * np.sin(a)) for a in np.arange(8) * np.pi / 4]
    made.way([*ring, ring[0]], {"highway": "tertiary", "junction": "roundabout"})
    for i in (0, 2, 4, 6):
        made.way([ring[i], made.node(*(20 * np.array(made.nodes[ring[i]])))])
    network = town(made, tmp_path)
    assert len(network.junctions) == 1
    assert len(network.roads) == 4
    assert network.is_drivable([(0.0, 0.0)])[0]
    assert manoeuvres(network).count(Manoeuvre.STRAIGHT) == 4


def assert_streets_of_a_roundabout_are_whole(network: RoadNetwork, streets: int) -> None:
    """Assert that all streets are two-way, and that each leads to each of the others."""
    two_way = [road for road in network.roads if road.lanes_forward and road.lanes_backward]
    assert len(two_way) == 3 * streets
    assert all(road.ring for road in network.roads if road not in two_way)
    graph = nx.DiGraph((each.from_lane, each.to_lane) for each in network.connectors)
    ends = {junction.node for junction in network.junctions}
    roads = [network.roads[lane.road] for lane in network.lanes]
    begin = [road.start if lane.forward else road.end for road, lane in zip(roads, network.lanes, strict=True)]
    arriving = [i for i, node in enumerate(begin) if node not in ends]
    assert len(arriving) == 2 * streets
    for a in arriving:
        reached = {network.lanes[lane].road for lane in nx.descendants(graph, a)}
        assert {network.lanes[b].road for b in arriving if b != a} <= reached


@pytest.mark.parametrize("radius", [4.0, 8.0, 11.0, 15.0, 19.0, 22.0, 25.0, 40.0])
@pytest.mark.parametrize("angle", [180.0, 90.0, 50.0])
def test_a_roundabout_of_two_streets_is_whole(tmp_path: Path, radius: float, angle: float) -> None:
    document = roundabout(radius, [0.0, angle])
    network = town(document, tmp_path)
    assert_streets_of_a_roundabout_are_whole(network, 2)
    if radius > 10.0:  # smaller rings cannot be driven and become plain crossings
        places = np.array(list(document.nodes.values()))
        around = np.arange(0.0, 2 * np.pi, 0.1)
        ring = radius * np.stack([np.cos(around), np.sin(around)], axis=-1)
        assert network.is_drivable(ring - (places.min(axis=0) + places.max(axis=0)) / 2).all()


@pytest.mark.parametrize("radius", [8.0, 12.0, 16.0, 25.0])
@pytest.mark.parametrize("headings", [(0.0, 180.0), (0.0, 90.0), (0.0, 90.0, 180.0, 270.0)])
def test_streets_that_split_before_a_roundabout_are_whole(
    tmp_path: Path, radius: float, headings: tuple[float, ...]
) -> None:
    network = town(roundabout(radius, headings, spread=15.0), tmp_path)
    assert_streets_of_a_roundabout_are_whole(network, len(headings))


def test_a_mini_roundabout_is_a_plain_crossing(tmp_path: Path) -> None:
    path = cross().write(tmp_path / "map.osm")
    head = '<node id="1" version="1"  '
    text = path.read_text()
    node = text[text.index(head) : text.index("/>", text.index(head)) + 2]
    path.write_text(text.replace(node, f'{node[:-2]}><tag k="highway" v="mini_roundabout"/></node>'))
    network = build_osm_town(path).network
    assert len(network.junctions) == 1
    assert len(network.connectors) == 12


def one_way(lanes: int) -> dict[str, str]:
    """Return the tags of a one-way street."""
    return {"oneway": "yes", "lanes": str(lanes)}


def overlap_of_lanes(network: RoadNetwork) -> float:
    """Return the largest area that the lanes of two roads share between their mouths [m^2]."""
    areas = [
        strip(road.centre.between(*network.mouths(i)), road.half_width - road.margin)
        for i, road in enumerate(network.roads)
    ]
    return max(a.intersection(b).area for i, a in enumerate(areas) for b in areas[:i])


@pytest.mark.parametrize("gap", [2.0, 4.0, 6.5, 9.0, 11.0, 14.0])
@pytest.mark.parametrize(
    ("south", "north"),
    [
        (one_way(1), one_way(1)),
        (one_way(3), one_way(3)),
        (one_way(2), one_way(4)),
        (one_way(3), {"lanes": "4"}),
        (one_way(2), {"oneway": "-1", "lanes": "2"}),  # both lead to the east
    ],
)
def test_lanes_of_close_carriageways_do_not_overlap(
    tmp_path: Path, gap: float, south: dict[str, str], north: dict[str, str]
) -> None:
    network = town(carriageways(gap, south, north), tmp_path)
    assert overlap_of_lanes(network) < 0.5
    assert len(network.roads) == 10
    counts = sorted(road.lanes for road in network.roads)
    assert counts == sorted([2] * 4 + [int(tags["lanes"]) for tags in (south, north) for _ in range(3)])
    assert min(road.lane_width for road in network.roads) >= 2.75
    if gap > 13.0:
        assert {road.lane_width for road in network.roads} == {3.5}


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.parametrize("gap", [4.0, 7.0, 10.0])
def test_lanes_of_a_street_that_splits_do_not_overlap(tmp_path: Path, gap: float, lanes: int) -> None:
    network = town(carriageways(gap, one_way(lanes), one_way(lanes), split=True), tmp_path)
    assert overlap_of_lanes(network) < 0.5
    assert sorted(road.lanes for road in network.roads) == sorted([2, 2, 4, 4] + [lanes] * 4)


def test_a_street_drawn_twice_is_one(tmp_path: Path) -> None:
    network = town(carriageways(1.0, {}, {}), tmp_path)
    assert len(network.roads) < 10
    assert overlap_of_lanes(network) < 0.5


EAST, NORTH, WEST, SOUTH = range(1, 5)
"""Ways of `cross`."""


def turns(network: RoadNetwork) -> set[tuple[int, int]]:
    """Return the turns from way to way of a `cross`."""
    ways = []
    for lane in network.lanes:
        x, y = max(lane.path.points[[0, -1]], key=lambda place: float(np.hypot(*place)))
        ways.append((EAST if x > 0 else WEST) if abs(x) > abs(y) else (NORTH if y > 0 else SOUTH))
    return {(ways[each.from_lane], ways[each.to_lane]) for each in network.connectors}


ALL_TURNS = {(a, b) for a in (EAST, NORTH, WEST, SOUTH) for b in (EAST, NORTH, WEST, SOUTH) if a != b}
IGNORED = ("that hold at times only", "of streets that are left out", "that span several crossings")


def ignored(path: Path) -> list[int]:
    """Return the numbers of turn restrictions that are ignored, by the reasons `IGNORED`."""
    simplified = build_osm_town(path).simplified
    return [simplified[f"turn restrictions ignored {reason}"] for reason in IGNORED]


@pytest.mark.parametrize(
    ("ends", "tags", "forbidden"),
    [
        ((SOUTH, WEST), {"restriction": "no_left_turn"}, {(SOUTH, WEST)}),
        ((SOUTH, NORTH), {"restriction": "no_straight_on"}, {(SOUTH, NORTH)}),
        ((EAST, WEST), {"restriction": "only_straight_on"}, {(EAST, NORTH), (EAST, SOUTH)}),
        ((EAST, NORTH), {"restriction": "only_right_turn"}, {(EAST, WEST), (EAST, SOUTH)}),
        ((EAST, EAST), {"restriction": "no_u_turn"}, set()),
        ((EAST, WEST), {"restriction": "no_left_turn", "except": "psv;bicycle"}, {(EAST, WEST)}),
        ((EAST, WEST), {"restriction": "no_left_turn", "except": "bicycle; motorcar"}, set()),
        ((EAST, WEST), {"restriction:motorcar": "no_left_turn"}, {(EAST, WEST)}),
        ((EAST, WEST), {"restriction:hgv": "no_left_turn"}, set()),
        ((EAST, WEST), {"restriction:hgv:conditional": "no_left_turn @ (Mo-Fr)"}, set()),
        ((EAST, WEST), {"type": "route", "restriction": "no_left_turn"}, set()),
    ],
)
def test_forbidden_turns_are_left_out(
    tmp_path: Path, ends: tuple[int, int], tags: dict[str, str], forbidden: set[tuple[int, int]]
) -> None:
    document = cross()
    document.restrict(ends[0], 1, ends[1])
    document.restrictions[0] = (document.restrictions[0][0], {"type": "restriction", **tags})
    network = town(document, tmp_path)
    assert ALL_TURNS - turns(network) == forbidden
    assert ignored(tmp_path / "map.osm") == [0, 0, 0]
    document.marks = {"relation 1": 'visible="false"'}
    assert turns(town(document, tmp_path)) == ALL_TURNS


def test_a_restriction_of_several_ways(tmp_path: Path) -> None:
    document = cross()
    members = [("from", "way", SOUTH), ("from", "way", EAST), ("via", "node", 1), ("to", "way", NORTH)]
    document.restrictions.append((members, {"type": "restriction", "restriction": "no_entry"}))
    members = [("from", "way", NORTH), ("via", "node", 1), ("to", "way", WEST), ("to", "way", EAST)]
    document.restrictions.append((members, {"type": "restriction", "restriction": "no_exit"}))
    expected = {(SOUTH, NORTH), (EAST, NORTH), (NORTH, WEST), (NORTH, EAST)}
    assert ALL_TURNS - turns(town(document, tmp_path)) == expected


@pytest.mark.parametrize(
    ("members", "tags", "reason"),
    [
        ((SOUTH, 1, WEST), {"restriction:conditional": "no_left_turn @ (07:00-09:00)"}, 0),
        ((SOUTH, 1, WEST), {"restriction": "no_left_turn", "hour_on": "07:00"}, 0),
        ((SOUTH, 1, 99), {"restriction": "only_right_turn"}, 1),
        ((99, 1, WEST), {"restriction": "no_left_turn"}, 1),
        ((SOUTH, 77, WEST), {"restriction": "no_left_turn"}, 1),
        ((SOUTH, 3, WEST), {"restriction": "no_left_turn"}, 1),
    ],
)
def test_restrictions_that_cannot_be_followed_are_counted(
    tmp_path: Path, members: tuple[int, int, int], tags: dict[str, str], reason: int
) -> None:
    document = cross()
    document.restrict(*members)
    document.restrictions[0] = (document.restrictions[0][0], {"type": "restriction", **tags})
    assert turns(town(document, tmp_path)) == ALL_TURNS
    assert ignored(tmp_path / "map.osm") == [int(reason == i) for i in range(3)]
    document.restrictions[0] = ([], {"type": "restriction", "restriction": "no_left_turn"})
    assert turns(town(document, tmp_path)) == ALL_TURNS


def test_where_restrictions_leave_no_way_on_they_are_ignored(tmp_path: Path) -> None:
    document = cross()
    for target in (NORTH, EAST, WEST):
        document.restrict(SOUTH, 1, target, restriction="no_entry")
    document.restrict(WEST, 1, NORTH, restriction="no_left_turn")
    built = build_osm_town(document.write(tmp_path / "map.osm"))
    assert ALL_TURNS - turns(built.network) == {(WEST, NORTH)}
    assert built.simplified["road ends where restrictions left no way on and are ignored"] == 1
    assert built.simplified["turns left out by restrictions and between levels"] == 1


def test_the_direction_decides_where_a_way_goes_on_beyond_the_crossing(tmp_path: Path) -> None:
    document = grid(3, 3)  # way 2 is the middle row, way 5 the middle column, and they meet at node 5
    plain = town(document, tmp_path)
    document.restrict(2, 5, 5, restriction="no_left_turn")
    lost = {(a, b) for a, b in _headings(plain) if (a, b) not in _headings(town(document, tmp_path))}
    assert lost == {(0, 90), (180, 270)}
    document.restrictions.clear()
    document.restrict(2, 5, 2, restriction="only_straight_on")
    lost = {(a, b) for a, b in _headings(plain) if (a, b) not in _headings(town(document, tmp_path))}
    assert lost == {(0, 90), (180, 270), (0, 270), (180, 90)}


def _headings(network: RoadNetwork) -> set[tuple[int, int]]:
    """Return the headings [deg] before and after each turn at the junction in the middle of a grid."""
    middle = network.junction_at((0.0, 0.0))
    found = set()
    for each in network.connectors:
        if each.junction == middle:
            before, after = network.lanes[each.from_lane].path, network.lanes[each.to_lane].path
            a, b = (round(float(np.rad2deg(path.headings[5]))) % 360 for path in (before, after))
            found.add((a, b))
    return found


def staggered(distance: float) -> Document:
    """Return a street of three ways, 1 to 3 eastwards, from which way 4 leads to the north and way 5 to the south."""
    made = Document()
    a, b = made.node(-distance / 2, 0.0), made.node(distance / 2, 0.0)
    made.way([made.node(-distance / 2 - 120, 0), a])
    made.way([a, b])
    made.way([b, made.node(distance / 2 + 120, 0)])
    made.way([made.node(-distance / 2, 120), a])
    made.way([b, made.node(distance / 2, -120)])
    return made


@pytest.mark.parametrize(
    ("ends", "restriction", "num_lost"), [((4, 5), "no_right_turn", 1), ((4, 3), "only_straight_on", 1)]
)
def test_a_restriction_along_a_way_within_a_crossing(
    tmp_path: Path, ends: tuple[int, int], restriction: str, num_lost: int
) -> None:
    document = staggered(12.0)
    free = town(document, tmp_path)
    document.restrict(ends[0], 2, ends[1], via_way=True, restriction=restriction)
    network = town(document, tmp_path)
    assert len(free.junctions) == len(network.junctions) == 1
    assert len(network.connectors) == len(free.connectors) - num_lost
    # From the north to the south; the other direction stays.
    ends_y = [
        (network.lanes[c.from_lane].path.points[0, 1], network.lanes[c.to_lane].path.points[-1, 1])
        for c in network.connectors
    ]
    assert sum(before > 50 and after < -50 for before, after in ends_y) == 0
    assert sum(before < -50 and after > 50 for before, after in ends_y) == 1
    assert ignored(tmp_path / "map.osm") == [0, 0, 0]


def test_a_restriction_along_a_street_is_counted_as_ignored(tmp_path: Path) -> None:
    document = staggered(200.0)
    free = town(document, tmp_path)
    document.restrict(4, 2, 5, via_way=True, restriction="no_right_turn")
    assert len(town(document, tmp_path).connectors) == len(free.connectors)
    assert ignored(tmp_path / "map.osm") == [0, 0, 1]


def test_a_turn_into_a_dual_carriageway_is_forbidden_in_a_crossing_of_several_nodes(tmp_path: Path) -> None:
    document = dual_carriageway()
    free = town(document, tmp_path)
    document.restrict(3, 2, 2, restriction="no_left_turn")  # from the south, at the farther carriageway
    assert document.ways[1][0][1] == 2
    lost = len(free.connectors) - len(town(document, tmp_path).connectors)
    assert lost == 1
    assert ignored(tmp_path / "map.osm") == [0, 0, 0]


def test_staggered_streets_meet_in_one_crossing(tmp_path: Path) -> None:
    made = Document()
    a, b = made.node(-6.0, 0.0), made.node(6.0, 0.0)
    made.way([made.node(-120, 0), a, b, made.node(120, 0)])
    made.way([made.node(-6, 120), a])
    made.way([b, made.node(6, -120)])
    network = town(made, tmp_path)
    assert len(network.junctions) == 1
    assert len(network.roads) == 4
    # Both side streets lead into each other.
    south = {i for i, lane in enumerate(network.lanes) if lane.path.points[-1, 1] < -50}
    north = {i for i, lane in enumerate(network.lanes) if lane.path.points[0, 1] > 50}
    assert any(connector.from_lane in north and connector.to_lane in south for connector in network.connectors)


def dual_carriageway() -> Document:
    """Return two one-way streets, eastbound and westbound, and a street that crosses both."""
    made = Document()
    low, high = made.node(0, -6), made.node(0, 6)
    primary = {"highway": "primary", "oneway": "yes", "lanes": "2"}
    made.way([made.node(-150, -6), low, made.node(150, -6)], primary)
    made.way([made.node(150, 6), high, made.node(-150, 6)], primary)
    made.way([made.node(0, -120), low, high, made.node(0, 120)])
    return made


def test_a_dual_carriageway_is_crossed_in_one_go(tmp_path: Path) -> None:
    network = town(dual_carriageway(), tmp_path)
    assert len(network.junctions) == 1
    assert len(network.roads) == 6
    straight = [c for c in network.connectors if c.manoeuvre == Manoeuvre.STRAIGHT]
    assert len(straight) == 2 + 4
    left = [c for c in network.connectors if c.manoeuvre == Manoeuvre.LEFT]
    assert len(left) == 4


def test_dead_ends_are_kept_or_trimmed(tmp_path: Path) -> None:
    document = grid(3, 3)
    document.way([5, document.node(180.0, 180.0)])
    kept = town(document, tmp_path)
    assert len(kept.roads) == len(town(document, tmp_path, trim_dead_ends=True).roads) + 1
    assert kept.is_drivable([(55.0, 55.0)])[0]  # the origin is the middle
    # A car that stops where the lane ends does not touch the kerb.
    blind = [lane.path.points[-1] for lane in kept.lanes if np.hypot(*(lane.path.points[-1] - [60.0, 60.0])) < 8]
    assert len(blind) == 1
    assert kept.carriageway.boundary.distance(shapely.Point(blind[0])) > 2.5


def test_a_tunnel_under_a_street_is_left_out(tmp_path: Path) -> None:
    document = grid(3, 3)
    document.line([(60.0, -50.0), (60.0, 300.0)], {"highway": "primary", "tunnel": "yes", "layer": "-1"})
    assert len(town(document, tmp_path).roads) == len(town(grid(3, 3), tmp_path).roads)


def test_a_motorway_above_streets_crosses_them_without_turns_and_streets_on_one_level_meet(tmp_path: Path) -> None:
    document = grid(3, 3)
    before = town(document, tmp_path)
    document.line([(60.0, -80.0), (60.0, 320.0)], {"highway": "motorway", "bridge": "yes"})
    above = town(document, tmp_path)
    assert len(above.junctions) == len(before.junctions) + 3
    assert len(turns_between_speeds(above)) == 0
    document.ways[-1] = (document.ways[-1][0], {"highway": "motorway"})
    meeting = town(document, tmp_path)
    assert len(meeting.junctions) == len(before.junctions) + 3
    assert len(turns_between_speeds(meeting)) > 0


def turns_between_speeds(network: RoadNetwork) -> list[int]:
    """Return the connectors between roads of different speed limits."""
    limits = [network.roads[lane.road].speed_limit for lane in network.lanes]
    return [i for i, each in enumerate(network.connectors) if limits[each.from_lane] != limits[each.to_lane]]


def test_a_bridge_and_the_street_beneath_it_stay(tmp_path: Path) -> None:
    document = grid(3, 3)
    ends = [document.node(60.0, -80.0), document.node(60.0, 40.0)]
    document.way(ends, {"highway": "primary", "bridge": "yes"})
    document.way([ends[1], document.node(60.0, 90.0), 5], {"highway": "primary"})
    network = town(document, tmp_path)
    bridge, beneath = np.array([[60.0, -30.0], [90.0, 0.0]]) - [120.0, 80.0]  # the origin is the middle
    assert network.is_drivable([bridge, beneath]).all()


def test_ways_that_leave_the_extract_are_cut_at_its_rim(tmp_path: Path) -> None:
    document = cross(2000.0)
    document.bounds = [(-200.0, -100.0, 200.0, 100.0)]
    network = town(document, tmp_path)
    assert network.bounds == pytest.approx((-350, -250, 350, 250), abs=2.0)


def test_the_streets_of_all_downloads_are_kept(tmp_path: Path) -> None:
    whole = len(town(grid(8, 3), tmp_path).roads)
    document = grid(8, 3)
    first, last = (-20.0, -20.0, 200.0, 260.0), (660.0, -20.0, 860.0, 260.0)
    document.bounds = [first]
    assert len(town(document, tmp_path).roads) < whole
    document.bounds = [first, (190.0, -20.0, 670.0, 260.0), last]
    assert len(town(document, tmp_path).roads) == whole
    document.bounds = [last, first, last, (5.0, 5.0, 5.0, 9.0)]  # an empty box does not count
    apart = town(document, tmp_path, parts=2)
    assert np.ptp(apart.bounds[::2]) > 800.0


def test_a_street_is_cut_where_it_leaves_every_download(tmp_path: Path) -> None:
    document = cross(2000.0)
    document.bounds = [(-200.0, -100.0, 200.0, 100.0), (700.0, -100.0, 900.0, 100.0)]
    apart = town(document, tmp_path, parts=2)
    assert apart.bounds == pytest.approx((-700, -250, 700, 250), abs=2.5)
    assert apart.is_drivable([(-10.0, 0.0), (100.0, 0.0), (210.0, 0.0)]).tolist() == [True, False, True]
    document.bounds.append((200.0, -100.0, 700.0, 100.0))
    assert town(document, tmp_path).bounds == pytest.approx((-700, -250, 700, 250), abs=2.5)


@pytest.mark.parametrize("mark", ['visible="false"', 'action="delete"', "action='delete' visible='true'"])
def test_deleted_objects_are_left_out(tmp_path: Path, mark: str) -> None:
    """Deleted streets, nodes and buildings are those of the same document without them."""
    document = grid(4, 4)
    document.marks = {"way 2": mark}
    without = grid(4, 4)
    del without.ways[1]
    assert len(town(document, tmp_path).roads) == len(town(without, tmp_path).roads) < len(town(grid(), tmp_path).roads)
    document = grid(3, 3)
    document.marks = {"node 9": mark}
    assert len(town(document, tmp_path).junctions) == 3


def test_a_way_ends_where_its_nodes_are_missing(tmp_path: Path) -> None:
    document = grid(3, 3)
    del document.nodes[9]
    network = town(document, tmp_path)
    assert len(network.junctions) == 3  # two of five became bends, for the streets to the corner are gone


def test_duplicate_nodes_and_ways_are_one(tmp_path: Path) -> None:
    document = grid(3, 3)
    twin = document.node(*document.nodes[5])
    document.ways = [
        ([twin if node == 5 and i > 2 else node for node in nodes], tags)
        for i, (nodes, tags) in enumerate(document.ways)
    ]
    document.ways += [(nodes[::-1], tags) for nodes, tags in document.ways[:2]]
    document.ways.append(([1, 1, 2, 2], TWO_WAY))
    plain, odd = town(grid(3, 3), tmp_path), town(document, tmp_path)
    assert len(odd.roads) == len(plain.roads)
    assert odd.carriageway.symmetric_difference(plain.carriageway).area < 1.0


def test_a_way_that_crosses_itself_meets_itself(tmp_path: Path) -> None:
    made = Document()
    made.line([(-100, 0), (150, 0), (150, 120), (0, 120), (0, -100)])
    network = town(made, tmp_path)
    assert len(network.junctions) == 1
    assert len(network.roads) == 3
    assert len(network.connectors) == 12


def test_sharp_corners_become_bends(tmp_path: Path) -> None:
    made = cross(150.0)
    made.way([2, made.node(250, 0), made.node(250, 90), made.node(245, 95), made.node(160, 95), made.node(162, 180)])
    town(made, tmp_path)  # `check` looks at all curvatures


def test_an_acute_ramp_is_joined_where_it_parts(tmp_path: Path) -> None:
    made = Document()
    fork = made.node(0, 0)
    made.way([made.node(-150, 0), fork, made.node(300, 0)], {"highway": "primary", "oneway": "yes", "lanes": "2"})
    made.way([fork, made.node(60, -9), made.node(200, -60)], {"highway": "primary_link", "oneway": "yes"})
    network = town(made, tmp_path)
    assert len(network.roads) == 3
    mouths = sorted(network.mouths(index)[0] for index in range(3))
    assert 25 < mouths[-1] < 60


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda made: made.line([(0, 0), (300, 0)]), "too small for a route"),
        (lambda made: made.line([(0, 0), (5, 0), (9, 2)]), "no streets are left that meet"),
        (lambda made: made.line([(0, 0), (300, 0)], {"highway": "footway"}), "has no street that cars may use"),
        (lambda made: made.way([made.node(0, 0)]), "no streets are left that meet"),
    ],
)
def test_too_little_is_refused(tmp_path: Path, make: object, text: str) -> None:
    made = Document()
    make(made)  # type: ignore[operator]
    path = made.write(tmp_path / "little.osm")
    with pytest.raises(TownError) as refusal:
        build_osm_town(path)
    assert text in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("MAX_STREETS", "has 3 km of streets, at most 1 are possible; cut out a part"),
        ("MAX_FILE_SIZE", "has 1 MB, at most 1 are possible; cut out a part"),
    ],
)
def test_too_much_is_refused_in_one_line(
    tmp_path: Path, limit: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(osm_town, limit, 1.0)
    path = grid().write(tmp_path / "much.osm")
    path.write_text(path.read_text() + " " * 1_100_000)
    with pytest.raises(TownError) as refusal:
        build_osm_town(path)
    assert str(refusal.value).startswith(f"{path}: {text}")
    assert "\n" not in str(refusal.value)


def test_houses_stand_clear_of_the_road(tmp_path: Path) -> None:
    document = grid(3, 3)
    for corners, tags in (
        ([(40, 40), (60, 40), (60, 60), (40, 60)], {"building": "yes", "height": "11"}),
        ([(70, 2), (70, 30), (90, 30), (90, 2)], {"building": "house"}),  # reaches into the street, clockwise
        ([(45, 45), (55, 45), (55, 55), (45, 55)], {"building": "yes"}),  # a part of the first
        ([(100, -2), (104, -2), (104, 2), (100, 2)], {"building": "yes"}),  # in the street
        ([(900, 900), (950, 900), (950, 950), (900, 950)], {"building": "yes"}),  # far away
    ):
        nodes = [document.node(*corner) for corner in corners]
        document.way([*nodes, nodes[0]], tags)
    built = build_osm_town(document.write(tmp_path / "map.osm"))
    assert built.footprints is not None
    assert len(built.footprints) == 2
    first, second = built.footprints
    assert first.height == 11.0
    assert shapely.Polygon(first.outline).area == pytest.approx(400, rel=1e-2)
    assert 6.0 <= second.height <= 9.0
    for house in built.footprints:
        shape = shapely.Polygon(house.outline)
        assert shape.exterior.is_ccw
        assert shape.distance(built.network.carriageway) > 0.7
    assert 400 < shapely.Polygon(second.outline).area < 560


def test_without_any_building_the_houses_are_unknown(tmp_path: Path) -> None:
    assert build_osm_town(grid().write(tmp_path / "map.osm")).footprints is None


def test_names_of_real_towns(tmp_path: Path) -> None:
    path = grid().write(tmp_path / "Old Town.v2.osm")
    (tmp_path / "b").mkdir()
    copy = grid().write(tmp_path / "b" / "other.osm")
    name, other = f"osm:{path}", f"osm:{copy}"
    assert load_town_map(name).attribution == ATTRIBUTION
    assert town_seed(name) == town_seed(other)  # the content decides
    assert town_group(name) == "streets"
    assert town_slug(name) == town_slug(other) == f"osm-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    assert town_slug("train-3") == "train-3"
    seed = town_seed(name)
    cross().write(path)
    assert town_seed(name) != seed
    assert len(load_town_map(name).network.junctions) == 1
    with pytest.raises(TownError, match="names no file"):
        town_group("osm:")
    with pytest.raises(TownError, match="no such"):
        town_seed(f"osm:{tmp_path / 'none.osm'}")


def test_the_same_file_gives_the_same_town(tmp_path: Path) -> None:
    path = city(4, np.random.default_rng(4)).write(tmp_path / "city.osm")
    one, other = build_osm_town(path).network, build_osm_town(path).network
    assert one.carriageway.wkb == other.carriageway.wkb
    for paths in ("connectors", "lanes"):
        pairs = zip(getattr(one, paths), getattr(other, paths), strict=True)
        assert all(a.path.points.tobytes() == b.path.points.tobytes() for a, b in pairs)


@pytest.mark.parametrize("seed", range(3))
def test_small_cities_can_be_driven(tmp_path: Path, seed: int) -> None:
    network = town(city(6, np.random.default_rng(seed)), tmp_path)
    for index in range(20):
        route = sample_route(network, generator(seed, "route", index))
        assert 300 <= route.length <= 600
        assert np.abs(route.path.curvatures).max() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_whole_city_can_be_driven(tmp_path: Path, seed: int) -> None:
    network = town(city(30, np.random.default_rng(seed)), tmp_path)
    assert len(network.roads) > 1000
    for index in range(100):
        sample_route(network, generator(seed, "route", index))


def test_what_became_of_each_street_is_counted_in_kilometres(tmp_path: Path) -> None:
    document = grid(3, 3)
    document.way([5, document.node(130.0, 125.0)])  # a dead end of 11 m
    coverage = build_osm_town(document.write(tmp_path / "map.osm")).coverage
    assert coverage.km_by_reason(Fate.DROPPED) == {"short dead ends": pytest.approx(0.0112, abs=5e-4)}
    assert coverage.km(Fate.KEPT) == pytest.approx(12 * 0.12, rel=0.01)
    assert coverage.km(Fate.SIMPLIFIED) == 0.0
    assert coverage.summary == "1.44 km kept; 0.00 km simplified; 0.01 km dropped (0.01 short dead ends)"
    (dead_end,) = coverage.lines[[fate is Fate.DROPPED for fate in coverage.fates]]
    assert dead_end == pytest.approx(np.array([[0.0, 0.0], [10.0, 5.0]]), abs=1.0)  # the origin is the middle


def test_a_hairpin_splits_its_street_and_keeps_both_halves(tmp_path: Path) -> None:
    document = cross(100.0)
    document.bounds = [(-200.0, -200.0, 500.0, 200.0)]
    ends = [document.node(x, y) for x, y in ((108.0, 4.0), (400.0, 4.0), (400.0, -4.0), (108.0, -4.0), (108.0, -90.0))]
    document.way([2, *ends])
    built = build_osm_town(document.write(tmp_path / "map.osm"))
    along = np.array([(x, y) for x in (200.0, 300.0) for y in (4.0, -4.0)])
    assert built.network.is_drivable(along - [150.0, 0.0]).all()  # the origin is the middle
    assert built.coverage.km(Fate.DROPPED) < 0.05


def test_a_one_way_street_that_cannot_be_left_ends_before_its_crossing(tmp_path: Path) -> None:
    document = cross(150.0)
    document.bounds = [(-300.0, -300.0, 300.0, 300.0)]
    side = document.node(290.0, 0.0)
    document.way([2, side], ONE_WAY)
    document.way([document.node(290.0, 150.0), side], ONE_WAY)
    built = build_osm_town(document.write(tmp_path / "map.osm"))
    assert built.coverage.km(Fate.DROPPED) < 0.03
    assert built.network.is_drivable([(240.0, 0.0)]).all()
