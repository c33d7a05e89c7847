"""Networks of straight roads against hand-computed numbers."""

import math
from collections import Counter

import numpy as np
import pytest
import shapely

from navsim.errors import TownError
from navsim.roads.network import Manoeuvre, Road, build_network
from tests.roads.plain_networks import square, star, straight

HALF_WIDTH = 4.5
RUN_OUT = 2.0


def test_road_widths_by_hand() -> None:
    road = Road(0, 1, straight((0, 0), (50, 0)))
    assert (road.lanes, road.width, road.half_width, road.divider_offset) == (2, 9.0, 4.5, 0.0)
    assert (road.lane_offset(forward=True, index=0), road.lane_offset(forward=False, index=0)) == (-1.75, 1.75)


def test_uneven_road_has_its_divider_off_centre() -> None:
    road = Road(0, 1, straight((0, 0), (50, 0)), lanes_forward=2, lanes_backward=1, lane_width=3.0, margin=0.5)
    assert (road.width, road.divider_offset) == (10.0, 1.5)
    assert [road.lane_offset(forward=True, index=i) for i in range(2)] == [0.0, -3.0]
    assert road.lane_offset(forward=False, index=0) == 3.0


@pytest.mark.parametrize(
    "wrong", [{"lanes_forward": 0, "lanes_backward": 0}, {"lanes_forward": -1}, {"lane_width": 0.0}, {"margin": -1.0}]
)
def test_impossible_roads_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(TownError, match="road 3 to 4: needs"):
        Road(3, 4, straight((0, 0), (50, 0)), **wrong)  # type: ignore[arg-type]


def test_cross_by_hand() -> None:
    network = star([0, 90, 180, 270], length=80.0)
    setback = (HALF_WIDTH + 8.0) / math.tan(math.pi / 4) + RUN_OUT  # 14.5
    for road in range(4):
        # Mouths are at vertices of the centre line, which are a metre apart.
        assert network.mouths(road) == pytest.approx((setback, 80.0), abs=0.51)
    # The middle square, four arms up to the mouths, and what the kerb arcs add in the four corners.
    arms = sum(9.0 * (network.mouths(road)[0] - HALF_WIDTH) for road in range(4))
    paved = 9.0**2 + arms + 4 * 8.0**2 * (1 - math.pi / 4)
    assert network.junctions[0].area.area == pytest.approx(paved, rel=2e-3)
    assert len(network.junctions) == 1
    assert network.junctions[0].roads == (3, 0, 1, 2)  # counter-clockwise from -pi
    assert (len(network.lanes), len(network.connectors)) == (8, 12)
    kinds = [connector.manoeuvre for connector in network.connectors]
    assert Counter(kinds) == {Manoeuvre.LEFT: 4, Manoeuvre.STRAIGHT: 4, Manoeuvre.RIGHT: 4}


def test_kerb_corners_of_the_cross_are_round() -> None:
    network = star([0, 90, 180, 270])
    centre = np.array([12.5, 12.5])
    for angle in np.deg2rad([185, 210, 225, 240, 265]):
        ray = np.array([math.cos(angle), math.sin(angle)])
        assert network.is_drivable([centre + 8.1 * ray, centre + 7.9 * ray]).tolist() == [True, False]


def test_tee_by_hand() -> None:
    network = star([0, 90, 180])
    assert [network.mouths(road)[0] for road in range(3)] == pytest.approx([14.5] * 3, abs=0.51)
    assert not network.is_drivable([[0.0, -4.6]])[0]
    assert network.is_drivable([[0.0, -4.4]])[0]
    assert len(network.connectors) == 6


@pytest.mark.parametrize("angle", [45.0, 60.0, 90.0, 120.0])
def test_fork_setback_by_hand(angle: float) -> None:
    network = star([-angle / 2, angle / 2, 180.0], length=120.0)
    between = (HALF_WIDTH + 8.0) / math.tan(math.radians(angle) / 2) + RUN_OUT
    assert network.mouths(0)[0] == pytest.approx(between, abs=0.51)
    assert network.mouths(1)[0] == pytest.approx(between, abs=0.51)


def test_roads_of_different_widths_meet_by_hand() -> None:
    nodes = [(0.0, 0.0), (80.0, 0.0), (0.0, 80.0), (-80.0, 0.0)]
    roads = [Road(0, i, straight(nodes[0], nodes[i]), lane_width=width) for i, width in ((1, 5.0), (2, 3.5), (3, 5.0))]
    network = build_network(nodes, roads, kerb_radius=6.0)
    # At a right angle a road is cut back by the other's half width and the radius.
    assert network.mouths(0)[0] == pytest.approx(4.5 + 6.0 + RUN_OUT, abs=0.51)
    assert network.mouths(1)[0] == pytest.approx(6.0 + 6.0 + RUN_OUT, abs=0.51)


