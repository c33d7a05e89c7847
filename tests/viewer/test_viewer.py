"""The viewer under Xvfb, with keys pressed in its windows."""

import math
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from navsim.cli import run_command
from navsim.drivers.protocol import Decision
from navsim.errors import ConfigError, DisplayError
from navsim.geometry import Pose
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.roads.routing import Route
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import ExpertConfig, LaneExpert
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.config import ViewerConfig
from navsim.viewer.viewer import Viewer, interpolate_pose
from navsim.world.vehicle import VehicleSpec, VehicleState
from tests.virtual_display import VirtualDisplay, wait_until

SCENARIOS = tuple(Scenario("test-3", route, junctions=False) for route in range(3))
WINDOW = "Bullet"


class CountingExpert(LaneExpert):
    """The expert with an artificial distribution around its command; it counts its decisions."""

    def __init__(self) -> None:
        super().__init__(ExpertConfig(), VehicleSpec())
        self.routes = 0
        self.decisions = 0

    def follow(self, route: Route) -> None:
        super().follow(route)
        self.routes += 1

    def command(self, state: VehicleState) -> Decision:
        self.decisions += 1
        curvature = super().command(state).curvature
        grid = np.linspace(-0.2, 0.2, 101)
        return Decision(curvature, grid, np.exp(-0.5 * ((grid - curvature) / 0.02) ** 2))


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with Simulation(SimulationConfig()) as opened:
        yield opened


def in_background(work: Callable[[], None]) -> Callable[[], None]:
    """Run `work` in a thread; the returned function waits for its end and raises its failure."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except (AssertionError, StopIteration) as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join() -> None:
        thread.join()
        if failures:
            raise failures[0]

    return join


def check_that_a_key_quits(display: VirtualDisplay, viewer: Viewer) -> None:
    expert = CountingExpert()

    def quit_soon() -> None:
        wait_until(lambda: expert.decisions > 3)
        display.press("q", WINDOW)

    join = in_background(quit_soon)
    assert viewer.watch(expert, SCENARIOS) == ()
    join()
    assert expert.routes == 1


def test_keys_pause_step_switch_skip_and_quit(display: VirtualDisplay, simulation: Simulation) -> None:
    expert = CountingExpert()
    with Viewer(simulation, ViewerConfig(dashboard=False)) as viewer:

        def press_keys() -> None:
            try:
                wait_until(lambda: expert.decisions > 3)
                display.press("space", WINDOW)
                wait_until(lambda: viewer.playback.paused)
                time.sleep(0.5)
                paused_at = expert.decisions
                time.sleep(0.7)
                assert expert.decisions == paused_at
                display.press("s", WINDOW)
                wait_until(lambda: expert.decisions > paused_at)
                time.sleep(0.7)
                assert expert.decisions == paused_at + 1
                display.press("c", WINDOW)
                wait_until(lambda: viewer.playback.view is Viewpoint.HOOD)
                assert expert.routes == 1
                display.press("Return", WINDOW)
                wait_until(lambda: expert.routes == 2)
                display.press("space", WINDOW)
                wait_until(lambda: expert.decisions > paused_at + 3)
            finally:
                display.press("q", WINDOW)

        join = in_background(press_keys)
        episodes = viewer.watch(expert, SCENARIOS)
        join()
        assert viewer.ended
    assert episodes == ()
    assert expert.routes == 2


def test_drives_are_watched_to_their_end_as_fast_as_possible(display: VirtualDisplay, simulation: Simulation) -> None:
    options = ViewerConfig(real_time_factor=0.0, dashboard=False, view=Viewpoint.TOP)
    begun = time.monotonic()
    with Viewer(simulation, options) as viewer:
        (episode,) = viewer.watch(LaneExpert(ExpertConfig(), VehicleSpec()), SCENARIOS[1:2])
        assert time.monotonic() - begun > 1.0  # the end is shown for a second
        assert episode.outcome is Outcome.ARRIVED
        assert len(episode.images) == 0
        check_that_a_key_quits(display, viewer)
    assert not display.has(WINDOW)


@pytest.mark.slow
def test_keys_work_where_the_machine_is_the_limit(display: VirtualDisplay, simulation: Simulation) -> None:
    with Viewer(simulation, ViewerConfig(100.0, dashboard=False)) as viewer:
        check_that_a_key_quits(display, viewer)


def test_a_drive_takes_its_time_and_closing_the_window_quits(display: VirtualDisplay, simulation: Simulation) -> None:
    expert = CountingExpert()
    with Viewer(simulation, ViewerConfig(real_time_factor=0.5, dashboard=False)) as viewer:
        times: list[float] = []

        def measure() -> None:
            try:
                wait_until(lambda: expert.decisions >= 2)
                times.append(time.monotonic())
                wait_until(lambda: expert.decisions >= 14)
                times.append(time.monotonic())
            finally:
                wait_until(lambda: display.has(WINDOW))
                display.kill(WINDOW)

        join = in_background(measure)
        assert viewer.watch(expert, SCENARIOS) == ()
        join()
    assert expert.routes == 1
    assert times[1] - times[0] > 12 * 0.2 - 0.5  # 0.1 s of driving lasts 0.2 s; a late picture may shorten the first


@pytest.mark.parametrize("name", ["", ":987"])
def test_without_a_display_the_program_ends_with_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], simulation: Simulation
) -> None:
    monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: Viewer(simulation, ViewerConfig()).close())
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a window needs a display")


def test_the_viewer_needs_a_display(monkeypatch: pytest.MonkeyPatch, simulation: Simulation) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(DisplayError, match="DISPLAY is not set"):
        Viewer(simulation, ViewerConfig())


def test_a_negative_speed_is_refused() -> None:
    with pytest.raises(ConfigError, match="real_time_factor must be at least 0 and at most 100, got -1"):
        ViewerConfig(real_time_factor=-1.0)


def test_interpolation_between_poses_turns_by_the_smaller_angle() -> None:
    a, b = Pose(0.0, 0.0, math.radians(170)), Pose(2.0, 4.0, math.radians(-170))
    half = interpolate_pose(a, b, 0.5)
    assert (half.x, half.y) == (1.0, 2.0)
    assert abs(half.heading) == pytest.approx(math.pi)
    assert interpolate_pose(a, b, -1.0) == a
    end = interpolate_pose(a, b, 2.0)
    assert (end.x, end.y, end.heading) == pytest.approx((b.x, b.y, b.heading))
