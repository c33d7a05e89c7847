"""What changes while a network learns: its weights, their moving average, the optimiser and its learning rate."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Generic, TypeVar

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from agents.policies.checkpoint import load_weights, named_tensors
from navsim.config import Constrained
from navsim.errors import CheckpointError, ConfigError

N = TypeVar("N", bound=nn.Module)
_OPTIMIZER = "optimizer."  # beginning of the names of the optimiser's tensors


@dataclass(frozen=True)
class EmaConfig(Constrained):
    """Exponential moving average of the weights, as of Polyak and Juditsky (1992) with a finite memory."""

    decay: Annotated[float, Ge(0), Lt(1)] = 0.999
    """Share of the average that each step keeps, for a memory of about 1 / (1 - decay) steps; 0 turns the average off:
    the weights of the last step are validated and used."""
    warmup: Annotated[float, Ge(1)] = 10.0
    """Steps over which the memory grows: step t, counted from 0, keeps at most (1 + t) / (warmup + t)."""

    def decay_at(self, step: int) -> float:
        """Return the share of the average that step `step`, counted from 0, keeps."""
        return min(self.decay, (1 + step) / (self.warmup + step))


class WeightAverage(Generic[N]):
    """A copy of a network whose weights are a moving average of the network's."""

    def __init__(self, network: N, config: EmaConfig) -> None:
        """Start from the network's weights."""
        self._config = config
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after step `step`, counted from 0; buffers are copied."""
        averages: list[Tensor] = [average for average, _ in self._pairs]
        weights: list[Tensor] = [weight for _, weight in self._pairs]
        torch._foreach_lerp_(averages, weights, 1 - self._config.decay_at(step))
        for kept, buffer in self._buffers:
            kept.copy_(buffer)


@dataclass(frozen=True)
class OptimizerConfig(Constrained):
    """AdamW with a linear warm-up and a cosine down to a share of the peak."""

    learning_rate: Annotated[float, Gt(0), Lt(1)] = 1e-3
    """Peak learning rate."""
    weight_decay: Annotated[float, Ge(0), Lt(1)] = 0.01
    """Decoupled decay of matrices and kernels; biases and norms are spared."""
    warmup_steps: Annotated[int, Ge(0)] = 200
    """Steps from zero to the peak; a tenth of the run if that is less."""
    final_share: Annotated[float, Ge(0), Le(1)] = 0.01
    """Learning rate at the end, as a share of the peak."""
    max_gradient_norm: Annotated[float, Gt(0)] = 1.0
    """Norm to which larger gradients are scaled down."""


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Make an AdamW (Loshchilov and Hutter, 2019) over all parameters of `network`."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the learning rate of step `step` of `steps`."""
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
    """Set the learning rate of all groups of parameters to `value`."""
    for group in optimizer.param_groups:
        group["lr"] = value


class TrainState(Generic[N]):
    """A network in training, its optimiser and the average of its weights, which is validated, used and kept."""

    def __init__(
        self,
        network: N,
        optimizer: OptimizerConfig,
        ema: EmaConfig,
        modules: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        """Start from the network's weights.

        Args:
            network: The network, on its device; training changes it.
            optimizer: Settings of the optimiser.
            ema: Settings of the average.
            modules: Further modules that are trained but not kept for use, by the prefix of their names in checkpoints.
        """
        self._parts: dict[str, nn.Module] = {"trained.": network, **modules}
        trained = nn.ModuleList(self._parts.values())
        self.network = network
        self.average = WeightAverage(network, ema)
        self.optimizer = make_optimizer(trained, optimizer)
        self._parameters = [*trained.parameters()]
        self._max_norm = optimizer.max_gradient_norm

    @property
    def averaged(self) -> N:
        """Network with the averaged weights, in evaluation mode."""
        return self.average.network

    def update(self, step: int, rate: float) -> Tensor:
        """Take step `step` with the accumulated gradients; returns their norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self._parameters, self._max_norm)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors needed to continue, without the average: trained weights and optimiser state."""
        tensors = optimizer_tensors(self.optimizer)
        for prefix, network in self._parts.items():
            tensors |= named_tensors(prefix, network)
        return tensors

    def restore(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Adopt the tensors that `tensors` gave, as read from the file at `path`.

        Raises:
            CheckpointError: If they belong to another network, or lack the optimiser's state.
        """
        check_continuable(path, tensors)
        for prefix, network in self._parts.items():
            load_weights(path, network, tensors, prefix)
        restore_optimizer(self.optimizer, tensors)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as tensors, named by the parameter's number and the quantity."""
    return {
        f"{_OPTIMIZER}{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def check_continuable(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if the `tensors` of the file at `path` lack the optimiser's state."""
    if not any(name.startswith(_OPTIMIZER) for name in tensors):
        raise CheckpointError(f"{path}: holds no optimiser state; continue from last.safetensors")


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Set an optimiser's state from the tensors of `optimizer_tensors`."""
    state = {key.removeprefix(_OPTIMIZER): value for key, value in tensors.items() if key.startswith(_OPTIMIZER)}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    layout = optimizer.state_dict()
    layout["state"] = {index: {} for index in range(len(parameters))}
    for key, value in state.items():
        index, name = key.split(".")
        # The fused optimiser walks through memory: state must lie there in its parameter's order (channels last).
        parameter = parameters[int(index)]
        fits = value.shape == parameter.shape
        layout["state"][int(index)][name] = torch.empty_like(parameter.detach()).copy_(value) if fits else value
    optimizer.load_state_dict(layout)
