from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from navsim.rendering.interface import RenderRequest
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.rendering.opengl.scene_buffers import cloud_image, pack_scene
from navsim.sensing.camera import Camera
from navsim.world.scenery.lighting import GroundShadows
from navsim.world.scenery.meshes import Instances, SemanticClass
from tests.rendering.plain_scenes import ORIGIN, STILL_AIR, cube, level, picture, plain, quad, road, scene_of, wall

CAMERA = Camera(width=200, height=100, fov_deg=90.0, position=(0.0, 0.0, 1.5), pitch_deg=0.0)


@pytest.fixture(scope="module")
def renderer() -> Iterator[OpenGLRenderer]:
    renderer = OpenGLRenderer()
    yield renderer
    renderer.close()


def at(x: float, y: float) -> tuple[int, int]:
    """Return the row and column of a point on the road [m]."""
    (column, row), _ = (values[0] for values in CAMERA.project([(x, y, 0.0)]))
    return int(row), int(column)


def test_shadows_darken_the_ground_where_their_image_is_dark(renderer: OpenGLRenderer) -> None:
    # 4 m by 4 m, its western edge 4 m ahead, its northern edge 2 m to the left; the left (northern) half is in shade.
    image = np.array([[0, 0], [255, 255]], np.uint8)
    shade = GroundShadows(image, west=4.0, north=2.0, metres_per_pixel=2.0)
    seen = picture(renderer, scene_of(road(), shade=shade), CAMERA)
    assert seen[at(6.0, 1.0)].tolist() == [60, 60, 60]  # the ambient light alone
    for lit in ((6.0, -1.0), (6.0, 3.0), (9.0, 1.0), (3.6, 1.0)):
        assert seen[at(*lit)].tolist() == [100, 100, 100]


def test_shadows_do_not_fall_on_walls(renderer: OpenGLRenderer) -> None:
    air = replace(STILL_AIR, sun_direction=(-1.0, 0.0, 0.0))
    shade = GroundShadows(np.zeros((100, 100), np.uint8), -50.0, 50.0, 1.0)
    image = picture(renderer, scene_of(wall(9.0, plain(100, 100, 100)), air=air, shade=shade), CAMERA)
    assert image[50, 100].tolist() == [100, 100, 100]


def test_walls_are_lit_by_their_angle_to_the_sun(renderer: OpenGLRenderer) -> None:
    air = replace(STILL_AIR, sun_direction=(-0.6, 0.0, 0.8))
    image = picture(renderer, scene_of(road(), wall(9.0, plain(100, 100, 100)), air=air), CAMERA)
    assert image[20, 100].tolist() == pytest.approx([60 + 40 * 0.6] * 3, abs=1)
    assert image[95, 100].tolist() == pytest.approx([60 + 40 * 0.8] * 3, abs=1)


def test_faces_turned_away_are_not_seen(renderer: OpenGLRenderer) -> None:
    behind = quad([(9, -9, -5), (9, 9, -5), (9, 9, 9), (9, -9, 9)], plain(255, 0, 0), SemanticClass.BUILDING)
    image = picture(renderer, scene_of(behind), CAMERA)
    assert not (image[..., 0] > image[..., 2]).any()


def test_a_fine_pattern_turns_into_its_mean_far_away(renderer: OpenGLRenderer) -> None:
    checks = np.kron(np.indices((2, 2)).sum(axis=0) % 2, np.ones((32, 32)))[..., None].repeat(3, 2)
    texture = (checks * 200).astype(np.uint8)
    image = picture(renderer, scene_of(road(texture, size=500.0, repeats=1000.0)), CAMERA)  # checks of half a metre
    near, far = image[80, :, 0], image[52, :, 0]
    assert np.ptp(near) > 150
    assert np.ptp(far) < 40
    assert far.mean() == pytest.approx(100, abs=8)


def test_pictures_of_an_atlas_do_not_run_into_each_other(renderer: OpenGLRenderer) -> None:
    atlas = np.zeros((256, 256, 3), np.uint8)
    atlas[:16, :16] = (250, 0, 0)
    atlas[16:, :] = (0, 250, 0)
    house = quad([(90, 4, 0), (90, -4, 0), (90, -4, 8), (90, 4, 8)], atlas, SemanticClass.BUILDING)
    house.uv[:] = np.array([(0, 1), (1, 1), (1, 0), (0, 0)]) * 0.5 / 8 * np.array([0.9, 0.9]) + 0.001
    colours = picture(renderer, scene_of(house), CAMERA)[45:49, 98:102]
    assert (colours[..., 0] > 2 * colours[..., 1]).all()


def test_colours_brighter_than_white_stay_white(renderer: OpenGLRenderer) -> None:
    air = replace(STILL_AIR, ambient=(1.5, 1.5, 1.5))
    image = picture(renderer, scene_of(road(plain(250, 200, 100)), air=air), CAMERA)
    assert image[95, 100].tolist() == [255, 255, 190]


