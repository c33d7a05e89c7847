"""The dashboard's painter with and without saliency, in pictures, films and the window; and the frame rate."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from navsim.drivers.protocol import ConstantDriver, DriverSpec, Salience, constant_driver_spec
from navsim.errors import DisplayError
from navsim.sensing.observation import Image, Observation
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.config import ViewerConfig
from navsim.viewer.dashboard_window import MAX_SKIPPED, DashboardPainter, DashboardWindow, FrameRate, key_name
from navsim.viewer.offscreen import StopRecording
from navsim.viewer.session import film
from navsim.visualization.dashboard import DashboardContext, compose_dashboard
from navsim.visualization.drive_events import DriveLog
from tests.imitated_windows import OtherSys
from tests.viewer.test_session import SMALL, headless
from tests.virtual_display import VirtualDisplay, painted_program, wait_until

ROOT = Path(__file__).parents[2]
DASHBOARD = "navsim dashboard"
SCENARIO = Scenario("test-3", 1, junctions=False)
WATCH = """
from navsim.cli import run_command
from navsim.simulation.simulation import Simulation, SimulationConfig
from navsim.viewer.config import ViewerConfig
from navsim.viewer.viewer import Viewer
from tests.viewer.test_dashboard_window import SCENARIO, SalientDriver

def main():
    with Simulation(SimulationConfig()) as simulation, Viewer(simulation, ViewerConfig(pause_at=0.3)) as viewer:
        episodes = viewer.watch(SalientDriver(), [SCENARIO])
        print(len(episodes), "watched to the end")

run_command(main)
"""
CAMERA, MAPS = (slice(52, 314), slice(16, 716)), (slice(326, 524), slice(16, 424))


def left_half(observation: Observation) -> Salience:
    """Return saliency on the left half of the camera, and none of the maps."""
    cameras, height, width, _ = observation.images.shape
    images = np.zeros((cameras, height, width))
    images[..., : width // 2] = 1.0
    return Salience(images, None)


def resting(picture: Callable[[], Image]) -> Image:
    """Return the picture once it has not changed for two seconds."""
    before, since = picture(), time.monotonic()
    while time.monotonic() - since < 2.0:
        time.sleep(0.1)
        if (picture() != before).any():
            before, since = picture(), time.monotonic()
    return before


class SalientDriver(ConstantDriver):
    """A driver that goes straight on, with saliency on the left."""

    def explain(self, observation: Observation) -> Salience:
        return left_half(observation)


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with Simulation(SMALL) as opened:
        yield opened


@pytest.fixture(scope="module")
def step(simulation: Simulation) -> RolloutStep:
    """Return the first control step of a drive, with the simulation still in it."""
    kept: list[RolloutStep] = []

    def keep(found: RolloutStep) -> None:
        kept.append(found)
        raise StopRecording

    with pytest.raises(StopRecording):
        drive(simulation, ConstantDriver(), SCENARIO, on_step=keep)
    return kept[0]


def changed(first: Image, second: Image, part: tuple[slice, slice]) -> float:
    """Return the share of pixels in which two pictures differ."""
    return float((first[part] != second[part]).any(axis=-1).mean())


def test_saliency_is_overlaid_on_the_inputs_that_have_it_and_on_no_other(
    simulation: Simulation, step: RolloutStep
) -> None:
    painter = DashboardPainter()
    painter.begin(simulation, "salient", left_half)
    plain, shown = (painter.draw(step, None, DriveLog(), show_saliency) for show_saliency in (False, True))
    np.testing.assert_array_equal(plain, compose_dashboard(step, DashboardContext.of(simulation, "salient")))
    assert changed(plain, shown, (slice(60, 280), slice(120, 340))) > 0.9  # the left half of the camera's picture
    heat = shown[60:280, 120:340].astype(float).mean(axis=(0, 1)) - shown[60:280, 400:600].mean(axis=(0, 1))
    assert heat[0] > 30  # the brightest colour, against a grey picture
    assert changed(plain, shown, MAPS) == 0
    remark = (slice(290, 312), slice(250, 480))
    assert changed(plain, shown, remark) > 0  # that there is none for the maps


def test_a_driver_without_saliency_gets_a_remark(simulation: Simulation, step: RolloutStep) -> None:
    painter = DashboardPainter()
    painter.begin(simulation, "constant", None)
    plain, shown = (painter.draw(step, None, DriveLog(), show_saliency) for show_saliency in (False, True))
    assert changed(plain, shown, CAMERA) > 0
    assert changed(plain, shown, (slice(52, 280), slice(16, 716))) == 0  # except for the line at its lower edge
    assert changed(plain, shown, MAPS) == 0


def test_films_show_saliency_if_wanted(tmp_path: Path) -> None:
    spec = DriverSpec("constant", lambda _: SalientDriver())
    pictures = []
    for name, driver_spec, saliency in (
        ("a", spec, True),
        ("b", spec, False),
        ("c", constant_driver_spec(), False),
    ):
        out = tmp_path / f"{name}.png"
        film(headless(out, begin=0.3, viewer=ViewerConfig(saliency=saliency)), [driver_spec], print)
        with Picture.open(out) as picture:
            pictures.append(np.asarray(picture)[:, 960:])
    show_saliency, plain, silent = pictures
    np.testing.assert_array_equal(plain, silent)
    assert changed(show_saliency, plain, CAMERA) > 0.5


def error_lines(errors: str) -> list[str]:
    """Return the lines of a program's error output without the one that PyBullet prints at import."""
    return [line for line in errors.splitlines() if not line.startswith("pybullet build time")]


