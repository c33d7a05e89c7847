import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.rendering.interface import RenderRequest
from navsim.rendering.tiny import TinyRenderer, cut_into_tiles
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.world.scenery.appearance import Appearance, appearance_of
from navsim.world.scenery.lighting import Atmosphere
from navsim.world.scenery.meshes import Mesh
from navsim.world.scenery.scene import Scene, build_scene

CAMERA = Camera()
LOOK = Appearance(
    roughness=0.0, asphalt=(80, 80, 80), marking=(250, 250, 250), ground=(60, 140, 60), sky=(120, 160, 220)
)
CLEAR = Atmosphere(zenith=LOOK.sky, horizon=LOOK.sky, cloud_cover=0.0, fog_density=0.0)


@pytest.fixture(scope="module")
def town() -> RoadNetwork:
    return build_town("train-3")


@pytest.fixture(scope="module")
def scene(town: RoadNetwork) -> Scene:
    return replace(build_scene(town, LOOK, generator(3, "scenery")), atmosphere=CLEAR)


@pytest.fixture(scope="module")
def poses(town: RoadNetwork) -> list[Pose]:
    return [lane.path.pose(station) for lane in town.lanes[:8] for station in (2.0, 20.0, lane.path.length - 5)]


@pytest.fixture
def renderer(scene: Scene) -> Iterator[TinyRenderer]:
    renderer = TinyRenderer()
    renderer.add(scene)
    yield renderer
    renderer.close()


def requests(scene: Scene, cameras: Sequence[Camera], pose: Pose) -> list[RenderRequest]:
    return [RenderRequest(scene, camera, pose) for camera in cameras]


def on_the_centre_line(town: RoadNetwork) -> Pose:
    """Return a pose on the middle of the longest road, along it."""
    road = max(town.roads, key=lambda road: road.centre.length)
    return road.centre.pose(road.centre.length / 2)