def test_markings_on_a_road_never_flicker(renderer: OpenGLRenderer) -> None:
    line = quad(level((2.0, 70.0), (-1.0, 1.0), 0.02), plain(250, 250, 250), SemanticClass.MARKING)
    scene = scene_of(line, road())
    renderer.add(scene)
    seen = renderer.render_buffers([RenderRequest(scene, CAMERA, ORIGIN)]).semantic[0]
    renderer.remove(scene)
    for distance in (4.0, 10.0, 30.0, 50.0):
        assert seen[at(distance, 0.0)] == SemanticClass.MARKING
    assert seen[at(10.0, 1.5)] == SemanticClass.ROAD


@pytest.mark.parametrize("cover", [0.0, 0.3, 0.7, 1.0])
def test_clouds_cover_their_share_of_the_sky(cover: float) -> None:
    image = cloud_image(cover, 5)
    assert (image > 127).mean() == pytest.approx(cover, abs=0.08)
    np.testing.assert_array_equal(image, cloud_image(cover, 5))
    steps = np.abs(np.diff(image.astype(int), axis=0, append=image[:1].astype(int)))
    assert steps[-1].max() <= steps[:-1].max()  # no seam where it repeats


def test_clouds_differ_by_seed_and_stand_still(renderer: OpenGLRenderer) -> None:
    camera = replace(CAMERA, pitch_deg=25.0)
    air = replace(STILL_AIR, cloud_cover=0.5)
    first = picture(renderer, scene_of(air=air), camera)
    np.testing.assert_array_equal(picture(renderer, scene_of(air=air), camera), first)
    assert np.abs(first - picture(renderer, scene_of(air=replace(air, cloud_seed=1)), camera)).mean() > 5
    clear = picture(renderer, scene_of(air=replace(air, cloud_cover=0.0)), camera)
    assert 0.1 < (np.abs(first - clear).max(axis=2) > 20).mean() < 0.9


def test_the_sun_stands_where_its_light_comes_from(renderer: OpenGLRenderer) -> None:
    air = replace(STILL_AIR, sun_direction=(0.9, 0.3, 0.1**0.5))
    image = picture(renderer, scene_of(air=air), CAMERA).sum(axis=2)
    without = picture(renderer, scene_of(air=replace(air, sunlight=(0.0, 0.0, 0.0))), CAMERA).sum(axis=2)
    rows, columns = np.nonzero(image > without + 60)
    (expected,), _ = CAMERA.project([np.array(CAMERA.position) + air.sun_direction])
    assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(expected, abs=1.0)


def test_rain_streaks_follow_its_amount_and_leave_classes_alone(renderer: OpenGLRenderer) -> None:
    shares = []
    dry = scene_of(road())
    renderer.add(dry)
    expected = renderer.render_buffers([RenderRequest(dry, CAMERA, ORIGIN)])
    for rain in (0.0, 0.4, 1.0):
        wet = replace(dry, atmosphere=replace(dry.atmosphere, rain=rain))
        renderer.add(wet)
        seen = renderer.render_buffers([RenderRequest(wet, CAMERA, ORIGIN)])
        np.testing.assert_array_equal(seen.semantic, expected.semantic)
        np.testing.assert_array_equal(seen.depth, expected.depth)
        shares.append((seen.colour != expected.colour).any(axis=-1).mean())
        moved = renderer.render([RenderRequest(wet, CAMERA, ORIGIN.moved(forward=0.8))])
        assert np.array_equal(moved, seen.colour) == (rain == 0.0)
        renderer.remove(wet)
    renderer.remove(dry)
    assert shares[0] == 0.0
    assert 0.02 < shares[1] < shares[2] < 0.5


def test_instances_stand_at_their_places(renderer: OpenGLRenderer) -> None:
    mesh = cube((0.0, 0.0, 1.0), 1.0, plain(250, 0, 250))
    scene = scene_of(instances=(Instances(mesh, np.array([(8.0, 3.0, 0.3, 1.0), (20.0, -5.0, 1.0, 2.0)])),))
    renderer.add(scene)
    seen = renderer.render_buffers([RenderRequest(scene, CAMERA, ORIGIN)])
    renderer.remove(scene)
    for point, size in (((8.0, 3.0, 1.0), 1.0), ((20.0, -5.0, 2.0), 2.0)):
        ((column, row),), depth = CAMERA.project([point])
        assert seen.semantic[0, int(row), int(column)] == SemanticClass.SIGN
        assert seen.depth[0, int(row), int(column)] == pytest.approx(depth[0] - size / 2, abs=0.25 * size)


def test_packing_keeps_every_triangle_and_shares_corners_of_the_ground() -> None:
    pieces = [level((x, x + 1.0), (0.0, 1.0), 0.0) for x in range(4)]
    ground = [quad(corners, plain(9, 9, 9), SemanticClass.ROAD) for corners in pieces]
    packed = pack_scene(scene_of(*ground, cube((5.0, 5.0, 1.0), 1.0, plain(1, 2, 3))))
    assert len(packed.indices) == 3 * (4 * 2 + 12)
    assert packed.commands[: packed.standing, 0].sum() == 36
    assert packed.commands[packed.standing :, 0].sum() == 24
    assert packed.indices.max() < len(packed.vertices)
    corners = packed.vertices[packed.indices, :3].reshape(-1, 3, 3)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert areas.sum() == pytest.approx(4.0 + 6.0)
