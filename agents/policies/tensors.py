"""Weights and the optimiser's state as named tensors."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from navsim.errors import CheckpointError


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
