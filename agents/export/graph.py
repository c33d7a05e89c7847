"""A policy as an ONNX graph, and its comparison with the policy. B: batch, K: components, G: grid points.

Inputs, all of which exist even if the policy ignores them, so that one program serves all policies:

* `images` (B, cameras, height, width, 3) uint8: camera images, RGB.
* `road_map` (B, size, size) uint8: all roads around the car.
* `route_map` (B, size, size) uint8: the route on the same patch.
* `speed` (B,) float32: speed [m/s].

Outputs, all float32:

* `steering` (B,): curvature to drive, without memory of the last step [1/m].
* `mode` and `mean` (B,): highest mode and mean of the distribution [1/m].
* `density` (B, G): density at G curvatures, evenly over the vehicle's range [m].
* `outputs` (B, outputs): raw outputs of the network.
* `command` (B,): command of networks with a branch [1/m].
* `weights`, `means` and `scales` (B, K): of Gaussian mixtures; means and standard deviations in [1/m].
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.drivers.onnx_driver import INPUTS, ExportMetadata, open_session, to_metadata
from agents.drivers.policy_driver import stack_observations
from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.networks.observation_batch import ObservationBatch, ObservationSpec, scale_observations
from agents.policies.policy import Policy
from navsim.drivers.action_selection import GRID_POINTS
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation

_EXTRA = "export needs the packages onnx, onnxscript and onnxruntime: pip install 'navsim-steering[export]'"


class DrivingGraph(nn.Module):
    """A policy from recorded observations to named outputs."""

    grid: Tensor

    def __init__(self, policy: Policy) -> None:
        """Wrap `policy`, in evaluation mode."""
        super().__init__()
        self.policy = policy.eval()
        limit = policy.config.max_curvature
        self.register_buffer("grid", torch.linspace(-limit, limit, GRID_POINTS, dtype=torch.float64).float())

    def forward(self, images: Tensor, road_map: Tensor, route_map: Tensor, speed: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name, see the module."""
        outputs = self.policy(scale_observations(ObservationBatch(images, road_map, route_map, speed), torch.float32))
        output = self.policy.decode(outputs)
        distribution = output.distribution
        # The shape, not the length, here and in the networks: a length would fix the batch size in the graph.
        grid = self.grid[:, None].expand(-1, speed.shape[0])
        numbers = {
            "steering": output.steering,
            "mode": distribution.mode,
            "mean": distribution.mean,
            "density": distribution.log_prob(grid).exp().T,
            "outputs": outputs,
        }
        if output.command is not None:
            numbers["command"] = output.command
        if isinstance(distribution, SteeringMixture):
            numbers |= dict(zip(("weights", "means", "scales"), distribution.components, strict=True))
        return numbers


def export_graph(graph: DrivingGraph, metadata: ExportMetadata) -> bytes:
    """Convert a policy to an ONNX file for any batch size, with `metadata`.

    Raises:
        ConfigError: If the exporter's packages are not installed, or it cannot express the network.
    """
    spec = graph.policy.spec
    pictures = torch.zeros(2, spec.cameras, spec.height, spec.width, 3, dtype=torch.uint8)
    patches = torch.zeros(2, spec.map_size, spec.map_size, dtype=torch.uint8)
    example = (pictures, patches, patches.clone(), torch.zeros(2))
    with torch.no_grad(), _quiet():
        names = list(graph(*example))
        batch = torch.export.Dim("batch", min=1)
        try:
            program = torch.onnx.export(
                graph,
                example,
                dynamo=True,
                input_names=INPUTS,
                output_names=names,
                dynamic_shapes=tuple({0: batch} for _ in example),
                verbose=False,
            )
        except ImportError as error:
            raise ConfigError(f"{_EXTRA} ({error})") from None
        except torch.onnx.errors.OnnxExporterError as error:
            raise ConfigError(f"the exporter cannot express this network: {str(error).splitlines()[0]}") from error
    if program is None:
        raise ConfigError("the exporter returned nothing")
    inputs = program.model.graph.inputs
    fixed = [str(value.name) for value in inputs if value.shape is None or isinstance(value.shape[0], int)]
    if fixed:
        raise ConfigError(f"the network fixes the batch size of {', '.join(fixed)}: it uses a length somewhere")
    _rename_inner_values(program, names)
    program.model.metadata_props.update(to_metadata(metadata))
    data: bytes = program.model_proto.SerializeToString()
    return data


