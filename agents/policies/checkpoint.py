"""Weights and the optimiser's state as named tensors.

Kinds of checkpoints: one safetensors file with weights and, as JSON in its header, all that is needed to use them.

The file is complete or absent: written under a temporary name, flushed to disk and renamed. Its weights are those to
use, the moving average of the trained ones. `last.safetensors` also carries the trained weights themselves and the
optimiser's state, so that training continues from it as if it had never stopped.

Checkpoints of policies, see `agents.policies.checkpoint`.
"""

import dataclasses
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from agents.policies.distributions.base import check_temperature
from agents.policies.distributions.recalibrated import check_levels
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import ObservationSpec, observation_spec
from agents.policies.policy import Policy, build_policy
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.storage import write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's header says."""

    policy: PolicyConfig
    """The network."""
    cameras: tuple[Camera, ...]
    """Cameras that it was trained with."""
    map: MapSpec
    """Map patches that it was trained with."""
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Resolved configuration of the training run."""
    progress: dict[str, Any] = dataclasses.field(default_factory=dict)
    """How far training was: epoch, step, scores, and what the trainer needs to continue."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Versions of the packages that trained it, the git revision, the renderer of the data."""
    temperature: float = 1.0
    """Temperature of its answers, fitted after training; see `agents.scoring.predictions`."""
    levels: tuple[float, ...] = ()
    """What its probabilities are worth, fitted after that; see `agents.policies.distributions.recalibrated`."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_levels(self.levels)

    @property
    def senses(self) -> ObservationSpec:
        """Shapes of what the network senses."""
        return observation_spec(self.cameras, self.map)


def _build(info: CheckpointInfo, seed: int) -> Policy:
    return build_policy(info.policy, info.senses, seed)


FORMAT = Format("navsim-policy", 1, CheckpointInfo, _build, "policy.")


def save_checkpoint(path: Path, info: CheckpointInfo, policy: Policy, learner: Resumable | None = None) -> None:
    """Write a checkpoint, replacing the one at `path` at once or not at all.

    Args:
        path: The file.
        info: Its header.
        policy: The weights to drive by.
        learner: The trained weights and the optimiser's state, if training is to continue from the file.

    Raises:
        StorageError: If the disk is full or the folder cannot be written to; `path` is as it was.
    """
    FORMAT.save(path, info, policy, learner)


def read_info(path: Path) -> CheckpointInfo:
    """Read the header of the checkpoint at `path`.

    Raises:
        CheckpointError: If the file is missing, truncated, foreign or of another format.
    """
    return FORMAT.read(path, tensors=False)[0]


def weights_digest(path: Path) -> str:
    """A short text that differs, in all likelihood, for a checkpoint with other weights to drive by.

    Raises:
        CheckpointError: If the file is missing, truncated, foreign or of another format.
    """
    tensors = FORMAT.read(path)[1]
    digest = 0
    for name in sorted(name for name in tensors if name.startswith(FORMAT.prefix)):
        digest = zlib.crc32(tensors[name].contiguous().view(torch.uint8).numpy().tobytes(), digest)
    return f"{digest:08x}"


def load_policy(path: Path, cameras: Sequence[Camera], map_spec: MapSpec) -> Policy:
    """Load the network at `path`, calibrated as its header says, for driving with `cameras` and `map_spec`.

    Raises:
        CheckpointError: If the file is unusable or was made for other cameras or another map.
    """
    policy, info = FORMAT.load(path)
    check_senses(path, info, cameras, map_spec)
    policy.temperature, policy.levels = info.temperature, info.levels
    return policy


def check_senses(path: Path, info: CheckpointInfo, cameras: Sequence[Camera], map_spec: MapSpec) -> None:
    """Make sure that the checkpoint at `path` was made for `cameras` and `map_spec`.

    Raises:
        CheckpointError: If it was not.
    """
    if tuple(cameras) != info.cameras:
        raise CheckpointError(f"{path}: made for cameras {_shown(info.cameras)}; given are {_shown(cameras)}")
    if map_spec != info.map:
        raise CheckpointError(f"{path}: made for the map {info.map}; given is {map_spec}")


def write_calibration(path: Path, temperature: float, levels: tuple[float, ...] = ()) -> None:
    """Set temperature and levels in the header of the checkpoint at `path`, at once or not at all; all else stays.

    Raises:
        CheckpointError: If the file is unusable.
        ConfigError: If the temperature is out of its range, or the levels do not rise from 0 to 1.
        StorageError: If it cannot be written; it is as it was then.
    """
    info, tensors = FORMAT.read(path)
    FORMAT.write(path, dataclasses.replace(info, temperature=temperature, levels=levels), tensors)


def restore_training(path: Path, learner: Resumable) -> CheckpointInfo:
    """Load weights, their average and the optimiser's state to continue training; returns the header.

    Raises:
        CheckpointError: If the file is unusable, holds another network, or was not written by a trainer.
    """
    return FORMAT.restore(path, learner)


def _shown(cameras: Sequence[Camera]) -> str:
    """Cameras in short."""
    return (
        "["
        + "; ".join(
            f"{c.name} {c.width}x{c.height} fov {c.fov_deg:g} deg at {c.position}, "
            f"yaw {c.yaw_deg:g}, pitch {c.pitch_deg:g}"
            for c in cameras
        )
        + "]"
    )
