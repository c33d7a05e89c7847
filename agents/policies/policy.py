"""Policies: a network with a head that maps observations to a distribution over curvature.

A head is how the raw outputs of a network become a distribution. B: batch, K: components, N: bins.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.bins import SteeringBins
from agents.policies.distributions.mixture import SteeringMixture, TruncatedMixture, bounded_mean
from agents.policies.distributions.recalibrated import recalibrated
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.network import Network
from agents.policies.networks.observation_batch import Inputs, ObservationBatch, ObservationSpec, scale_observations
from agents.policies.networks.own_networks import CompactNetwork, FullyConnectedNetwork, ResidualNetwork
from agents.policies.networks.published_networks import Amini2019, PilotNet
from navsim.drivers.plugin import load_attribute
from navsim.errors import ConfigError

D = TypeVar("D", bound=SteeringDistribution)

_TENTH = -2.2  # the sigmoid of this is about 0.1

NETWORKS: dict[str, type[Network]] = {
    "compact": CompactNetwork,
    "amini2019": Amini2019,
    "pilotnet": PilotNet,
    "fully_connected": FullyConnectedNetwork,
    "residual": ResidualNetwork,
}
"""Classes of the networks by name."""


def network_class(name: str) -> type[Network]:
    """Return the class of a network in `NETWORKS`, or of one outside, named as `package.module:Class`.

    Raises:
        ConfigError: If the module or the class is missing, or is not derived from `Network`.
    """
    if name in NETWORKS:
        return NETWORKS[name]
    label = f"policy.network {name!r}"
    found = load_attribute(name, label, ConfigError)
    if not (isinstance(found, type) and issubclass(found, Network)):
        raise ConfigError(f"{label}: is not a class derived from {Network.__module__}.Network")
    return found


def negative_log_likelihood(distribution: SteeringDistribution, labels: Tensor, _config: PolicyConfig) -> Tensor:
    """Return the source's loss (Amini et al., ICRA 2019): negative log density (B,) [nats] at the labels (B,) [1/m]."""
    return -distribution.log_prob(labels)


def soft_cross_entropy(distribution: SteeringBins, labels: Tensor, config: PolicyConfig) -> Tensor:
    """Return the cross entropy (B,) [nats] of bins with labels (B,) [1/m] blurred by `label_width`."""
    return distribution.cross_entropy(labels, config.label_width)


def squared_error(distribution: SteeringDistribution, labels: Tensor, config: PolicyConfig) -> Tensor:
    """Return the squared error (B,) of the mean at the labels (B,) [1/m], in units of `max_curvature`."""
    return ((distribution.mean - labels) / config.max_curvature).square()


@dataclass(frozen=True)
class Head(Generic[D]):
    """A kind of output: distributions of type D with their loss."""

    initial_bias: Callable[[PolicyConfig], Tensor]
    """Function for the initial bias of the last layer (outputs,); its length is the number of outputs."""
    distribution: Callable[[Tensor, PolicyConfig], D]
    """Function from outputs (B, outputs) in float32 to their distribution."""
    loss_name: str = "nll"
    """Name of the loss in logs."""
    loss: Callable[[D, Tensor, PolicyConfig], Tensor] = negative_log_likelihood
    """Function from a distribution of this head and labels (B,) [1/m] to the loss (B,)."""
    regularisers: tuple[str, ...] = ()
    """Names of the regularisers that may be added to the loss, see `agents.training.config.REGULARISERS`."""


def _mixture_bias(config: PolicyConfig) -> Tensor:
    """Spread the components' means, with scales of a tenth of the range."""
    count = config.components
    return torch.cat([torch.zeros(count), torch.linspace(-0.5, 0.5, count + 2)[1:-1], torch.full((count,), _TENTH)])


def _mixture(outputs: Tensor, config: PolicyConfig) -> SteeringMixture:
    return SteeringMixture.from_outputs(outputs, config.max_curvature, config.scale_floor)


def _truncated(outputs: Tensor, config: PolicyConfig) -> TruncatedMixture:
    return TruncatedMixture.from_outputs(outputs, config.max_curvature, config.scale_floor)


def _gaussian_bias(_config: PolicyConfig) -> Tensor:
    """Start straight ahead, with a scale of half the range: one Gaussian covers everything at first."""
    return torch.zeros(2)


def _gaussian(outputs: Tensor, config: PolicyConfig) -> SteeringMixture:
    """Build a mixture of one component, whose constant weight is not among the outputs."""
    alone = torch.cat([torch.zeros_like(outputs[:, :1]), outputs], dim=-1)
    return SteeringMixture.from_outputs(alone, config.max_curvature, config.scale_floor)


def _bins_bias(config: PolicyConfig) -> Tensor:
    """Start with equal bins."""
    return torch.zeros(config.bins)


def _bins(outputs: Tensor, config: PolicyConfig) -> SteeringBins:
    return SteeringBins.from_outputs(outputs, config.max_curvature)


def _point_bias(_config: PolicyConfig) -> Tensor:
    """Start straight ahead."""
    return torch.zeros(1)


def _point(outputs: Tensor, config: PolicyConfig) -> SteeringMixture:
    """Build a Gaussian of the configured width about the point, so that it can be drawn and scored like the others."""
    means = bounded_mean(outputs.float())
    width = torch.full_like(means, config.point_width)
    return SteeringMixture(torch.zeros_like(means), means, width, config.max_curvature)


