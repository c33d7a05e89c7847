"""A policy as an ONNX graph: uint8 senses in, all that it takes to drive out. B: batch, K: components, G: grid points.

| input | type | shape | holds |
| --- | --- | --- | --- |
| `images` | uint8 | (B, cameras, height, width, 3) | camera images, RGB |
| `road_map` | uint8 | (B, size, size) | all roads around the car |
| `route_map` | uint8 | (B, size, size) | the wanted route on the same patch |
| `speed` | float32 | (B,) | speed [m/s] |

| output | shape | holds |
| --- | --- | --- |
| `steering` | (B,) | what to drive by, if nothing is known of the last step [1/m] |
| `mode`, `mean` | (B,) | the highest mode and the mean of the distribution [1/m] |
| `density` | (B, G) | its density at G curvatures, evenly over the vehicle's range [m] |
| `outputs` | (B, outputs) | the network's last numbers |
| `command` | (B,) | only of networks that give a command of their own [1/m] |
| `weights`, `means`, `scales` | (B, K) | only of Gaussian mixtures: weights, means [1/m], standard deviations [1/m] |

Inputs that a policy does not look at are there all the same, so that one program feeds all policies.

Whether an exported policy answers as the policy itself. B: batch.
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
    """A policy from recorded senses to named numbers."""

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
        # The shape and not the length, here and in the networks: a length would fix the batch to the example's.
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


def export_graph(graph: DrivingGraph, facts: ExportMetadata) -> bytes:
    """Turn a policy into an ONNX file for any batch size, with `facts` in its metadata.

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
        raise ConfigError("the exporter gave nothing")
    inputs = program.model.graph.inputs
    fixed = [str(value.name) for value in inputs if value.shape is None or isinstance(value.shape[0], int)]
    if fixed:
        raise ConfigError(f"the network fixes the batch size of {', '.join(fixed)}: it takes a length somewhere")
    _part_names(program, names)
    program.model.metadata_props.update(to_metadata(facts))
    data: bytes = program.model_proto.SerializeToString()
    return data


def _part_names(program: torch.onnx.ONNXProgram, names: Sequence[str]) -> None:
    """Rename values inside the graph that the exporter calls as the outputs are called: a mean is one of these, too."""
    graph = program.model.graph
    outputs = {id(value) for value in graph.outputs}
    inner = [value for node in graph for value in node.outputs]
    for value in [*inner, *graph.initializers.values()]:
        if value.name in names and id(value) not in outputs:
            value.name = f"inner_{value.name}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the exporter says about its own future and about packages that nobody needs here."""
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
"""How far an exported policy's answer may lie from the policy's own: in the network's numbers, in curvatures as shares
of the vehicle's range, and in densities as shares of the highest one of a situation."""
_CURVATURES = ("steering", "mode", "mean", "command", "means", "scales")


def random_observations(spec: ObservationSpec, count: int, seed: int = 0) -> ObservationBatch:
    """Noise in all pictures, for `count` situations."""
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
    return stack_observations([observation for observation in seen if observation is not None])


def largest_difference(data: bytes, graph: DrivingGraph, senses: ObservationBatch) -> float:
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


def check_graph(data: bytes, graph: DrivingGraph, senses: Sequence[ObservationBatch]) -> float:
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
