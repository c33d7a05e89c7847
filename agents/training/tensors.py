"""Weights and the optimiser's state as named tensors."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from navsim.errors import CheckpointError

_OPTIMIZER = "optimizer."


def named_tensors(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """A network's weights under names that begin with `prefix`."""
    return {prefix + name: value for name, value in network.state_dict().items()}


def load_weights(path: Path, network: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Copy the weights among `tensors` whose names begin with `prefix` into `network`.

    Raises:
        CheckpointError: If they are those of another network.
    """
    weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != found:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        name = wrong[0]
        raise CheckpointError(
            f"{path}: holds another network: {name} has shape {found.get(name)}, expected {expected.get(name)}"
        )
    network.load_state_dict(weights)


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
