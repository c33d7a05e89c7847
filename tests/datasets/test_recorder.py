"""Drives recorded one by one make a data folder like any other."""

from dataclasses import replace
from pathlib import Path

import pytest

from navsim.datasets.dataset import checked_episodes, open_dataset
from navsim.datasets.recorder import DriveRecorder
from navsim.drivers.protocol import ConstantDriver
from navsim.errors import ConfigError, StorageError
from navsim.roads.generators.towns import Split
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation

SMALL = SimulationConfig(
    cameras=(Camera(width=32, height=16),), map=MapSpec(size_px=16, ego_row=10, metres_per_pixel=3.0), renderer="tiny"
)


def test_what_is_recorded_can_be_opened_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "by-hand"
    with Simulation(SMALL) as simulation:
        recorder = DriveRecorder(folder, SMALL, simulation.renderer_name)
        for town in ("train-0", "validation-0"):
            scenario = recorder.fresh(Scenario(town, junctions=False))
            recorder.add(drive(simulation, ConstantDriver(0.01), scenario))
        again = DriveRecorder(folder, SMALL, simulation.renderer_name)
        other = again.fresh(Scenario("train-0", junctions=False))
        assert other.seed == 1
        path = again.add(drive(simulation, ConstantDriver(0.01), other), "policy+keyboard")
    train, everything = open_dataset(folder, Split.TRAIN), open_dataset(folder)
    assert (len(train), len(everything)) == (2, 3)
    assert {header.driver for header in everything.headers.values()} == {"keyboard", "policy+keyboard"}
    assert everything.headers[path].metadata["renderer"] == "tiny"
    assert all(error is None for _, error in checked_episodes(folder))
    for episode in train.episodes():
        assert len(episode.images) == len(episode)
        assert (episode.labels != episode.commands).any()  # the expert's, not the hand's


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "x.txt").write_text("x")
    with pytest.raises(StorageError, match=r"holds other files \(.*\) but no drives"):
        DriveRecorder(tmp_path / "notes", SMALL, "tiny")
    DriveRecorder(tmp_path / "data", SMALL, "tiny")
    with pytest.raises(ConfigError, match=r"drives of other settings \(cruise_speed is 8.0 there, 5.0 asked for\)"):
        DriveRecorder(tmp_path / "data", replace(SMALL, cruise_speed=5.0), "tiny")
