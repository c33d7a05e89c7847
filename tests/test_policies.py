"""The policies that come with the project drive with this code, in towns that they have never seen."""

from pathlib import Path

import pytest
import torch

from agents.drivers.onnx_driver import ONNX_NAME
from agents.export.graph import TOLERANCE, DrivingGraph, driven_observations, largest_difference
from agents.policies import WEIGHTS_NAME
from agents.policies.checkpoint import load_policy
from agents.training.closed_loop import ClosedLoop, ClosedLoopConfig
from navsim.roads.generators.towns import TOWN_GENERATORS
from navsim.simulation.config import SimulationConfig

FOLDER = Path(__file__).parents[1] / "policies"
SIMULATION = SimulationConfig()


def test_the_reference_policy_arrives_in_every_kind_of_town() -> None:
    routes = ClosedLoopConfig(every=1, routes=4, towns=4, num_envs=4, seed=1, generators=TOWN_GENERATORS)
    with ClosedLoop(routes, SIMULATION) as loop:
        scores = loop.drive(FOLDER / "reference" / WEIGHTS_NAME, stop=lambda: False)
    assert scores is not None
    assert scores.arrived == scores.routes == 4


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_graph_and_weights_are_one_policy(name: str) -> None:
    weights = FOLDER / name / WEIGHTS_NAME
    policy = load_policy(weights, SIMULATION.cameras, SIMULATION.map)
    graph = DrivingGraph(policy).eval()
    senses = driven_observations(SIMULATION.cameras, SIMULATION.map, count=4)
    with torch.inference_mode():
        assert largest_difference((FOLDER / name / ONNX_NAME).read_bytes(), graph, senses) < TOLERANCE


def test_only_the_unrouted_policy_sees_no_route() -> None:
    inputs = {
        path.name: load_policy(path / WEIGHTS_NAME, SIMULATION.cameras, SIMULATION.map).config.inputs
        for path in FOLDER.iterdir()
    }
    assert inputs == {"reference": ("camera", "road_map", "route_map"), "unrouted": ("camera", "road_map")}
