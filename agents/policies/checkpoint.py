"""Checkpoints: one safetensors file with weights and, as JSON in its header, all that is needed to use them.

The file is complete or absent: written under a temporary name, flushed to disk and renamed. Its weights are those to
use, the moving average of the trained ones. `last.safetensors` also holds the trained weights and the optimiser's
state, from which training continues as if it had never stopped.
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

from agents.policies import WEIGHTS_NAME
from agents.policies.distributions.base import check_temperature
from agents.policies.distributions.recalibrated import check_levels
from agents.policies.networks.config import PolicyConfig, check_sensors
from agents.policies.networks.observation_batch import ObservationSpec, observation_spec
from agents.policies.policy import Policy, build_policy
from navsim.config import from_mapping, to_mapping
from navsim.errors import CheckpointError, ConfigError
from navsim.provenance import InputFile
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.storage import find_file, write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def named_tensors(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights under names that begin with `prefix`."""
    return {prefix + name: value for name, value in network.state_dict().items()}


def load_weights(path: Path, network: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Copy the weights among `tensors` whose names begin with `prefix` into `network`.

    Raises:
        CheckpointError: If they belong to another network.
    """
    weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != shapes:
        wrong = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
        name = wrong[0]
        raise CheckpointError(
            f"{path}: holds another network: {name} has shape {shapes.get(name)}, expected {expected.get(name)}"
        )
    network.load_state_dict(weights)


Header = TypeVar("Header", bound="DataclassInstance")
N = TypeVar("N", bound=nn.Module)


class Resumable(Protocol):
    """The state of a training run that a checkpoint can carry: trained weights, optimiser, average of the weights."""

    @property
    def averaged(self) -> nn.Module:
        """Network with the averaged weights, which are those to use."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors needed to continue, without the average."""

    def restore(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Adopt the tensors that `tensors` gave, as read from `path`."""


@dataclass(frozen=True)
class CheckpointFormat(Generic[Header, N]):
    """A kind of checkpoint: the type of its header and how to build its network."""

    name: str
    """Name of the format, which distinguishes its files from those of other kinds."""
    version: int
    """Version of the format that is written and read."""
    header: type[Header]
    """Dataclass of the header."""
    build: Callable[[Header, int], N]
    """Function from a header and a seed to the network, with initial weights that depend on the seed alone."""
    prefix: str = "network."
    """Beginning of the names of the weights to use."""

    def save(self, path: Path, header: Header, network: N, train_state: Resumable | None = None) -> None:
        """Write a network, replacing the file at `path` at once or not at all.

        Args:
            path: The file.
            header: Its header.
            network: The weights to use.
            train_state: State from which training can continue; None leaves it out.

        Raises:
            StorageError: If the disk is full or the folder cannot be written to; `path` stays unchanged.
        """
        more = {} if train_state is None else train_state.tensors()
        self.write(path, header, named_tensors(self.prefix, network) | more)

    def load(self, path: Path) -> tuple[N, Header]:
        """Load a network in evaluation mode, with its header.

        Raises:
            CheckpointError: If the file is missing, damaged, foreign or of another version.
            ConfigError: If the network cannot be built here.
        """
        header, tensors = self.read(path)
        network = self.build(header, 0)
        load_weights(path, network, tensors, self.prefix)
        return network.eval(), header

    def restore(self, path: Path, train_state: Resumable) -> Header:
        """Load the state needed to continue training; returns the header.

        Raises:
            CheckpointError: If the file is unusable, holds another network, or lacks the training state.
        """
        header, tensors = self.read(path)
        train_state.restore(path, tensors)
        load_weights(path, train_state.averaged, tensors, self.prefix)
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
            raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of this project")
        if (version := texts.pop("format_version")) != str(self.version):
            raise CheckpointError(f"{path}: format {version}, this version reads {self.version}")
        try:
            return from_mapping(self.header, {key: json.loads(text) for key, text in texts.items()}, str(path)), values
        except ConfigError as error:
            raise CheckpointError(f"damaged header: {error}") from None


def checkpoint_file(path: Path) -> Path:
    """Return the file of a checkpoint: `path`, or the weights in that folder, or the project's policy of that name."""
    found = find_file(path, "policies")
    return found / WEIGHTS_NAME if found.is_dir() else found


def _read(path: Path, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    path = checkpoint_file(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys() if tensors else ()
            # Copies, because Windows replaces no file that is mapped into memory.
            values = {name: file.get_tensor(name).clone() for name in names}
            return file.metadata() or {}, values
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged, or not a checkpoint of this project: {error}") from None


def _plain(value: Any) -> Any:
    """Plain values of a header's field: dataclasses become mappings."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return to_mapping(value) if dataclasses.is_dataclass(value) else value


@dataclass(frozen=True)
class CheckpointInfo:
    """Header of a policy's checkpoint."""

    policy: PolicyConfig
    """Inputs, network and head of the policy."""
    cameras: tuple[Camera, ...]
    """Cameras of the training data."""
    map: MapSpec
    """Map patches of the training data."""
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Resolved configuration of the training run."""
    progress: dict[str, Any] = dataclasses.field(default_factory=dict)
    """State of the training: epoch, step, scores, and the values that the trainer needs to continue."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    """Versions of the packages that trained the policy, the git revision, the renderer of the data."""
    temperature: float = 1.0
    """Temperature of the policy's distributions, fitted after training; see `agents.scoring.predictions`."""
    levels: tuple[float, ...] = ()
    """Recalibration of the probabilities, fitted last; see `agents.policies.distributions.recalibrated`."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_levels(self.levels)

    @property
    def observation_spec(self) -> ObservationSpec:
        """Shapes of the policy's observations."""
        return observation_spec(self.cameras, self.map)


def _build(info: CheckpointInfo, seed: int) -> Policy:
    return build_policy(info.policy, info.observation_spec, seed)


POLICY_FORMAT = CheckpointFormat("navsim-policy", 1, CheckpointInfo, _build, "policy.")


def save_checkpoint(path: Path, info: CheckpointInfo, policy: Policy, train_state: Resumable | None = None) -> None:
    """Write a checkpoint, replacing the one at `path` at once or not at all.

    Args:
        path: The file.
        info: Its header.
        policy: The weights to drive by.
        train_state: Trained weights and optimiser state from which training can continue; None leaves them out.

    Raises:
        StorageError: If the disk is full or the folder cannot be written to; `path` stays unchanged.
    """
    POLICY_FORMAT.save(path, info, policy, train_state)


def read_info(path: Path) -> CheckpointInfo:
    """Read the header of the checkpoint at `path`.

    Raises:
        CheckpointError: If the file is missing, truncated, foreign or of another format.
    """
    return POLICY_FORMAT.read(path, tensors=False)[0]


def checkpoint_input(path: Path) -> InputFile:
    """Return the file of a checkpoint with its present content; for its errors see `read_info`."""
    read_info(path)
    return InputFile.of(checkpoint_file(path))


def weights_digest(path: Path) -> str:
    """Return a short text that differs, almost surely, between checkpoints with different weights.

    Raises:
        CheckpointError: If the file is missing, truncated, foreign or of another format.
    """
    tensors = POLICY_FORMAT.read(path)[1]
    digest = 0
    for name in sorted(name for name in tensors if name.startswith(POLICY_FORMAT.prefix)):
        digest = zlib.crc32(tensors[name].contiguous().view(torch.uint8).numpy().tobytes(), digest)
    return f"{digest:08x}"


def load_policy(path: Path | str, cameras: Sequence[Camera] | None = None, map_spec: MapSpec | None = None) -> Policy:
    """Load a policy for driving, calibrated as its header says.

    Args:
        path: File of the checkpoint, its folder, or the name of one of the project's policies, such as `reference`.
        cameras: Cameras of the car; None takes those that the policy was trained with.
        map_spec: Map patches of the car; None takes those that the policy was trained with.

    Raises:
        CheckpointError: If the file is unusable or was made for other cameras or another map.
    """
    path = Path(path)
    policy, info = POLICY_FORMAT.load(path)
    car = info.cameras if cameras is None else cameras, info.map if map_spec is None else map_spec
    check_sensors(path, (info.cameras, info.map), car)
    policy.temperature, policy.levels = info.temperature, info.levels
    return policy


def write_calibration(path: Path, temperature: float, levels: tuple[float, ...] = ()) -> None:
    """Set temperature and levels in the header of the checkpoint at `path`, at once or not at all.

    Raises:
        CheckpointError: If the file is unusable.
        ConfigError: If the temperature is out of its range, or the levels do not rise from 0 to 1.
        StorageError: If the file cannot be written; it stays unchanged.
    """
    info, tensors = POLICY_FORMAT.read(path)
    POLICY_FORMAT.write(path, dataclasses.replace(info, temperature=temperature, levels=levels), tensors)


def restore_training(path: Path, train_state: Resumable) -> CheckpointInfo:
    """Load weights, their average and the optimiser's state to continue training; returns the header.

    Raises:
        CheckpointError: If the file is unusable, holds another network, or was not written by a trainer.
    """
    return POLICY_FORMAT.restore(path, train_state)
