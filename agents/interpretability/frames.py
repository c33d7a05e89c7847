"""Recorded frames for an inspection, evenly over drives, with the class of each pixel. N: frames, C: cameras."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.interpretability.regions import Masks, camera_regions, concatenate_masks
from agents.policies.networks.observation_batch import ObservationBatch
from navsim.datasets.dataset import open_dataset
from navsim.datasets.episode_files import EpisodeHeader, read_episode, read_header
from navsim.errors import EpisodeError, NavsimError
from navsim.roads.elements import DrivingSide
from navsim.roads.generators.towns import Split
from navsim.simulation.config import SimulationConfig, simulation_settings
from navsim.simulation.episode import Episode, FrameManoeuvre, manoeuvre_of_frames
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.scenario import scenario_route
from navsim.simulation.town import load_town_map

MIN_SECONDS = 1.0
"""Shortest drive that is inspected [s]."""
_MAX_COLOUR_DIFFERENCE = 8.0  # largest mean difference between recorded and rerendered frames
_SHOWN_FIRST = (
    FrameManoeuvre.LEFT,
    FrameManoeuvre.RIGHT,
    FrameManoeuvre.STRAIGHT_ON,
    FrameManoeuvre.CURVE,
    FrameManoeuvre.ROUNDABOUT,
    FrameManoeuvre.STRAIGHT,
)


@dataclass(frozen=True)
class RecordedDrives:
    """Recorded drives of one car."""

    simulation: SimulationConfig
    """Settings of the car, its cameras and maps."""
    headers: dict[Path, EpisodeHeader]
    """Headers of the drives by file, sorted by town."""
    notes: tuple[str, ...] = ()
    """Messages about drives that were left out."""


@dataclass(frozen=True, eq=False)
class InspectedFrames:
    """Recorded frames with labels and regions. N: frames."""

    observations: ObservationBatch
    """Observations of the frames."""
    labels: Tensor
    """The expert's curvatures (N,) float32 [1/m]."""
    names: tuple[str, ...]
    """Drive and time of each frame."""
    manoeuvres: NDArray[np.str_]
    """Manoeuvre of the car (N,), values of `FrameManoeuvre`."""
    regions: Masks | None
    """Regions of the cameras' views, each (N, C, H, W); None if they are unknown."""
    notes: tuple[str, ...] = ()
    """Messages about regions that are unknown."""

    def __len__(self) -> int:
        """Number of frames, N."""
        return len(self.labels)


def drives_of_folder(folder: Path, split: Split) -> RecordedDrives:
    """Return the drives of a data folder that are long enough.

    Raises:
        EpisodeError: If there are none, or the folder is missing, damaged or foreign.
    """
    dataset = open_dataset(folder, split)
    simulation = dataset.description.simulation
    long_drives = {path: header for path, header in dataset.headers.items() if _is_long_enough(header, simulation)}
    if not long_drives:
        raise EpisodeError(f"{folder}: holds no {split} drive of at least {MIN_SECONDS:g} s")
    short = len(dataset) - len(long_drives)
    notes = (f"{short} drives shorter than {MIN_SECONDS:g} s were left out",) if short else ()
    return RecordedDrives(simulation, long_drives, notes)


def drives_of_files(paths: Sequence[Path]) -> RecordedDrives:
    """Return drives given by their files, all recorded with the same cameras and maps.

    Raises:
        EpisodeError: If a file is missing, damaged, foreign, shorter than `MIN_SECONDS`, without camera settings, or
            was recorded with other cameras than the first.
    """
    headers = {path: read_header(path) for path in paths}
    cars = {path: _simulation(path, header) for path, header in headers.items()}
    first = cars[paths[0]]
    for path, car in cars.items():
        if (car.cameras, car.map) != (first.cameras, first.map):
            raise EpisodeError(f"{path}: was recorded with other cameras or maps than {paths[0]}")
        if not _is_long_enough(headers[path], car):
            length = headers[path].steps * car.control_step
            raise EpisodeError(f"{path}: is a drive of {length:.1f} s; at least {MIN_SECONDS:g} s are needed")
    return RecordedDrives(first, dict(sorted(headers.items(), key=lambda item: item[1].scenario.town)))


