"""The moving average of the weights, which is what is validated, driven and kept.

The optimiser and its learning rate over the steps of a run.
"""

import copy
import math
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


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with a linear warm-up and a cosine down to a share of the peak."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.01
    """Decoupled decay of matrices and kernels; biases and norms are spared."""
    warmup_steps: int = 200
    """Steps from zero to the peak; a tenth of the run if that is less."""
    final_share: float = 0.01
    """Learning rate at the end, as a share of the peak."""
    max_gradient_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < 1 or not 0 <= self.weight_decay < 1 or not 0 <= self.final_share <= 1:
            raise ConfigError(
                "optimizer.learning_rate must lie within (0, 1), weight_decay within [0, 1) and final_share within "
                f"[0, 1], got {self.learning_rate}, {self.weight_decay} and {self.final_share}"
            )
        if self.warmup_steps < 0 or not self.max_gradient_norm > 0:
            raise ConfigError(
                "optimizer.warmup_steps must be at least 0 and max_gradient_norm above 0, "
                f"got {self.warmup_steps} and {self.max_gradient_norm}"
            )


def make_optimizer(policy: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Make an AdamW (Loshchilov and Hutter, 2019) over all parameters of `policy`."""
    parameters = list(policy.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Learning rate of step `step` of `steps`."""
    warmup = min(config.warmup_steps, steps // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / (warmup + 1)
    share = (step - warmup) / max(steps - warmup, 1)
    cosine = (1 + math.cos(math.pi * share)) / 2
    return config.learning_rate * (config.final_share + (1 - config.final_share) * cosine)


def check_finite(loss: float, step: int, config: OptimizerConfig) -> None:
    """Raise ConfigError if the loss after `step` steps is not finite."""
    if not math.isfinite(loss):
        raise ConfigError(
            f"the loss is {loss} at step {step}; lower optimizer.learning_rate (now {config.learning_rate})"
        )


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Give all groups of parameters the learning rate `value`."""
    for group in optimizer.param_groups:
        group["lr"] = value
