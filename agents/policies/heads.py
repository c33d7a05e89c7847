"""Heads: how the raw outputs of a network become a distribution over steering. B: batch, K: components, N: bins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.bins import SteeringBins
from agents.policies.distributions.mixture import SteeringMixture, TruncatedMixture, bounded_mean
from agents.policies.networks.config import PolicyConfig

D = TypeVar("D", bound=SteeringDistribution)

_TENTH = -2.2  # the sigmoid of this is about 0.1


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
    """Names of the regularisers that may be added to the loss, see `agents.training.losses.REGULARISERS`."""


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
