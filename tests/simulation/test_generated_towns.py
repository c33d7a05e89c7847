"""The expert drives in the towns of every generator, by the truth alone."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from navsim.roads.generators.towns import Generator, Split, TownId
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """One simulation that renders nothing."""
    with Simulation(SimulationConfig(renderer="tiny")) as made:
        yield made


def expert_drives(simulation: Simulation, kind: Generator, towns: int, routes: int) -> list[Episode]:
    """The expert on the first routes of the first test towns."""
    expert = LaneExpert(simulation.config.expert, simulation.config.vehicle)
    scenarios = [
        Scenario(str(TownId(Split.TEST, town, kind)), route) for town, route in product(range(towns), range(routes))
    ]
    return [drive(simulation, expert, scenario, sense=False) for scenario in scenarios]


@pytest.mark.parametrize("kind", list(Generator))
def test_the_expert_arrives_close_to_the_middle_of_its_lane(simulation: Simulation, kind: Generator) -> None:
    for episode in expert_drives(simulation, kind, towns=1, routes=2):
        assert episode.outcome is Outcome.ARRIVED
        assert np.abs(episode.offsets).max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(Generator))
def test_the_expert_arrives_on_75_held_out_routes(simulation: Simulation, kind: Generator) -> None:
    episodes = expert_drives(simulation, kind, towns=25, routes=3)
    assert sum(episode.outcome is Outcome.ARRIVED for episode in episodes) >= 0.99 * len(episodes)
    assert max(np.abs(episode.offsets).max() for episode in episodes) < 0.5
