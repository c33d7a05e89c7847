"""Recorded drives as tensors: checked and decompressed once, then gathered by index.

N: frames of all episodes, C: cameras, H and W: height and width [px], S: side of a map [px].
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import ObservationBatch, ObservationSpec, observation_spec
from agents.training.packed import (
    check_classes,
    check_numbers,
    check_pictures,
    check_recorded,
    map_records,
    right_hand_episodes,
)
from agents.training.runtime import Storage, choose_storage, free_memory
from agents.training.samples import MappedSamples, Samples, record_bytes
from navsim.datasets.dataset import DataFolders, Dataset, folders_text, join_datasets, open_dataset
from navsim.errors import ConfigError, EpisodeError
from navsim.provenance import git_revision, software_versions
from navsim.roads.generators.towns import Split
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode

__all__ = ["Samples", "TrainingData", "gather_samples", "informative_frames", "load_training_data"]

JUNCTION_BEFORE = 15.0
"""Distance before a junction from which frames are informative [m]."""
JUNCTION_AFTER = 5.0
"""Distance after a junction up to which frames are informative [m]."""
OFF_CENTRE = 0.25
"""Offset beyond which a car is recovering [m]."""
OFF_HEADING_DEG = 4.0
"""Heading error beyond which a car is recovering [deg]."""

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Training and validation data of a run."""

    train: Samples
    """Frames to learn from."""
    validation: Samples
    """Frames of other towns."""
    cameras: tuple[Camera, ...]
    """Cameras of both."""
    map: MapSpec
    """Map patches of both."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the training software, its git revision, and the renderers of the images."""
    simulation: SimulationConfig | None = None
    """Car, sensors and rules of the drives, if known."""

    @property
    def simulation_config(self) -> SimulationConfig:
        """Simulation of the drives for validation; by default one with the same cameras and maps."""
        return self.simulation or SimulationConfig(cameras=self.cameras, map=self.map)


def load_training_data(
    data: DataFolders,
    policy: PolicyConfig,
    storage: Storage = "auto",
    device: torch.device = CPU,
    more: Sequence[Path] = (),
    classes: bool = False,
    packed_folder: Path | None = None,
) -> TrainingData:
    """Read the training and validation drives of one or several data folders.

    The numbers of all drives are checked before any picture is read.

    Args:
        data: The data folders.
        policy: The policy to train.
        storage: Place of the pictures.
        device: Device that trains.
        more: Further data folders, whose training drives are added.
        classes: Whether to read the classes of the training images' pixels too.
        packed_folder: Folder for packed files, see `agents.training.packed`.

    Raises:
        EpisodeError: If a split is missing or empty, or an episode is damaged, foreign, or cannot be learned from.
        ConfigError: If the policy may command curvatures that the vehicle cannot drive, or the device's memory is asked
            for and too small.
        StorageError: If the data fits neither into memory nor, packed, on the disk.
    """
    splits = _open_splits(data, policy, more, classes)
    simulation = splits[Split.TRAIN].description.simulation
    spec = observation_spec(simulation.cameras, simulation.map)
    numbers = {split: _numbers(dataset, policy.max_curvature) for split, dataset in splits.items()}
    labelled = {Split.TRAIN: classes, Split.VALIDATION: False}
    needed = sum(dataset.frames * record_bytes(spec, labelled[split]) for split, dataset in splits.items())
    chosen = choose_storage(storage, needed, free_memory(device), device)
    samples = {
        split: gather_samples(
            right_hand_episodes(dataset),
            dataset.frames,
            spec,
            policy.max_curvature,
            folders_text(data),
            device,
            labelled[split],
        )
        if chosen == "device"
        else MappedSamples.of(
            map_records(dataset, split, spec, labelled[split], packed_folder), spec, *numbers[split]
        ).to(device)
        for split, dataset in splits.items()
    }
    return TrainingData(
        samples[Split.TRAIN],
        samples[Split.VALIDATION],
        simulation.cameras,
        simulation.map,
        _versions([*splits.values()]),
        simulation,
    )


def _open_splits(data: DataFolders, policy: PolicyConfig, more: Sequence[Path], classes: bool) -> dict[Split, Dataset]:
    """Find the drives, and make sure that the policy can learn from them; reads headers only."""
    train = join_datasets([open_dataset(each, Split.TRAIN) for each in (data, *more)])
    splits = {Split.TRAIN: train, Split.VALIDATION: open_dataset(data, Split.VALIDATION)}
    vehicle = train.description.simulation.vehicle
    if policy.max_curvature > vehicle.max_curvature:
        raise ConfigError(
            f"policy.max_curvature is {policy.max_curvature} 1/m, the vehicle in {folders_text(data)} reaches "
            f"{vehicle.max_curvature} 1/m"
        )
    for dataset in splits.values():
        check_recorded(dataset)
    if classes:
        check_classes(train)
    return splits


