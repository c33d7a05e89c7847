from pathlib import Path

import numpy as np
import pytest
import torch

from agents.driver import PolicyDriver
from agents.training.checkpoint import save_checkpoint
from navsim.driving.drivers import Driver
from navsim.driving.rollout import drive
from navsim.driving.scenario import Outcome, Scenario
from navsim.driving.simulation import Simulation
from navsim.errors import CheckpointError
from navsim.geometry import Pose
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec
from tests.agents.small_runs import CAMERAS, MAP, SIMULATION, small_episode, small_info, small_policy


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    policy = small_policy(seed=1)
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, small_info(policy), policy)
    return path


def made_observation(index: int = 0) -> Observation:
    episode = small_episode()
    images, road, route = episode.images[index], episode.road_maps[index], episode.route_maps[index]
    return Observation(images, road, route, 5.0, Pose(0.0, 0.0, 0.0))


def test_it_is_a_driver_that_decides_with_a_density(checkpoint: Path) -> None:
    driver = PolicyDriver(checkpoint, CAMERAS, MAP, name="mine")
    assert isinstance(driver, Driver)
    assert driver.name == "mine"
    driver.begin(3)
    decision = driver.drive(made_observation())
    assert -0.2 <= decision.curvature <= 0.2
    assert decision.grid is not None
    assert decision.density is not None
    assert (np.diff(decision.grid) > 0).all()
    assert abs(decision.grid[decision.density.argmax()] - decision.curvature) <= 0.4 / 160 + 1e-9


def test_the_same_observation_gives_the_same_decision(checkpoint: Path) -> None:
    driver = PolicyDriver(checkpoint, CAMERAS, MAP)
    first = driver.drive(made_observation())
    driver.drive(made_observation(1))
    driver.begin(1)
    assert driver.drive(made_observation()).curvature == first.curvature
    assert driver.drive(made_observation(1)).curvature != first.curvature


def test_it_does_not_touch_what_it_is_shown(checkpoint: Path) -> None:
    observation = made_observation()
    for values in (observation.images, observation.road_map, observation.route_map):
        values.flags.writeable = False
    before = observation.images.copy()
    PolicyDriver(checkpoint, CAMERAS, MAP).drive(observation)
    np.testing.assert_array_equal(observation.images, before)


def test_another_map_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="made for the map"):
        PolicyDriver(checkpoint, CAMERAS, MapSpec())


def test_driving_leaves_gradients_enabled(checkpoint: Path) -> None:
    PolicyDriver(checkpoint, CAMERAS, MAP).drive(made_observation())
    assert torch.is_grad_enabled()


def test_it_drives_a_car_through_a_town(checkpoint: Path) -> None:
    with Simulation(SIMULATION) as simulation:
        driver = PolicyDriver(checkpoint, CAMERAS, MAP)
        episode = drive(simulation, driver, Scenario("validation-0", junctions=False))
    assert episode.driver == "policy"
    assert episode.outcome in set(Outcome)
    assert len(np.unique(episode.commands)) > 1
