from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.drivers.policy_driver import PolicyDriver
from agents.policies.checkpoint import save_checkpoint
from navsim.drivers.action_selection import BATCH_CARS, ActingConfig, ActionDistribution, LearnedDriver, Rule
from navsim.drivers.protocol import BatchDriver, Decision, Driver
from navsim.errors import CheckpointError
from navsim.geometry import Array, Pose
from navsim.roads.elements import DrivingSide
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
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
    driver.begin(0)
    assert driver.drive(made_observation(1)).curvature != first.curvature
    driver.begin(1)
    assert driver.drive(made_observation()).curvature == first.curvature


def test_where_traffic_keeps_left_decisions_and_saliency_are_mirrored(checkpoint: Path) -> None:
    driver, seen = PolicyDriver(checkpoint, CAMERAS, MAP), replace(made_observation(), cameras=CAMERAS)
    left = replace(
        seen,
        images=seen.images[:, :, ::-1],
        road_map=seen.road_map[:, ::-1],
        route_map=seen.route_map[:, ::-1],
        side=DrivingSide.LEFT,
    )
    decision, mirrored = driver.drive(seen), driver.drive(left)
    assert mirrored.curvature == -decision.curvature != 0
    assert decision.density is not None
    assert mirrored.density is not None
    np.testing.assert_array_equal(mirrored.density, decision.density[::-1])
    saliency, other = driver.explain(seen), driver.explain(left)
    assert saliency.images is not None
    assert saliency.maps is not None
    np.testing.assert_array_equal(other.images, saliency.images[:, :, ::-1])
    np.testing.assert_array_equal(other.maps, saliency.maps[:, ::-1])


def test_explain_returns_saliency(checkpoint: Path) -> None:
    driver, observation = PolicyDriver(checkpoint, CAMERAS, MAP), made_observation()
    saliency, again = driver.explain(observation), driver.explain(observation)
    assert saliency.images is not None
    assert saliency.maps is not None
    assert saliency.images.shape == observation.images.shape[:3]
    assert saliency.maps.shape == observation.road_map.shape
    assert min(saliency.images.min(), saliency.maps.min()) >= 0
    assert saliency.images.max() > 0
    np.testing.assert_array_equal(saliency.images, again.images)
    before = driver.drive(observation).curvature
    driver.explain(made_observation(1))
    assert driver.drive(observation).curvature == before


def test_observations_are_not_modified(checkpoint: Path) -> None:
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


def many_observations(count: int) -> dict[int, Observation]:
    episode = small_episode(steps=count)
    frames = zip(episode.images, episode.road_maps, episode.route_maps, strict=True)
    return {car: Observation(*frame, 5.0, Pose(0.0, 0.0, 0.0)) for car, frame in enumerate(frames)}


def density(decision: Decision) -> Array:
    assert decision.density is not None
    return decision.density


def test_several_cars_in_one_pass_drive_as_each_alone(checkpoint: Path) -> None:
    driver, seen = PolicyDriver(checkpoint, CAMERAS, MAP), many_observations(2 * BATCH_CARS + 3)
    assert isinstance(driver, BatchDriver)
    for car in seen:
        driver.begin_car(car, 0)
    together = driver.drive_cars(seen)
    assert list(together) == list(seen)
    for car, observation in seen.items():
        alone = driver.drive(observation)
        assert together[car].curvature == pytest.approx(alone.curvature, abs=1e-6)
        np.testing.assert_allclose(density(together[car]), density(alone), rtol=1e-3, atol=1e-3)


def test_a_decision_does_not_depend_on_other_cars_in_the_batch(checkpoint: Path) -> None:
    driver, seen = PolicyDriver(checkpoint, CAMERAS, MAP), many_observations(BATCH_CARS)
    for car in seen:
        driver.begin_car(car, 0)
    together = driver.drive_cars(seen)
    for others in ([3], [3, 0], [5, 3, 7, 1], [7, 6, 5, 4, 3, 2]):
        fewer = driver.drive_cars({car: seen[car] for car in others})
        for car in others:
            assert fewer[car].curvature == together[car].curvature
            np.testing.assert_array_equal(density(fewer[car]), density(together[car]))