def shows_route_and_keys(dashboard: Image) -> bool:
    red = (dashboard[326:524, 226:424, 0] > 200) & (dashboard[326:524, 226:424, 2] < 120)
    return bool(red.sum() > 500 and (dashboard[545:572].min(axis=2) > 120).sum() > 200)


def test_the_dashboard_takes_keys_also_while_it_is_paused(display: VirtualDisplay) -> None:
    def dashboard() -> Image:
        return display.picture()[:540, 960:]

    def painted() -> bool:  # the route on the map and the line of keys
        maps = np.unique(dashboard()[MAPS].reshape(-1, 3), axis=0)
        return len(maps) > 50 and shows_route_and_keys(display.picture()[:, 960:])

    # OpenCV's windows live as long as their process.
    with painted_program(display, [sys.executable, "-c", WATCH], DASHBOARD, painted, cwd=ROOT) as watching:
        before = resting(dashboard)  # the configuration pauses it
        display.press("v", DASHBOARD)
        wait_until(lambda: watching.poll() is not None or changed(dashboard(), before, CAMERA) > 0.3)
        assert watching.poll() is None
        display.press("v", DASHBOARD)
        wait_until(lambda: watching.poll() is not None or changed(dashboard(), before, CAMERA) == 0)
        display.press("q", DASHBOARD)
        out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert out.splitlines()[-1] == "0 watched to the end"
    assert error_lines(err) == []


def rate_after(frame_rate: FrameRate, rate: float, seconds: float, start: float = 0.0) -> FrameRate:
    for i in range(round(rate * seconds)):
        frame_rate = frame_rate.after(start + i / rate)
    return frame_rate


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (ord("c"), "c"),
        (ord("+") | 0x10000, "+"),
        (27, "escape"),
        (0xFF51, "left"),
        (0xFF53 | 0x100000, "right"),
        (0xF700, "up"),
        (0xF702, "left"),
        (0x280000, "down"),
        (0x270000, "right"),
    ],
)
def test_keys_have_one_name_on_all_systems(code: int, name: str) -> None:
    assert key_name(code) == name


def test_without_windows_in_opencv_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise cv2.error("OpenCV(4.13) window.cpp:1301: The function is not implemented.\nRebuild the library.")

    monkeypatch.setattr("navsim.world.bullet.sys", OtherSys("darwin"))
    monkeypatch.setattr(cv2, "namedWindow", missing)
    with pytest.raises(DisplayError, match=r"opens no windows: .*The function is not implemented\. Rebuild"):
        DashboardWindow("panel")


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    slow = rate_after(FrameRate(), 5.0, 10.0)
    assert slow.rate == pytest.approx(5.0)
    assert rate_after(slow, 50.0, 3.0, start=10.0).rate == pytest.approx(50.0)
    assert FrameRate().rate == 0.0
    assert FrameRate().text == ""


def test_a_slow_window_draws_fewer_dashboards_and_says_so() -> None:
    assert rate_after(FrameRate(), 10.0, 1.9).dashboard_every == 1
    slow = rate_after(FrameRate(), 10.0, 3.0)
    assert slow.dashboard_every == 2
    assert slow.text == "10 frames/s, dashboard 1 of 2"
    assert rate_after(FrameRate(), 10.0, 60.0).dashboard_every == MAX_SKIPPED


def test_a_fast_window_draws_all_dashboards_again() -> None:
    slow = rate_after(FrameRate(), 10.0, 60.0)
    fast = rate_after(slow, 50.0, 20.0, start=60.0)
    assert fast.dashboard_every == 1
    assert fast.text == "50 frames/s"


def test_between_slow_and_fast_nothing_changes() -> None:
    slow = rate_after(FrameRate(), 10.0, 2.1)
    assert slow.dashboard_every == 2
    assert rate_after(slow, 24.0, 20.0, start=2.1).dashboard_every == slow.dashboard_every
