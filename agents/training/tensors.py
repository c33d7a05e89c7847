"""Weights and the optimiser's state as named tensors of a safetensors file, with JSON in its header."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.storage import write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_OPTIMIZER = "optimizer."

Info = TypeVar("Info", bound="DataclassInstance")


@dataclass(frozen=True)
class Format(Generic[Info]):
    """A kind of checkpoint: safetensors files with all that is needed to use them in the header.

    The file is complete or absent: written under a temporary name, flushed to disk and renamed.
    """

    name: str
    """Tells its files from those of other kinds."""
    version: int
    """Which version of the kind is written and read."""
    info: type[Info]
    """What a header says: a dataclass."""

    def write(self, path: Path, info: Info, tensors: Mapping[str, Tensor]) -> None:
        """Write a checkpoint, replacing the one at `path` at once or not at all.

        Raises:
            StorageError: If the disk is full or the folder cannot be written to; `path` is as it was.
        """
        header = {"format": self.name, "format_version": str(self.version)}
        header |= {field.name: json.dumps(_plain(getattr(info, field.name))) for field in dataclasses.fields(info)}
        write_bytes(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, header))

    def read(self, path: Path, tensors: bool = True) -> tuple[Info, dict[str, Tensor]]:
        """Read a checkpoint's header and, if wanted, its tensors.

        Raises:
            CheckpointError: If the file is missing, truncated, foreign or of another version.
        """
        fields, values = read_tensors(path, self.name, self.version, tensors)
        try:
            return from_mapping(self.info, fields, str(path)), values
        except ConfigError as error:
            raise CheckpointError(f"damaged header: {error}") from None


def _plain(value: Any) -> Any:
    """Plain values of a header's field: dataclasses become mappings."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return to_mapping(value) if dataclasses.is_dataclass(value) else value


def read_tensors(path: Path, form: str, version: int, tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file's header and, if wanted, its tensors.

    Args:
        path: The file.
        form: The format that it must have.
        version: Version of that format.
        tensors: Whether the tensors are wanted.

    Raises:
        CheckpointError: If the file is missing, truncated, foreign or of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            values = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or no checkpoint of this project: {error}") from None
    if header.get("format") != form:
        raise CheckpointError(f"{path}: a safetensors file, but no checkpoint of this project")
    if header["format_version"] != str(version):
        raise CheckpointError(f"{path}: format {header['format_version']}, this version reads {version}")
    return {key: json.loads(header[key]) for key in header if key not in ("format", "format_version")}, values


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