HEADS: dict[str, Head[Any]] = {
    "mixture": Head(_mixture_bias, _mixture, regularisers=("weight_norm", "log_scale")),
    "gaussian": Head(_gaussian_bias, _gaussian, regularisers=("log_scale",)),
    "bins": Head(_bins_bias, _bins, "cross_entropy", soft_cross_entropy),
    "truncated_mixture": Head(_mixture_bias, _truncated, regularisers=("weight_norm", "log_scale")),
    "point": Head(_point_bias, _point, "squared_error", squared_error),
}
"""Heads of a policy by name."""


@dataclass(frozen=True, eq=False)
class PolicyOutput:
    """Output of a policy for B situations."""

    distribution: SteeringDistribution
    """Distribution over curvature, for each situation."""
    command: Tensor | None
    """Curvatures (B,) [1/m] of a network with a branch for the route, not clipped to the vehicle's range."""

    @property
    def steering(self) -> Tensor:
        """Curvature to drive (B,) [1/m], within the vehicle's range: the command if there is one, else the mode."""
        if self.command is None:
            return self.distribution.mode
        limit = self.distribution.max_curvature
        return self.command.clamp(-limit, limit)


class OutputLayer(nn.Linear):
    """A last layer with small initial weights, computed in float32 whatever type autocast chooses for the others."""

    def __init__(self, features: int, bias: Tensor) -> None:
        """Map `features` features to `len(bias)` outputs that start near `bias` (outputs,)."""
        super().__init__(features, len(bias))
        with torch.no_grad():
            self.weight.mul_(0.1)
            self.bias.copy_(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, F) of any type to (B, outputs) in float32."""
        with torch.autocast(features.device.type, enabled=False):
            return functional.linear(features.float(), self.weight.float(), self.bias.float())


class Policy(nn.Module):
    """A network and the last layer that its head reads, with a second such layer for the command of a branch."""

    def __init__(self, config: PolicyConfig, spec: ObservationSpec) -> None:
        """Draw the initial weights from torch's global generator.

        Args:
            config: Inputs, network and head.
            spec: Shapes of the observations.

        Raises:
            ConfigError: If a network from outside is missing, or the images are too small or too large for the network.
        """
        super().__init__()
        self.config = config
        self.spec = spec
        # Calibration of the distributions: fitted after training, stored in the checkpoint's header.
        self.temperature, self.levels = 1.0, tuple[float, ...]()
        self.network = network_class(config.network)(config, spec)
        self.head = OutputLayer(self.network.features, HEADS[config.head].initial_bias(config))
        branch = self.network.branch
        self.command = None if branch is None else OutputLayer(branch.features, torch.zeros(1))

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the raw outputs for `decode`, in float32 whatever type autocast chooses for the layers.

        Returns:
            (B, outputs): the head's outputs; with a branch, the command in units of `max_curvature` comes last.
        """
        features: Tensor = self.network(inputs)
        outputs: Tensor = self.head(features)
        if self.network.branch is None or self.command is None:
            return outputs
        return torch.cat([outputs, self.command(self.network.branch(features, inputs))], dim=1)

    def decode(self, outputs: Tensor) -> PolicyOutput:
        """Convert `outputs` (B, outputs) of `forward` to a distribution and a command."""
        command = None
        if self.command is not None:
            outputs, command = outputs[:, :-1], outputs[:, -1] * self.config.max_curvature
        return PolicyOutput(self._tempered(outputs), command)

    def predict(self, inputs: Inputs) -> PolicyOutput:
        """Return the distribution and the command to drive by, for scaled inputs."""
        return self.decode(self(inputs))

    def distribution_of(self, features: Tensor) -> SteeringDistribution:
        """Return the distribution over curvature for the network's features (B, F), tempered as in `decode`."""
        return self._tempered(self.head(features))

    def _tempered(self, outputs: Tensor) -> SteeringDistribution:
        """Return the distribution of the head's outputs (B, outputs), tempered."""
        distribution: SteeringDistribution = HEADS[self.config.head].distribution(outputs, self.config)
        return distribution.tempered(self.temperature)

    def distribution(self, inputs: Inputs) -> SteeringDistribution:
        """Return the calibrated distribution over curvature, for scaled inputs.

        Its modes are those of the distribution of `predict`. Where the policy was calibrated, its probabilities match
        the frequencies in held-out drives (`agents.policies.distributions.recalibrated`).
        """
        return recalibrated(self.predict(inputs).distribution, self.levels)

    def steer(self, batch: ObservationBatch) -> SteeringDistribution:
        """Return the calibrated distribution over curvature for observations as recorded."""
        return self.distribution(scale_observations(batch, torch.float32))


def build_policy(config: PolicyConfig, spec: ObservationSpec, seed: int) -> Policy:
    """Build a network with initial weights that depend on `seed` alone; torch's global generator stays unchanged.

    Raises:
        ConfigError: If the images are too small or too large for the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = Policy(config, spec)
    for parameter in policy.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return policy


def parameter_count(policy: nn.Module) -> int:
    """Return the number of trained values."""
    return sum(math.prod(parameter.shape) for parameter in policy.parameters())
