"""Films have the frames of the measured drive, in files of limited size."""

import gc
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from navsim.drivers.protocol import ConstantDriver
from navsim.errors import StorageError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.run import drive_to_show
from navsim.roads.elements import Manoeuvre
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.viewer.offscreen import film_dashboard
from navsim.visualization.video import HOLD_FRAMES, GifWriter, Mp4Writer, encoder_problem
from tests.evaluation.drives import make_drive


def frames(count: int) -> list[Image]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, 90, 160, 3))
    return [cv2.resize(picture.astype(np.uint8), (640, 360)).astype(np.uint8) for picture in noise]


def test_an_mp4_has_all_frames_at_their_rate(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    with Mp4Writer(path, 10.0) as writer:
        for frame in frames(12):
            writer.add(frame)
        assert not path.exists()
    assert writer.available
    assert [path.name for path in tmp_path.iterdir()] == ["drive.mp4"]
    film_ = cv2.VideoCapture(str(path))
    assert film_.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    assert film_.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    film_.release()


def test_an_interrupted_mp4_does_not_appear(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Mp4Writer(tmp_path / "drive.mp4", 10.0) as writer:
            writer.add(frames(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_gif_has_every_second_frame(tmp_path: Path) -> None:
    writer = GifWriter(tmp_path / "drive.gif", 20.0)
    for frame in frames(11):
        writer.add(frame)
    writer.save()
    with Picture.open(tmp_path / "drive.gif") as gif:
        assert (gif.size, gif.n_frames) == ((640, 360), 6)  # type: ignore[attr-defined]
        assert gif.info["duration"] == 100


def test_a_gif_keeps_to_its_limit(tmp_path: Path) -> None:
    writer = GifWriter(tmp_path / "drive.gif", 10.0, every=1, limit=400_000)
    for frame in frames(12):
        writer.add(frame)
    writer.save()
    assert (tmp_path / "drive.gif").stat().st_size <= 400_000


def test_without_an_encoder_nothing_is_written_and_a_line_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "missing"))
    encoder_problem.cache_clear()
    gif = GifWriter(tmp_path / "drive.gif", 10.0)
    try:
        with Mp4Writer(tmp_path / "drive.mp4", 10.0) as mp4:
            for writer in (mp4, gif):
                writer.add(frames(1)[0])
        gif.save()
    finally:
        encoder_problem.cache_clear()
    assert not mp4.available
    assert list(tmp_path.iterdir()) == []
    assert [message.split(": ")[0] for message in caplog.messages] == [
        f"{tmp_path / name} is not written" for name in ("drive.mp4", "drive.gif")
    ]
    assert all("does not run here" in message and "\n" not in message for message in caplog.messages)


# imageio-ffmpeg does not close its pipe to an ffmpeg that has stopped early.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_encoder_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\n[ "$1" = -version ] && echo "ffmpeg version 1" && exit 0\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    gif = GifWriter(tmp_path / "films" / "drive.gif", 10.0)
    gif.add(frames(1)[0])
    with pytest.raises(StorageError, match=r"drive\.gif: cannot be written: ffmpeg has stopped early"):
        gif.save()

    def write_mp4() -> None:
        with Mp4Writer(tmp_path / "films" / "drive.mp4", 10.0) as writer:
            for frame in frames(3):
                writer.add(frame)

    with pytest.raises(StorageError, match=r"drive\.mp4: cannot be written: ffmpeg has stopped early"):
        write_mp4()
    gc.collect()
    assert list((tmp_path / "films").iterdir()) == []


def test_a_gif_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        GifWriter(tmp_path / "drive.gif", 10.0).save()


def made(outcome: Outcome | None, *turns: Manoeuvre) -> Drive:
    passages = [(10.0 * i, 10.0 * i + 5, turn) for i, turn in enumerate(turns)]
    episode = None if outcome is None else make_drive(outcome, stations=[0, 50], passages=passages)
    return Drive("policy", Scenario("test-1"), episode, 0.1)


def test_the_arrived_drive_with_most_turns_is_shown() -> None:
    lost = made(Outcome.COLLIDED, Manoeuvre.LEFT, Manoeuvre.LEFT, Manoeuvre.LEFT)
    straight = made(Outcome.ARRIVED, Manoeuvre.STRAIGHT, Manoeuvre.STRAIGHT, Manoeuvre.STRAIGHT)
    winding = made(Outcome.ARRIVED, Manoeuvre.LEFT, Manoeuvre.RIGHT)
    assert drive_to_show([lost, straight, made(None), winding]) is winding
    assert drive_to_show([made(None), lost]) is lost
    assert drive_to_show([made(None)]) is None


def test_film_shows_the_measured_drive() -> None:
    config = SimulationConfig(cameras=(Camera(width=16, height=8),))
    scenario = Scenario("test-0", 0, junctions=False)
    with Simulation(config) as simulation:
        measured = drive(simulation, ConstantDriver(0.01), scenario, record_images=False)
        dashboards: list[Image] = []
        outcome = film_dashboard(simulation, ConstantDriver(0.01), scenario, "constant", dashboards.append)
    assert outcome is measured.outcome
    assert len(dashboards) == len(measured) + HOLD_FRAMES
    np.testing.assert_array_equal(dashboards[-1], dashboards[-2])
    assert (dashboards[-1] != dashboards[-HOLD_FRAMES - 1]).any()  # the outcome appears
