"""A mixture of Gaussians over steering: path curvature [1/m], positive to the left.

Everything is computed in float32 on a scale where the vehicle's range of curvature is [-1, 1]; the interface
is in 1/m and densities are per 1/m, that is in [m]. B: batch, K: components, G: grid points.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.policies.distributions.base import broadcast, check_temperature, density_on_grid, invert_cdf
from agents.policies.distributions.gaussians import highest_point, log_density, standardised, weights_and_scales

MEAN_LIMIT = 1.25
"""Largest mean of a component, in units of the range: past 1, so that the range's ends can be met exactly."""

_LEAST_TAIL = 1e-6


@dataclass(frozen=True, eq=False)
class SteeringMixture:
    """A mixture of K Gaussians over curvature for each of B situations; immutable."""

    log_weights: Tensor
    """Logarithms of the components' weights (B, K), each row summing to 1 in weights."""
    means: Tensor
    """Means (B, K) in units of `max_curvature`."""
    scales: Tensor
    """Standard deviations (B, K) in units of `max_curvature`, above 0."""
    max_curvature: float
    """Largest curvature of the vehicle [1/m]."""

    @staticmethod
    def from_outputs(outputs: Tensor, max_curvature: float, scale_floor: float) -> "SteeringMixture":
        """Build the mixture from a network's outputs; finite for any finite outputs.

        Args:
            outputs: (B, 3K): K weights, K means and K scales, unbounded; see `weights_and_scales`. Means are nearly
                linear up to their limit.
            max_curvature: Largest curvature of the vehicle [1/m].
            scale_floor: Least standard deviation in units of `max_curvature`, in (0, 1).
        """
        weights, means, scales = outputs.float().chunk(3, dim=-1)
        log_weights, scales = weights_and_scales(weights, scales, scale_floor)
        return SteeringMixture(log_weights, bounded_mean(means), scales, max_curvature)

    @property
    def components(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means [1/m] and standard deviations [1/m], each (B, K)."""
        return self.log_weights.exp(), self.means * self.max_curvature, self.scales * self.max_curvature

    @property
    def mean(self) -> Tensor:
        """Mean curvature (B,) [1/m]. Between two roads the mean is a wall: drive by `mode`."""
        return self.max_curvature * (self.log_weights.exp() * self.means).sum(dim=-1)

    @property
    def mode(self) -> Tensor:
        """Curvature of the highest density (B,) [1/m], within the vehicle's range; see `highest_point`."""
        return self.max_curvature * highest_point(self.log_weights, self.means, self.scales).clamp(-1.0, 1.0)

    def log_prob(self, curvature: Tensor) -> Tensor:
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere."""
        scaled = log_density(curvature / self.max_curvature, self.log_weights, self.means, self.scales)
        return scaled - math.log(self.max_curvature)

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature at most that of (..., B) [1/m]."""
        return self._cdf(curvature / self.max_curvature)

    @torch.no_grad()
    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures (..., B) [1/m] at which the cdf reaches `probability`, taken within [1e-6, 1 - 1e-6]."""
        wanted = broadcast(probability, self.means).clamp(_LEAST_TAIL, 1 - _LEAST_TAIL)
        # The mixture's quantile lies between the least and the largest of its components' quantiles.
        ends = self.means + self.scales * torch.special.ndtri(wanted)[..., None]  # (..., B, K)
        return self.max_curvature * invert_cdf(self._cdf, wanted, ends.amin(dim=-1), ends.amax(dim=-1))

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return density_on_grid(self.log_prob, grid, len(self.means))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]; not clipped to the vehicle's range."""
        component = torch.multinomial(self.log_weights.exp(), 1, generator=generator)  # (B, 1)
        means, scales = (values.gather(-1, component)[:, 0] for values in (self.means, self.scales))
        return self.max_curvature * torch.normal(means, scales, generator=generator)

    def tempered(self, temperature: float) -> "SteeringMixture":
        """The mixture whose components are those of this one to the power 1 / `temperature`.

        A Gaussian's power is a Gaussian of sqrt(T) times its scale and of its own total mass, which goes into the
        weights. So this is the power of the density itself for one component, and for components far apart.

        Raises:
            ConfigError: If the temperature is not within `TEMPERATURES`.
        """
        check_temperature(temperature)
        if temperature == 1:
            return self
        masses = (self.log_weights + (temperature - 1) * self.scales.log()) / temperature
        scales = self.scales * math.sqrt(temperature)
        return SteeringMixture(functional.log_softmax(masses, dim=-1), self.means, scales, self.max_curvature)

    def _cdf(self, x: Tensor) -> Tensor:
        """Probability of at most scaled x (..., B)."""
        below: Tensor = torch.special.ndtr(standardised(x, self.means, self.scales))
        return (self.log_weights.exp() * below).sum(dim=-1)


def bounded_mean(outputs: Tensor) -> Tensor:
    """Means on the scaled axis from unbounded outputs: nearly linear up to `MEAN_LIMIT`."""
    return MEAN_LIMIT * torch.tanh(outputs / MEAN_LIMIT)