def _versions(datasets: Iterable[Dataset]) -> dict[str, str]:
    """Return the versions of the software, and the renderers of the images."""
    headers = [header for dataset in datasets for header in dataset.headers.values()]
    renderers = sorted({str(header.metadata.get("renderer", "unknown")) for header in headers})
    return software_versions() | {
        "torch": version("torch"),
        "safetensors": version("safetensors"),
        "git": git_revision(),
        "renderer": ", ".join(renderers),
    }


def gather_samples(
    episodes: Iterable[Episode],
    frames: int,
    spec: ObservationSpec,
    max_curvature: float,
    source: str,
    device: torch.device = CPU,
    classes: bool = False,
) -> Samples:
    """Copy the frames of episodes into tensors that are made once.

    Args:
        episodes: The drives; each is freed before the next is read.
        frames: Number of frames of all drives.
        spec: Shapes that every episode must have.
        max_curvature: Largest curvature of the vehicle [1/m].
        source: Name of the data, for errors.
        device: Device of the tensors.
        classes: Whether to copy the classes of the images' pixels too.

    Raises:
        EpisodeError: If there is not a single frame, or an episode lacks images, has other shapes than `spec`, numbers
            that are not finite, or labels beyond `max_curvature`.
    """
    if frames < 1:
        raise EpisodeError(f"{source}: holds no frames to learn from")
    samples = _empty(frames, spec, device, classes)
    start = 0
    for episode in episodes:
        name = f"{source}: episode {episode.scenario.name}"
        check_pictures(episode, spec, name)
        check_numbers(episode, max_curvature, name)
        if start + len(episode) > frames:
            raise EpisodeError(f"{name}: has more frames than the {frames} that were announced for all")
        _copy(episode, samples, start)
        start += len(episode)
    if start != frames:
        raise EpisodeError(f"{source}: holds {start} frames, {frames} were announced")
    return samples


def informative_frames(episode: Episode) -> NDArray[np.bool_]:
    """Return which frames (T,) lie near a junction or away from the lane's middle.

    The car's position decides, never the label: choosing frames by label would distort P(theta | I, M).
    """
    stations = episode.stations[:-1]
    near = [(stations > p.start - JUNCTION_BEFORE) & (stations < p.end + JUNCTION_AFTER) for p in episode.passages]
    off = np.abs(episode.offsets[:-1]) > OFF_CENTRE
    turned = np.abs(episode.heading_errors[:-1]) > np.radians(OFF_HEADING_DEG)
    return np.asarray(np.any([off, turned, *near], axis=0))


def _numbers(dataset: Dataset, max_curvature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Check all numbers; returns speeds (N,), labels (N,) and which frames are informative (N,)."""
    speeds, labels, is_informative = [], [], []
    for path, episode in zip(dataset.headers, right_hand_episodes(dataset, images=False), strict=True):
        check_numbers(episode, max_curvature, f"{path.parent.parent}: episode {episode.scenario.name}")
        speeds.append(episode.speeds[:-1])
        labels.append(episode.labels)
        is_informative.append(informative_frames(episode))
    return (
        torch.tensor(np.concatenate(speeds), dtype=torch.float32),
        torch.tensor(np.concatenate(labels), dtype=torch.float32),
        torch.tensor(np.concatenate(is_informative)),
    )


def _empty(frames: int, spec: ObservationSpec, device: torch.device, classes: bool) -> Samples:
    """Make tensors for `frames` frames."""
    maps = (frames, spec.map_size, spec.map_size)
    images = torch.empty((frames, spec.cameras, spec.height, spec.width, 3), dtype=torch.uint8, device=device)
    road, route = (torch.empty(maps, dtype=torch.uint8, device=device) for _ in range(2))
    speed, labels = (torch.empty(frames, device=device) for _ in range(2))
    is_informative = torch.empty(frames, dtype=torch.bool, device=device)
    shown = torch.empty(images.shape[:-1], dtype=torch.uint8, device=device) if classes else None
    return Samples(ObservationBatch(images, road, route, speed), labels, is_informative, classes=shown)


def _copy(episode: Episode, samples: Samples, start: int) -> None:
    """Copy an episode's frames into `samples` from frame `start` on."""
    part = slice(start, start + len(episode))
    pairs: tuple[tuple[Tensor, NDArray[np.uint8] | NDArray[np.float64] | NDArray[np.bool_]], ...] = (
        (samples.observations.images, episode.images),
        (samples.observations.road_map, episode.road_maps),
        (samples.observations.route_map, episode.route_maps),
        (samples.observations.speed, episode.speeds[:-1]),
        (samples.labels, episode.labels),
        (samples.is_informative, informative_frames(episode)),
    )
    for tensor, values in pairs:
        tensor[part] = torch.tensor(values, dtype=tensor.dtype)
    if samples.classes is not None:
        samples.classes[part] = torch.tensor(episode.classes)
