"""What changes while a network learns: its weights, their moving average and the optimiser."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from agents.policies.tensors import load_weights, named_tensors
from agents.training.averaging import EmaConfig, WeightAverage
from agents.training.optimization import OptimizerConfig, make_optimizer, set_learning_rate
from navsim.errors import CheckpointError

_OPTIMIZER = "optimizer."
N = TypeVar("N", bound=nn.Module)


class Learned(Generic[N]):
    """A network that learns; the weights to validate, use and keep are those of `average`."""

    def __init__(
        self,
        network: N,
        optimizer: OptimizerConfig,
        ema: EmaConfig,
        more: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        """Take up a network that lies on the device already.

        Args:
            network: The network, which will change.
            optimizer: How it changes.
            ema: How its average follows.
            more: What is trained besides and not kept for use, by what its names in checkpoints begin with.
        """
        self._parts: dict[str, nn.Module] = {"trained.": network, **more}
        trained = nn.ModuleList(self._parts.values())
        self.network = network
        self.average = WeightAverage(network, ema)
        self.optimizer = make_optimizer(trained, optimizer)
        self._parameters = [*trained.parameters()]
        self._most = optimizer.max_gradient_norm

    @property
    def averaged(self) -> N:
        """The network with the averaged weights."""
        return self.average.network

    def update(self, step: int, rate: float) -> Tensor:
        """Take step `step` with the gradients added since the last one; returns their norm, before it was clipped."""
        norm = nn.utils.clip_grad_norm_(self._parameters, self._most)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(step)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """What it needs to continue besides the average: the trained weights and the optimiser's state."""
        tensors = optimizer_tensors(self.optimizer)
        for prefix, network in self._parts.items():
            tensors |= named_tensors(prefix, network)
        return tensors

    def restore(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave, as it is in the file at `path`.

        Raises:
            CheckpointError: If it is of another network, or not there.
        """
        check_continuable(path, tensors)
        for prefix, network in self._parts.items():
            load_weights(path, network, tensors, prefix)
        restore_optimizer(self.optimizer, tensors)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors named by the parameter's number and the quantity."""
    return {
        f"{_OPTIMIZER}{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def check_continuable(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError if the file at `path`, of which these are the `tensors`, holds no state of an optimiser."""
    if not any(name.startswith(_OPTIMIZER) for name in tensors):
        raise CheckpointError(f"{path}: holds no optimiser state; continue from last.safetensors")


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that `optimizer_tensors` made tensors of."""
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
