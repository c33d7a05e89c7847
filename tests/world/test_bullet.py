import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pybullet
import pytest
from numpy.typing import NDArray

from navsim.errors import DisplayError
from navsim.sensing.camera import Camera
from navsim.world.bullet import BodyMotion, BoxShape, BulletClient, Light, require_display

UPRIGHT = (0.0, 0.0, 0.0, 1.0)
STILL = (0.0, 0.0, 0.0)
PROJECTION = Camera(width=16, height=16, fov_deg=90.0).projection_matrix(0.1, 100.0)


@pytest.fixture
def client() -> Iterator[BulletClient]:
    client = BulletClient()
    client.set_physics(0.01)
    yield client
    client.close()


def cube(client: BulletClient) -> int:
    return client.add_rigid_body([BoxShape((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))], 2.0, (1.0, 1.0, 1.0))


def test_a_free_body_falls(client: BulletClient) -> None:
    body = cube(client)
    client.set_motion(body, BodyMotion((0.0, 0.0, 10.0), UPRIGHT, (1.0, 0.0, 0.0), STILL))
    for _ in range(100):
        client.step()
    motion = client.motion(body)
    assert motion.velocity == pytest.approx((1.0, 0.0, -9.81))
    assert motion.position[0] == pytest.approx(1.0)
    assert motion.position[2] == pytest.approx(10.0 - 9.81 / 2, abs=0.06)


def test_a_push_acts_for_one_step_in_the_world_frame(client: BulletClient) -> None:
    body = cube(client)
    quarter = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))
    client.set_motion(body, BodyMotion(STILL, quarter, STILL, STILL))
    client.apply_force(body, (4.0, 0.0, 2.0 * 9.81), (3.0, 0.0, 0.0), STILL)
    client.step()
    client.apply_force(body, (0.0, 0.0, 2.0 * 9.81), STILL, client.motion(body).position)
    client.step()
    motion = client.motion(body)
    assert motion.velocity == pytest.approx((0.02, 0.0, 0.0), abs=1e-9)
    assert motion.angular_velocity == pytest.approx((0.03, 0.0, 0.0), abs=1e-9)


def test_a_body_rests_on_a_mesh_and_touches_it(client: BulletClient) -> None:
    floor = np.array([[-9.0, -9.0, 0.0], [9.0, -9.0, 0.0], [9.0, 9.0, 0.0], [-9.0, 9.0, 0.0]])
    client.add_static_mesh(floor, np.array([[0, 1, 2], [0, 2, 3]]))
    body = cube(client)
    client.set_motion(body, BodyMotion((0.0, 0.0, 0.6), UPRIGHT, STILL, STILL))
    assert client.contact(body) is None
    for _ in range(100):
        client.step()
    assert client.motion(body).position[2] == pytest.approx(0.5, abs=0.02)
    point = client.contact(body)
    assert point is not None
    assert point[2] == pytest.approx(0.0, abs=0.02)


def test_a_textured_mesh_is_drawn_and_can_be_hidden(client: BulletClient) -> None:
    # A wall across the view of a camera in the origin that looks along -z: left half red, right half blue.
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 0], image[:, 1] = (200, 0, 0), (0, 0, 200)
    wall = np.array([[-5.0, -5.0, -4.0], [5.0, -5.0, -4.0], [5.0, 5.0, -4.0], [-5.0, 5.0, -4.0]])
    uv = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    shape = client.add_visual_shape(wall, np.array([[0, 1, 2], [0, 2, 3]]), uv)
    body = client.add_visual_body(shape, client.add_texture(image))
    light = Light((0.0, 0.0, 1.0), ambient=1.0, diffuse=0.0)
    colour, depth, bodies = client.render(16, 16, np.eye(4), PROJECTION, light, with_bodies=True)
    assert colour[8, 2, :3].tolist() == [200, 0, 0]
    assert colour[8, 13, :3].tolist() == [0, 0, 200]
    assert (depth < 0.99).all()
    assert (bodies == body).all()
    client.set_visible(body, False)
    _, depth, bodies = client.render(16, 16, np.eye(4), PROJECTION, light, with_bodies=True)
    assert (bodies < 0).all()
    assert (depth > 1 - 1e-6).all()


@pytest.mark.parametrize("with_bodies", [False, True])
def test_a_build_without_numpy_gives_the_same_images(
    client: BulletClient, monkeypatch: pytest.MonkeyPatch, with_bodies: bool
) -> None:
    wall = np.array([[-5.0, -5.0, -4.0], [1.0, -5.0, -4.0], [1.0, 5.0, -4.0], [-5.0, 5.0, -4.0]])
    uv = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    texture = client.add_texture(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5)
    client.add_visual_body(client.add_visual_shape(wall, np.array([[0, 1, 2], [0, 2, 3]]), uv), texture)

    def render() -> list[NDArray[np.generic]]:
        light = Light((0.0, 0.0, 1.0), ambient=1.0, diffuse=0.0)
        return [buffer.copy() for buffer in client.render(16, 12, np.eye(4), PROJECTION, light, with_bodies)]

    expected = render()
    original = pybullet.getCameraImage

    def as_tuples(*args: object, **options: object) -> tuple[object, ...]:
        width, height, *buffers = original(*args, **options)
        return width, height, *(tuple(np.ravel(buffer).tolist()) for buffer in buffers)

    monkeypatch.setattr(pybullet, "getCameraImage", as_tuples)
    for built_without, built_with in list(zip(render(), expected, strict=True))[: 3 if with_bodies else 2]:
        assert built_without.dtype == built_with.dtype
        assert np.array_equal(built_without, built_with)
    assert len(np.unique(expected[0])) > 10
    assert len(np.unique(expected[1])) > 1


def test_texture_rows_count_from_the_top_and_repeat(client: BulletClient) -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0], image[1] = (200, 0, 0), (0, 0, 200)
    wall = np.array([[-4.0, -4.0, -4.0], [4.0, -4.0, -4.0], [4.0, 4.0, -4.0], [-4.0, 4.0, -4.0]])
    uv = np.array([[0.0, 2.0], [1.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    client.add_visual_body(
        client.add_visual_shape(wall, np.array([[0, 1, 2], [0, 2, 3]]), uv), client.add_texture(image)
    )
    colour, *_ = client.render(16, 16, np.eye(4), PROJECTION, Light((0.0, 0.0, 1.0), ambient=1.0, diffuse=0.0))
    assert [colour[row, 8, 0] > 100 for row in (2, 6, 10, 14)] == [True, False, True, False]


def test_closing_twice_is_fine() -> None:
    client = BulletClient()
    assert client.is_open
    client.close()
    client.close()
    assert not client.is_open


def end_with_an_open_client(folder: Path, kept: list[BulletClient]) -> None:
    tempfile.tempdir = str(folder)
    kept.append(BulletClient())
    assert list(folder.iterdir())


def test_a_worker_that_ends_with_an_open_client_leaves_no_files(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("forkserver").Process(target=end_with_an_open_client, args=(tmp_path, []))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("display", ["", ":4711", "nonsense", "unix:x"])
def test_no_display_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, display: str) -> None:
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(DisplayError, match="needs a display"):
        require_display()


def test_a_window_without_display_does_not_end_the_process() -> None:
    code = (
        "from navsim.errors import DisplayError\n"
        "from navsim.world.bullet import BulletClient\n"
        "try:\n    BulletClient('gui')\nexcept DisplayError as error:\n    print('refused:', error)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "refused: a window needs a display" in done.stdout
