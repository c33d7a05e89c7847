"""Checkpoints of networks that see: all that is needed to use them is in the header."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import nn

from agents.training.learned import Learned, learned_tensors, restore_learned
from agents.training.tensors import Format, load_weights, named_tensors
from navsim.sensing.camera import Camera

_NETWORK = "network."


@dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """What a checkpoint's header says, besides how the network is built."""

    class_names: tuple[str, ...]
    """What it tells apart, in order."""
    cameras: tuple[Camera, ...] = ()
    """Cameras whose pictures it learned from."""
    run: dict[str, Any] = field(default_factory=dict)
    """Resolved configuration of the training run."""
    progress: dict[str, Any] = field(default_factory=dict)
    """How far training was."""
    versions: dict[str, str] = field(default_factory=dict)
    """Software that trained it."""


Header = TypeVar("Header", bound=NetworkInfo)
N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class NetworkFormat(Format[Header], Generic[Header, N]):
    """A kind of checkpoint, and who builds the networks in it."""

    build: Callable[[Header, int], N]
    """Builds the network of a header, with initial weights that depend on a seed alone."""

    def save(self, path: Path, info: Header, network: N) -> None:
        """Write a network for use, at once or not at all.

        Raises:
            StorageError: If it cannot be written; `path` is as it was.
        """
        self.write(path, info, named_tensors(_NETWORK, network))

    def load(self, path: Path) -> tuple[N, Header]:
        """Load a network in evaluation mode, with what the header says.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign or of another format.
            ConfigError: If the network cannot be built here.
        """
        info, tensors = self.read(path)
        network = self.build(info, 0)
        load_weights(path, network, tensors, _NETWORK)
        return network.eval(), info

    def save_learned(self, path: Path, info: Header, learned: Learned[N]) -> None:
        """Write a network, and besides it all that training needs to continue, at once or not at all.

        Raises:
            StorageError: If it cannot be written; `path` is as it was.
        """
        self.write(path, info, named_tensors(_NETWORK, learned.average.network) | learned_tensors(learned))

    def restore_learned(self, path: Path, learned: Learned[N]) -> Header:
        """Load all that training needs to continue; returns the header.

        Raises:
            CheckpointError: If the file is unusable, holds another network, or was not written by `save_learned`.
        """
        info, tensors = self.read(path)
        restore_learned(path, learned, tensors, _NETWORK)
        return info
