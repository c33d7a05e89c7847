"""Driver and expert in turns: who drives when, and that the label is always the expert's."""

from dataclasses import replace

import numpy as np
import pytest

from navsim.drivers.protocol import ConstantDriver, Decision, ExpertMixtureDriver
from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.seeding import generator
from navsim.sensing.observation import Observation
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import RolloutSlot, RolloutStep, drive, drive_batch
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation, simulations
from tests.datasets.synthetic_episodes import assert_same_episode
from tests.simulation.conftest import SMALL

SCENARIO = Scenario("train-1", 0, 3)
OBSERVATION = Observation(
    np.zeros((1, 8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8), 0.0, Pose(0.0, 0.0, 0.0)
)
EXPERT = Decision(0.2)


class Counter:
    """Steers by the number of times that it was asked."""

    name = "counter"

    def begin(self, seed: int) -> None:
        self.asked = 0

    def drive(self, observation: Observation) -> Decision:
        self.asked += 1
        return Decision(-0.001 * self.asked)


def turns(mixture: ExpertMixtureDriver, steps: int, seed: int = 5) -> list[bool]:
    """In which steps the expert drives."""
    mixture.begin(seed)
    return [mixture.choose(OBSERVATION, EXPERT) is EXPERT for _ in range(steps)]


def test_turns_are_drawn_once_a_window() -> None:
    draws = generator(5, "turns").random(4)
    expected = [bool(draw < 0.5) for draw in draws for _ in range(3)]
    assert turns(ExpertMixtureDriver(ConstantDriver(), 0.5, 3), 12) == expected
    assert len(set(expected)) == 2


@pytest.mark.parametrize(("share", "window"), [(0.5, 1), (0.25, 1), (0.125, 2)])
def test_the_share_is_kept(share: float, window: int) -> None:
    windows = 4000
    driven = np.mean(turns(ExpertMixtureDriver(ConstantDriver(), share, window), windows * window))
    assert driven == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / windows))


def test_all_or_nothing() -> None:
    assert all(turns(ExpertMixtureDriver(ConstantDriver(), 1.0, 2), 50))
    assert not any(turns(ExpertMixtureDriver(ConstantDriver(), 0.0, 2), 50))


def test_the_driver_decides_at_every_step() -> None:
    driver = Counter()
    mixture = ExpertMixtureDriver(driver, 1.0, 2)
    turns(mixture, 7)
    assert driver.asked == 7
    assert mixture.name == "counter+expert"


@pytest.mark.parametrize(("share", "window"), [(-0.1, 1), (1.1, 1), (0.5, 0)])
def test_impossible_mixtures_are_refused(share: float, window: int) -> None:
    with pytest.raises(ConfigError, match=f"{share}, {window}"):
        ExpertMixtureDriver(ConstantDriver(), share, window)


def test_labels_are_the_experts_whatever_was_driven(simulation: Simulation) -> None:
    episode = drive(simulation, ExpertMixtureDriver(ConstantDriver(0.01), 0.5, 4), SCENARIO)
    own = episode.commands == 0.01
    assert 0 < own.sum() < len(episode)
    assert (episode.commands[~own] == episode.labels[~own]).all()
    assert (episode.labels[own] != 0.01).all()
    labeller = LaneExpert(SMALL.expert, SMALL.vehicle)
    labeller.follow(simulation.route)
    labels: list[float] = []

    def ask(rollout_step: RolloutStep) -> None:
        labels.append(labeller.command(rollout_step.time_step.state).curvature)

    drive(simulation, ExpertMixtureDriver(ConstantDriver(0.01), 0.5, 4), SCENARIO, on_step=ask)
    assert episode.labels == pytest.approx(labels)


def test_an_expert_all_the_time_is_the_expert(simulation: Simulation) -> None:
    mixed = drive(simulation, ExpertMixtureDriver(ConstantDriver(), 1.0, 5), SCENARIO)
    alone = drive(simulation, LaneExpert(SMALL.expert, SMALL.vehicle), SCENARIO)
    assert mixed.driver == "constant+expert"
    assert_same_episode(replace(mixed, driver="expert"), alone)


def test_a_drive_that_fails_keeps_its_frames(simulation: Simulation) -> None:
    episode = drive(simulation, ExpertMixtureDriver(ConstantDriver(0.15), 0.0, 5), SCENARIO)
    assert episode.outcome is not Outcome.ARRIVED
    assert len(episode.images) == len(episode.labels) == len(episode) > 5


def test_side_by_side_as_alone(simulation: Simulation) -> None:
    scenarios = [SCENARIO, Scenario("train-1", 1, 3), Scenario("train-1", 2, 3)]
    with simulations(SMALL, 2) as cars:
        together = list(
            drive_batch([RolloutSlot(car, ExpertMixtureDriver(Counter(), 0.5, 5)) for car in cars], scenarios)
        )
    for episode in together:
        assert_same_episode(episode, drive(simulation, ExpertMixtureDriver(Counter(), 0.5, 5), episode.scenario))
