"""Checkpoints of policies, see `agents.policies.formats`."""

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agents.policies.distributions.base import check_temperature
from agents.policies.distributions.recalibrated import check_levels
from agents.policies.formats import Format, Resumable
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import SensesSpec, senses_spec
from agents.policies.policy import Policy, build_policy
from navsim.errors import CheckpointError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec


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
    """Temperature of its answers, fitted after training; see `agents.scoring.temperature`."""
    levels: tuple[float, ...] = ()
    """What its probabilities are worth, fitted after that; see `agents.policies.distributions.recalibrated`."""

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_levels(self.levels)

    @property
    def senses(self) -> SensesSpec:
        """Shapes of what the network senses."""
        return senses_spec(self.cameras, self.map)


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
