from dataclasses import fields

import numpy as np
import pytest

from navsim.drivers.protocol import ConstantDriver, Decision
from navsim.errors import ActionError
from navsim.sensing.observation import Observation
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert, SteeringNoise
from navsim.simulation.rollout import RolloutStep, drive
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from navsim.simulation.simulation import Simulation
from navsim.world.obstacles import ObstacleKind

SCENARIO = Scenario("train-1", 0, 3)
LANE = Scenario("train-1", 0, 3, junctions=False)
NOISE = SteeringNoise(bursts_per_minute=20.0)


def expert(simulation: Simulation) -> LaneExpert:
    return LaneExpert(simulation.config.expert, simulation.config.vehicle)


class Sweeper:
    """A driver whose command depends on what it sees and on its seed."""

    name = "sweeper"

    def begin(self, seed: int) -> None:
        self.bias = (seed % 1000) * 1e-6

    def drive(self, observation: Observation) -> Decision:
        return Decision(float(observation.images.mean()) * 1e-5 + self.bias)


class Broken:
    """A driver that answers with no number."""

    name = "broken"

    def begin(self, seed: int) -> None:
        """Nothing to forget."""

    def drive(self, observation: Observation) -> Decision:
        return Decision(float("nan"))


def test_the_expert_arrives_and_everything_has_its_length(simulation: Simulation) -> None:
    episode = drive(simulation, expert(simulation), SCENARIO)
    steps = len(episode)
    assert episode.outcome is Outcome.ARRIVED
    assert episode.completion == 1.0
    assert episode.images.shape == (steps, 1, 16, 32, 3)
    assert episode.road_maps.shape == episode.route_maps.shape == (steps, 16, 16)
    assert episode.poses.shape == (steps + 1, 3)
    assert np.diff(episode.times) == pytest.approx(np.full(steps, 0.1))
    assert np.abs(episode.offsets).max() < 0.5
    assert episode.distance == pytest.approx(episode.route_length, rel=0.02)
    assert (episode.commands == episode.labels).all()
    assert episode.in_junction.sum() > 10


def test_a_lane_route_has_no_junction(simulation: Simulation) -> None:
    episode = drive(simulation, expert(simulation), LANE, sense=False)
    assert episode.outcome is Outcome.ARRIVED
    assert episode.passages == ()
    assert not episode.in_junction.any()
    assert len(episode.images) == 0
    assert (episode.gps == episode.poses[:-1]).all()


def test_noise_moves_the_car_and_not_the_label(simulation: Simulation) -> None:
    episode = drive(simulation, expert(simulation), SCENARIO, noise=NOISE, sense=False)
    pulled = np.abs(episode.commands - episode.labels) > 1e-9
    assert 0.05 < pulled.mean() < 0.9
    assert np.abs(episode.offsets).max() > 0.2
    # The label is the expert's own answer at the true state: it steers against the offset.
    off = np.abs(episode.offsets[:-1]) > 0.3
    straight = ~episode.in_junction[:-1] & off & (np.abs(episode.heading_errors[:-1]) < 0.03)
    if straight.any():
        assert (np.sign(episode.labels[straight]) == -np.sign(episode.offsets[:-1][straight])).mean() > 0.8


def test_same_scenario_same_episode(simulation: Simulation) -> None:
    a, b = (drive(simulation, expert(simulation), SCENARIO, noise=NOISE) for _ in range(2))
    for item in fields(Episode):
        left, right = getattr(a, item.name), getattr(b, item.name)
        assert (left == right).all() if isinstance(left, np.ndarray) else left == right


def test_another_seed_another_noise(simulation: Simulation) -> None:
    a, b = (
        drive(simulation, expert(simulation), Scenario("train-1", 0, seed), noise=NOISE, sense=False) for seed in (1, 2)
    )
    assert len(a) != len(b) or (a.commands != b.commands).any()


def test_an_off_centre_start_is_recovered(simulation: Simulation) -> None:
    scenario = Scenario("train-1", 0, 3, start=StartOffset(1.0, 8.0))
    episode = drive(simulation, expert(simulation), scenario, sense=False)
    assert episode.outcome is Outcome.ARRIVED
    assert np.abs(episode.offsets[0]) == pytest.approx(1.0, abs=0.05)
    assert np.abs(episode.offsets[30:60]).max() < 0.3


def test_a_driver_is_given_observations_and_a_seed(simulation: Simulation) -> None:
    episode = drive(simulation, Sweeper(), SCENARIO, record_images=False)
    assert episode.driver == "sweeper"
    assert episode.outcome is not Outcome.ARRIVED
    assert episode.completion < 1.0
    assert len(episode.images) == 0
    assert (episode.gps[:, :2] != episode.poses[:-1, :2]).any()
    assert (drive(simulation, Sweeper(), SCENARIO).commands == episode.commands).all()


def test_a_driver_that_looks_needs_sensing(simulation: Simulation) -> None:
    with pytest.raises(ValueError, match="sense=False"):
        drive(simulation, ConstantDriver(), SCENARIO, sense=False)


def test_a_driver_without_a_number_is_an_error(simulation: Simulation) -> None:
    with pytest.raises(ActionError, match="finite"):
        drive(simulation, Broken(), SCENARIO)


def test_a_command_out_of_range_is_an_error(simulation: Simulation) -> None:
    with pytest.raises(ActionError, match="1/m"):
        drive(simulation, ConstantDriver(0.5), SCENARIO)


def test_every_moment_is_shown_before_its_command(simulation: Simulation) -> None:
    moments: list[RolloutStep] = []
    episode = drive(simulation, expert(simulation), LANE, noise=NOISE, on_step=moments.append)
    assert len(moments) == len(episode)
    assert [moment.command for moment in moments] == episode.commands.tolist()
    assert [moment.label for moment in moments] == episode.labels.tolist()
    assert [moment.time_step.state.time for moment in moments] == episode.times[:-1].tolist()


def test_an_episode_tells_what_was_struck(simulation: Simulation) -> None:
    episode = drive(simulation, ConstantDriver(-0.1), LANE, record_images=False)  # onto the kerb
    assert episode.outcome is Outcome.COLLIDED
    assert episode.struck is ObstacleKind.KERB
    assert drive(simulation, expert(simulation), LANE, sense=False).struck is None
