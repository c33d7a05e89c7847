"""Distributions with probabilities recalibrated on held-out drives. B: batch, K: steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from agents.policies.distributions.base import SteeringDistribution, broadcast, density_on_grid
from navsim.errors import ConfigError

_MEAN_POINTS = 256
_UNIFORM_SHARE = 0.02  # share of equal steps in the levels: no step is empty, and densities stay finite


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """A distribution with cdf R(F(y)) where F is that of `base`; R is piecewise linear from (0, 0) to (1, 1).

    One temperature widens or narrows all distributions. R also corrects a wrong shape, such as a centre too wide with
    tails too thin (Kuleshov et al., "Accurate uncertainties for deep learning using calibrated regression", ICML 2018).
    The density is that of `base` times the slope of R. The mode stays that of `base`: calibration changes the
    uncertainty and leaves the steering as it is.
    """

    base: SteeringDistribution
    """The distributions for B situations."""
    levels: tuple[float, ...]
    """Probabilities F of `base` (K + 1,), rising from 0 to 1, at which R is 0, 1/K, 2/K, ..., 1; see `check_levels`."""

    @property
    def max_curvature(self) -> float:
        """Largest curvature of the vehicle [1/m]."""
        return self.base.max_curvature

    @property
    def mode(self) -> Tensor:
        """Curvature of the highest density of `base` (B,) [1/m]."""
        return self.base.mode

    @property
    def mean(self) -> Tensor:
        """Mean curvature (B,) [1/m], as the mean of 256 quantiles."""
        middles = (torch.arange(_MEAN_POINTS, device=self.mode.device) + 0.5) / _MEAN_POINTS
        return self.quantile(middles[:, None].expand(-1, len(self.mode))).mean(dim=0)

    def log_prob(self, curvature: Tensor) -> Tensor:
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere."""
        heights = self._heights(curvature)
        below = self.base.cdf(curvature).clamp(0.0, 1.0)
        gaps = heights.diff()
        slopes = 1 / (len(gaps) * gaps)
        return self.base.log_prob(curvature) + slopes.log()[_step(below, heights)]

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature of at most (..., B) [1/m]."""
        heights = self._heights(curvature)
        below, steps = self.base.cdf(curvature).clamp(0.0, 1.0), len(heights) - 1
        step = _step(below, heights)
        return (step + (below - heights[step]) / heights.diff()[step]) / steps

    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures (..., B) [1/m] at which the cdf reaches `probability`."""
        target = broadcast(probability, self.mode).clamp(0.0, 1.0)
        heights, steps = self._heights(target), len(self.levels) - 1
        step = (target * steps).long().clamp(0, steps - 1)
        return self.base.quantile(heights[step] + (target * steps - step) * heights.diff()[step])

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return density_on_grid(self.log_prob, grid, len(self.mode))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]."""
        device = self.mode.device
        return self.quantile(torch.rand(len(self.mode), generator=generator, device=generator.device).to(device))

    def tempered(self, temperature: float) -> "Recalibrated":
        """Return the same recalibration over `base` tempered."""
        return replace(self, base=self.base.tempered(temperature))

    def _heights(self, like: Tensor) -> Tensor:
        """The levels (K + 1,) on the device of `like`."""
        return torch.tensor(self.levels, dtype=torch.float32, device=like.device)


def recalibrated(distribution: SteeringDistribution, levels: tuple[float, ...]) -> SteeringDistribution:
    """Replace the probabilities of `distribution` by `levels`; without levels, it is returned unchanged."""
    return Recalibrated(distribution, levels) if levels else distribution


def fit_levels(transforms: Tensor, steps: int = 40) -> tuple[float, ...]:
    """Return the levels that make the probability integral transforms of held-out labels uniform.

    Args:
        transforms: The cdfs of the predictions at their labels (N,), at least one, in [0, 1].
        steps: Number of equally probable steps, K.

    Returns:
        (K + 1,) probabilities: the empirical quantiles of `transforms`, mixed with 2% of equal steps.
    """
    equal = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    inner = torch.quantile(transforms.double().cpu(), equal)
    inner[0], inner[-1] = 0.0, 1.0
    return tuple(((1 - _UNIFORM_SHARE) * inner + _UNIFORM_SHARE * equal).tolist())


def check_levels(levels: Sequence[float]) -> None:
    """Check that levels rise from 0 to 1; an empty sequence is valid.

    Raises:
        ConfigError: If they do not.
    """
    rising = all(low < high for low, high in pairwise(levels))
    if levels and not (len(levels) > 1 and rising and levels[0] == 0.0 and levels[-1] == 1.0):
        raise ConfigError(f"levels must be empty, or rise from 0 to 1, got {list(levels)}")


def _step(below: Tensor, heights: Tensor) -> Tensor:
    """Return the index of the step in which probabilities (...) of the base lie, from 0 to K - 1."""
    return (torch.searchsorted(heights, below.contiguous(), right=True) - 1).clamp(0, len(heights) - 2)
