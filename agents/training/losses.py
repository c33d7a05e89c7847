"""The loss and its parts, and the scores of a validation. B: batch."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.settings import PolicyConfig
from navsim.errors import ConfigError

SPIKE_CURVATURE = 1e-4
"""Labels below this [1/m] form the spike of exact repetitions that a scripted expert makes on straights."""


@dataclass(frozen=True)
class LossConfig:
    """Terms beside the head's own loss."""

    command: float = 10.0
    """Weight of the squared error of the command in units of `max_curvature`, for networks with a branch for the route.
    The source trains both jointly and does not say how it weighs them: ours, so that both are of one size."""

    def __post_init__(self) -> None:
        if not 0 < self.command <= 1e6:
            raise ConfigError(f"loss.command must be above 0 and at most 1000000, got {self.command}")


@dataclass(frozen=True, eq=False)
class LossParts:
    """The terms of the loss, each a scalar averaged over the batch."""

    nll: Tensor
    """Negative log-likelihood of the labels [nats], of a density over curvature in 1/m."""
    terms: Mapping[str, Tensor]
    """What is minimised, by name, before weighting."""
    weights: Mapping[str, float]
    """Weight of each term."""

    @property
    def total(self) -> Tensor:
        """What is minimised: the weighted sum of the terms."""
        return torch.stack([self.weights[name] * term for name, term in self.terms.items()]).sum()

    def named(self) -> dict[str, Tensor]:
        """The likelihood, the terms and their total by name, without gradients."""
        values = {"nll": self.nll, **self.terms, "total": self.total}
        return {name: value.detach() for name, value in values.items()}


def steering_loss(
    distribution: SteeringDistribution,
    labels: Tensor,
    policy: PolicyConfig,
    loss: LossConfig,
    command: Tensor | None = None,
) -> LossParts:
    """Score a batch.

    The source's loss is L = -log P(label | images, map) (Amini et al., ICRA 2019), with the squared error of the
    command beside it where the network gives one.

    Args:
        distribution: Predictions for B situations.
        labels: The expert's curvatures (B,) [1/m].
        policy: The policy's settings.
        loss: Weights of further terms.
        command: The commands (B,) [1/m] that the network gives besides, if it does.
    """
    terms, weights = {"nll": -distribution.log_prob(labels).mean()}, {"nll": 1.0}
    if command is not None:
        terms["command"] = ((command - labels) / policy.max_curvature).square().mean()
        weights["command"] = loss.command
    return LossParts(terms["nll"], terms, weights)


@dataclass(frozen=True)
class Scores:
    """How well a policy predicts the expert's commands; says little about how it drives."""

    nll: float
    """Mean negative log-likelihood [nats]."""
    nll_without_spike: float | None
    """The same over the labels outside the spike at zero; None without any."""
    curvature_error: float
    """Mean absolute error of the mode [1/m]."""
    curvature_error_without_spike: float | None
    """The same over the labels outside the spike at zero; None without any."""
    spike_share: float
    """Share of the labels inside the spike."""


def score(log_probs: Tensor, modes: Tensor, labels: Tensor) -> Scores:
    """Average over N situations: log densities, modes [1/m] and labels [1/m], each (N,)."""
    outside = labels.abs() >= SPIKE_CURVATURE
    errors = (modes - labels).abs()
    some = bool(outside.any())
    return Scores(
        nll=-_mean(log_probs),
        nll_without_spike=-_mean(log_probs[outside]) if some else None,
        curvature_error=_mean(errors),
        curvature_error_without_spike=_mean(errors[outside]) if some else None,
        spike_share=1 - _mean(outside),
    )


def _mean(values: Tensor) -> float:
    """Mean in double precision."""
    return float(values.double().mean())