def choose_frames(drives: RecordedDrives, count: int) -> InspectedFrames:
    """Choose frames evenly over all drives, and rerender them for the class of each pixel.

    Args:
        drives: Drives to choose from.
        count: Number of frames; all frames where there are fewer.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    total = sum(header.steps for header in drives.headers.values())
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    parts, notes, start = list[InspectedFrames](), dict[str, None](), 0
    rerenderer = EpisodeRerenderer(drives.simulation)
    try:
        for path, header in drives.headers.items():
            rows = chosen[(chosen >= start) & (chosen < start + header.steps)] - start
            start += header.steps
            if len(rows):
                parts.append(_frames(path, rows, rerenderer))
                notes |= dict.fromkeys(parts[-1].notes)
    finally:
        rerenderer.close()
    return _concatenate(parts, tuple(notes))


def frames_to_show(frames: InspectedFrames, count: int) -> list[int]:
    """Choose frames of different manoeuvres, turns at junctions first, the sharpest labels of each first."""
    sharpness = frames.labels.abs().numpy()
    queues = {
        manoeuvre: sorted(np.flatnonzero(frames.manoeuvres == manoeuvre).tolist(), key=lambda row: -sharpness[row])
        for manoeuvre in _SHOWN_FIRST
    }
    shown: list[int] = []
    while len(shown) < min(count, len(frames)):
        for queue in queues.values():
            if queue and len(shown) < count:
                # From the first third: the sharpest of all is often an outlier.
                shown.append(queue.pop(len(queue) // 3))
    return shown


def _is_long_enough(header: EpisodeHeader, simulation: SimulationConfig) -> bool:
    return header.steps * simulation.control_step >= MIN_SECONDS - 1e-9


def _simulation(path: Path, header: EpisodeHeader) -> SimulationConfig:
    """Return the settings of the car in an episode's file."""
    settings = header.metadata.get("simulation")
    if settings is None:
        raise EpisodeError(f"{path}: has no camera settings; give its data folder")
    return simulation_settings(settings, path)


def _frames(path: Path, rows: NDArray[np.intp], rerenderer: EpisodeRerenderer) -> InspectedFrames:
    """Return some frames of one drive."""
    episode = read_episode(path)
    if len(episode.images) != len(episode):
        raise EpisodeError(f"{path}: was recorded without images; scripts/rerender.py draws them")
    if episode.side is DrivingSide.LEFT:
        raise EpisodeError(f"{path}: traffic keeps left there; give drives of towns where it keeps right")
    network = load_town_map(episode.scenario.town).network
    manoeuvres = manoeuvre_of_frames(episode, network, scenario_route(network, episode.scenario))
    regions, notes = _regions(episode, rows, rerenderer)
    return InspectedFrames(
        ObservationBatch(
            torch.tensor(episode.images[rows]),
            torch.tensor(episode.road_maps[rows]),
            torch.tensor(episode.route_maps[rows]),
            torch.tensor(episode.speeds[rows], dtype=torch.float32),
        ),
        torch.tensor(episode.labels[rows], dtype=torch.float32),
        tuple(f"{episode.scenario.name}, {episode.times[row]:.1f} s" for row in rows),
        manoeuvres[rows],
        regions,
        notes,
    )


def _regions(
    episode: Episode, rows: NDArray[np.intp], rerenderer: EpisodeRerenderer
) -> tuple[Masks | None, tuple[str, ...]]:
    """Return the regions of the views, or a message why they are unknown."""
    try:
        places = rerenderer.measure(episode, rows.tolist())
    except NavsimError as error:
        return None, (f"the classes of pixels are unknown: {error}",)
    difference = float(np.abs(places.images.astype(float) - episode.images[rows]).mean())
    if difference > _MAX_COLOUR_DIFFERENCE:
        return None, ("the classes of pixels are unknown: the rerendered drives differ from their recording",)
    return camera_regions(places, load_town_map(episode.scenario.town).network), ()


def _concatenate(parts: Sequence[InspectedFrames], notes: tuple[str, ...]) -> InspectedFrames:
    """Concatenate frames; with regions only if all have them."""
    masks = [part.regions for part in parts if part.regions is not None]
    return InspectedFrames(
        ObservationBatch(
            torch.cat([part.observations.images for part in parts]),
            torch.cat([part.observations.road_map for part in parts]),
            torch.cat([part.observations.route_map for part in parts]),
            torch.cat([part.observations.speed for part in parts]),
        ),
        torch.cat([part.labels for part in parts]),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.manoeuvres for part in parts]),
        concatenate_masks(masks) if len(masks) == len(parts) else None,
        notes,
    )
