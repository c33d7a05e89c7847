"""The moving average of the weights, which is what is validated, driven and kept."""

import copy
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from navsim.errors import ConfigError

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class EmaConfig:
    """An exponential moving average of the weights, as of Polyak and Juditsky (1992) with a finite memory."""

    decay: float = 0.999
    """Share of the average that every step leaves, so that it looks back over about 1 / (1 - decay) steps; 0 turns the
    average off: the weights of the last step are validated and driven."""
    warmup: float = 10.0
    """A young average forgets faster: step t, counted from 0, leaves at most (1 + t) / (warmup + t)."""

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1 or not self.warmup >= 1:
            raise ConfigError(
                f"ema.decay must lie within [0, 1) and ema.warmup be at least 1, got {self.decay} and {self.warmup}"
            )

    def decay_at(self, step: int) -> float:
        """Share of the average that step `step`, counted from 0, leaves."""
        return min(self.decay, (1 + step) / (self.warmup + step))


class WeightAverage(Generic[N]):
    """A copy of a network whose weights follow those of the network slowly."""

    def __init__(self, network: N, config: EmaConfig) -> None:
        """Start from the network's weights."""
        self._config = config
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights that step `step`, counted from 0, has left; buffers are taken over."""
        averages: list[Tensor] = [average for average, _ in self._pairs]
        weights: list[Tensor] = [weight for _, weight in self._pairs]
        torch._foreach_lerp_(averages, weights, 1 - self._config.decay_at(step))
        for kept, buffer in self._buffers:
            kept.copy_(buffer)
