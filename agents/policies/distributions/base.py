"""The interface of all distributions over steering. B: batch, G: grid points."""

import math
from collections.abc import Callable
from typing import Protocol, Self

import torch
from torch import Tensor

from navsim.errors import ConfigError

TEMPERATURES = (0.01, 100.0)
"""Smallest and largest temperature; between them all values stay finite in float32."""
LOG_OUTSIDE = math.log(torch.finfo(torch.float32).tiny)
"""Log density outside the support of a bounded distribution, on the scaled axis: finite, and 0 as a density."""

_ROUNDING = 1e-5  # share of the range: labels may exceed its ends by rounding
_HALVINGS = 32


class SteeringDistribution(Protocol):
    """A distribution over curvature for each of B situations; immutable.

    Computed in float32 on a scale where the vehicle's range of curvature is [-1, 1]. The interface is in 1/m; densities
    are per 1/m, that is in [m].
    """

    @property
    def max_curvature(self) -> float:
        """Largest curvature of the vehicle [1/m]."""
        ...

    @property
    def mean(self) -> Tensor:
        """Mean curvature (B,) [1/m]. Between two roads the mean is a wall: drive by `mode`."""
        ...

    @property
    def mode(self) -> Tensor:
        """Curvature of the highest density (B,) [1/m], within the vehicle's range."""
        ...

    def log_prob(self, curvature: Tensor) -> Tensor:
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere, also outside the support."""
        ...

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature of at most (..., B) [1/m]."""
        ...

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures [1/m] at which the cdf reaches `probability`, without gradients.

        Args:
            probability: One number for all situations, giving (B,), or a tensor (..., B), giving (..., B); in [0, 1].
                For unbounded support it is clipped to [1e-6, 1 - 1e-6], so that the quantile is finite.
        """
        ...

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        ...

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]."""
        ...

    def tempered(self, temperature: float) -> Self:
        """The distribution of the same kind nearest to the density's power 1 / `temperature`: above 1 it is flatter.

        At 1 it is the distribution itself. One temperature for all situations, fitted to held-out labels, is the usual
        calibration after training (Guo et al., "On calibration of modern neural networks", ICML 2017).

        Raises:
            ConfigError: If the temperature is not within `TEMPERATURES`.
        """
        ...


def check_temperature(temperature: float) -> None:
    """Raise ConfigError if a temperature is not within `TEMPERATURES`."""
    low, high = TEMPERATURES
    if not low <= temperature <= high:
        raise ConfigError(f"temperature must be {low:g} to {high:g}, got {temperature}")


def density_on_grid(log_prob: Callable[[Tensor], Tensor], grid: Tensor, batch: int) -> Tensor:
    """Evaluate a log density over (..., B) on a grid (G,) common to all situations: densities (B, G)."""
    return log_prob(grid[:, None].expand(-1, batch)).exp().T


def broadcast(probability: float | Tensor, like: Tensor) -> Tensor:
    """Return probabilities (..., B) of the type and on the device of `like` (B, ...)."""
    return like.new_zeros(len(like)) + probability


def invert_cdf(cdf: Callable[[Tensor], Tensor], probability: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Find where a rising `cdf` reaches `probability` (..., B), by bisection between `low` and `high` (..., B)."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = cdf(middle) < probability
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def within_support(x: Tensor, log_density: Tensor) -> Tensor:
    """Return `log_density` (..., B) for scaled x (..., B) in [-1, 1], up to rounding; `LOG_OUTSIDE` elsewhere."""
    return torch.where(x.abs() <= 1 + _ROUNDING, log_density, LOG_OUTSIDE)
