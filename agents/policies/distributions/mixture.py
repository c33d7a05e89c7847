"""Mixtures of Gaussians over steering, unbounded or truncated: path curvature [1/m], positive to the left.

Everything is computed in float32 on a scale where the vehicle's range of curvature is [-1, 1]. The interface is in 1/m;
densities are per 1/m, that is in [m]. B: batch, K: components, G: grid points.
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

_MAX_DISTANCE = 1e4  # distances from a mean, in units of the range, beyond which squares and gradients could overflow
_MODE_STEPS = 4


def weights_and_scales(weights: Tensor, scales: Tensor, scale_floor: float) -> tuple[Tensor, Tensor]:
    """Return log weights and standard deviations, each (B, K), of unbounded outputs; finite for any finite outputs.

    Weights are a softmax. Scales follow the exponential of the source (Amini et al., ICRA 2019) between a floor and the
    whole range: without a floor the likelihood of labels that repeat exactly is unbounded.
    """
    return functional.log_softmax(weights, dim=-1), scale_floor + (1 - scale_floor) * torch.sigmoid(scales)


def standardised(x: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Return distances of x (..., B) from the means in standard deviations (..., B, K), with finite gradients."""
    return (x[..., None] - means).clamp(-_MAX_DISTANCE, _MAX_DISTANCE) / scales


def log_parts(x: Tensor, log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Return the logarithms of the components' contributions to the density at x (..., B): (..., B, K)."""
    z = standardised(x, means, scales)
    return log_weights - z.square() / 2 - scales.log() - math.log(2 * math.pi) / 2


def log_density(x: Tensor, log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Return the log density at x (..., B). Log-sum-exp: exp then log has NaN gradients at 20 sigma."""
    return torch.logsumexp(log_parts(x, log_weights, means, scales), dim=-1)


def highest_point(log_weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """Return where the density is highest (B,).

    Starts at the component mean of highest density and climbs by fixed-point steps, which never lower the density
    (Carreira-Perpinan, "Mode-finding for mixtures of Gaussian distributions", 2000).
    """
    heights = log_density(means.T, log_weights, means, scales)  # (K, B)
    x = means.gather(-1, heights.argmax(dim=0)[:, None])[:, 0]
    for _ in range(_MODE_STEPS):
        pull = torch.softmax(log_parts(x, log_weights, means, scales), dim=-1) / scales**2  # (B, K)
        x = (pull * means).sum(dim=-1) / pull.sum(dim=-1)
    return x


MEAN_LIMIT = 1.25
"""Largest mean of a component, in units of the range: above 1, so that the mode can reach the range's ends."""
_MIN_TAIL = 1e-6


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
            scale_floor: Smallest standard deviation in units of `max_curvature`, in (0, 1).
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
        """Probability of a curvature of at most (..., B) [1/m]."""
        return self._cdf(curvature / self.max_curvature)

    @torch.no_grad()
    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures (..., B) [1/m] at which the cdf reaches `probability`, taken within [1e-6, 1 - 1e-6]."""
        target = broadcast(probability, self.means).clamp(_MIN_TAIL, 1 - _MIN_TAIL)
        # The mixture's quantile lies between the smallest and the largest of its components' quantiles.
        ends = self.means + self.scales * torch.special.ndtri(target)[..., None]  # (..., B, K)
        return self.max_curvature * invert_cdf(self._cdf, target, ends.amin(dim=-1), ends.amax(dim=-1))

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return density_on_grid(self.log_prob, grid, len(self.means))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]; not clipped to the vehicle's range."""
        component = torch.multinomial(self.log_weights.exp(), 1, generator=generator)  # (B, 1)
        means, scales = (values.gather(-1, component)[:, 0] for values in (self.means, self.scales))
        return self.max_curvature * torch.normal(means, scales, generator=generator)

    def tempered(self, temperature: float) -> "SteeringMixture":
        """Return the mixture whose components are those of this one to the power 1 / `temperature`.

        A Gaussian's power is a Gaussian of sqrt(T) times its scale, whose total mass goes into the weights. So this is
        the power of the density itself for one component, and for components far apart.

        Raises:
            ConfigError: If the temperature is not within `TEMPERATURES`.
        """
        if temperature == 1:
            return self
        check_temperature(temperature)
        masses = (self.log_weights + (temperature - 1) * self.scales.log()) / temperature
        scales = self.scales * math.sqrt(temperature)
        return SteeringMixture(functional.log_softmax(masses, dim=-1), self.means, scales, self.max_curvature)

    def _cdf(self, x: Tensor) -> Tensor:
        """Probability of at most scaled x (..., B)."""
        below: Tensor = torch.special.ndtr(standardised(x, self.means, self.scales))
        return (self.log_weights.exp() * below).sum(dim=-1)


def bounded_mean(outputs: Tensor) -> Tensor:
    """Return means on the scaled axis of unbounded outputs: nearly linear up to `MEAN_LIMIT`."""
    return MEAN_LIMIT * torch.tanh(outputs / MEAN_LIMIT)


@dataclass(frozen=True, eq=False)
class TruncatedMixture:
    """A mixture of K Gaussians truncated to [-max_curvature, max_curvature], for each of B situations; immutable.

    The vehicle's range holds all mass. Each component is normalised over the range, so that its weight is its
    probability.
    """

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
            outputs: (B, 3K): K weights, K means and K scales, unbounded; see `weights_and_scales`. Means stay within
                the range, where a good share of a component's mass is inside: its norm is well conditioned.
            max_curvature: Largest curvature of the vehicle [1/m].
            scale_floor: Smallest standard deviation in units of `max_curvature`, in (0, 1).
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
        """Probability of a curvature of at most (..., B) [1/m]."""
        return self._cdf(curvature / self.max_curvature)

    @torch.no_grad()
    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures (..., B) [1/m] at which the cdf reaches `probability`."""
        target = broadcast(probability, self.means)
        ends = torch.ones_like(target)
        return self.max_curvature * invert_cdf(self._cdf, target, -ends, ends)

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return density_on_grid(self.log_prob, grid, len(self.means))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]."""
        component = torch.multinomial(self.log_weights.exp(), 1, generator=generator)  # (B, 1)
        # In single precision, shares near 1 are too coarse: draws in the tail would coincide.
        means, scales = (values.gather(-1, component)[:, 0].double() for values in (self.means, self.scales))
        low, high = (torch.special.ndtr((end - means) / scales) for end in (-1.0, 1.0))
        share = torch.rand(means.shape, generator=generator, device=means.device, dtype=means.dtype)
        x = means + scales * torch.special.ndtri(low + share * (high - low))
        drawn: Tensor = x.clamp(-1.0, 1.0).to(self.means)
        return self.max_curvature * drawn

    def tempered(self, temperature: float) -> "TruncatedMixture":
        """Return the mixture with the components' powers 1 / `temperature`; see `SteeringMixture.tempered`.

        Raises:
            ConfigError: If the temperature is not within `TEMPERATURES`.
        """
        if temperature == 1:
            return self
        check_temperature(temperature)
        scales = self.scales * math.sqrt(temperature)
        powers = (self._log_masses + (temperature - 1) * self.scales.log()) / temperature
        # The power of a truncated component has the mass of the widened Gaussian inside the range.
        widened = TruncatedMixture(powers, self.means, scales, self.max_curvature)
        log_weights = functional.log_softmax(powers + widened._inside.log(), dim=-1)
        return TruncatedMixture(log_weights, self.means, scales, self.max_curvature)

    @property
    def _inside(self) -> Tensor:
        """Share of each component's untruncated mass in the range (B, K); at least 0.47 for scales up to 1."""
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
