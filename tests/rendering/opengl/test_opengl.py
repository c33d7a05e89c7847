import logging
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.rendering.interface import RenderRequest
from navsim.rendering.opengl.device import CONTEXTS
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.roads.generators.towns import build_town
from navsim.seeding import generator
from navsim.sensing.camera import Camera
from navsim.simulation.config import make_renderer
from navsim.world.scenery.appearance import appearance_of
from navsim.world.scenery.scene import Scene, build_scene
from tests.imitated_windows import OtherSys
from tests.rendering.plain_scenes import ORIGIN, plain, road, scene_of, wall
from tests.virtual_display import VirtualDisplay

CAMERA = Camera(width=200, height=66, fov_deg=90.0)
SIDES = [replace(CAMERA, height=80, yaw_deg=yaw) for yaw in (0.0, 60.0, -60.0)]


def town_scene(number: int) -> Scene:
    look = appearance_of("", generator(number, "look"))
    return build_scene(build_town(f"train-{number}"), look, generator(number, "scenery"))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [town_scene(0), town_scene(1)]


@pytest.fixture(scope="module")
def poses() -> list[Pose]:
    return [lane.path.pose(5.0) for lane in build_town("train-0").lanes[:12]]


@pytest.fixture
def renderer(scenes: list[Scene]) -> Iterator[OpenGLRenderer]:
    renderer = OpenGLRenderer()
    for scene in scenes:
        renderer.add(scene)
    yield renderer
    renderer.close()


def test_pictures_have_the_cameras_size_and_belong_to_the_caller(
    renderer: OpenGLRenderer, scenes: list[Scene], poses: list[Pose]
) -> None:
    images = renderer.render([RenderRequest(scenes[0], camera, poses[0]) for camera in SIDES])
    assert images.shape == (3, 80, 200, 3)
    assert images.dtype == np.uint8
    kept = images.copy()
    again = renderer.render([RenderRequest(scenes[0], camera, poses[5]) for camera in SIDES])
    np.testing.assert_array_equal(images, kept)
    assert not np.array_equal(images, again)


def test_a_batch_of_cameras_and_worlds_equals_single_pictures(
    renderer: OpenGLRenderer, scenes: list[Scene], poses: list[Pose]
) -> None:
    requests = [RenderRequest(scene, camera, pose) for pose in poses for scene in scenes for camera in SIDES]
    together = renderer.render_buffers(requests)
    np.testing.assert_array_equal(renderer.render(requests), together.colour)
    for index, request in enumerate(requests):
        alone = renderer.render_buffers([request])
        np.testing.assert_array_equal(alone.colour[0], together.colour[index])
        np.testing.assert_array_equal(alone.depth[0], together.depth[index])
        np.testing.assert_array_equal(alone.semantic[0], together.semantic[index])
    np.testing.assert_array_equal(renderer.render(requests[::-1])[::-1], together.colour)


def test_rain_does_not_depend_on_the_place_in_a_batch(renderer: OpenGLRenderer) -> None:
    dry = scene_of(road())
    wet = replace(dry, atmosphere=replace(dry.atmosphere, rain=0.8))
    renderer.add(dry)
    renderer.add(wet)
    alone = renderer.render([RenderRequest(wet, CAMERA, ORIGIN)])[0]
    among = renderer.render([RenderRequest(scene, CAMERA, ORIGIN) for scene in (dry, wet, dry, wet)])
    np.testing.assert_array_equal(among[1], alone)
    np.testing.assert_array_equal(among[3], alone)
    np.testing.assert_array_equal(among[0], among[2])


