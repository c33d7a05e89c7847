"""The policies that come with the project drive with this code, in towns that they have never seen."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import agents
import navsim
from agents.drivers.onnx_driver import ONNX_NAME
from agents.drivers.registry import PolicyEvaluationConfig, resolve
from agents.export.graph import TOLERANCE, DrivingGraph, driven_observations, largest_difference
from agents.policies import WEIGHTS_NAME
from agents.policies.checkpoint import load_policy
from agents.training.closed_loop import ClosedLoop, ClosedLoopConfig
from navsim.errors import CheckpointError, ConfigError
from navsim.roads.generators.towns import TOWN_GENERATORS
from navsim.simulation.config import SimulationConfig

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "policies"
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


def test_a_policy_of_the_project_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_path = agents.load_policy(FOLDER / "reference" / WEIGHTS_NAME, SIMULATION.cameras, SIMULATION.map)
    for name in ("reference", "policies/reference", f"policies/reference/{WEIGHTS_NAME}"):
        found = agents.load_policy(name)
        torch.testing.assert_close(found.head.weight, by_path.head.weight)
        assert (found.temperature, found.levels) == (by_path.temperature, by_path.levels)
    named, by_file, exported = resolve(
        PolicyEvaluationConfig(driver=("reference", f"file=policies/reference/{WEIGHTS_NAME}", "graph=onnx:reference"))
    )
    assert [named.name, by_file.name, exported.name] == ["reference", "file", "graph"]
    assert named.digest == by_file.digest != exported.digest
    (tmp_path / "reference").mkdir()
    with pytest.raises(ConfigError, match="unknown driver 'reference'"):
        resolve(PolicyEvaluationConfig(driver=("reference",)))
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        agents.load_policy("reference")


def test_every_public_name_is_there() -> None:
    for package in (agents, navsim):
        assert {name: getattr(package, name).__name__ for name in package.__all__} == {n: n for n in package.__all__}
        with pytest.raises(AttributeError, match="has no attribute 'Simulations'"):
            _ = package.Simulations


def test_importing_the_packages_imports_nothing_heavy() -> None:
    program = "import sys, agents, navsim; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "cv2", "scipy", "pybullet", "moderngl"} & set(done.stdout.split())