def pixel(image: NDArray[np.uint8], camera: Camera, point: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Colour at a point of the vehicle frame."""
    (x, y), depth = (values[0] for values in camera.project([point]))
    assert depth > 0
    return np.asarray(image[int(y), int(x)])


def test_images_have_the_cameras_size_and_belong_to_the_caller(
    renderer: TinyRenderer, scene: Scene, poses: list[Pose]
) -> None:
    cameras = [CAMERA, replace(CAMERA, yaw_deg=60.0), replace(CAMERA, yaw_deg=-60.0)]
    images = renderer.render(requests(scene, cameras, poses[0]))
    assert images.shape == (3, 48, 128, 3)
    assert images.dtype == np.uint8
    kept = images.copy()
    again = renderer.render(requests(scene, cameras, poses[5]))
    np.testing.assert_array_equal(images, kept)
    assert not np.shares_memory(images, again)
    assert not np.array_equal(images, again)


def test_sky_above_road_below(renderer: TinyRenderer, scene: Scene, town: RoadNetwork) -> None:
    camera = Camera(width=256, height=128, pitch_deg=0.0)
    image = renderer.render(requests(scene, [camera], on_the_centre_line(town)))[0]
    assert (image == LOOK.sky).all(axis=-1)[:10].mean() > 0.3
    assert not (image == LOOK.sky).all(axis=-1)[66:].any()
    for side in (-1.2, 1.2):
        road = pixel(image, camera, (6.0, side, 0.0)).astype(int)
        assert np.ptp(road) < 8
        assert 50 < road.mean() < 110


def test_edge_lines_and_dashes_are_where_the_camera_projects_them(
    renderer: TinyRenderer, scene: Scene, town: RoadNetwork
) -> None:
    camera = Camera(width=512, height=256, fov_deg=90.0)
    road = max(town.roads, key=lambda road: road.centre.length)
    straight = min(np.arange(60.0, road.centre.length - 60, 5.0), key=lambda s: abs(road.centre.curvature(s + 5.0)))
    pose = road.centre.pose(float(straight))
    image = renderer.render(requests(scene, [camera], pose))[0].astype(int)
    for side in (1.0, -1.0):
        edge = pose.to_vehicle([road.centre.position(straight + 6.0)])[0]
        line = pixel(image, camera, (float(edge[0]), float(edge[1]) + side * 3.5, 0.02))
        beside = pixel(image, camera, (float(edge[0]), float(edge[1]) + side * 3.0, 0.0))
        assert line.min() > 180
        assert beside.max() < 120
    middle = pose.to_vehicle(road.centre.position(straight + np.arange(3.0, 13.0, 0.25))).tolist()
    ahead = np.array([pixel(image, camera, (x, y, 0.02)).min() for x, y in middle])
    assert (ahead > 180).any()
    assert (ahead < 120).any()


def test_grass_lies_beyond_the_kerb(renderer: TinyRenderer, scene: Scene, town: RoadNetwork) -> None:
    camera = Camera(width=512, height=256, fov_deg=120.0, pitch_deg=0.0)
    image = renderer.render(requests(scene, [camera], on_the_centre_line(town)))[0].astype(int)
    red, green, blue = np.moveaxis(image[128:], -1, 0)
    assert ((green > red + 25) & (green > blue + 25)).mean() > 0.05


def test_colours_differ_by_appearance(town: RoadNetwork, poses: list[Pose]) -> None:
    renderer = TinyRenderer()
    images = []
    for seed in (1, 2):
        scene = build_scene(town, appearance_of("", generator(seed, "look")), generator(3, "scenery"))
        renderer.add(scene)
        images.append(renderer.render(requests(scene, [CAMERA], poses[0]))[0].astype(int))
    renderer.close()
    assert np.abs(images[0] - images[1]).mean() > 8


def test_same_pose_same_pixels_wherever_the_car_was_before(
    renderer: TinyRenderer, scene: Scene, poses: list[Pose]
) -> None:
    first = [renderer.render(requests(scene, [CAMERA], pose)) for pose in poses]
    backwards = [renderer.render(requests(scene, [CAMERA], pose)) for pose in reversed(poses)]
    np.testing.assert_array_equal(first, backwards[::-1])
    renderer.remove(scene)
    renderer.add(scene)
    np.testing.assert_array_equal(renderer.render(requests(scene, [CAMERA], poses[3])), first[3])
    fresh = TinyRenderer()
    fresh.add(scene)
    np.testing.assert_array_equal(fresh.render(requests(scene, [CAMERA], poses[7])), first[7])
    fresh.close()
    np.testing.assert_array_equal(renderer.render(requests(scene, [CAMERA], poses[7])), first[7])


FRESH_PROCESS = """
from hashlib import sha256
from navsim.geometry import Pose
from navsim.seeding import generator
from navsim.rendering.interface import RenderRequest
from navsim.rendering.tiny import TinyRenderer
from navsim.roads.generators.towns import build_town
from navsim.sensing.camera import Camera
from navsim.world.scenery.appearance import appearance_of
from navsim.world.scenery.scene import build_scene
town = build_town("train-5")
renderer = TinyRenderer()
scene = build_scene(town, appearance_of("", generator(5, "look")), generator(5, "scenery"))
renderer.add(scene)
request = RenderRequest(scene, Camera(), town.lanes[4].path.pose(12.0))
print(sha256(renderer.render([request]).tobytes()).hexdigest())
"""


def test_same_seed_same_pixels_in_a_fresh_process() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH_PROCESS], capture_output=True, text=True, check=True)
    town = build_town("train-5")
    renderer = TinyRenderer()
    scene = build_scene(town, appearance_of("", generator(5, "look")), generator(5, "scenery"))
    renderer.add(scene)
    here = sha256(renderer.render(requests(scene, [Camera()], town.lanes[4].path.pose(12.0))).tobytes()).hexdigest()
    renderer.close()
    assert here in done.stdout


def test_leaving_tiles_out_changes_nothing_within_reach(
    scene: Scene, poses: list[Pose], monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = TinyRenderer()
    renderer.add(scene)
    culled = renderer.render(requests(scene, [CAMERA], poses[1]))
    monkeypatch.setattr(
        "navsim.rendering.tiny.visible_boxes", lambda boxes, planes, eye, reach: np.arange(len(boxes.kinds))
    )
    everything = renderer.render(requests(scene, [CAMERA], poses[1]))
    renderer.close()
    differing = (culled != everything).any(axis=-1)
    assert differing.mean() < 0.01
    assert not differing[0, 20:].any()  # the lower half shows what is near


def test_a_scene_without_houses_can_be_drawn(town: RoadNetwork, poses: list[Pose]) -> None:
    bare = build_scene(town, replace(LOOK, building_density=0.0), generator(3, "scenery"))
    renderer = TinyRenderer()
    scene = replace(bare, instances=(), atmosphere=CLEAR)
    renderer.add(scene)
    assert (renderer.render(requests(scene, [CAMERA], poses[0]))[0] == LOOK.sky).all(axis=-1).any()
    renderer.close()


def test_a_low_sun_lights_one_side(scene: Scene, town: RoadNetwork) -> None:
    pose = on_the_centre_line(town)
    images = []
    for sun in ((1.0, 0.0, 0.05), (-1.0, 0.0, 0.05)):
        renderer = TinyRenderer()
        lit = replace(scene, atmosphere=replace(CLEAR, sun_direction=sun))
        renderer.add(lit)
        images.append(renderer.render(requests(lit, [CAMERA], pose))[0].astype(int))
        renderer.close()
    assert np.abs(images[0] - images[1])[:24].max() > 20


def test_brightness_scales_the_light(scene: Scene, town: RoadNetwork) -> None:
    means = []
    for brightness in (0.6, 1.0):
        renderer = TinyRenderer()
        light = (0.42 * brightness,) * 3, (0.5 * brightness,) * 3
        lit = replace(scene, atmosphere=replace(CLEAR, sunlight=light[0], ambient=light[1]))
        renderer.add(lit)
        means.append(renderer.render(requests(lit, [CAMERA], on_the_centre_line(town)))[0][-20:].mean())
        renderer.close()
    assert means[0] == pytest.approx(0.6 * means[1], rel=0.05)


def test_views_cover_all_around(renderer: TinyRenderer, scene: Scene, town: RoadNetwork) -> None:
    pose = on_the_centre_line(town)
    for yaw_deg in (0.0, 90.0, 180.0, -90.0):
        image = renderer.render(requests(scene, [replace(CAMERA, yaw_deg=yaw_deg)], pose))[0]
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 10
        assert not (image[-5:] == LOOK.sky).all(axis=-1).any()


def test_tiles_hold_every_triangle_once(scene: Scene) -> None:
    tiles = list(cut_into_tiles(scene.meshes))
    assert sum(len(tile.triangles) for tile in tiles) == sum(len(mesh.triangles) for mesh in scene.meshes)

    def centre_sum(part: Mesh) -> NDArray[np.float64]:
        return np.asarray(part.vertices[part.triangles].astype(float).sum(axis=(0, 1)))

    total = sum((centre_sum(mesh) for mesh in scene.meshes), np.zeros(3))
    tiled = sum((tile.vertices[tile.triangles].astype(float).sum(axis=(0, 1)) for tile in tiles), np.zeros(3))
    np.testing.assert_allclose(tiled, total, rtol=1e-6)


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.linux
def test_memory_stays_flat_over_scenes_and_pictures(poses: list[Pose]) -> None:
    scene = build_scene(build_town("train-0"), LOOK, generator(0, "scenery"))
    renderer = TinyRenderer()

    def use(times: int) -> None:
        for _ in range(times):
            renderer.add(scene)
            for pose in poses:
                renderer.render(requests(scene, [CAMERA], pose))
            renderer.remove(scene)

    use(4)
    before = resident_mib()
    use(5)
    renderer.close()
    assert resident_mib() - before < 6.0


def test_cameras_of_different_sizes_are_refused(renderer: TinyRenderer, scene: Scene) -> None:
    with pytest.raises(ConfigError, match="one size"):
        renderer.render(requests(scene, [CAMERA, Camera(width=64)], Pose(0.0, 0.0, 0.0)))
    with pytest.raises(ConfigError, match="one size"):
        renderer.render(requests(scene, [], Pose(0.0, 0.0, 0.0)))


def test_closing_twice_is_fine_and_ends_rendering(renderer: TinyRenderer, scene: Scene) -> None:
    renderer.close()
    renderer.close()
    with pytest.raises(KeyError):
        renderer.render(requests(scene, [CAMERA], Pose(0.0, 0.0, 0.0)))
