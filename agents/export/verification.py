"""Whether an exported policy answers as the policy itself. B: batch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agents.drivers.driver import stacked_senses
from agents.drivers.facts import INPUTS
from agents.drivers.onnx_driver import open_session
from agents.export.graph import DrivingGraph
from agents.policies.networks.observation_batch import Senses, SensesSpec
from navsim.errors import CheckpointError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.expert import LaneExpert
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation, SimulationConfig

Floats = NDArray[np.float32]

TOLERANCE = 1e-4
"""How far an exported policy's answer may lie from the policy's own: in the network's numbers, in curvatures as shares
of the vehicle's range, and in densities as shares of the highest one of a situation."""

_CURVATURES = ("steering", "mode", "mean", "command", "means", "scales")


def random_senses(spec: SensesSpec, count: int, seed: int = 0) -> Senses:
    """Noise in all pictures, for `count` situations."""
    draws = torch.Generator().manual_seed(seed)

    def pictures(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, (count, *shape), generator=draws, dtype=torch.uint8)

    return Senses(
        pictures(spec.cameras, spec.height, spec.width, 3),
        pictures(spec.map_size, spec.map_size),
        pictures(spec.map_size, spec.map_size),
        10 * torch.rand(count, generator=draws),
    )


def driven_senses(cameras: Sequence[Camera], map_spec: MapSpec, count: int, every: int = 10) -> Senses:
    """What a car sees on a drive through a town, at `count` moments `every` control steps apart."""
    config = SimulationConfig(cameras=tuple(cameras), map=map_spec)
    seen = []
    with Simulation(config) as simulation:
        situation = simulation.begin(Scenario("validation-0"))
        expert = LaneExpert(config.expert, config.vehicle)
        expert.follow(simulation.route)
        for step in range(count * every):
            if step % every == 0:
                seen.append(simulation.see(situation).observation)
            situation = simulation.advance(expert.command(situation.state).curvature)
    return stacked_senses([observation for observation in seen if observation is not None])


def largest_difference(data: bytes, graph: DrivingGraph, senses: Senses) -> float:
    """How far the ONNX file `data` is from `graph` on `senses`, all at once and one by one; see `TOLERANCE`.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If it does not run the file.
    """
    session = open_session(data, Path("the exported graph"))
    limit, worst = graph.policy.config.max_curvature, 0.0
    for part in (senses, *(senses[slice(i, i + 1)] for i in range(len(senses)))):
        values = (part.images, part.road_map, part.route_map, part.speed)
        with torch.inference_mode():
            expected = {name: value.numpy() for name, value in graph(*values).items()}
        fed = {name: value.numpy() for name, value in zip(INPUTS, values, strict=True)}
        found = session.run(list(expected), fed)
        worst = max(worst, *(_difference(n, f, e, limit) for f, (n, e) in zip(found, expected.items(), strict=True)))
    return worst


def check_graph(data: bytes, graph: DrivingGraph, senses: Sequence[Senses]) -> float:
    """Compare the ONNX file `data` with `graph` on all of `senses`; returns the largest difference.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If they differ by more than `TOLERANCE`, or onnxruntime does not run the file.
    """
    worst = max(largest_difference(data, graph, part) for part in senses)
    if not worst <= TOLERANCE:
        raise CheckpointError(f"the exported graph differs from the policy by {worst:.2g}, more than {TOLERANCE:g}")
    return worst


def _difference(name: str, found: Floats, expected: Floats, max_curvature: float) -> float:
    """The largest difference of one output, in the unit that `TOLERANCE` is meant in."""
    gap = np.abs(found - expected)
    if name in _CURVATURES:
        gap = gap / max_curvature
    elif name == "density":
        gap = gap / np.maximum(expected.max(axis=1, keepdims=True), 1 / max_curvature)
    return float(np.nan_to_num(gap, nan=np.inf).max())
