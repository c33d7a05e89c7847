"""The continuous ranked probability score of distributions over steering. B: batch, K: components, G: grid points."""

import scoringrules
import torch
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.bins import SteeringBins
from agents.policies.distributions.mixture import SteeringMixture

_STEPS = 2000
_CHUNK = 256  # steps at a time: the memory taken grows with G


def crps(distribution: SteeringDistribution, labels: Tensor) -> Tensor:
    """Continuous ranked probability score (B,) float64 [1/m] at labels (B,) [1/m]; smaller is better.

    The integral of (F(x) - [x >= label])^2 over x: for a sure prediction it is the absolute error. Unlike the
    likelihood it is bounded by the range and not swayed by a spike of labels that repeat exactly (Gneiting and
    Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007). Mixtures of Gaussians have a closed
    form, taken from scoringrules; that library and its peers know no truncated mixtures and no histograms, so that
    those are integrated here.
    """
    if isinstance(distribution, SteeringMixture):
        weights, means, scales = (values.double().cpu() for values in distribution.components)
        found: Tensor = scoringrules.crps_mixnorm(labels.double().cpu(), means, scales, weights, backend="torch")
        return found.to(labels.device)
    steps = distribution.log_shares.shape[-1] if isinstance(distribution, SteeringBins) else _STEPS
    return _integrated(distribution, labels, steps)


def _integrated(distribution: SteeringDistribution, labels: Tensor, steps: int) -> Tensor:
    """The score of a distribution whose support is the vehicle's range, from its cdf at the ends of equal steps.

    The cdf is taken as straight within a step: exact for bins if the steps are theirs.
    """
    limit = distribution.max_curvature
    labels = labels.clamp(-limit, limit)
    total = torch.zeros_like(labels, dtype=torch.float64)
    edges = torch.linspace(-limit, limit, steps + 1, device=labels.device)
    for start in range(0, steps, _CHUNK):
        total += _area(distribution, edges[start : start + _CHUNK + 1], labels)
    return total


def _area(distribution: SteeringDistribution, edges: Tensor, labels: Tensor) -> Tensor:
    """The part (B,) of the integral between the first and the last of `edges` (G,)."""
    total = torch.zeros_like(labels, dtype=torch.float64)
    # A step that the label cuts is two: edges beyond the label fall onto it, and steps of no length count nothing.
    for ends, above in ((torch.minimum(edges[:, None], labels), False), (torch.maximum(edges[:, None], labels), True)):
        below = distribution.cdf(ends).double()
        error = 1 - below if above else below  # (G, B)
        squares = error[1:].square() + error[1:] * error[:-1] + error[:-1].square()
        total += (squares / 3 * ends.double().diff(dim=0)).sum(dim=0)
    return total
