"""Routes: what they promise in every town, and numbers worked out by hand."""

import math
import timeit
from itertools import pairwise

import numpy as np
import pytest

from navsim.errors import TownError
from navsim.geometry import Pose, wrap_angle
from navsim.roads.network import Manoeuvre, Road, RoadNetwork, build_network
from navsim.roads.routing import Route, make_route, sample_lane_route, sample_route, shortest_route
from tests.roads.plain_networks import square, star, straight

ROUTES_PER_TOWN = 8


@pytest.fixture(scope="module")
def routes(towns: dict[str, RoadNetwork]) -> list[tuple[RoadNetwork, Route]]:
    return [
        (town, sample_route(town, np.random.default_rng(seed)))
        for town in towns.values()
        for seed in range(ROUTES_PER_TOWN)
    ]


def test_routes_have_the_length_and_junctions_asked_for(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for _, route in routes:
        assert 300.0 - 1e-6 <= route.length <= 600.0 + 1e-6
        assert len(route.passages) >= 2
        assert len(route.lanes) == len(route.connectors) + 1 == len(route.passages) + 1


def test_routes_visit_nothing_twice(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for town, route in routes:
        roads = [town.lanes[lane].road for lane in route.lanes]
        junctions = [passage.junction for passage in route.passages]
        assert len(set(roads)) == len(roads)
        assert len(set(junctions)) == len(junctions)


def test_routes_follow_lanes_and_connectors(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for town, route in routes:
        for index, (before, after) in zip(route.connectors, pairwise(route.lanes), strict=True):
            connector = town.connectors[index]
            assert (connector.from_lane, connector.to_lane) == (before, after)
        first, last = town.lanes[route.lanes[0]].path, town.lanes[route.lanes[-1]].path
        assert abs(first.project(route.path.points[0])[1]) < 1e-6
        assert abs(last.project(route.path.points[-1])[1]) < 1e-6


def test_routes_are_smooth(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for _, route in routes:
        steps = np.diff(route.path.points, axis=0)
        assert np.hypot(*steps.T).max() <= 1.3
        turns = wrap_angle(np.diff(np.arctan2(steps[:, 1], steps[:, 0])))
        assert np.rad2deg(np.abs(turns)).max() < 6.0


def test_passages_lie_in_their_junctions(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for town, route in routes:
        assert route.passages[0].start >= 14.9
        assert route.passages[-1].end <= route.length - 14.9
        for passage, index in zip(route.passages, route.connectors, strict=True):
            assert passage.end - passage.start == pytest.approx(town.connectors[index].path.length)
            assert passage.manoeuvre == town.connectors[index].manoeuvre
            middle = (passage.start + passage.end) / 2
            assert town.junction_at(route.path.position(middle)) == passage.junction
            assert route.in_junction(middle)
            assert not route.in_junction(passage.start - 1.0)
            assert not route.in_junction(passage.end + 1.0)


def test_routes_turn_both_ways_and_go_straight(routes: list[tuple[RoadNetwork, Route]]) -> None:
    kinds = [passage.manoeuvre for _, route in routes for passage in route.passages]
    assert min(kinds.count(turn) for turn in (Manoeuvre.LEFT, Manoeuvre.STRAIGHT, Manoeuvre.RIGHT)) > 0.2 * len(kinds)


def test_same_generator_same_route(towns: dict[str, RoadNetwork]) -> None:
    one, two, other = (sample_route(towns["test-0"], np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.path.points, two.path.points)
    assert one.path.points.shape != other.path.points.shape or (one.path.points != other.path.points).any()


@pytest.mark.parametrize(("low", "high", "junctions"), [(150.0, 200.0, 1), (500.0, 520.0, 3), (700.0, 800.0, 4)])
def test_other_lengths_can_be_asked_for(towns: dict[str, RoadNetwork], low: float, high: float, junctions: int) -> None:
    route = sample_route(towns["train-1"], np.random.default_rng(0), low, high, junctions)
    assert low <= route.length <= high
    assert len(route.passages) >= junctions


def test_impossible_routes_are_refused(towns: dict[str, RoadNetwork]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(TownError, match="found no route of 90000 to 90001 m"):
        sample_route(towns["train-0"], rng, 90000.0, 90001.0)
    with pytest.raises(TownError, match="min_length <= max_length"):
        sample_route(towns["train-0"], rng, 500.0, 400.0)
    with pytest.raises(TownError, match="min_junctions >= 1"):
        sample_route(towns["train-0"], rng, min_junctions=0)


def neighbours(arm: float) -> RoadNetwork:
    """Return two junctions 80 m apart with arms of one length: two ways through both, each in two directions."""
    nodes = [(-40.0, 0.0), (40.0, 0.0), (-40.0 - arm, 0.0), (40.0 + arm, 0.0), (-40.0, arm), (40.0, -arm)]
    pairs = [(0, 1), (0, 2), (1, 3), (0, 4), (1, 5)]
    return build_network(nodes, [Road(a, b, straight(nodes[a], nodes[b])) for a, b in pairs], 8.0)


def test_a_route_is_found_wherever_there_is_one() -> None:
    network = neighbours(122.0)  # 324 m from end to end: few random walks give 300 m
    found = [sample_route(network, np.random.default_rng(seed)) for seed in range(40)]
    assert all(300.0 - 1e-6 <= route.length <= 600.0 for route in found)
    assert len({route.lanes for route in found}) > 4
    again = [sample_route(network, np.random.default_rng(seed)) for seed in range(40)]
    assert [route.length for route in again] == [route.length for route in found]
    with pytest.raises(TownError, match="found no route of 300 to 600 m through at least 2 junctions"):
        sample_route(neighbours(108.0), np.random.default_rng(0))


def test_long_ways_do_not_end_in_dead_ends() -> None:
    """A random walk of 100 junctions, half of whose exits are dead ends, is hopeless."""
    corners = [(0.0, 0.0), (90.0, 0.0), (90.0, 90.0), (0.0, 90.0)]
    ends = [(-60.0, 0.0), (90.0, -60.0), (150.0, 90.0), (0.0, 150.0)]
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 5), (2, 6), (3, 7)]
    nodes = [*corners, *ends]
    network = build_network(nodes, [Road(a, b, straight(nodes[a], nodes[b])) for a, b in pairs], 8.0)
    route = sample_route(network, np.random.default_rng(0), 9000.0, 9500.0, allow_revisits=True)
    assert 9000.0 <= route.length <= 9500.0
    assert len(route.passages) > 90


def test_lane_routes_have_no_junction(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for seed in range(ROUTES_PER_TOWN):
            route = sample_lane_route(town, np.random.default_rng(seed))
            assert 60.0 - 1e-6 <= route.length <= 150.0 + 1e-6
            assert (route.passages, route.connectors, len(route.lanes)) == ((), (), 1)
            assert not route.in_junction(route.length / 2)


def test_lane_routes_need_a_long_lane() -> None:
    network = star([0, 90, 180], length=50.0)
    with pytest.raises(TownError, match=r"no lane is 60 m long; the longest has 3\d m"):
        sample_lane_route(network, np.random.default_rng(0))
    with pytest.raises(TownError, match="min_length <= max_length"):
        sample_lane_route(network, np.random.default_rng(0), 30.0, 20.0)


def lane_of(network: RoadNetwork, road: int, *, forward: bool) -> int:
    return next(i for i, lane in enumerate(network.lanes) if lane.road == road and lane.forward == forward)


def test_progress_by_hand() -> None:
    network = star([0, 90, 180, 270])
    lane = lane_of(network, 0, forward=True)  # east along y = -1.75
    route = make_route(network, [lane], [], 0.0, 50.0)
    start = network.mouths(0)[0]
    progress = route.progress(Pose(start + 10.0, -1.25, 0.1))
    assert progress.station == pytest.approx(10.0)
    assert progress.offset == pytest.approx(0.5)
    assert progress.heading_error == pytest.approx(0.1)
    assert progress.fraction == pytest.approx(0.2)


def test_progress_beyond_the_ends_is_sideways_only() -> None:
    network = star([0, 90, 180, 270])
    route = make_route(network, [lane_of(network, 0, forward=True)], [], 0.0, 50.0)
    start = network.mouths(0)[0]
    beyond = route.progress(Pose(start + 53.0, -2.75, 0.0))
    assert (beyond.fraction, beyond.station) == pytest.approx((1.0, 50.0))
    assert beyond.offset == pytest.approx(-1.0)
    before = route.progress(Pose(start - 3.0, -1.25, 0.0))
    assert (before.fraction, before.offset) == pytest.approx((0.0, 0.5))


def test_heading_error_is_wrapped() -> None:
    network = star([0, 90, 180, 270])
    route = make_route(network, [lane_of(network, 2, forward=True)], [], 0.0, 50.0)  # west
    error = route.progress(Pose(-30.0, 1.75, -math.pi + 0.2)).heading_error
    assert error == pytest.approx(0.2)


def test_progress_follows_a_drive(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for _, route in routes[:: ROUTES_PER_TOWN // 2]:
        near = 0.0
        for station in np.arange(0.5, route.length, 2.0):
            pose = route.path.pose(float(station)).moved(left=0.6, turn=0.05)
            progress = route.progress(pose, near)
            assert progress.station == pytest.approx(station, abs=0.2)
            assert progress.offset == pytest.approx(0.6, abs=0.05)
            assert progress.heading_error == pytest.approx(0.05, abs=0.05)
            near = progress.station


def test_progress_is_fast(routes: list[tuple[RoadNetwork, Route]]) -> None:
    route = routes[0][1]
    pose = route.path.pose(100.0)
    fastest = min(timeit.repeat(lambda: route.progress(pose, 99.0), number=200, repeat=5)) / 200
    assert fastest < 200e-6  # about 20 microseconds on an idle machine


def test_a_route_needs_one_connector_per_change_of_lane() -> None:
    network = star([0, 90, 180])
    with pytest.raises(ValueError, match="a route of 2 lanes needs one connector fewer"):
        Route((0, 1), (), network.lanes[0].path, ())


def test_shortest_route_by_hand() -> None:
    network = square(side=120.0)
    # From the west spoke inwards, straight over the centre, to the east spoke outwards.
    start, end = lane_of(network, 2, forward=False), lane_of(network, 0, forward=True)
    route = shortest_route(network, start, 5.0, end, 10.0)
    assert [passage.manoeuvre for passage in route.passages] == [Manoeuvre.STRAIGHT]
    lane = network.lanes[start].path.length
    assert route.length == pytest.approx(lane - 5.0 + 2 * network.mouths(0)[0] + 10.0, abs=0.1)


def test_shortest_route_on_one_lane() -> None:
    network = square(side=120.0)
    route = shortest_route(network, 0, 2.0, 0, 12.0)
    assert route.length == pytest.approx(10.0)
    assert route.passages == ()


def test_shortest_route_around_the_block() -> None:
    network = square(side=120.0)
    route = shortest_route(network, 0, 12.0, 0, 2.0)
    assert route.lanes[0] == route.lanes[-1] == 0
    assert len(route.passages) >= 3


def test_shortest_routes_are_no_longer_than_sampled_ones(routes: list[tuple[RoadNetwork, Route]]) -> None:
    for town, route in routes[::5]:
        start = town.lanes[route.lanes[0]].path.project(route.path.points[0])[0]
        end = town.lanes[route.lanes[-1]].path.project(route.path.points[-1])[0]
        shortest = shortest_route(town, route.lanes[0], start, route.lanes[-1], end)
        assert shortest.length <= route.length + 1e-6


def test_shortest_route_refuses_places_and_ways_that_do_not_exist() -> None:
    network = star([0, 90, 180])
    with pytest.raises(TownError, match="lane must be 0 to 5, got 99"):
        shortest_route(network, 99, 0.0, 0, 1.0)
    with pytest.raises(TownError, match="must be 0 to"):
        shortest_route(network, 0, 0.0, 1, 1e3)
    with pytest.raises(TownError, match="no route leads from lane 0 to lane 2"):
        shortest_route(network, 0, 0.0, 2, 1.0)  # lane 0 leads out to a dead end
