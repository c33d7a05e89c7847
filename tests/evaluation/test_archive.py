"""Drives and the note of whose they are survive on disk, and nothing foreign is taken for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navsim.datasets.episode_files import write_episode
from navsim.errors import EpisodeError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.results_store import drive_path, load_drive, save_drive
from navsim.simulation.scenario import Outcome, Scenario
from tests.evaluation.drives import make_drive

SCENARIO = Scenario("test-4", 7, 2)


def finished() -> Drive:
    episode = make_drive(Outcome.COLLIDED, offsets=[0.0, 0.1, 0.4], scenario=SCENARIO)
    return Drive("policy", SCENARIO, episode, 1.25, decision_seconds=(0.0012344, 0.002))


def test_a_drive_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    save_drive(tmp_path, finished())
    drive = load_drive(tmp_path, "policy", SCENARIO)
    assert (drive.driver, drive.scenario, drive.seconds, drive.error) == ("policy", SCENARIO, 1.25, "")
    assert drive.decision_seconds == pytest.approx((0.001234, 0.002), abs=1e-9)  # whole microseconds
    assert drive.episode is not None
    assert drive.episode.outcome is Outcome.COLLIDED
    np.testing.assert_array_equal(drive.episode.offsets, [0.0, 0.1, 0.4])


def test_a_drive_kept_without_times_of_decisions_can_be_read(tmp_path: Path) -> None:
    episode = finished().episode
    assert episode is not None
    write_episode(episode, drive_path(tmp_path, "policy", SCENARIO), {"seconds": 1.5})
    drive = load_drive(tmp_path, "policy", SCENARIO)
    assert (drive.seconds, drive.decision_seconds) == (1.5, ())


def test_a_drive_that_broke_off_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broke off: NaN"):
        save_drive(tmp_path, Drive("policy", SCENARIO, None, 0.0, "NaN"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_scenario_is_refused(tmp_path: Path) -> None:
    save_drive(tmp_path, finished())
    other = Scenario("test-4", 8, 2)
    drive_path(tmp_path, "policy", SCENARIO).rename(drive_path(tmp_path, "policy", other))
    with pytest.raises(EpisodeError, match="remove it to drive again"):
        load_drive(tmp_path, "policy", other)


def test_a_truncated_drive_is_refused(tmp_path: Path) -> None:
    save_drive(tmp_path, finished())
    path = drive_path(tmp_path, "policy", SCENARIO)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EpisodeError, match=path.name):
        load_drive(tmp_path, "policy", SCENARIO)


def test_distributions_come_back_as_their_transforms(tmp_path: Path) -> None:
    labels = np.array([-0.1, 0.1])
    episode = replace(
        make_drive(Outcome.COLLIDED, scenario=SCENARIO),
        labels=labels,
        grid=np.linspace(-0.2, 0.2, 5),
        densities=np.full((2, 5), 2.5, np.float32),
    )
    save_drive(tmp_path, Drive("policy", SCENARIO, episode, 1.0))
    kept = load_drive(tmp_path, "policy", SCENARIO)
    assert kept.transforms == pytest.approx([0.25, 0.75], abs=1e-6)
    assert kept.episode is not None
    assert (kept.episode.grid.shape, kept.episode.densities.shape) == ((0,), (0, 0))
    save_drive(tmp_path, finished())
    assert load_drive(tmp_path, "policy", SCENARIO).transforms.shape == (0,)