def _rename_inner_values(program: torch.onnx.ONNXProgram, names: Sequence[str]) -> None:
    """Rename inner values of the graph with the name of an output, since the exporter uses such names twice."""
    graph = program.model.graph
    outputs = {id(value) for value in graph.outputs}
    inner = [value for node in graph for value in node.outputs]
    for value in [*inner, *graph.initializers.values()]:
        if value.name in names and id(value) not in outputs:
            value.name = f"inner_{value.name}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's warnings about its own future and about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


Floats = NDArray[np.float32]
TOLERANCE = 1e-4
"""Largest difference between an exported policy and the policy: in the raw outputs, in curvatures as shares of the
vehicle's range, and in densities as shares of the highest of a situation."""
_CURVATURES = ("steering", "mode", "mean", "command", "means", "scales")


def random_observations(spec: ObservationSpec, count: int, seed: int = 0) -> ObservationBatch:
    """Return noise in all images, for `count` situations."""
    draws = torch.Generator().manual_seed(seed)

    def pictures(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, (count, *shape), generator=draws, dtype=torch.uint8)

    return ObservationBatch(
        pictures(spec.cameras, spec.height, spec.width, 3),
        pictures(spec.map_size, spec.map_size),
        pictures(spec.map_size, spec.map_size),
        10 * torch.rand(count, generator=draws),
    )


def driven_observations(cameras: Sequence[Camera], map_spec: MapSpec, count: int, every: int = 10) -> ObservationBatch:
    """Return the observations of a drive through a town, at `count` moments `every` control steps apart."""
    config = SimulationConfig(cameras=tuple(cameras), map=map_spec)
    observations = []
    with Simulation(config) as simulation:
        sim_state = simulation.begin(Scenario("validation-0"))
        expert = LaneExpert(config.expert, config.vehicle)
        expert.follow(simulation.route)
        for step in range(count * every):
            if step % every == 0:
                observations.append(simulation.see(sim_state).observation)
            sim_state = simulation.advance(expert.command(sim_state.state).curvature)
    return stack_observations([observation for observation in observations if observation is not None])


def largest_difference(data: bytes, graph: DrivingGraph, batch: ObservationBatch) -> float:
    """Return the difference of the ONNX file `data` from `graph` on `batch`, together and one by one; see `TOLERANCE`.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If onnxruntime cannot run the file.
    """
    session = open_session(data, Path("the exported graph"))
    limit, worst = graph.policy.config.max_curvature, 0.0
    for part in (batch, *(batch[slice(i, i + 1)] for i in range(len(batch)))):
        values = (part.images, part.road_map, part.route_map, part.speed)
        with torch.inference_mode():
            expected = {name: value.numpy() for name, value in graph(*values).items()}
        inputs = {name: value.numpy() for name, value in zip(INPUTS, values, strict=True)}
        outputs = session.run(list(expected), inputs)
        worst = max(worst, *(_difference(n, f, e, limit) for f, (n, e) in zip(outputs, expected.items(), strict=True)))
    return worst


def check_graph(data: bytes, graph: DrivingGraph, batches: Sequence[ObservationBatch]) -> float:
    """Compare the ONNX file `data` with `graph` on several batches; returns the largest difference.

    Raises:
        ConfigError: If onnxruntime is not installed.
        CheckpointError: If they differ by more than `TOLERANCE`, or onnxruntime cannot run the file.
    """
    worst = max(largest_difference(data, graph, batch) for batch in batches)
    if not worst <= TOLERANCE:
        raise CheckpointError(f"the exported graph differs from the policy by {worst:.2g}, more than {TOLERANCE:g}")
    return worst


def _difference(name: str, outputs: Floats, expected: Floats, max_curvature: float) -> float:
    """Return the largest difference of one output, in the unit of `TOLERANCE`."""
    gap = np.abs(outputs - expected)
    if name in _CURVATURES:
        gap = gap / max_curvature
    elif name == "density":
        gap = gap / np.maximum(expected.max(axis=1, keepdims=True), 1 / max_curvature)
    return float(np.nan_to_num(gap, nan=np.inf).max())
