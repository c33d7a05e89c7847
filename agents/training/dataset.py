"""Recorded drives as tensors: everything decompressed once, checked, and gathered from there by index.

N: frames of all episodes, C: cameras, H and W: height and width [px], S: side of a map [px].
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.senses import Senses, SensesSpec, senses_spec
from agents.policies.settings import PolicyConfig
from navsim.driving.episode import Episode
from navsim.driving.simulation import SimulationConfig
from navsim.errors import ConfigError, EpisodeError
from navsim.recording.dataset import Dataset, join_datasets, open_dataset
from navsim.recording.versions import git_revision, software_versions
from navsim.roads.towns import Split
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec

JUNCTION_BEFORE = 15.0
"""A junction asks for attention from here before its mouth ... [m]"""
JUNCTION_AFTER = 5.0
"""... to here behind it [m]."""
OFF_CENTRE = 0.25
"""Beyond this offset a car is recovering [m]."""
OFF_HEADING_DEG = 4.0
"""Beyond this heading error, too [deg]."""


@dataclass(frozen=True, eq=False)
class Samples:
    """N labelled situations on one device."""

    senses: Senses
    """What was sensed."""
    labels: Tensor
    """The expert's curvatures (N,) float32 [1/m]."""
    demanding: Tensor
    """Which situations ask for more than holding the lane (N,) bool, see `is_demanding`."""

    def __len__(self) -> int:
        """Number of situations, N."""
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Samples":
        """Gather situations by their indices or a slice."""
        return Samples(self.senses[index], self.labels[index], self.demanding[index])

    def to(self, device: torch.device) -> "Samples":
        """Copy to `device`."""
        return Samples(self.senses.to(device), self.labels.to(device), self.demanding.to(device))

    @property
    def fingerprint(self) -> str:
        """A short text that differs, in all likelihood, for other frames or labels."""
        return f"{len(self)}-{zlib.crc32(self.labels.cpu().numpy().tobytes()):08x}"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run learns from and is validated on."""

    train: Samples
    """Frames to learn from."""
    validation: Samples
    """Frames of other towns."""
    cameras: tuple[Camera, ...]
    """Cameras of both."""
    map: MapSpec
    """Map patches of both."""
    versions: dict[str, str] = field(default_factory=dict)
    """Software that trains, its git revision, and the renderer that drew the images."""
    simulation: SimulationConfig | None = None
    """The car and the rules of the drives, if known."""

    @property
    def world(self) -> SimulationConfig:
        """What to drive in to be validated: that of the drives, or a usual one with the same cameras and maps."""
        return self.simulation or SimulationConfig(cameras=self.cameras, map=self.map)


def load_training_data(folder: Path, policy: PolicyConfig, more: Sequence[Path] = ()) -> TrainingData:
    """Read the training and validation drives of a data folder into memory.

    Args:
        folder: The data folder.
        policy: What shall learn.
        more: Further data folders, whose training drives are added.

    Raises:
        EpisodeError: If a split is missing or empty, or an episode is damaged, foreign, or cannot be learned from.
        ConfigError: If the policy may command what the vehicle of the drives cannot.
    """
    train = join_datasets([open_dataset(each, Split.TRAIN) for each in (folder, *more)])
    validation = open_dataset(folder, Split.VALIDATION)
    simulation = train.description.simulation
    if policy.max_curvature > simulation.vehicle.max_curvature:
        raise ConfigError(
            f"policy.max_curvature is {policy.max_curvature} 1/m, the vehicle in {folder} reaches "
            f"{simulation.vehicle.max_curvature} 1/m"
        )
    spec = senses_spec(simulation.cameras, simulation.map)
    return TrainingData(
        _gathered(train, spec, policy.max_curvature),
        _gathered(validation, spec, policy.max_curvature),
        simulation.cameras,
        simulation.map,
        _versions(train),
        simulation,
    )


def _gathered(dataset: Dataset, spec: SensesSpec, max_curvature: float) -> Samples:
    return gather_samples(dataset.episodes(), dataset.frames, spec, max_curvature, str(dataset.folder))


def _versions(dataset: Dataset) -> dict[str, str]:
    """Software here and now, and what drew the images of the first drive."""
    header = next(iter(dataset.headers.values()))
    return software_versions() | {
        "torch": version("torch"),
        "safetensors": version("safetensors"),
        "git": git_revision(),
        "renderer": str(header.metadata.get("renderer", "unknown")),
    }


def gather_samples(
    episodes: Iterable[Episode], frames: int, spec: SensesSpec, max_curvature: float, source: str
) -> Samples:
    """Copy the frames of episodes, one after another, into tensors made once for all.

    Args:
        episodes: The drives; each is let go before the next is asked for.
        frames: Number of frames in all.
        spec: Shapes that every episode must have.
        max_curvature: Largest curvature of the vehicle [1/m].
        source: Name of the data, for errors.

    Raises:
        EpisodeError: If there are no frames, or an episode lacks images, has other shapes than `spec`, or has labels
            that are not finite or beyond `max_curvature`.
    """
    if frames < 1:
        raise EpisodeError(f"{source}: holds no frames to learn from")
    samples = _empty(frames, spec)
    start = 0
    for episode in episodes:
        name = f"{source}: episode {episode.scenario.name}"
        _check(episode, spec, max_curvature, name)
        if start + len(episode) > frames:
            raise EpisodeError(f"{name}: has more frames than the {frames} that were announced for all")
        _copy(episode, samples, start)
        start += len(episode)
    if start != frames:
        raise EpisodeError(f"{source}: holds {start} frames, {frames} were announced")
    return samples


def is_demanding(episode: Episode) -> NDArray[np.bool_]:
    """Which frames (T,) lie near a junction or away from the lane's middle.

    This is told by where the car is, never by its label: choosing frames by label would bend P(theta | I, M).
    """
    stations = episode.stations[:-1]
    near = [(stations > p.start - JUNCTION_BEFORE) & (stations < p.end + JUNCTION_AFTER) for p in episode.passages]
    off = np.abs(episode.offsets[:-1]) > OFF_CENTRE
    turned = np.abs(episode.heading_errors[:-1]) > np.radians(OFF_HEADING_DEG)
    return np.asarray(np.any([off, turned, *near], axis=0))


def _empty(frames: int, spec: SensesSpec) -> Samples:
    """Tensors for `frames` situations."""
    maps = (frames, spec.map_size, spec.map_size)
    images = torch.empty((frames, spec.cameras, spec.height, spec.width, 3), dtype=torch.uint8)
    road, route = (torch.empty(maps, dtype=torch.uint8) for _ in range(2))
    return Samples(
        Senses(images, road, route, torch.empty(frames)), torch.empty(frames), torch.empty(frames, dtype=torch.bool)
    )


def _copy(episode: Episode, samples: Samples, start: int) -> None:
    """Copy an episode's frames into `samples` from frame `start` on."""
    part = slice(start, start + len(episode))
    pairs: tuple[tuple[Tensor, NDArray[np.uint8] | NDArray[np.float64] | NDArray[np.bool_]], ...] = (
        (samples.senses.images, episode.images),
        (samples.senses.road_map, episode.road_maps),
        (samples.senses.route_map, episode.route_maps),
        (samples.senses.speed, episode.speeds[:-1]),
        (samples.labels, episode.labels),
        (samples.demanding, is_demanding(episode)),
    )
    for tensor, values in pairs:
        target = tensor[part].numpy()
        target[...] = values


def _check(episode: Episode, spec: SensesSpec, max_curvature: float, name: str) -> None:
    """Raise EpisodeError if an episode cannot be learned from."""
    if len(episode.images) != len(episode):
        raise EpisodeError(f"{name}: was recorded without images")
    images, maps = (spec.cameras, spec.height, spec.width, 3), (spec.map_size, spec.map_size)
    if episode.images.shape[1:] != images:
        raise EpisodeError(f"{name}: images are (C, H, W, 3) = {episode.images.shape[1:]}, the data set has {images}")
    for kind in ("road_maps", "route_maps"):
        shape = getattr(episode, kind).shape[1:]
        if shape != maps:
            raise EpisodeError(f"{name}: {kind} are (S, S) = {shape}, the data set has {maps}")
    if not np.isfinite(episode.labels).all():
        raise EpisodeError(f"{name}: label {int(np.argmin(np.isfinite(episode.labels)))} is not finite")
    worst = int(np.abs(episode.labels).argmax())
    if abs(episode.labels[worst]) > max_curvature * (1 + 1e-6):
        raise EpisodeError(
            f"{name}: label {worst} is {episode.labels[worst]:.4f} 1/m, "
            f"beyond the policy's max_curvature of {max_curvature} 1/m"
        )
