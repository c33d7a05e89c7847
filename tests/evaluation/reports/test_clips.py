"""Clips of failures: the right drives, their last seconds, as pictures that move."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from navsim.datasets.episode_files import write_episode
from navsim.drivers.protocol import ConstantDriver
from navsim.errors import EpisodeError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.failures import CLIP_WIDTH, clips, tail, worth_clips
from navsim.evaluation.reports.results import drive_mapping
from navsim.sensing.camera import Camera
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from tests.drivers.faulty_drivers import SureDriver
from tests.evaluation.drives import make_drive

SIMULATION = SimulationConfig(cameras=(Camera(width=32, height=16),), renderer="tiny")


def ended(outcome: Outcome | None, route: int) -> dict[str, Any]:
    scenario = Scenario("test-1", route)
    episode = None if outcome is None else make_drive(outcome, scenario=scenario)
    return drive_mapping(Drive("policy", scenario, episode, 0.1))


def test_every_kind_of_failure_has_its_turn() -> None:
    kinds = [Outcome.LEFT_ROAD, Outcome.ARRIVED, Outcome.LEFT_ROAD, Outcome.STUCK, None, Outcome.LEFT_ROAD]
    rows = [ended(kind, route) for route, kind in enumerate(kinds)]
    assert [row["scenario"]["route"] for row in worth_clips(rows, 3)] == [0, 3, 2]
    assert [row["scenario"]["route"] for row in worth_clips(rows, 9)] == [0, 3, 2, 5]
    assert worth_clips(rows, 0) == ()


def test_a_tail_is_the_end_of_a_drive() -> None:
    episode = make_drive(Outcome.COLLIDED, stations=np.linspace(0, 100, 101).tolist())
    episode = replace(episode, grid=np.arange(3.0), densities=np.tile(np.arange(100.0)[:, None], 3))
    end = tail(episode, 2.0)  # steps of 0.1 s
    assert len(end) == 20
    assert (end.times[0], end.times[-1]) == (pytest.approx(8.0), pytest.approx(10.0))
    assert end.stations[-1] == 100.0
    assert end.densities[:, 0].tolist() == list(range(80, 100))
    assert end.outcome is Outcome.COLLIDED
    assert len(tail(episode, 1000.0)) == 100
    assert len(tail(episode, 0.0)) == 1


def test_clips_move_and_hold_the_last_seconds(tmp_path: Path) -> None:
    paths = []
    with Simulation(SIMULATION) as simulation:
        for number, driver in enumerate((ConstantDriver(), SureDriver(0.05))):
            episode = drive(simulation, driver, Scenario("test-1", number), record_images=False)
            paths.append(tmp_path / f"{number}.parquet")
            write_episode(episode, paths[-1], {})
    shown = list(clips(SIMULATION, paths))
    assert len(shown) == 2
    for clip in shown:
        picture = Picture.open(BytesIO(clip))
        assert picture.format == "WEBP"
        assert picture.width == CLIP_WIDTH
        assert 2 <= picture.n_frames <= 26  # type: ignore[attr-defined]
        assert len(clip) < 300_000
    with pytest.raises(EpisodeError, match=r"none\.parquet"):
        list(clips(SIMULATION, [tmp_path / "none.parquet"]))
