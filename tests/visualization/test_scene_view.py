"""The town from behind the car, with the marks painted on the road."""

import numpy as np
import pytest

from navsim.geometry import Array, Polyline, Pose
from navsim.rendering.car_model import BODY
from navsim.rendering.road_fan import Fan
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.sensing.observation import Image
from navsim.visualization.scene_view import RoadPainter, scene_camera, visible_ground
from navsim.world.vehicle import VehicleSpec

WIDTH, HEIGHT = 480, 270
GREY = 90
START = Pose(3.0, -2.0, 0.4)


def empty_depth(view: Viewpoint) -> Array:
    """Return the depth (H, W) [m] of an infinite plain."""
    camera = scene_camera(view, WIDTH, HEIGHT)
    down = (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / camera.focal_px
    falls = down * camera.axes[1][2] + camera.axes[2][2]
    return np.repeat(np.where(falls > 1e-6, camera.position[2] / np.maximum(falls, 1e-6), np.inf)[:, None], WIDTH, 1)


def painter(view: Viewpoint = Viewpoint.CHASE, wall: float = np.inf) -> RoadPainter:
    depth = np.minimum(empty_depth(view), wall).astype(np.float32)
    return RoadPainter(scene_camera(view, WIDTH, HEIGHT), np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), depth)


def changed(picture: Image) -> Array:
    return np.asarray((picture != GREY).any(axis=2))


@pytest.mark.parametrize("view", list(Viewpoint))
def test_the_ground_is_visible_where_nothing_is_in_front_of_it(view: Viewpoint) -> None:
    camera = scene_camera(view, WIDTH, HEIGHT)
    depth = empty_depth(view)
    visible = visible_ground(camera, depth.astype(np.float32))
    np.testing.assert_array_equal(visible > 0, np.isfinite(depth) & (depth < 1e4))
    assert visible.mean() > 0.4
    assert not visible_ground(camera, np.minimum(depth, 0.5).astype(np.float32)).any()


@pytest.mark.parametrize(("curvature", "side"), [(0.1, -1), (-0.1, 1)])
@pytest.mark.parametrize("view", list(Viewpoint))
def test_the_fan_bends_to_its_side(view: Viewpoint, curvature: float, side: int) -> None:
    grid = np.linspace(-0.2, 0.2, 101)
    painted = painter(view)
    painted.fan(Fan(curvature, grid, np.exp(-0.5 * ((grid - curvature) / 0.02) ** 2)))
    columns = np.nonzero(changed(painted.picture))[1]
    assert len(columns) > 300
    assert side * (np.median(columns) - WIDTH / 2) > 5


def test_the_route_is_ahead_and_hidden_by_walls() -> None:
    path = Polyline(START.to_world([(x, 0.0) for x in np.arange(-5.0, 60.0, 1.0)]))
    free, walled = painter(), painter(wall=4.0)
    for each in (free, walled):
        each.route(path, START, station=5.0)
    rows, columns = np.nonzero(changed(free.picture))
    assert abs(np.median(columns) - WIDTH / 2) < 2
    assert rows.max() > HEIGHT - 10
    assert 0 < changed(walled.picture).sum() < changed(free.picture).sum() / 2


def test_the_trail_is_behind_the_car() -> None:
    painted = painter(Viewpoint.TOP)
    painted.trail(tuple(START.moved(forward=-2.5 * i) for i in range(1, 4)), START)
    rows = np.nonzero(changed(painted.picture))[0]
    assert len(rows) > 20
    camera = scene_camera(Viewpoint.TOP, WIDTH, HEIGHT)
    assert rows.min() > camera.project([(0.0, 0.0, 0.0)])[0][0, 1]


@pytest.mark.parametrize("view", [Viewpoint.CHASE, Viewpoint.TOP])
def test_the_car_is_blue_and_where_it_stands(view: Viewpoint) -> None:
    painted = painter(view)
    painted.car(VehicleSpec())
    blue = painted.picture[..., 2].astype(int) - painted.picture[..., 0] > 80
    place = scene_camera(view, WIDTH, HEIGHT).project([(0.0, 0.0, 0.7)])[0][0]
    assert blue.sum() > 300
    middle = np.argwhere(blue).mean(axis=0)[::-1]
    assert np.abs(middle - place).max() < HEIGHT / 8
    assert BODY[2] > BODY[0]
