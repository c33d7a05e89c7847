"""Films hold the drive that was measured, in files of the promised size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from navsim.drivers.protocol import ConstantDriver
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.run import drive_to_show
from navsim.roads.elements import Manoeuvre
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from navsim.visualization.video import HOLD_FRAMES, GifWriter, Mp4Writer, film
from tests.evaluation.drives import make_drive


def frames(count: int) -> list[Image]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, 90, 160, 3))
    return [cv2.resize(picture.astype(np.uint8), (640, 360)).astype(np.uint8) for picture in noise]


def test_mp4_holds_all_frames_at_their_rate(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    with Mp4Writer(path, 10.0) as writer:
        for frame in frames(12):
            writer.add(frame)
        assert not path.exists()
    if not writer.available:
        pytest.skip("this OpenCV has no mp4v encoder")
    film_ = cv2.VideoCapture(str(path))
    assert film_.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    assert film_.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    film_.release()


def test_an_interrupted_mp4_is_not_there(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Mp4Writer(tmp_path / "drive.mp4", 10.0) as writer:
            writer.add(frames(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_gif_takes_every_second_frame(tmp_path: Path) -> None:
    writer = GifWriter(tmp_path / "drive.gif", 20.0)
    for frame in frames(11):
        writer.add(frame)
    writer.save()
    with Picture.open(tmp_path / "drive.gif") as gif:
        assert (gif.size, gif.n_frames) == ((640, 360), 6)  # type: ignore[attr-defined]
        assert gif.info["duration"] == 100


def test_gif_keeps_to_its_limit(tmp_path: Path) -> None:
    writer = GifWriter(tmp_path / "drive.gif", 10.0, every=1, limit=400_000)
    for frame in frames(12):
        writer.add(frame)
    writer.save()
    assert (tmp_path / "drive.gif").stat().st_size <= 400_000


def test_gif_of_nothing_is_refused(tmp_path: Path) -> None:
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
        panels: list[Image] = []
        outcome = film(simulation, ConstantDriver(0.01), scenario, "constant", panels.append)
    assert outcome is measured.outcome
    assert len(panels) == len(measured) + HOLD_FRAMES
    np.testing.assert_array_equal(panels[-1], panels[-2])
    assert (panels[-1] != panels[-HOLD_FRAMES - 1]).any()  # the outcome appears