class Fork(LearnedDriver):
    """Sees a way to the left and one to the right, of which the brighter the picture, the likelier is the left one."""

    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        grid = np.linspace(-0.2, 0.2, 401)
        shares = [float(seen.images.mean()) / 255 for seen in observations]
        ways = np.exp(-(((grid + 0.1) / 0.01) ** 2)), np.exp(-(((grid - 0.1) / 0.01) ** 2))
        modes = [0.1 if share > 0.5 else -0.1 for share in shares]
        return [
            ActionDistribution(grid, (1 - share) * ways[0] + share * ways[1], mode, 0.0)
            for share, mode in zip(shares, modes, strict=True)
        ]


def lit(brightness: int) -> Observation:
    picture = np.full((1, 4, 4, 3), brightness, np.uint8)
    return Observation(picture, picture[0, ..., 0], picture[0, ..., 0], 5.0, Pose(0.0, 0.0, 0.0))


def test_each_car_has_its_own_memory_until_its_next_drive() -> None:
    driver = Fork("fork", ActingConfig("follow_mode"))
    for car in (0, 1):
        driver.begin_car(car, 0)
    driver.begin(0)
    first = driver.drive_cars({0: lit(150), 1: lit(100)})
    assert (first[0].curvature, first[1].curvature) == (0.1, -0.1)
    assert driver.drive(lit(100)).curvature == -0.1
    for brightness in (120, 135, 110):
        later = driver.drive_cars({0: lit(brightness), 1: lit(brightness)})
        assert later[0].curvature == pytest.approx(0.1)
        assert later[1].curvature == pytest.approx(-0.1)
        assert driver.drive(lit(brightness)).curvature == pytest.approx(-0.1)
    driver.begin_car(0, 0)
    assert driver.drive_cars({0: lit(110)})[0].curvature == -0.1


def test_the_rule_is_that_of_the_settings() -> None:
    swaying = Fork("fork", ActingConfig("mode"))
    swaying.begin(0)
    assert [swaying.drive(lit(brightness)).curvature for brightness in (150, 100, 150)] == [0.1, -0.1, 0.1]


def test_samples_depend_on_the_seed_of_the_drive_alone() -> None:
    driver = Fork("fork", ActingConfig("sample_hold", hold_steps=1))
    drawn = []
    for seed in (1, 1, 2):
        driver.begin(seed)
        drawn.append([driver.drive(lit(128)).curvature for _ in range(5)])
    assert drawn[0] == drawn[1] != drawn[2]


class Undecided(LearnedDriver):
    """Sees two ways wherever it is, one a little to the left and one to the right, nearly equal and never the same."""

    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        grid = np.linspace(-0.2, 0.2, 401)
        ways = [np.exp(-(((grid - at) / 0.004) ** 2)) for at in (-0.015, 0.015)]
        shares = [0.5 + 0.15 * np.sin(1e3 * seen.gps.x) for seen in observations]
        densities = [(1 - share) * ways[0] + share * ways[1] for share in shares]
        return [ActionDistribution(grid, density, float(grid[density.argmax()]), 0.0) for density in densities]


def test_in_a_town_it_follows_the_chosen_mode() -> None:
    reversals = {}
    with Simulation(SIMULATION) as simulation:
        rules: tuple[Rule, ...] = ("mode", "follow_mode")
        for rule in rules:
            driver = Undecided("undecided", ActingConfig(rule))
            commands = drive(
                simulation, driver, Scenario("validation-0", junctions=False), record_images=False
            ).commands
            assert np.abs(commands) == pytest.approx(0.015, abs=1e-3)
            reversals[rule] = int((np.diff(np.sign(commands)) != 0).sum())
    assert reversals["mode"] > 5
    assert reversals["follow_mode"] == 0


def test_it_drives_a_car_through_a_town(checkpoint: Path) -> None:
    with Simulation(SIMULATION) as simulation:
        driver = PolicyDriver(checkpoint, CAMERAS, MAP)
        episode = drive(simulation, driver, Scenario("validation-0", junctions=False))
    assert episode.driver == "policy"
    assert episode.outcome in set(Outcome)
    assert len(np.unique(episode.commands)) > 1
