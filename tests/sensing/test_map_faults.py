"""Faulty maps: each fault has its effect, by the seed, and no other."""

from dataclasses import replace

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.geometry import Polyline, Pose
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.roads.routing import Route, make_route
from navsim.sensing import roadmap
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import (
    CarriedMap,
    DriveMap,
    MapFault,
    MapSpec,
    draw_map,
    drive_map,
    rasterise_roads,
    rasterise_route,
)
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation

SPEC = MapSpec(size_px=50, metres_per_pixel=1.0, ego_row=36, road_width=6.0)


def cross() -> RoadNetwork:
    """Return roads of 100 m to the east, north, west and south that meet at the origin."""
    ends = [(100.0, 0.0), (0.0, 100.0), (-100.0, 0.0), (0.0, -100.0)]
    roads = [Road(0, i + 1, Polyline(np.array([[0.0, 0.0], end]))) for i, end in enumerate(ends)]
    return build_network([(0.0, 0.0), *ends], roads)


NETWORK = cross()


def from_west_to_east() -> Route:
    """Return the route straight through the crossing."""
    lanes = NETWORK.lanes
    ways = [
        (connector.from_lane, index, connector.to_lane)
        for index, connector in enumerate(NETWORK.connectors)
        if (lanes[connector.from_lane].road, lanes[connector.to_lane].road) == (2, 0)
    ]
    (first, connector, last), *_ = ways
    return make_route(NETWORK, [first, last], [connector], 0.0, lanes[last].path.length)


ROUTE = from_west_to_east()
START = ROUTE.path.pose(0.0)
TRUE = DriveMap(rasterise_roads(NETWORK, SPEC), rasterise_route(ROUTE.path, SPEC), NETWORK.driven_paths, START)


def patches(fault: MapFault, pose: Pose, seed: int = 0) -> tuple[Image, Image]:
    rng = np.random.default_rng(seed)
    return drive_map(TRUE, NETWORK, ROUTE, SPEC, fault, rng).patches(SPEC, pose)


POSE = Pose(-50.0, -1.75, 0.0)


def test_no_fault_leaves_the_map_as_it_is() -> None:
    roads, route = patches(MapFault(), POSE)
    np.testing.assert_array_equal(roads, draw_map(TRUE.roads, SPEC, POSE))
    np.testing.assert_array_equal(route, draw_map(TRUE.route, SPEC, POSE))


def test_a_shifted_map_is_the_map_of_a_place_so_far_away() -> None:
    shifted = [drive_map(TRUE, NETWORK, ROUTE, SPEC, MapFault(shift=7.0), np.random.default_rng(s)) for s in range(40)]
    assert [np.hypot(m.east, m.north) for m in shifted] == pytest.approx([7.0] * 40)
    assert {(m.east > 0, m.north > 0) for m in shifted} == {(a, b) for a in (True, False) for b in (True, False)}
    there = Pose(POSE.x - shifted[0].east, POSE.y - shifted[0].north, 0.0)
    np.testing.assert_array_equal(shifted[0].patches(SPEC, POSE)[0], draw_map(TRUE.roads, SPEC, there))


def test_a_map_shifted_to_the_north_shows_the_road_to_the_left() -> None:
    off = replace(TRUE, north=10.0)
    columns = np.flatnonzero(off.patches(SPEC, Pose(-50.0, 0.0, 0.0))[0][30] > 127)
    assert columns.mean() + 0.5 == pytest.approx(SPEC.size_px / 2 - 10.0, abs=0.6)


def test_a_map_turned_counter_clockwise_shows_the_road_ahead_to_the_left() -> None:
    turned = replace(TRUE, turn=np.radians(30.0))
    columns = np.flatnonzero(turned.patches(SPEC, Pose(-50.0, 0.0, 0.0))[0][16] > 127)
    ahead = SPEC.ego_row - 16.5
    assert columns.mean() + 0.5 == pytest.approx(SPEC.size_px / 2 - ahead * np.tan(np.radians(30.0)), abs=1.0)
    sides = {
        drive_map(TRUE, NETWORK, ROUTE, SPEC, MapFault(turn_deg=10.0), np.random.default_rng(seed)).turn
        for seed in range(20)
    }
    assert sides == {np.radians(-10.0), np.radians(10.0)}


