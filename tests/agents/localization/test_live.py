"""Live localisation: the same track as from the recording, in a window and in a film."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.drivers.registry import PolicyWatchConfig
from agents.localization.config import LocalizationCase, LocalizeConfig
from agents.localization.live import BeliefPainter, watch_live
from agents.localization.run import localise_drive, make_context, open_policy, simulation_of
from navsim.config import to_mapping
from navsim.datasets.episode_files import write_episode
from navsim.errors import CheckpointError, ConfigError, DisplayError, EpisodeError
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.config import ViewerConfig
from navsim.visualization.drive_events import DriveLog
from tests.agents.localization.test_runs import ROOT, checkpoint, small
from tests.viewer.test_dashboard_window import DASHBOARD
from tests.virtual_display import VirtualDisplay, painted_program, wait_until

__all__ = ["checkpoint"]  # a fixture
SCENARIO = Scenario("village-test-0", length=120.0)
BELIEF_MAP = slice(52, 524), slice(16, 616)


@pytest.fixture(scope="module")
def settings(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalizeConfig:
    watch = PolicyWatchConfig(
        town=("village-test-0",), films=tmp_path_factory.mktemp("films"), viewer=ViewerConfig(real_time_factor=0.0)
    )
    return replace(small(checkpoint, Path("unused")), watch=watch, watched_case="gps10")


def test_the_live_track_equals_the_recorded_one(settings: LocalizeConfig) -> None:
    policy, car = open_policy(settings.checkpoint), simulation_of(settings.checkpoint)
    painter, pictures = BeliefPainter(settings, policy), []
    with Simulation(car) as simulation:

        def show(moment: RolloutStep) -> None:
            if moment.time_step.state.time == 0:
                painter.begin(simulation, "expert", None)
            painter.observe(moment)
            if round(moment.time_step.state.time / car.control_step) % 50 == 0:
                pictures.append(painter.draw(moment, None, DriveLog(), show_saliency=False))

        episode = drive(simulation, LaneExpert(car.expert, car.vehicle), SCENARIO, on_step=show)
    context = make_context(settings, policy, SCENARIO.town)
    recorded = localise_drive(settings, context, episode, LocalizationCase("gps10", 10.0), "network_roads")
    for name in ("times", "distances", "junctions", "errors", "levels", "candidates"):
        np.testing.assert_array_equal(getattr(painter.track, name), getattr(recorded, name))
    assert len(recorded.times) > 15
    assert pictures[0].shape == (540, 960, 3)
    assert all((pictures[i] != pictures[i + 1]).any() for i in range(len(pictures) - 1))


def test_a_film_without_a_display(settings: LocalizeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    path, said = tmp_path / "live.mp4", list[str]()
    watch = replace(settings.watch, out=path, begin=2.0, length=0.5)
    watch_live(replace(settings, action="film", watch=watch), said.append)
    start = f"{path}: expert on village-test-0-route0-seed0, from 2 to 2.5 s (length 0: to the end)"
    assert said == [start, f"{path}: 6 pictures"]
    shown = cv2.VideoCapture(str(path))
    assert shown.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    shown.release()


def test_the_window_follows_the_car_and_its_keys_choose(display: VirtualDisplay, settings: LocalizeConfig) -> None:
    text = ["--gui", "--checkpoint", str(settings.checkpoint), "--watch.town", "village-test-0"]
    text += ["--watch.viewer.real-time-factor", "0"]
    command = [sys.executable, str(ROOT / "scripts" / "localize.py"), *text]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def dashboard() -> Image:
        return display.picture()[:540, 960:]

    def painted() -> bool:
        return len(np.unique(dashboard()[52:524, 16:616].reshape(-1, 3), axis=0)) > 100

    # OpenCV's windows live as long as their process.
    with painted_program(display, command, DASHBOARD, painted, env=environment) as watching:
        title = dashboard()[:45, :600]
        display.press("2", DASHBOARD)  # the next driver
        wait_until(lambda: watching.poll() is not None or bool((dashboard()[:45, :600] != title).any()), 240)
        assert watching.poll() is None, watching.communicate()
        display.press("q", DASHBOARD)
        _, err = watching.communicate(timeout=120)
    assert watching.returncode == 0, err


def test_unusable_replays_are_refused(
    settings: LocalizeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    car = simulation_of(settings.checkpoint)
    with Simulation(car) as simulation:
        episode = drive(simulation, LaneExpert(car.expert, car.vehicle), SCENARIO, sense=False)
    steps = ("commands", "labels", "gps")
    states = ("times", "poses", "speeds", "stations", "offsets", "route_offsets", "heading_errors")
    short = replace(
        episode, **{n: getattr(episode, n)[:8] for n in steps}, **{n: getattr(episode, n)[:9] for n in states}
    )
    write_episode(short, tmp_path / "short.parquet", {"simulation": to_mapping(car)})
    write_episode(episode, tmp_path / "other.parquet", {"simulation": to_mapping(SimulationConfig())})
    filming = replace(settings, action="film")

    def replaying(name: str) -> LocalizeConfig:
        return replace(filming, watch=replace(settings.watch, replay=tmp_path / name))

    with pytest.raises(EpisodeError, match=r"lasts 0\.\d s; to localise"):
        watch_live(replaying("short.parquet"), print)
    with pytest.raises(CheckpointError, match="made for cameras"):
        watch_live(replaying("other.parquet"), print)
    with pytest.raises(ConfigError, match="watched_case must be one of gps10, none"):
        replace(filming, watched_case="gps99")
    monkeypatch.setenv("DISPLAY", "")
    with pytest.raises(DisplayError, match="--action film"):
        watch_live(replace(settings, gui=True), print)
