"""Weighted sums of Gaussians on the scaled axis: what bounded and unbounded mixtures share. B: batch, K: components."""

import math

import torch
from torch import Tensor
from torch.nn import functional

_FARTHEST = 1e4  # distances from a mean, in units of the range, beyond which squares and gradients could overflow
_MODE_STEPS = 4


def weights_and_scales(weights: Tensor, scales: Tensor, scale_floor: float) -> tuple[Tensor, Tensor]:
    """Log weights and standard deviations, each (B, K), from unbounded outputs; finite for any finite outputs.

    Weights are a softmax. Scales follow the exponential of the source (Amini et al., ICRA 2019) between a floor and
    the whole range: without a floor the likelihood of labels that repeat exactly is unbounded.
    """
    return functional.log_softmax(weights, dim=-1), scale_floor + (1 - scale_floor) * torch.sigmoid(scales)


def standardised(x: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Distances of x (..., B) from the means in standard deviations (..., B, K); finite, with finite gradients."""
    return (x[..., None] - means).clamp(-_FARTHEST, _FARTHEST) / scales


def log_parts(x: Tensor, log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Logarithms of the components' shares of the density at x (..., B): (..., B, K)."""
    z = standardised(x, means, scales)
    return log_weights - z.square() / 2 - scales.log() - math.log(2 * math.pi) / 2


def log_density(x: Tensor, log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Logarithm of the density at x (..., B). Log-sum-exp: exp then log has NaN gradients at 20 sigma."""
    return torch.logsumexp(log_parts(x, log_weights, means, scales), dim=-1)


def highest_point(log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Where the density is highest (B,).

    Starts at the component mean of highest density and climbs by fixed-point steps, none of which lowers the
    density (Carreira-Perpinan, "Mode-finding for mixtures of Gaussian distributions", 2000).
    """
    heights = log_density(means.T, log_weights, means, scales)  # (K, B)
    x = means.gather(-1, heights.argmax(dim=0)[:, None])[:, 0]
    for _ in range(_MODE_STEPS):
        pull = torch.softmax(log_parts(x, log_weights, means, scales), dim=-1) / scales**2  # (B, K)
        x = (pull * means).sum(dim=-1) / pull.sum(dim=-1)
    return x
