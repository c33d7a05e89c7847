"""The viewer as a whole: choices and manual steering by keys under Xvfb, films and replays without a display."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from agents.drivers.registry import expert_driver_spec, keyboard_driver_spec
from navsim.config import to_mapping
from navsim.datasets.dataset import checked_episodes, open_dataset
from navsim.datasets.episode_files import write_episode
from navsim.datasets.recorder import DriveRecorder
from navsim.drivers.keyboard import KeyboardInput
from navsim.drivers.protocol import constant_driver_spec
from navsim.errors import ConfigError, TownError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.config import ViewerConfig, WatchConfig
from navsim.viewer.controls import Choices
from navsim.viewer.replay import RecordedDrive, read_recording
from navsim.viewer.session import ALL_CAPABILITIES, Session, film, film_replay, watch_choices, watch_replay
from navsim.viewer.viewer import Viewer
from tests.viewer.test_viewer import WINDOW, in_background
from tests.virtual_display import VirtualDisplay, wait_until

SMALL = SimulationConfig(
    cameras=(Camera(width=32, height=16),), map=MapSpec(size_px=16, ego_row=10, metres_per_pixel=3.0)
)
DRIVER_SPECS = (expert_driver_spec(SMALL), constant_driver_spec(), keyboard_driver_spec(SMALL))
NAMES = tuple(driver_spec.name for driver_spec in DRIVER_SPECS)
FAST = ViewerConfig(real_time_factor=0.0, dashboard=False)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> RecordedDrive:
    path = tmp_path_factory.mktemp("recorded") / "drive.parquet"
    with Simulation(SMALL) as simulation:
        episode = drive(simulation, LaneExpert(SMALL.expert, SMALL.vehicle), Scenario("test-3", 1, junctions=False))
    write_episode(episode, path, {"simulation": to_mapping(SMALL)})
    return read_recording(path)


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with Simulation(SMALL) as opened:
        yield opened


def headless(out: Path, **settings: object) -> WatchConfig:
    values = {"headless": True, "out": out, "town": ("test-3",), "simulation": SMALL} | settings
    return WatchConfig(**values)  # type: ignore[arg-type]


def test_a_film_without_a_display_has_the_requested_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    said: list[str] = []
    path = tmp_path / "drive.mp4"
    film(headless(path, begin=1.0, length=0.5), DRIVER_SPECS, said.append)
    start = f"{path}: expert on test-3-route0-seed0, from 1 to 1.5 s (length 0: to the end)"
    assert said == [start, f"{path}: 6 pictures"]
    shown = cv2.VideoCapture(str(path))
    assert shown.get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert shown.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    read, frame = shown.read()
    shown.release()
    assert read
    assert frame is not None
    assert frame.shape == (540, 1920, 3)
    assert len(np.unique(frame[:, :960].reshape(-1, 3), axis=0)) > 500  # the town
    assert len(np.unique(frame[:, 960:].reshape(-1, 3), axis=0)) > 200  # the dashboard


def test_one_picture_and_one_after_the_end_of_the_drive(tmp_path: Path) -> None:
    said: list[str] = []
    film(headless(tmp_path / "now.png", begin=0.5), DRIVER_SPECS, said.append)
    with Picture.open(tmp_path / "now.png") as picture:
        assert picture.size == (1920, 540)
    film(headless(tmp_path / "late.png", begin=9999.0), DRIVER_SPECS[1:], said.append)
    late = "late.png: constant on test-3-route0-seed0, a picture at 9999 s"
    assert said[2:] == [f"{tmp_path}/{late}", "nothing is written: the drive ends before 9999 s"]
    assert not (tmp_path / "late.png").exists()


def test_a_replay_as_a_gif_says_that_it_is_the_same(recording: RecordedDrive, tmp_path: Path) -> None:
    said: list[str] = []
    assert film_replay(headless(tmp_path / "drive.gif", length=0.3), recording, said.append) == ""
    assert said[0] == f"{recording.path}: all {len(recording.episode.poses)} poses as recorded, bit by bit"
    with Picture.open(tmp_path / "drive.gif") as gif:
        assert gif.n_frames == 2  # type: ignore[attr-defined]
    poses = recording.episode.poses + 0.5
    moved = replace(recording, episode=replace(recording.episode, poses=poses))
    assert "this version drives differently" in film_replay(headless(tmp_path / "a.png"), moved, said.append)


def test_keys_choose_steer_film_and_record(display: VirtualDisplay, simulation: Simulation, tmp_path: Path) -> None:
    keyboard, said = KeyboardInput(SMALL.vehicle.max_curvature, SMALL.control_step), list[str]()
    recorder = DriveRecorder(tmp_path / "data", SMALL, simulation.renderer_name)
    choices = Choices(NAMES, ("test-3", "train-0"), ("", "noon+clear"), route=1)
    with Viewer(simulation, FAST, ALL_CAPABILITIES, keyboard, tmp_path / "films") as viewer:
        session = Session(
            simulation, viewer, {each.name: each for each in DRIVER_SPECS}, keyboard, recorder, said.append
        )

        def press_keys() -> None:
            try:
                wait_until(lambda: viewer.showing[0] == "expert" and viewer.log.trail != (), 90)
                display.press("space", WINDOW)
                wait_until(lambda: viewer.playback.paused)
                display.press("2", WINDOW)
                wait_until(lambda: viewer.showing[0] == "constant" and viewer.log.trail != (), 90)
                display.press("m", WINDOW)
                display.press("Left", WINDOW)
                wait_until(lambda: keyboard.wheel.active and viewer.playback.filming)
                display.press("s", WINDOW)
                wait_until(lambda: len(viewer.films) == 1)
                display.press("h", WINDOW)
                display.press("m", WINDOW)
                wait_until(lambda: not keyboard.wheel.active and not viewer.playback.filming)
                display.press("space", WINDOW)  # until its end: a constant driver soon leaves the road
                wait_until(lambda: bool(recorder.recorded), 120)
                display.press("4", WINDOW)
                wait_until(lambda: viewer.showing[1] == "train-0", 90)
            finally:
                display.press("q", WINDOW)

        join = in_background(press_keys)
        episodes = session.run(choices)
        join()
    assert [episode.driver for episode in episodes] == ["constant"]
    assert any(line.startswith("recorded") for line in said)
    data = open_dataset(tmp_path / "data")
    assert [header.driver for header in data.headers.values()] == ["constant+keyboard"]
    assert all(error is None for _, error in checked_episodes(tmp_path / "data"))
    (path,) = viewer.films
    film_ = cv2.VideoCapture(str(path))
    assert film_.get(cv2.CAP_PROP_FRAME_COUNT) >= 1
    film_.release()


def test_a_replay_in_the_window_restarts_and_ends(
    display: VirtualDisplay, recording: RecordedDrive, tmp_path: Path
) -> None:
    said: list[str] = []

    def press_keys() -> None:
        wait_until(lambda: bool(said) and display.has(WINDOW), 60)
        display.press("n", WINDOW)

    config = WatchConfig(films=tmp_path, viewer=FAST)
    join = in_background(press_keys)
    assert watch_replay(config, recording, said.append) == ""
    join()
    assert "bit by bit" in said[0]


def test_a_first_town_that_does_not_exist_is_refused_before_a_window_opens(tmp_path: Path) -> None:
    config = WatchConfig(town=(f"osm:{tmp_path}/missing.osm",))
    with pytest.raises(TownError, match=r"missing\.osm"):
        watch_choices(config, DRIVER_SPECS, print)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"driver": ()}, "driver must be of length at least 1"),
        ({"route": -1}, "route must be at least 0, got -1"),
        ({"headless": True, "out": Path("x.avi")}, "out must end in .mp4, .gif or .png"),
        ({"headless": True, "driver": ("keyboard",)}, "the keyboard needs a window"),
        ({"headless": True, "record": Path("x")}, "record is for manual drives"),
        ({"appearance": ("moonlight",)}, "moonlight"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WatchConfig(**settings)  # type: ignore[arg-type]


def test_a_town_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(TownError, match="nowhere"):
        WatchConfig(town=("nowhere",))
