"""What every distribution over steering can do. B: batch, G: grid points."""

from typing import Protocol

import torch
from torch import Tensor


class SteeringDistribution(Protocol):
    """A distribution over curvature for each of B situations; immutable.

    Computed in float32 on a scale where the vehicle's range of curvature is [-1, 1]; the interface is in 1/m and
    densities are per 1/m, that is in [m].
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
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere."""
        ...

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature at most that of (..., B) [1/m]."""
        ...

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        ...

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]."""
        ...
