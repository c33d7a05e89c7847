"""Kinds of checkpoints: one safetensors file with weights and, as JSON in its header, all that is needed to use them.

The file is complete or absent: written under a temporary name, flushed to disk and renamed. Its weights are those to
use, the moving average of the trained ones. `last.safetensors` also carries the trained weights themselves and the
optimiser's state, so that training continues from it as if it had never stopped.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from agents.policies.tensors import load_weights, named_tensors
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.storage import write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Header = TypeVar("Header", bound="DataclassInstance")
N = TypeVar("N", bound=nn.Module)


class Resumable(Protocol):
    """The state of a training run that a checkpoint can carry: trained weights, optimiser, average of the weights."""

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights, which are those to use."""

    def tensors(self) -> dict[str, Tensor]:
        """What is needed to continue, the average apart."""

    def restore(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave, as read from `path`."""


@dataclass(frozen=True)
class Format(Generic[Header, N]):
    """A kind of checkpoint."""

    name: str
    """Tells its files from those of other kinds."""
    version: int
    """Which version of the kind is written and read."""
    header: type[Header]
    """What a header says: a dataclass."""
    build: Callable[[Header, int], N]
    """Builds the network of a header, with initial weights that depend on a seed alone."""
    prefix: str = "network."
    """What the names of the weights to use begin with."""

    def save(self, path: Path, header: Header, network: N, learned: Resumable | None = None) -> None:
        """Write a network, replacing the file at `path` at once or not at all.

        Args:
            path: The file.
            header: Its header.
            network: The weights to use.
            learned: All that training needs to continue from the file, if it is to.

        Raises:
            StorageError: If the disk is full or the folder cannot be written to; `path` is as it was.
        """
        more = {} if learned is None else learned.tensors()
        self.write(path, header, named_tensors(self.prefix, network) | more)

    def load(self, path: Path) -> tuple[N, Header]:
        """Load a network in evaluation mode, with what the header says.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign or of another version.
            ConfigError: If the network cannot be built here.
        """
        header, tensors = self.read(path)
        network = self.build(header, 0)
        load_weights(path, network, tensors, self.prefix)
        return network.eval(), header

    def restore(self, path: Path, learned: Resumable) -> Header:
        """Load all that training needs to continue; returns the header.

        Raises:
            CheckpointError: If the file is unusable, holds another network, or only what is needed to use it.
        """
        header, tensors = self.read(path)
        learned.restore(path, tensors)
        load_weights(path, learned.averaged, tensors, self.prefix)
        return header

    def write(self, path: Path, header: Header, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors under a header, see `save`."""
        texts = {"format": self.name, "format_version": str(self.version)}
        texts |= {field.name: json.dumps(_plain(getattr(header, field.name))) for field in dataclasses.fields(header)}
        write_bytes(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, texts))

    def read(self, path: Path, tensors: bool = True) -> tuple[Header, dict[str, Tensor]]:
        """Read a file's header and, if wanted, its tensors.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign or of another version.
        """
        texts, values = _read(path, tensors)
        if texts.pop("format", None) != self.name:
            raise CheckpointError(f"{path}: a safetensors file, but no checkpoint of this project")
        if (version := texts.pop("format_version")) != str(self.version):
            raise CheckpointError(f"{path}: format {version}, this version reads {self.version}")
        try:
            return from_mapping(self.header, {key: json.loads(text) for key, text in texts.items()}, str(path)), values
        except ConfigError as error:
            raise CheckpointError(f"damaged header: {error}") from None


def _read(path: Path, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with safe_open(path, framework="pt") as file:
            values = {name: file.get_tensor(name) for name in file.keys()} if tensors else {}  # noqa: SIM118 - no dict
            return file.metadata() or {}, values
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or no checkpoint of this project: {error}") from None


def _plain(value: Any) -> Any:
    """Plain values of a header's field: dataclasses become mappings."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return to_mapping(value) if dataclasses.is_dataclass(value) else value