def test_other_renderers_and_scenes_disturb_nothing(
    renderer: OpenGLRenderer, scenes: list[Scene], poses: list[Pose]
) -> None:
    request = RenderRequest(scenes[0], CAMERA, poses[2])
    first = renderer.render([request])
    other = OpenGLRenderer()
    red = scene_of(wall(5.0, plain(255, 0, 0)))
    other.add(red)
    other.add(scenes[0])
    np.testing.assert_array_equal(renderer.render([request]), first)
    np.testing.assert_array_equal(other.render([request]), first)
    renderer.add(red)
    np.testing.assert_array_equal(renderer.render([request]), first)
    other.close()
    np.testing.assert_array_equal(renderer.render([request]), first)
    renderer.remove(scenes[0])
    renderer.add(scenes[0])
    np.testing.assert_array_equal(renderer.render([request]), first)


def test_a_scene_stays_until_it_was_removed_as_often_as_added(renderer: OpenGLRenderer, scenes: list[Scene]) -> None:
    request = RenderRequest(scenes[0], CAMERA, ORIGIN)
    renderer.add(scenes[0])
    renderer.remove(scenes[0])
    renderer.render([request])
    renderer.remove(scenes[0])
    with pytest.raises(KeyError):
        renderer.render([request])
    with pytest.raises(KeyError):
        renderer.remove(scenes[0])


FRESH_PROCESS = """
from hashlib import sha256
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.rendering.interface import RenderRequest
from tests.rendering.opengl.test_opengl import CAMERA, town_scene
from navsim.geometry import Pose
renderer, scene = OpenGLRenderer(), town_scene(5)
renderer.add(scene)
print(sha256(renderer.render([RenderRequest(scene, CAMERA, Pose(3.0, -40.0, 1.0))]).tobytes()).hexdigest())
"""


def test_same_seed_same_pixels_in_a_fresh_process(renderer: OpenGLRenderer) -> None:
    done = subprocess.run([sys.executable, "-c", FRESH_PROCESS], capture_output=True, text=True, check=True)
    scene = town_scene(5)
    renderer.add(scene)
    here = renderer.render([RenderRequest(scene, CAMERA, Pose(3.0, -40.0, 1.0))])
    assert sha256(here.tobytes()).hexdigest() in done.stdout


@pytest.mark.linux
def test_a_forked_process_goes_on_with_a_context_of_its_own(
    renderer: OpenGLRenderer, scenes: list[Scene], poses: list[Pose]
) -> None:
    requests = [RenderRequest(scene, CAMERA, poses[1]) for scene in scenes]
    here = renderer.render(requests)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        theirs.send_bytes(renderer.render(requests).tobytes())
        renderer.close()

    process = context.Process(target=child)
    process.start()
    try:
        assert ours.poll(60)
        assert ours.recv_bytes() == here.tobytes()
    finally:
        process.join(60)
    np.testing.assert_array_equal(renderer.render(requests), here)


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.linux
def test_memory_stays_flat_over_scenes_pictures_and_renderers(scenes: list[Scene], poses: list[Pose]) -> None:
    def use(times: int) -> None:
        for turn in range(times):
            renderer = OpenGLRenderer()
            for _ in range(3):
                renderer.add(scenes[0])
                renderer.render([RenderRequest(scenes[0], Camera(width=100 + turn), pose) for pose in poses])
                renderer.remove(scenes[0])
            renderer.close()

    use(4)
    before = resident_mib()
    use(8)
    assert resident_mib() - before < 8.0


def test_cameras_of_different_sizes_are_refused(renderer: OpenGLRenderer, scenes: list[Scene]) -> None:
    for requests in ([RenderRequest(scenes[0], CAMERA, ORIGIN), RenderRequest(scenes[0], SIDES[0], ORIGIN)], []):
        with pytest.raises(ConfigError, match="one size"):
            renderer.render(requests)
        with pytest.raises(ConfigError, match="one size"):
            renderer.render_buffers(requests)


def test_closing_twice_is_fine_and_ends_rendering(renderer: OpenGLRenderer, scenes: list[Scene]) -> None:
    renderer.render([RenderRequest(scenes[0], CAMERA, ORIGIN)])
    renderer.close()
    renderer.close()
    with pytest.raises(KeyError):
        renderer.render([RenderRequest(scenes[0], CAMERA, ORIGIN)])


