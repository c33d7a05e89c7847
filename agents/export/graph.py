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
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from agents.drivers.facts import INPUTS, ExportFacts, metadata_of
from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.networks.observation_batch import Senses, scale_senses
from agents.policies.policy import Policy
from navsim.drivers.acting import GRID_POINTS
from navsim.errors import ConfigError

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
        outputs = self.policy(scale_senses(Senses(images, road_map, route_map, speed), torch.float32))
        answer = self.policy.read(outputs)
        distribution = answer.distribution
        # The shape and not the length, here and in the networks: a length would fix the batch to the example's.
        grid = self.grid[:, None].expand(-1, speed.shape[0])
        numbers = {
            "steering": answer.steering,
            "mode": distribution.mode,
            "mean": distribution.mean,
            "density": distribution.log_prob(grid).exp().T,
            "outputs": outputs,
        }
        if answer.command is not None:
            numbers["command"] = answer.command
        if isinstance(distribution, SteeringMixture):
            numbers |= dict(zip(("weights", "means", "scales"), distribution.components, strict=True))
        return numbers


def export_graph(graph: DrivingGraph, facts: ExportFacts) -> bytes:
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
    program.model.metadata_props.update(metadata_of(facts))
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