def test_a_missing_road_is_on_the_way_and_takes_the_route_with_it() -> None:
    middles = [(60.0, 0.0), (0.0, 60.0), (-60.0, 0.0), (0.0, -60.0)]
    gone = set()
    for seed in range(12):
        seen = [patches(MapFault(missing_roads=1), Pose(x, y, 0.0), seed) for x, y in middles]
        at_car = [(bool(roads[34:38, 24:26].any()), bool(route[34:38, 24:26].any())) for roads, route in seen]
        (lost,) = [i for i, (road, _) in enumerate(at_car) if not road]
        gone.add(lost)
        assert [route for _, route in at_car] == [i in (0, 2) and i != lost for i in range(4)]
    assert gone == {0, 2}


def test_all_roads_of_the_route_can_be_missing() -> None:
    roads, route = patches(MapFault(missing_roads=9), POSE)
    assert not route[:, 20:30].any()
    assert not roads[30:].any()


def test_a_false_road_leaves_the_route() -> None:
    for seed in range(5):
        fault = MapFault(extra_roads=1)
        wrong = drive_map(TRUE, NETWORK, ROUTE, SPEC, fault, np.random.default_rng(seed))
        more = sum(
            int((wrong.patches(SPEC, Pose(x, y, 0.0))[0] > 127).sum())
            - int((TRUE.patches(SPEC, Pose(x, y, 0.0))[0] > 127).sum())
            for x in range(-150, 151, 50)
            for y in range(-150, 151, 50)
        )
        assert 0.6 * 80 * 6 < more < 1.2 * 80 * 6  # 80 m of 6 m and rounded ends, less what lies on the roads
        np.testing.assert_array_equal(wrong.route.image, TRUE.route.image)


def test_a_stale_map_lacks_roads_anywhere_and_has_as_many_false_ones() -> None:
    gone = set()
    for seed in range(12):
        stale = drive_map(TRUE, NETWORK, ROUTE, SPEC, MapFault(stale=0.25), np.random.default_rng(seed))
        lanes = set(map(id, stale.lanes))
        (lost,) = {lane.road for lane in NETWORK.lanes if id(lane.path) not in lanes}
        gone.add(lost)
        false = [path for path in stale.lanes if id(path) not in set(map(id, NETWORK.driven_paths))]
        assert [path.length for path in false] == pytest.approx([roadmap.FALSE_ROAD_LENGTH] * 2)  # in both directions
        assert stale.patches(SPEC, false[0].pose(roadmap.FALSE_ROAD_LENGTH / 2))[0][34:38, 24:26].all()
        on_route = [bool(stale.patches(SPEC, Pose(x, -1.75, 0.0))[1][34:38, 24:26].any()) for x in (60.0, -60.0)]
        assert on_route == [lost != 0, lost != 2]
    assert gone == {0, 1, 2, 3}
    nothing_true = drive_map(TRUE, NETWORK, ROUTE, SPEC, MapFault(stale=1.0), np.random.default_rng(0))
    assert len(nothing_true.lanes) == 2 * len(NETWORK.roads)
    assert not any(nothing_true.patches(SPEC, Pose(x, -1.75, 0.0))[1][34:38, 24:26].any() for x in (60.0, -60.0))


def test_faults_of_a_map_in_tiles_are_those_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = MapFault(missing_roads=1, extra_roads=2)
    wrong = drive_map(TRUE, NETWORK, ROUTE, SPEC, fault, np.random.default_rng(3))
    monkeypatch.setattr(roadmap, "_MAX_IMAGE", 0)
    monkeypatch.setattr(roadmap, "_TILE", 64)
    true = replace(TRUE, roads=rasterise_roads(NETWORK, SPEC), route=rasterise_route(ROUTE.path, SPEC))
    tiled = drive_map(true, NETWORK, ROUTE, SPEC, fault, np.random.default_rng(3))
    for x in range(-100, 101, 10):
        pose = Pose(float(x), 3.0, 0.1 * x)
        for one, other in zip(wrong.patches(SPEC, pose), tiled.patches(SPEC, pose), strict=True):
            assert np.abs(one.astype(int) - other).max() <= 2