def test_an_empty_scene_is_all_sky(renderer: OpenGLRenderer) -> None:
    empty = scene_of()
    renderer.add(empty)
    seen = renderer.render_buffers([RenderRequest(empty, CAMERA, ORIGIN)])
    assert (seen.semantic == 9).all()
    assert np.isinf(seen.depth).all()


WITHOUT_EGL = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from navsim.errors import ConfigError
from navsim.simulation.config import make_renderer
make_renderer("auto").close()
try:
    make_renderer("opengl")
except ConfigError as error:
    print("refused:", error)
"""


@pytest.mark.linux
def test_without_a_driver_auto_falls_back_and_opengl_says_what_to_install(tmp_path: Path) -> None:
    environment = {**os.environ, "__EGL_VENDOR_LIBRARY_DIRS": str(tmp_path), "GLCONTEXT_LINUX_LIBX11": "none.so"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EGL], capture_output=True, text=True, check=True, env=environment
    )
    fallback, refused = done.stdout.splitlines()
    assert fallback.startswith("renderer: tiny (PyBullet on the CPU); auto: no OpenGL context (EGL: ")
    assert "; a hidden window: " in fallback
    assert refused.startswith("refused: no OpenGL context (")
    assert "apt-get install libegl1 libgl1-mesa-dri" in refused


@pytest.fixture
def no_egl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTEXTS, "EGL", {"backend": "none"})


@pytest.mark.usefixtures("no_egl")
def test_without_egl_a_hidden_window_gives_the_same_picture(
    renderer: OpenGLRenderer,
    scenes: list[Scene],
    poses: list[Pose],
    display: VirtualDisplay,
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests = [RenderRequest(scenes[0], CAMERA, poses[0])]
    with caplog.at_level(logging.INFO):
        other = make_renderer("auto")
    assert caplog.messages[0].endswith(
        "through a hidden window (EGL: Cannot find supported backend: 'none'); auto: it works"
    )
    before = display.picture()
    other.add(scenes[0])
    np.testing.assert_array_equal(other.render(requests), renderer.render(requests))
    np.testing.assert_array_equal(display.picture(), before)
    other.close()


@pytest.mark.linux
@pytest.mark.usefixtures("no_egl")
@pytest.mark.parametrize(
    ("system", "hint"),
    [("linux", "apt-get install libegl1"), ("darwin", "a graphics driver with OpenGL 3.3 is needed")],
)
def test_without_any_context_the_error_says_what_is_needed(
    system: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLCONTEXT_LINUX_LIBX11", "none.so")
    monkeypatch.setattr("navsim.rendering.opengl.device.sys", OtherSys(system))
    with pytest.raises(ConfigError, match=f"a hidden window: .*none.so not loaded.*{hint}"):
        make_renderer("opengl")
    assert make_renderer("auto").name == "tiny"


def test_tiles_drawn_one_by_one_give_the_same_picture(
    renderer: OpenGLRenderer, scenes: list[Scene], poses: list[Pose]
) -> None:
    requests = [RenderRequest(scene, CAMERA, pose) for scene in scenes for pose in poses[:3]]
    at_once = renderer.render_buffers(requests)
    renderer._device.draws_indirectly = False
    one_by_one = renderer.render_buffers(requests)
    np.testing.assert_array_equal(one_by_one.colour, at_once.colour)
    np.testing.assert_array_equal(one_by_one.depth, at_once.depth)


@pytest.mark.parametrize("name", ["auto", "opengl"])
def test_the_choice_of_opengl_is_logged_with_its_device(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        renderer = make_renderer(name)
    assert isinstance(renderer, OpenGLRenderer)
    assert renderer.device_name in caplog.messages[0]
    assert ("auto" in caplog.messages[0]) == (name == "auto")
    assert len(caplog.messages) == 1
    renderer.close()
