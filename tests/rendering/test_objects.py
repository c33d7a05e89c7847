"""Boxes around what is visible: worked out by hand, and against pictures in which the thing is missing."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from navsim.geometry import Array, Pose
from navsim.rendering.interface import RenderBuffers, Renderer, RenderRequest
from navsim.rendering.object_boxes import MIN_SIDE, OBJECT_CLASSES, object_boxes, ray_depths
from navsim.roads.generators.towns import build_town
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.simulation.config import make_renderer
from navsim.world.scenery.appearance import appearance_of
from navsim.world.scenery.meshes import Instances, ObjectClass, SemanticClass
from navsim.world.scenery.scene import Scene, build_scene
from tests.rendering.plain_scenes import ORIGIN, cube, plain, quad, road, scene_of

CAMERA = Camera(width=80, height=40, fov_deg=90.0, position=(0.0, 0.0, 1.0), pitch_deg=0.0)  # focal length 40 px
SIGN = OBJECT_CLASSES.index(ObjectClass.SIGN)


@pytest.fixture(scope="module", params=["opengl", "tiny"])
def renderer(request: pytest.FixtureRequest) -> Iterator[Renderer]:
    renderer = make_renderer(request.param)
    yield renderer
    renderer.close()


def cubes(*places: tuple[float, float, float, float], named: bool = True) -> Instances:
    """Return cubes of 2 m at transforms on the ground: x, y, heading, scale."""
    mesh = cube((0.0, 0.0, 1.0), 2.0, plain(200, 20, 20))
    return Instances(mesh, np.array(places), ObjectClass.SIGN if named else None)


def found(renderer: Renderer, scene: Scene, camera: Camera = CAMERA, pose: Pose = ORIGIN) -> Array:
    renderer.add(scene)
    request = RenderRequest(scene, camera, pose)
    rows = object_boxes(request, renderer.render_buffers([request]), 0)
    renderer.remove(scene)
    return rows


def test_rays_meet_the_front_of_a_triangle_alone() -> None:
    front = np.array([[[-4.0, -4.0, 8.0], [-4.0, 4.0, 8.0], [4.0, -4.0, 8.0]]])  # counter-clockwise from the origin
    rays = np.array([[0.0, -0.25, 1.0], [-0.4, 0.3, 1.0], [0.4, 0.4, 1.0], [0.0, -0.6, 1.0]])
    assert ray_depths(front, rays).tolist() == [8.0, 8.0, np.inf, np.inf]
    assert np.isinf(ray_depths(front[:, ::-1], rays)).all()
    assert np.isinf(ray_depths(-front, rays)).all()  # behind
    tilted = front * [1.0, 1.0, 0.5] + [0.0, 0.0, 0.5] * front[..., :1]  # deeper to the right: depth 4 + x / 2
    assert ray_depths(tilted, rays[:1] * [0, 1, 1]) == pytest.approx([4.0])
    assert np.isinf(ray_depths(np.zeros((0, 3, 3)), rays)).all()


def test_a_cube_has_the_box_of_its_near_face(renderer: Renderer) -> None:
    # Its near face spans 2 m at depth 10: 8 px around column 40, from the horizon's row 20 upwards 4 and downwards 4.
    rows = found(renderer, scene_of(road(), instances=(cubes((11.0, 0.0, 0.0, 1.0)),)))
    assert rows.tolist() == [[SIGN, 36, 16, 44, 24, 1.0]]
    # Half as deep and 2 m to the left: twice the size, 16 px to the left, and of its right side, 1 m to the left and up
    # to depth 7, another 40 / 5 - 40 / 7 = 2.3 px. Rays through the very edges of its outline are taken as hits.
    rows = found(renderer, scene_of(road(), instances=(cubes((6.0, 2.0, 0.0, 1.0)),)))
    assert rows[:, :5].tolist() == [[SIGN, 16, 12, 34, 28]]
    assert rows[0, 5] == pytest.approx(1.0, abs=0.02)


def test_occlusion_reduces_box_and_share(renderer: Renderer) -> None:
    # At depth 5, from 0 to 2 m on the right and up to the eye's height: hides the lower right quarter of the cube.
    corners = [(5.0, 0.0, 0.0), (5.0, -2.0, 0.0), (5.0, -2.0, 1.0), (5.0, 0.0, 1.0)]
    before = quad(corners, plain(90, 90, 200), SemanticClass.BUILDING)
    scene = scene_of(road(), before, instances=(cubes((11.0, 0.0, 0.0, 1.0)),))
    assert found(renderer, scene).tolist() == [[SIGN, 36, 16, 44, 24, 0.75]]
    corners = [(5.0, 0.0, 0.0), (5.0, -2.0, 0.0), (5.0, -2.0, 9.0), (5.0, 0.0, 9.0)]
    before = quad(corners, plain(90, 90, 200), SemanticClass.BUILDING)
    scene = scene_of(road(), before, instances=(cubes((11.0, 0.0, 0.0, 1.0)),))
    assert found(renderer, scene).tolist() == [[SIGN, 36, 16, 40, 24, 0.5]]


def test_of_two_alike_the_nearer_hides_the_farther(renderer: Renderer) -> None:
    scene = scene_of(road(), instances=(cubes((22.0, 0.5, 0.0, 1.0), (11.0, 0.0, 0.0, 1.0)),))
    near, far = [SIGN, 36, 16, 44, 24, 1.0], [SIGN, 37, 18, 41, 22, 0.0]
    assert found(renderer, scene).tolist() == [near]  # at depth 21 it lies wholly behind the other
    scene = scene_of(road(), instances=(cubes((22.0, 2.0, 0.0, 1.0), (11.0, 0.0, 0.0, 1.0)),))
    rows = found(renderer, scene)
    assert rows[1].tolist() == near
    assert rows[0, 3] == 36  # cut where the nearer one begins
    assert 0 < rows[0, 5] < 1
    assert far[0] == rows[0, 0]


@pytest.mark.parametrize(
    "place", [(-11.0, 0.0, 0.0, 1.0), (11.0, 30.0, 0.0, 1.0), (200.0, 0.0, 0.0, 1.0), (60.0, 0.0, 0.0, 0.5)]
)
def test_objects_behind_beside_or_too_far_are_left_out(
    renderer: Renderer, place: tuple[float, float, float, float]
) -> None:
    assert found(renderer, scene_of(road(), instances=(cubes(place),))).shape == (0, 6)


def test_what_reaches_behind_the_camera_ends_at_the_pictures_edge(renderer: Renderer) -> None:
    rows = found(renderer, scene_of(road(), instances=(cubes((1.0, 3.0, 0.0, 2.0)),)))  # from x = -1 to 3
    assert rows[0, 1] == 0
    assert rows[0, 5] == pytest.approx(1.0, abs=0.01)
    assert rows[0, 3] <= 27  # its nearest corner to the middle: 1 m to the left at depth 3


def test_lamps_and_the_like_are_no_signs(renderer: Renderer) -> None:
    assert found(renderer, scene_of(road(), instances=(cubes((11.0, 0.0, 0.0, 1.0), named=False),))).shape == (0, 6)


@pytest.mark.parametrize("town", ["train-0", "village-train-1"])
def test_in_a_town_boxes_hold_what_is_missing_without_the_thing(town: str) -> None:
    network, renderer = build_town(town), make_renderer("opengl")
    scene = build_scene(network, appearance_of("", generator(3, "look")), generator(3, "scenery"))
    camera = Camera(width=160, height=64, fov_deg=90.0)
    told = 0
    for lane in [lane for lane in network.lanes if lane.path.length > 20][:8]:
        pose = lane.path.pose(5.0)
        request = RenderRequest(surroundings(scene, pose), camera, pose)
        seen = measured(renderer, request)
        rows = object_boxes(request, seen, 0)
        assert sorted(map(tuple, rows.tolist())) == sorted(told_apart(renderer, request, seen)), pose
        told += len(rows)
    assert told >= 5
    renderer.close()


def surroundings(scene: Scene, pose: Pose) -> Scene:
    """Return the scene without the cars, people and posts that are far away."""
    near = tuple(
        replace(group, transforms=group.transforms[np.hypot(*(group.transforms[:, :2] - pose.position).T) < 50])
        for group in scene.instances
    )
    return replace(scene, instances=near)


def told_apart(renderer: Renderer, request: RenderRequest, seen: RenderBuffers) -> Iterator[tuple[float, ...]]:
    """Yield class, box and share of each object, from images without it and of it alone."""
    for number, group in enumerate(request.scene.instances):
        for place in range(len(group.transforms) if group.object_class else 0):
            others = list(request.scene.instances)
            others[number] = replace(group, transforms=np.delete(group.transforms, place, axis=0))
            without = measured(renderer, replace(request, scene=replace(request.scene, instances=tuple(others))))
            rows, columns = np.nonzero(without.depth[0] != seen.depth[0])
            if not len(rows):
                continue
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            if max(box[2] - box[0], box[3] - box[1]) >= MIN_SIDE:
                only = scene_of(instances=(replace(group, transforms=group.transforms[place : place + 1]),))
                outline = np.isfinite(measured(renderer, replace(request, scene=only)).depth).sum()
                yield (OBJECT_CLASSES.index(group.object_class), *map(float, box), len(rows) / outline)


def measured(renderer: Renderer, request: RenderRequest) -> RenderBuffers:
    renderer.add(request.scene)
    result = renderer.render_buffers([request])
    renderer.remove(request.scene)
    return result
