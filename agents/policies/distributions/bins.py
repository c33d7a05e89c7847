"""A softmax over bins of curvature: a density that is constant in each bin. B: batch, N: bins, G: grid points.

The robust baseline: no scale can collapse and any number of roads can be distinguished; the cost is the bins' width.
Scale and units are those of `agents.policies.distributions.mixture`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from agents.policies.distributions.base import broadcast, check_temperature, density_on_grid, within_support

_LOGIT_LIMIT = 1e4  # larger differences of logits could overflow when divided by a temperature


@dataclass(frozen=True, eq=False)
class SteeringBins:
    """Probabilities of N bins of equal width over [-max_curvature, max_curvature] for each of B situations; immutable.

    The first bin holds the sharpest right turns.
    """

    log_shares: Tensor
    """Logarithms of the bins' probabilities (B, N), each row summing to 1 in probabilities."""
    max_curvature: float
    """Largest curvature of the vehicle [1/m]."""

    @staticmethod
    def from_outputs(outputs: Tensor, max_curvature: float) -> "SteeringBins":
        """Build the distribution from logits (B, N); finite for any finite logits."""
        logits = outputs.float().clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)
        return SteeringBins(functional.log_softmax(logits, dim=-1), max_curvature)

    @property
    def mean(self) -> Tensor:
        """Mean curvature (B,) [1/m]."""
        return self.max_curvature * (self.log_shares.exp() * self._edges.unfold(0, 2, 1).mean(dim=-1)).sum(dim=-1)

    @property
    def mode(self) -> Tensor:
        """Curvature of the highest density (B,) [1/m].

        The density is constant over the highest bin. The point within it is the vertex of a parabola through its log
        density and those of its neighbours, which is finer than the bins.
        """
        padded = functional.pad(self.log_shares, (1, 1), mode="replicate")
        best = self.log_shares.argmax(dim=-1, keepdim=True)  # (B, 1)
        right, top, left = (padded.gather(-1, best + shift)[:, 0] for shift in range(3))
        bend = 2 * top - right - left  # at least 0
        offset = ((left - right) / (2 * bend.clamp(min=1e-6))).clamp(-0.5, 0.5)  # in bins
        return self.max_curvature * (2 * (best[:, 0] + 0.5 + offset) / self._bins - 1).clamp(-1.0, 1.0)

    def log_prob(self, curvature: Tensor) -> Tensor:
        """Logarithm of the density [m] at curvatures (..., B) [1/m]; finite everywhere."""
        x = curvature / self.max_curvature
        return within_support(x, self._pick(self.log_shares, self._place(x)[0]) + self._log_steepness) - math.log(
            self.max_curvature
        )

    def cdf(self, curvature: Tensor) -> Tensor:
        """Probability of a curvature of at most (..., B) [1/m]."""
        index, part = self._place(curvature / self.max_curvature)
        before, after = (self._pick(self._cumulated, index + shift) for shift in range(2))
        return before + part * (after - before)

    @torch.no_grad()
    def quantile(self, probability: float | Tensor) -> Tensor:
        """Curvatures (..., B) [1/m] at which the cdf reaches `probability`."""
        target, cumulated = broadcast(probability, self.log_shares), self._cumulated
        flat = target.reshape(-1, target.shape[-1]).T.contiguous()  # (B, M)
        index = torch.searchsorted(cumulated, flat).clamp(1, self._bins) - 1
        before, after = (cumulated.gather(-1, index + shift) for shift in range(2))
        part = ((flat - before) / (after - before).clamp(min=torch.finfo(flat.dtype).tiny)).clamp(0.0, 1.0)
        return self.max_curvature * (2 * (index + part) / self._bins - 1).T.reshape(target.shape)

    def density(self, grid: Tensor) -> Tensor:
        """Densities (B, G) [m] at the curvatures (G,) [1/m]."""
        return density_on_grid(self.log_prob, grid, len(self.log_shares))

    def sample(self, generator: torch.Generator) -> Tensor:
        """Draw one curvature for each situation (B,) [1/m]."""
        index = torch.multinomial(self.log_shares.exp(), 1, generator=generator)[:, 0]
        part = torch.rand(index.shape, generator=generator, device=index.device)
        return self.max_curvature * (2 * (index + part) / self._bins - 1)

    def tempered(self, temperature: float) -> "SteeringBins":
        """Return the density's power 1 / `temperature`, normalised.

        Raises:
            ConfigError: If the temperature is not within `TEMPERATURES`.
        """
        check_temperature(temperature)
        if temperature == 1:
            return self
        return SteeringBins(functional.log_softmax(self.log_shares / temperature, dim=-1), self.max_curvature)

    def cross_entropy(self, labels: Tensor, label_width: float) -> Tensor:
        """Expected negative log density (B,) [nats] under labels blurred by a Gaussian within the range.

        A label thus counts for neighbouring bins, too, as neighbouring commands have similar effects on the road; with
        plain labels each bin is learned alone. Densities are per 1/m, so that the value compares with the negative
        log-likelihood.

        Args:
            labels: The expert's curvatures (B,) [1/m].
            label_width: Standard deviation of the blur in units of `max_curvature`, above 0.
        """
        x = (labels / self.max_curvature).clamp(-1.0, 1.0)
        below = torch.special.ndtr((self._edges - x[:, None]) / label_width)  # (B, N + 1)
        blurred = below.diff(dim=-1) / (below[:, -1:] - below[:, :1])
        entropy: Tensor = -(blurred * self.log_shares).sum(dim=-1)
        return entropy - self._log_steepness + math.log(self.max_curvature)

    @property
    def _bins(self) -> int:
        return self.log_shares.shape[-1]

    @property
    def _log_steepness(self) -> float:
        """Log density on the scaled axis of a bin with probability 1."""
        return math.log(self._bins / 2)

    @property
    def _edges(self) -> Tensor:
        """Edges of the bins (N + 1,) on the scaled axis."""
        return torch.linspace(-1.0, 1.0, self._bins + 1, device=self.log_shares.device)

    @property
    def _cumulated(self) -> Tensor:
        """Probability below each edge (B, N + 1), from 0 to 1 exactly."""
        sums = self.log_shares.exp().cumsum(dim=-1)
        return functional.pad(sums / sums[:, -1:], (1, 0))

    def _place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bin of scaled x (..., B), and the position within it, in [0, 1]."""
        steps = (x.clamp(-1.0, 1.0) + 1) * (self._bins / 2)
        index = steps.floor().clamp(max=self._bins - 1)
        return index.long(), steps - index

    @staticmethod
    def _pick(values: Tensor, index: Tensor) -> Tensor:
        """Return values (B, N) at indices (..., B)."""
        return values.T.gather(0, index.reshape(-1, index.shape[-1])).reshape(index.shape)
