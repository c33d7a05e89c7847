"""The expert drives in towns from extracts with what maps of real streets contain."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import Simulation
from tests.roads.osm.osm_documents import Document, carriageways, grid, roundabout


@pytest.fixture(scope="module")
def simulation() -> Iterator[Simulation]:
    """One simulation that renders nothing."""
    with Simulation(SimulationConfig(renderer="tiny")) as made:
        yield made


def wide_streets() -> Document:
    """Return streets of six, eight, six and two, and six lanes one-way, at right angles."""
    document = grid(3, 3, 150.0)
    kinds = [
        {"lanes": "6"},
        {"lanes": "8"},
        {},
        {"lanes:forward": "4", "lanes:backward": "2"},
        {"lanes": "6", "oneway": "yes"},
        {},
    ]
    document.ways = [
        (nodes, {"highway": "primary", **kind}) for (nodes, _), kind in zip(document.ways, kinds, strict=True)
    ]
    return document


def roundabouts() -> Document:
    """Return a ring of two streets."""
    return roundabout(19.0, [0.0, 180.0])


def close_carriageways() -> Document:
    """Return two carriageways of three lanes whose lanes would overlap."""
    three = {"oneway": "yes", "lanes": "3"}
    return carriageways(6.0, three, three)


@pytest.mark.parametrize("make", [wide_streets, roundabouts, close_carriageways])
def test_the_expert_arrives_close_to_the_middle_of_its_lane(
    simulation: Simulation, tmp_path: Path, make: Callable[[], Document]
) -> None:
    path = make().write(tmp_path / "map.osm")
    expert = LaneExpert(simulation.config.expert, simulation.config.vehicle)
    for route in range(2):
        episode = drive(simulation, expert, Scenario(f"osm:{path}", route), sense=False)
        assert episode.outcome is Outcome.ARRIVED
        assert np.abs(episode.offsets).max() < 0.5
