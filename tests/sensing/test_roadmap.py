import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navsim.errors import ConfigError
from navsim.geometry import Polyline, Pose
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.sensing import roadmap
from navsim.sensing.roadmap import MapSpec, draw_map, draw_maps, patch_pixels, rasterise_roads, rasterise_route

SPEC = MapSpec(size_px=50, metres_per_pixel=1.0, ego_row=36, road_width=6.0)


def cross() -> RoadNetwork:
    """Return four roads of 100 m that meet at the origin at right angles."""
    ends = [(100.0, 0.0), (0.0, 100.0), (-100.0, 0.0), (0.0, -100.0)]
    nodes = [(0.0, 0.0), *ends]
    roads = [Road(0, i + 1, Polyline(np.array([[0.0, 0.0], end]))) for i, end in enumerate(ends)]
    return build_network(nodes, roads)


NETWORK = cross()
RASTER = rasterise_roads(NETWORK, SPEC)
ROUTE = rasterise_route(NETWORK.roads[0].centre, SPEC)


def test_a_straight_road_runs_up_the_middle() -> None:
    patch = draw_map(RASTER, SPEC, Pose(50.0, 0.0, 0.0))
    assert patch.shape == (50, 50)
    assert patch.dtype == np.uint8
    columns = np.flatnonzero(patch[30] > 127)
    # 6 m wide around x = 25 px: columns 22 to 27.
    assert columns[0] in (21, 22)
    assert columns[-1] in (27, 28)
    assert (patch[:, :18] == 0).all()


def test_heading_turns_the_patch() -> None:
    ahead = draw_map(RASTER, SPEC, Pose(50.0, 0.0, np.pi / 2))
    rows = np.flatnonzero(ahead[:, 10] > 127)
    # The road now crosses from left to right at the car's row.
    assert abs(rows.mean() + 0.5 - SPEC.ego_row) <= 1.0


def test_a_crossing_ahead_lies_above_the_car() -> None:
    patch = draw_map(RASTER, SPEC, Pose(-20.0, 0.0, 0.0))
    rows = np.flatnonzero(patch[:, 5] > 127)
    assert rows.mean() + 0.5 == pytest.approx(SPEC.ego_row - 20.0, abs=0.6)


def test_left_of_the_car_is_left_on_the_patch() -> None:
    # The car drives north on a line 10 m east of the crossing road: that road lies to its left.
    patch = draw_map(RASTER, SPEC, Pose(10.0, 60.0, np.pi / 2))
    columns = np.flatnonzero(patch[25] > 127)
    assert columns.mean() + 0.5 == pytest.approx(25.0 - 10.0, abs=0.6)


def test_outside_the_town_the_map_is_black() -> None:
    assert not draw_map(RASTER, SPEC, Pose(5000.0, 0.0, 0.0)).any()
    assert not draw_map(ROUTE, SPEC, Pose(5000.0, 0.0, 0.0)).any()


@settings(max_examples=40, deadline=None)
@given(x=st.floats(-60, 60), y=st.floats(-8, 8), heading=st.floats(-3.1, 3.1))
def test_route_and_roads_are_drawn_in_the_same_place(x: float, y: float, heading: float) -> None:
    pose = Pose(x, y, heading)
    route = draw_map(ROUTE, SPEC, pose)
    roads = draw_map(RASTER, SPEC, pose)
    # The route is one of the roads: where it is drawn solid, so are the roads, but for the edge's smoothing.
    solid = route == 255
    assert (roads[solid] > 60).mean() > 0.98 if solid.sum() > 20 else True


@settings(max_examples=40, deadline=None)
@given(x=st.floats(-20, 20), y=st.floats(-20, 20), heading=st.floats(-3.1, 3.1), station=st.floats(5, 95))
def test_a_road_is_drawn_where_patch_pixels_says(x: float, y: float, heading: float, station: float) -> None:
    pose = Pose(x, y, heading)
    column, row = patch_pixels(NETWORK.roads[0].centre.position([station]), SPEC, pose)[0]
    if 1 <= column < 49 and 1 <= row < 49:
        assert draw_map(RASTER, SPEC, pose)[int(row), int(column)] > 200
        assert draw_map(ROUTE, SPEC, pose)[int(row), int(column)] > 200


def test_patch_pixels_by_hand() -> None:
    pixels = patch_pixels(np.array([[10.0, 0.0], [0.0, 5.0]]), SPEC, Pose(0.0, 0.0, 0.0))
    assert pixels == pytest.approx(np.array([[25.0, 26.0], [20.0, 36.0]]))


def far_apart(distance: float) -> RoadNetwork:
    """Return a crossing at the origin and one to the north-east, joined by a road with a vertex every metre."""
    ends = [(100.0, 0.0), (0.0, -100.0), (distance + 100.0, distance), (distance, distance + 100.0)]
    nodes = [(0.0, 0.0), (distance, distance), *ends]
    long = Polyline(np.array([nodes[0], nodes[1]])).resampled(1.0)
    roads = [Road(i // 2, i + 2, Polyline(np.array([nodes[i // 2], end]))) for i, end in enumerate(ends)]
    return build_network(nodes, [Road(0, 1, long), *roads])


def test_memory_follows_the_roads_and_not_the_area() -> None:
    network = far_apart(20_000.0)
    tracemalloc.start()
    raster = rasterise_roads(network, SPEC)
    for x in np.linspace(0.0, 20_000.0, 200).tolist():
        assert draw_map(raster, SPEC, Pose(x, x, np.pi / 4)).any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # one image would have 1.6 GB
    assert not draw_map(raster, SPEC, Pose(1e4, 0.0, 0.0)).any()
    assert not draw_map(raster, SPEC, Pose(-5e5, 5e5, 0.0)).any()


def test_tiles_are_parts_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    network = far_apart(300.0)
    rng = np.random.default_rng(0)
    poses = rng.uniform((-150.0, -150.0, -np.pi), (450.0, 450.0, np.pi), (1000, 3))
    whole = draw_maps(rasterise_roads(network, SPEC), SPEC, poses)
    monkeypatch.setattr(roadmap, "_MAX_IMAGE", 0)
    monkeypatch.setattr(roadmap, "_TILE", 64)
    raster = rasterise_roads(network, SPEC)
    tiled = draw_maps(raster, SPEC, poses)
    assert whole.any(axis=(1, 2)).sum() > 100
    assert np.abs(tiled.astype(int) - whole).max() <= 2  # the image's coordinates have single precision in OpenCV
    assert (tiled[7] == draw_map(raster, SPEC, Pose(*poses[7]))).all()


def test_drawing_is_pure() -> None:
    pose = Pose(-20.0, 1.0, 0.4)
    before = RASTER.image.copy()
    assert (draw_map(RASTER, SPEC, pose) == draw_map(RASTER, SPEC, pose)).all()
    assert (RASTER.image == before).all()


@pytest.mark.parametrize("wrong", [{"size_px": 2}, {"ego_row": 50}, {"metres_per_pixel": 0.0}, {"road_width": -1.0}])
def test_impossible_maps_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MapSpec(**wrong)  # type: ignore[arg-type]
