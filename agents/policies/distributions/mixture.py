"""Distributions over steering: path curvature [1/m], positive to the left.

Everything is computed in float32 on a scale where the vehicle's range of curvature is [-1, 1]; the interface
is in 1/m and densities are per 1/m, that is in [m]. B: batch, K: components, G: grid points.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MEAN_LIMIT = 1.25
"""Largest mean of a component, in units of the range: past 1, so that the range's ends can be met exactly."""

_FARTHEST = 1e4  # distances from a mean, in units of the range, beyond which squares and gradients could overflow
_MODE_STEPS = 4


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

        Weights are a softmax and means nearly linear up to their limit. Scales follow the exponential of the source
        (Amini et al., ICRA 2019) between a floor and the whole range: without a floor the likelihood of labels that
        repeat exactly is unbounded.

        Args:
            outputs: (B, 3K): K weights, K means and K scales, unbounded.
            max_curvature: Largest curvature of the vehicle [1/m].
            scale_floor: Least standard deviation in units of `max_curvature`, in (0, 1).
        """
        weights, means, scales = outputs.float().chunk(3, dim=-1)
        return SteeringMixture(
            functional.log_softmax(weights, dim=-1),
            MEAN_LIMIT * torch.tanh(means / MEAN_LIMIT),
            scale_floor + (1 - scale_floor) * torch.sigmoid(scales),
            max_curvature,
        )

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
        """Curvature of the highest density (B,) [1/m], within the vehicle's range.

        Starts at the component mean of highest density and climbs by fixed-point steps, none of which lowers the
        density (Carreira-Perpinan, "Mode-finding for mixtures of Gaussian distributions", 2000).
        """
        heights = self._log_density(self.means.T)  # (K, B)
        best = heights.argmax(dim=0)
        x = self.means.gather(-1, best[:, None])[:, 0]
        for _ in range(_MODE_STEPS):
            pull = torch.softmax(self._log_parts(x), dim=-1) / self.scales**2  # (B, K)
            x = (pull * self.means).sum(dim=-1) / pull.sum(dim=-1)
        return self.max_curvature * x.clamp(-1.0, 1.0)

    def log_prob(self, curvature: Tensor) -> Tensor:
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere."""
        return self._log_density(curvature / self.max_curvature) - math.log(self.max_curvature)

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature at most that of (..., B) [1/m]."""
        z = (curvature[..., None] / self.max_curvature - self.means) / self.scales
        below: Tensor = torch.special.ndtr(z)
        return (self.log_weights.exp() * below).sum(dim=-1)

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return self.log_prob(grid[:, None].expand(-1, len(self.means))).exp().T

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]; not clipped to the vehicle's range."""
        component = torch.multinomial(self.log_weights.exp(), 1, generator=generator)  # (B, 1)
        means, scales = (values.gather(-1, component)[:, 0] for values in (self.means, self.scales))
        return self.max_curvature * torch.normal(means, scales, generator=generator)

    def _log_parts(self, x: Tensor) -> Tensor:
        """Logarithms of the components' shares of the density at scaled x (..., B): (..., B, K)."""
        z = (x[..., None] - self.means).clamp(-_FARTHEST, _FARTHEST) / self.scales
        return self.log_weights - z.square() / 2 - self.scales.log() - math.log(2 * math.pi) / 2

    def _log_density(self, x: Tensor) -> Tensor:
        """Logarithm of the density at scaled x (..., B). Log-sum-exp: exp then log has NaN gradients at 20 sigma."""
        return torch.logsumexp(self._log_parts(x), dim=-1)
