"""Replays of recorded drives: the same states bit by bit, or a clear line about the difference."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navsim.config import to_mapping
from navsim.datasets.dataset import IDENTITY_NAME
from navsim.datasets.episode_files import read_episode, write_episode
from navsim.drivers.protocol import Decision
from navsim.errors import EpisodeError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.results_store import drive_path, save_drive
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert, SteeringNoise
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Scenario, StartOffset
from navsim.simulation.simulation import Simulation
from navsim.viewer.replay import check_replay, play, read_recording
from navsim.world.vehicle import VehicleState

SMALL = SimulationConfig(
    cameras=(Camera(width=32, height=16),), map=MapSpec(size_px=16, ego_row=10, metres_per_pixel=3.0), renderer="tiny"
)
SCENARIO = Scenario("test-3", 2, seed=3, junctions=False, start=StartOffset(0.3, -2.0))
GRID = np.linspace(-0.2, 0.2, 21)


class Unsure(LaneExpert):
    """The expert, with a distribution around its command."""

    def command(self, state: VehicleState) -> Decision:
        curvature = super().command(state).curvature
        return Decision(curvature, GRID, np.exp(-0.5 * ((GRID - curvature) / 0.03) ** 2))


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    with Simulation(SMALL) as opened:
        yield opened


@pytest.fixture(scope="module")
def driven(simulation: Simulation) -> Episode:
    """Return a drive with images and steering noise."""
    driver = Unsure(SMALL.expert, SMALL.vehicle)
    return drive(simulation, driver, SCENARIO, noise=SteeringNoise(40.0))


def recorded(driven: Episode, folder: Path, **metadata: object) -> Path:
    path = folder / "drive.parquet"
    write_episode(driven, path, metadata or {"simulation": to_mapping(SMALL)})
    return path


def test_distributions_are_kept_with_the_drive(driven: Episode, tmp_path: Path) -> None:
    path = recorded(driven, tmp_path)
    again = read_episode(path)
    assert again.densities.shape == (len(driven), len(GRID))
    np.testing.assert_array_equal(again.grid, GRID)
    np.testing.assert_array_equal(again.densities, driven.densities)
    peaks = GRID[again.densities.argmax(axis=1)]
    assert np.abs(peaks - np.clip(driven.labels, -0.2, 0.2)).max() < 0.02
    assert read_episode(path, images=False).densities.shape == (0, 0)


def test_a_replay_is_exact(simulation: Simulation, driven: Episode, tmp_path: Path) -> None:
    recording = read_recording(recorded(driven, tmp_path))
    assert recording.simulation == SMALL
    assert check_replay(simulation, recording) == ""
    shown: list[RolloutStep] = []
    assert play(simulation, recording, shown.append).outcome is driven.outcome
    assert len(shown) == len(driven)
    for index, step in enumerate(shown):
        assert step.time_step.state.pose == driven.pose(index)
        assert step.command == driven.commands[index]
        assert step.label == driven.labels[index]
        assert step.time_step.observation is not None
        np.testing.assert_array_equal(step.time_step.observation.images, driven.images[index])
        assert step.decision.density is not None
        np.testing.assert_array_equal(step.decision.density, driven.densities[index])


def test_a_drive_without_images_is_rendered_again_as_it_was(
    simulation: Simulation, driven: Episode, tmp_path: Path
) -> None:
    nothing = driven.images[:0], driven.road_maps[:0], driven.route_maps[:0]
    bare = replace(driven, images=nothing[0], road_maps=nothing[1], route_maps=nothing[2])
    shown: list[RolloutStep] = []
    play(simulation, read_recording(recorded(bare, tmp_path)), shown.append)
    for index in (0, len(driven) // 2, len(driven) - 1):
        observation = shown[index].time_step.observation
        assert observation is not None
        np.testing.assert_array_equal(observation.images, driven.images[index])
        np.testing.assert_array_equal(observation.road_map, driven.road_maps[index])


@pytest.mark.parametrize("index", [0, 7])
def test_a_pose_that_differs_is_reported(simulation: Simulation, driven: Episode, tmp_path: Path, index: int) -> None:
    poses = driven.poses.copy()
    poses[index, 0] += 1e-9
    found = check_replay(simulation, read_recording(recorded(replace(driven, poses=poses), tmp_path)))
    assert f"poses differ from {driven.times[index]:.1f} s on, there by 1e-09 m" in found
    assert found.endswith("the recorded states are shown")


def test_another_simulation_is_noticed(simulation: Simulation, driven: Episode, tmp_path: Path) -> None:
    other = replace(SMALL, cruise_speed=6.0)
    recording = read_recording(recorded(driven, tmp_path, simulation=to_mapping(other)))
    with Simulation(recording.simulation) as slower:
        assert "poses differ" in check_replay(slower, recording)


def test_the_simulation_is_in_the_header_or_in_the_folder_of_the_evaluation(driven: Episode, tmp_path: Path) -> None:
    drives = tmp_path / "run" / "drives" / "a-part"
    save_drive(drives, Drive("policy", SCENARIO, driven, 1.0), {"simulation": to_mapping(SMALL)})
    assert read_recording(drive_path(drives, "policy", SCENARIO)).simulation == SMALL
    save_drive(drives, Drive("older", SCENARIO, driven, 1.0))
    path = drive_path(drives, "older", SCENARIO)
    with pytest.raises(EpisodeError, match="its simulation is unknown"):
        read_recording(path)
    (tmp_path / "run" / IDENTITY_NAME).write_text(json.dumps({"simulation": to_mapping(SMALL)}))
    assert read_recording(path).simulation == SMALL
    (tmp_path / "run" / IDENTITY_NAME).write_text(json.dumps({"simulation": {"renderer": "crayon"}}))
    with pytest.raises(EpisodeError, match="renderer = 'crayon'"):
        read_recording(path)


def test_a_file_that_is_not_a_drive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(EpisodeError, match="no such episode file"):
        read_recording(path)
    path.write_text("nothing")
    with pytest.raises(EpisodeError, match="not a Parquet file"):
        read_recording(path)
