"""A mixture of Gaussians cut off at the ends of the vehicle's range. B: batch, K: components, G: grid points.

No mass lies where the vehicle cannot steer. Each component is normalised over the range, so that the weights are what
they say. Scaled and in units as in `agents.policies.distributions.mixture`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.policies.distributions.base import (
    broadcast,
    check_temperature,
    density_on_grid,
    invert_cdf,
    within_support,
)
from agents.policies.distributions.gaussians import highest_point, log_density, weights_and_scales


@dataclass(frozen=True, eq=False)
class TruncatedMixture:
    """A mixture of K Gaussians truncated to [-max_curvature, max_curvature], for each of B situations; immutable."""

    log_weights: Tensor
    """Logarithms of the components' weights (B, K), each row summing to 1 in weights."""
    means: Tensor
    """Means (B, K) of the components before truncation in units of `max_curvature`, within [-1, 1]."""
    scales: Tensor
    """Standard deviations (B, K) before truncation in units of `max_curvature`, above 0."""
    max_curvature: float
    """Largest curvature of the vehicle [1/m]."""

    @staticmethod
    def from_outputs(outputs: Tensor, max_curvature: float, scale_floor: float) -> "TruncatedMixture":
        """Build the mixture from a network's outputs; finite for any finite outputs.

        Args:
            outputs: (B, 3K): K weights, K means and K scales, unbounded; see `weights_and_scales`. Means are kept
                within the range, where a component has a good share of its mass inside: its norm needs no care.
            max_curvature: Largest curvature of the vehicle [1/m].
            scale_floor: Least standard deviation in units of `max_curvature`, in (0, 1).
        """
        weights, means, scales = outputs.float().chunk(3, dim=-1)
        log_weights, scales = weights_and_scales(weights, scales, scale_floor)
        return TruncatedMixture(log_weights, torch.tanh(means), scales, max_curvature)

    @property
    def mean(self) -> Tensor:
        """Mean curvature (B,) [1/m]."""
        low, high = self._standardised(-1.0), self._standardised(1.0)
        heights = (torch.exp(-low.square() / 2) - torch.exp(-high.square() / 2)) / math.sqrt(2 * math.pi)
        means = self.means + self.scales * heights / self._inside
        return self.max_curvature * (self.log_weights.exp() * means).sum(dim=-1).clamp(-1.0, 1.0)

    @property
    def mode(self) -> Tensor:
        """Curvature of the highest density (B,) [1/m]; see `highest_point`."""
        return self.max_curvature * highest_point(self._log_masses, self.means, self.scales).clamp(-1.0, 1.0)

    def log_prob(self, curvature: Tensor) -> Tensor:
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere."""
        x = curvature / self.max_curvature
        inside = log_density(x, self._log_masses, self.means, self.scales)
        return within_support(x, inside) - math.log(self.max_curvature)

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature at most that of (..., B) [1/m]."""
        return self._cdf(curvature / self.max_curvature)

    @torch.no_grad()
    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures (..., B) [1/m] at which the cdf reaches `probability`."""
        wanted = broadcast(probability, self.means)
        ends = torch.ones_like(wanted)
        return self.max_curvature * invert_cdf(self._cdf, wanted, -ends, ends)

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return density_on_grid(self.log_prob, grid, len(self.means))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]."""
        component = torch.multinomial(self.log_weights.exp(), 1, generator=generator)  # (B, 1)
        # Double precision: in single, shares near 1 are so coarse that draws far out would pile up.
        means, scales = (values.gather(-1, component)[:, 0].double() for values in (self.means, self.scales))
        low, high = (torch.special.ndtr((end - means) / scales) for end in (-1.0, 1.0))
        share = torch.rand(means.shape, generator=generator, device=means.device, dtype=means.dtype)
        x = means + scales * torch.special.ndtri(low + share * (high - low))
        drawn: Tensor = x.clamp(-1.0, 1.0).to(self.means)
        return self.max_curvature * drawn

    def tempered(self, temperature: float) -> "TruncatedMixture":
        """The mixture whose components are those of this one to the power 1 / `temperature`; see `SteeringMixture`.

        Raises:
            ConfigError: If the temperature is not within `TEMPERATURES`.
        """
        check_temperature(temperature)
        if temperature == 1:
            return self
        scales = self.scales * math.sqrt(temperature)
        powers = (self._log_masses + (temperature - 1) * self.scales.log()) / temperature
        # A truncated component's power has the mass of the widened Gaussian that lies inside.
        widened = TruncatedMixture(powers, self.means, scales, self.max_curvature)
        log_weights = functional.log_softmax(powers + widened._inside.log(), dim=-1)
        return TruncatedMixture(log_weights, self.means, scales, self.max_curvature)

    @property
    def _inside(self) -> Tensor:
        """Share of each component's mass in the range before truncation (B, K); at least 0.47 for scales up to 1."""
        inside: Tensor = torch.special.ndtr(self._standardised(1.0)) - torch.special.ndtr(self._standardised(-1.0))
        return inside

    @property
    def _log_masses(self) -> Tensor:
        """Log weights (B, K) with which the untruncated Gaussians sum up to the density in the range."""
        return self.log_weights - self._inside.log()

    def _standardised(self, x: Tensor | float) -> Tensor:
        """Distances of scaled x, a number or (..., B, 1), from the means in standard deviations (..., B, K)."""
        return (x - self.means) / self.scales

    def _cdf(self, x: Tensor) -> Tensor:
        """Probability of at most scaled x (..., B)."""
        below = torch.special.ndtr(self._standardised(x.clamp(-1.0, 1.0)[..., None]))
        shares = (below - torch.special.ndtr(self._standardised(-1.0))) / self._inside
        total: Tensor = (self.log_weights.exp() * shares).sum(dim=-1)
        return total