def test_traffic_keeps_right() -> None:
    network = star([0, 90, 180, 270])
    out, back = network.lanes[0], network.lanes[1]
    assert (out.forward, back.forward) == (True, False)
    np.testing.assert_allclose(out.path.points[:, 1], -1.75, atol=1e-9)
    np.testing.assert_allclose(back.path.points[:, 1], 1.75, atol=1e-9)
    assert out.path.heading(5.0) == pytest.approx(0.0)
    assert abs(back.path.heading(5.0)) == pytest.approx(math.pi)


def test_connectors_start_and_end_on_their_lanes() -> None:
    network = star([10, 95, 190, 260])
    for connector in network.connectors:
        before, after = network.lanes[connector.from_lane], network.lanes[connector.to_lane]
        assert before.road != after.road
        np.testing.assert_allclose(connector.path.points[0], before.path.points[-1], atol=1e-9)
        np.testing.assert_allclose(connector.path.points[-1], after.path.points[0], atol=1e-9)


def test_manoeuvres_of_a_driver_from_the_south() -> None:
    network = star([0, 90, 180, 270])
    ways = {
        connector.manoeuvre: network.lanes[connector.to_lane].road
        for connector in network.connectors
        if network.lanes[connector.from_lane].road == 3
    }
    assert ways == {Manoeuvre.RIGHT: 0, Manoeuvre.STRAIGHT: 1, Manoeuvre.LEFT: 2}


def test_one_way_road_has_lanes_one_way_only() -> None:
    nodes = [(0.0, 0.0), (80.0, 0.0), (0.0, 80.0), (-80.0, 0.0)]
    roads = [Road(0, i, straight(nodes[0], nodes[i]), lanes_backward=1 if i > 1 else 0) for i in range(1, 4)]
    network = build_network(nodes, roads)
    assert sum(lane.road == 0 for lane in network.lanes) == 1
    assert all(network.lanes[connector.from_lane].road != 0 for connector in network.connectors)
    assert len(network.connectors) == 4


def test_with_two_lanes_each_way_a_turn_tells_its_lanes() -> None:
    network = star([0, 90, 180], lanes_forward=2, lanes_backward=2)
    assert len(network.lanes) == 12
    joined = [(network.lanes[each.from_lane], network.lanes[each.to_lane], each) for each in network.connectors]
    # The two lanes of the through street lead straight on, each way; turns join outer lanes on the right, inner ones on
    # the left.
    assert len(joined) == 2 * 2 + 2 + 2
    for before, after, way in joined:
        assert before.index == after.index
        if way.manoeuvre is not Manoeuvre.STRAIGHT:
            assert before.index == (0 if way.manoeuvre is Manoeuvre.LEFT else 1)
    assert len({way.from_lane for _, _, way in joined}) == 6, "every lane leads on"
    targets = [(way.from_lane, network.lanes[way.to_lane].road) for _, _, way in joined]
    assert len(set(targets)) == len(targets), "where a lane leads is told by the street"


def test_five_roads_meet() -> None:
    network = star([0, 72, 144, 216, 288], length=100.0)
    assert len(network.connectors) == 20
    assert shapely.is_valid(network.carriageway)
    assert network.is_drivable(np.concatenate([connector.path.points for connector in network.connectors])).all()


def test_successors_lead_on_from_each_lane() -> None:
    network = square()
    for index, lane in enumerate(network.lanes):
        followers = network.successors(index)
        assert all(network.connectors[follower].from_lane == index for follower in followers)
        road = network.roads[lane.road]
        end = road.end if lane.forward else road.start
        junction = next(junction for junction in network.junctions if junction.node == end)
        assert len(followers) == len(junction.roads) - 1


def test_places_are_found() -> None:
    network = star([0, 90, 180, 270])
    assert network.junction_at((1.0, 1.0)) == 0
    assert network.junction_at((40.0, 0.0)) is None
    assert network.is_drivable([[40.0, 4.4], [40.0, 4.6], [0.0, 0.0]]).tolist() == [True, False, True]
    assert network.bounds == pytest.approx((-80.0, -80.0, 80.0, 80.0))


def test_networks_are_read_only() -> None:
    network = star([0, 90, 180])
    with pytest.raises(ValueError, match="read-only"):
        network.nodes[0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        network.trims[0, 0] = 1.0


def test_short_roads_are_refused() -> None:
    with pytest.raises(TownError, match="too short for its junctions"):
        star([0, 90, 180, 270], length=13.0)
    with pytest.raises(TownError, match="too short for its junctions"):
        square(side=40.0)


def test_nearly_parallel_roads_are_refused() -> None:
    with pytest.raises(TownError, match="too close to each other"):
        star([0, 5, 180], length=80.0)


def test_roads_that_miss_their_nodes_are_refused() -> None:
    with pytest.raises(TownError, match=r"road 0 ends at .*, but its node 1 is at"):
        build_network([(0, 0), (50, 1)], [Road(0, 1, straight((0, 0), (50, 0)))])
    with pytest.raises(TownError, match="node 7, but nodes are 0 to 1"):
        build_network([(0, 0), (50, 0)], [Road(0, 7, straight((0, 0), (50, 0)))])
    with pytest.raises(TownError, match="at least one road"):
        build_network([(0, 0)], [])
