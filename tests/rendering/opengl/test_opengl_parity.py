"""Both renderers show the same world, and where `Camera.project` says."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from navsim.geometry import Pose
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.roads.generators.towns import build_town
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.simulation.config import make_renderer
from navsim.world.scenery.appearance import appearance_of
from navsim.world.scenery.meshes import SemanticClass
from navsim.world.scenery.scene import build_scene
from tests.rendering.plain_scenes import ORIGIN, STILL_AIR, cube, picture, plain, road, scene_of, wall

CAMERAS = [
    Camera(width=200, height=66, fov_deg=90.0),
    Camera(width=200, height=80, fov_deg=90.0, yaw_deg=60.0),
    Camera(width=200, height=80, fov_deg=90.0, yaw_deg=-60.0, pitch_deg=0.0),
    Camera(),
]


@pytest.fixture(params=["opengl", "tiny"])
def renderer(request: pytest.FixtureRequest) -> Iterator[Renderer]:
    renderer = make_renderer(request.param)
    yield renderer
    renderer.close()


@pytest.mark.parametrize("town", ["train-0", "train-3", "validation-1"])
def test_both_renderers_see_the_same_classes_and_depths(town: str) -> None:
    network = build_town(town)
    look = appearance_of("", generator(7, "look"))
    scene = build_scene(network, look, generator(7, "scenery"))
    lanes = network.lanes[:: max(len(network.lanes) // 8, 1)]
    poses = [lane.path.pose(station) for lane in lanes for station in (3.0, lane.path.length / 2)]
    opengl, tiny = OpenGLRenderer(), make_renderer("tiny")
    opengl.add(scene)
    tiny.add(scene)
    for camera in CAMERAS:
        requests = [RenderRequest(scene, camera, pose) for pose in poses]
        ours, theirs = opengl.render_buffers(requests), tiny.render_buffers(requests)
        same = ours.semantic == theirs.semantic
        assert same.mean(axis=(1, 2)).min() >= 0.97
        assert same.mean() >= 0.99
        both = same & np.isfinite(theirs.depth)
        assert np.quantile(np.abs(ours.depth[both] / theirs.depth[both] - 1), 0.95) < 0.002
        np.testing.assert_array_equal(theirs.colour, tiny.render(requests))
        assert np.abs(ours.colour.astype(int) - theirs.colour).mean() < 12
    opengl.close()
    tiny.close()


@pytest.mark.parametrize(("yaw_deg", "pitch_deg"), [(0.0, 0.0), (0.0, -8.0), (60.0, -8.0), (-75.0, 5.0), (30.0, -25.0)])
@pytest.mark.parametrize(("width", "height", "fov_deg"), [(200, 66, 90.0), (128, 48, 115.0), (400, 200, 60.0)])
def test_a_marker_appears_where_the_camera_projects_it(
    renderer: Renderer, yaw_deg: float, pitch_deg: float, width: int, height: int, fov_deg: float
) -> None:
    camera = Camera("any", width, height, fov_deg, (0.7, -0.3, 1.5), yaw_deg, pitch_deg)
    pose = Pose(31.0, -12.0, 2.1)
    right, up, backward = camera.axes
    spots = [camera.position - 9 * backward + side * right + rise * up for side, rise in ((0, 0), (4, 1), (-3, -1.5))]
    for spot in spots:
        ground_place = pose.to_world([spot[:2]])[0]
        marker = cube((*ground_place, spot[2]), 0.3, plain(255, 0, 255))
        image = picture(renderer, scene_of(marker), camera, pose)
        rows, columns = np.nonzero((image[..., 0] > 120) & (image[..., 1] < 60))
        assert len(rows)
        (expected,), _ = camera.project([spot])
        found = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
        assert np.abs(found - expected).max() < 1.0


def measured(renderer: Renderer, request: RenderRequest) -> RenderBuffers:
    renderer.add(request.scene)
    seen = renderer.render_buffers([request])
    renderer.remove(request.scene)
    return seen


def test_depth_and_class_of_planes_worked_out_by_hand(renderer: Renderer) -> None:
    camera = Camera(width=100, height=100, fov_deg=90.0, position=(0.0, 0.0, 1.5), pitch_deg=0.0)  # focal length 50 px
    scene = scene_of(road(), wall(12.0, plain(200, 0, 0)))
    seen = measured(renderer, RenderRequest(scene, camera, Pose(2.0, 3.0, 0.0)))
    # Row r looks down by (r + 0.5 - 50) / 50, and so meets the road at 1.5 * 50 / (r - 49.5).
    for row in (60, 75, 99):
        np.testing.assert_allclose(seen.depth[0, row], 75 / (row - 49.5), rtol=1e-3)
        assert (seen.semantic[0, row] == SemanticClass.ROAD).all()
    np.testing.assert_allclose(seen.depth[0, :57], 10.0, rtol=1e-3)
    assert (seen.semantic[0, :57] == SemanticClass.BUILDING).all()
    assert seen.depth.dtype == np.float32
    assert seen.semantic.dtype == np.uint8


def test_the_sky_is_infinitely_far(renderer: Renderer) -> None:
    seen = measured(renderer, RenderRequest(scene_of(road()), replace(CAMERAS[0], pitch_deg=0.0), ORIGIN))
    assert np.isinf(seen.depth[0, :33]).all()
    assert (seen.semantic[0, :33] == SemanticClass.SKY).all()
    assert np.isfinite(seen.depth[0, 34:]).all()


@pytest.mark.parametrize("density", [0.0, 0.01, 0.05])
def test_fog_hides_a_wall_by_its_distance(renderer: Renderer, density: float) -> None:
    camera = Camera(width=99, height=33, fov_deg=60.0, position=(0.0, 0.0, 1.5), pitch_deg=0.0)
    air = replace(STILL_AIR, fog_density=density, ambient=(1.0, 1.0, 1.0), sunlight=(0.0, 0.0, 0.0))
    image = picture(renderer, scene_of(wall(30.0, plain(100, 0, 50)), air=air), camera)
    clear = np.exp(-30.0 * density)
    expected = clear * np.array([100, 0, 50]) + (1 - clear) * np.array(air.horizon)
    np.testing.assert_allclose(image[16, 49], expected, atol=2)


def test_light_has_a_colour(renderer: Renderer) -> None:
    camera = Camera(width=99, height=33, pitch_deg=-40.0)
    evening = replace(STILL_AIR, ambient=(0.6, 0.5, 0.4), sunlight=(0.4, 0.3, 0.2))
    pixel = picture(renderer, scene_of(road(), air=evening), camera)[30, 49]
    np.testing.assert_allclose(pixel, (100, 80, 60), atol=10)  # of a grey road under a sun overhead
    np.testing.assert_allclose(pixel / pixel[1], (1.25, 1.0, 0.75), atol=0.04)


def test_the_sky_pales_towards_the_horizon(renderer: Renderer) -> None:
    camera = Camera(width=60, height=400, fov_deg=20.0, pitch_deg=30.0)  # from about -20 to 80 degrees
    image = picture(renderer, scene_of(), camera)[:, 30]
    assert (np.diff(image[:, 2]) >= 0).all()
    assert (np.diff(image[:, 0]) >= 0).all()
    np.testing.assert_allclose(image[-1], STILL_AIR.horizon, atol=1)
    x, y, z = camera.position
    ((_, row),), _ = camera.project([(x + np.sqrt(3), y, z + 1.0)])
    root = np.sqrt(0.5)  # of the sine of 30 degrees
    expected = root * np.array(STILL_AIR.zenith) + (1 - root) * np.array(STILL_AIR.horizon)
    np.testing.assert_allclose(image[int(row)], expected, atol=3)