def test_no_map_is_black() -> None:
    roads, route = patches(MapFault(blank=True), POSE)
    assert roads.shape == route.shape == (50, 50)
    assert not roads.any()
    assert not route.any()


def test_a_seed_decides_what_is_wrong() -> None:
    fault = MapFault(shift=5.0, turn_deg=10.0, missing_roads=1, extra_roads=2)
    for one, other in zip(patches(fault, POSE, 3), patches(fault, POSE, 3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (patches(fault, POSE, 3)[0] != patches(fault, POSE, 4)[0]).any()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"shift": -1.0}, r"map_fault\.shift must be at least 0 and at most 100"),
        ({"turn_deg": 181.0}, "turn_deg"),
        ({"extra_roads": 11}, "extra_roads must be at least 0 and at most 10"),
    ],
)
def test_impossible_faults_are_refused(values: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        MapFault(**values)  # type: ignore[arg-type]


def test_the_car_carries_the_wrong_map_and_the_rest_of_the_drive_is_the_same() -> None:
    plain = SimulationConfig(cameras=(Camera(width=16, height=8),), renderer="tiny")
    scenario = Scenario("test-0", 0, junctions=False)
    seen = []
    for fault in (MapFault(), MapFault(shift=8.0), MapFault(blank=True)):
        with Simulation(replace(plain, map_fault=fault)) as simulation:
            observation = simulation.reset(scenario).observation
            assert observation is not None
            seen.append(observation)
    right, shifted, none = seen
    assert right.gps == shifted.gps == none.gps
    np.testing.assert_array_equal(right.images, shifted.images)
    assert (right.road_map != shifted.road_map).any()
    assert right.route_map.any()
    assert not none.road_map.any()
    assert not none.route_map.any()


def carried(fault: MapFault, seed: int = 0) -> CarriedMap:
    return CarriedMap(drive_map(TRUE, NETWORK, ROUTE, SPEC, fault, np.random.default_rng(seed)), SPEC)


def test_the_carried_map_has_the_lanes_and_the_start_of_the_map_without_faults() -> None:
    right = carried(MapFault())
    assert right.lanes is NETWORK.driven_paths
    assert right.start == ROUTE.path.pose(0.0)
    for seen, expected in zip(right.patches(POSE), patches(MapFault(), POSE), strict=True):
        np.testing.assert_array_equal(seen, expected)


def test_lanes_and_start_of_a_shifted_map_are_shifted_as_its_patches_are() -> None:
    right, shifted = carried(MapFault()), carried(MapFault(shift=7.0))
    moved = np.array([shifted.start.x - right.start.x, shifted.start.y - right.start.y])
    assert np.hypot(*moved) == pytest.approx(7.0)
    for lane, true in zip(shifted.lanes, right.lanes, strict=True):
        np.testing.assert_allclose(lane.points, true.points + moved)
    there = Pose(POSE.x + moved[0], POSE.y + moved[1], POSE.heading)
    for seen, expected in zip(shifted.patches(there), right.patches(POSE), strict=True):
        np.testing.assert_allclose(seen, expected, atol=1)


def test_lanes_on_missing_and_false_roads_follow_the_map() -> None:
    missing, extra = carried(MapFault(missing_roads=1)), carried(MapFault(extra_roads=1))
    gone = {id(lane) for lane in NETWORK.driven_paths} - {id(lane) for lane in missing.lanes}
    roads = {lane.road for lane in NETWORK.lanes if id(lane.path) in gone}
    assert len(roads) == 1
    assert roads < {0, 2}  # on the route
    assert len(gone) == 2 + sum(
        {NETWORK.lanes[link.from_lane].road, NETWORK.lanes[link.to_lane].road} & roads != set()
        for link in NETWORK.connectors
    )
    there, back = extra.lanes[-2:]
    assert there.length == pytest.approx(roadmap.FALSE_ROAD_LENGTH)
    np.testing.assert_array_equal(there.points, back.points[::-1])
    assert extra.lanes[:-2] == NETWORK.driven_paths


def test_a_blank_map_has_no_lanes() -> None:
    assert carried(MapFault(blank=True)).lanes == ()
