from dataclasses import fields

import numpy as np
import pytest

from navsim.driving.drivers import Decision
from navsim.driving.episode import Episode
from navsim.driving.expert import LaneExpert
from navsim.driving.perturbation import SteeringNoise
from navsim.driving.rollout import drive
from navsim.driving.scenario import Scenario
from navsim.driving.simulation import Simulation
from navsim.driving.together import Crew, drive_together, simulations
from navsim.sensing.observation import Observation
from tests.driving.conftest import SMALL

SCENARIOS = [Scenario("train-1", 0, 3), Scenario("train-0", 1, 3, junctions=False), Scenario("train-1", 2, 4)]
NOISE = SteeringNoise(bursts_per_minute=20.0)


class Watcher:
    """A driver whose command depends on what it sees."""

    name = "watcher"

    def begin(self, seed: int) -> None:
        self.bias = (seed % 1000) * 1e-6

    def drive(self, observation: Observation) -> Decision:
        return Decision(float(observation.images.mean()) * 1e-5 + self.bias)


def equal(one: Episode, other: Episode) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in pairs)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_drives_side_by_side_are_those_driven_alone(simulation: Simulation, count: int) -> None:
    alone = {s: drive(simulation, Watcher(), s, NOISE) for s in SCENARIOS}
    with simulations(SMALL, count) as cars:
        together = list(drive_together([Crew(car, Watcher()) for car in cars], SCENARIOS, NOISE))
    assert {episode.scenario for episode in together} == set(SCENARIOS)
    assert all(equal(episode, alone[episode.scenario]) for episode in together)


def test_nothing_is_drawn_for_those_who_do_not_look(simulation: Simulation) -> None:
    with simulations(SMALL, 2) as cars:
        crews = [Crew(car, LaneExpert(SMALL.expert, SMALL.vehicle)) for car in cars]
        together = list(drive_together(crews, SCENARIOS, sense=False))
    assert len(together) == 3
    for episode in together:
        assert len(episode.images) == 0
        alone = drive(simulation, LaneExpert(SMALL.expert, SMALL.vehicle), episode.scenario, sense=False)
        assert equal(episode, alone)


def test_towns_are_shared(simulation: Simulation) -> None:
    with simulations(SMALL, 2) as cars:
        for car in cars:
            car.reset(Scenario("train-1"))
        assert cars[0].town is cars[1].town
