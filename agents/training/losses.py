"""The loss and its parts, and the scores of a validation. B: batch."""

from dataclasses import dataclass

from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution

SPIKE_CURVATURE = 1e-4
"""Labels below this [1/m] form the spike of exact repetitions that a scripted expert makes on straights."""


@dataclass(frozen=True, eq=False)
class LossParts:
    """The terms of the loss, each a scalar averaged over the batch."""

    nll: Tensor
    """Negative log-likelihood of the labels [nats], of a density over curvature in 1/m."""

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.nll

    def named(self) -> dict[str, Tensor]:
        """The terms and their total by name."""
        return {"nll": self.nll, "total": self.total}


def steering_loss(distribution: SteeringDistribution, labels: Tensor, weights: Tensor | None = None) -> LossParts:
    """Score a batch: L = -log P(label | images, map), the source's loss (Amini et al., ICRA 2019).

    Args:
        distribution: Predictions for B situations.
        labels: The expert's curvatures (B,) [1/m].
        weights: Weights (B,) of the situations, 1 on average over the data; None weighs all alike.
    """
    log_probs = distribution.log_prob(labels)
    return LossParts(nll=-(log_probs if weights is None else weights * log_probs).mean())


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
