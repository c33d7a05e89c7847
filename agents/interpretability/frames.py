"""Recorded frames to look at: chosen evenly over drives, with what each pixel shows. N: frames, C: cameras."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.interpretability.regions import Masks, camera_regions, joined_masks
from agents.policies.networks.observation_batch import ObservationBatch
from navsim.datasets.dataset import open_dataset, simulation_settings
from navsim.datasets.episode_files import EpisodeHeader, read_episode, read_header
from navsim.errors import EpisodeError, NavsimError
from navsim.roads.generators.towns import Split
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode, FrameManoeuvre, manoeuvre_of_frames
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.simulation.scenario import scenario_route
from navsim.simulation.town import load_town_map

SHORTEST = 1.0
"""Drives shorter than this are not looked at [s]: too little to say anything of."""
_FARTHEST_COLOUR = 8.0  # mean difference from the recorded picture up to which a frame counts as drawn alike
_SHOWN_FIRST = (
    FrameManoeuvre.LEFT,
    FrameManoeuvre.RIGHT,
    FrameManoeuvre.STRAIGHT_ON,
    FrameManoeuvre.CURVE,
    FrameManoeuvre.ROUNDABOUT,
    FrameManoeuvre.STRAIGHT,
)


@dataclass(frozen=True)
class Drives:
    """Recorded drives of one car."""

    simulation: SimulationConfig
    """The car, its cameras and maps."""
    headers: dict[Path, EpisodeHeader]
    """The drives, those of a town together."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


@dataclass(frozen=True, eq=False)
class Frames:
    """N frames."""

    senses: ObservationBatch
    """What was sensed."""
    labels: Tensor
    """The expert's curvatures (N,) float32 [1/m]."""
    names: tuple[str, ...]
    """Drive and time of each."""
    manoeuvres: NDArray[np.str_]
    """What the car was doing (N,), values of `FrameManoeuvre`."""
    regions: Masks | None
    """Parts of the cameras' views, each (N, C, H, W); None if they could not be told."""
    notes: tuple[str, ...] = ()
    """What could not be told, and why."""

    def __len__(self) -> int:
        """Number of frames, N."""
        return len(self.labels)


def drives_of_folder(folder: Path, split: Split) -> Drives:
    """The drives of a data folder that are long enough.

    Raises:
        EpisodeError: If there are none, or the folder is missing, damaged or foreign.
    """
    dataset = open_dataset(folder, split)
    simulation = dataset.description.simulation
    long = {path: head for path, head in dataset.headers.items() if _lasts(head, simulation)}
    if not long:
        raise EpisodeError(f"{folder}: holds no {split} drive of at least {SHORTEST:g} s")
    short = len(dataset) - len(long)
    notes = (f"{short} drives shorter than {SHORTEST:g} s were left out",) if short else ()
    return Drives(simulation, long, notes)


def drives_of_files(paths: Sequence[Path]) -> Drives:
    """Drives given by their files, all recorded with the same cameras and maps.

    Raises:
        EpisodeError: If a file is missing, damaged, foreign or shorter than `SHORTEST`, does not tell its cameras, or
            was recorded with others than the first.
    """
    headers = {path: read_header(path) for path in paths}
    cars = {path: _simulation(path, header) for path, header in headers.items()}
    first = cars[paths[0]]
    for path, car in cars.items():
        if (car.cameras, car.map) != (first.cameras, first.map):
            raise EpisodeError(f"{path}: was recorded with other cameras or maps than {paths[0]}")
        if not _lasts(headers[path], car):
            length = headers[path].steps * car.control_step
            raise EpisodeError(f"{path}: is a drive of {length:.1f} s; at least {SHORTEST:g} s are needed")
    return Drives(first, dict(sorted(headers.items(), key=lambda item: item[1].scenario.town)))


def choose_frames(drives: Drives, count: int) -> Frames:
    """Take frames evenly over all drives, and draw them anew to tell what each pixel shows.

    Args:
        drives: Where from.
        count: How many; all of them where there are fewer.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    total = sum(header.steps for header in drives.headers.values())
    chosen = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    parts, notes, start = list[Frames](), dict[str, None](), 0
    redrawer = EpisodeRerenderer(drives.simulation)
    try:
        for path, header in drives.headers.items():
            rows = chosen[(chosen >= start) & (chosen < start + header.steps)] - start
            start += header.steps
            if len(rows):
                parts.append(_frames(path, rows, redrawer))
                notes |= dict.fromkeys(parts[-1].notes)
    finally:
        redrawer.close()
    return _joined(parts, tuple(notes))


def frames_to_show(frames: Frames, count: int) -> list[int]:
    """Numbers of frames of different manoeuvres, turns at junctions first; of one manoeuvre the sharpest labels."""
    sharpness = frames.labels.abs().numpy()
    queues = {
        manoeuvre: sorted(np.flatnonzero(frames.manoeuvres == manoeuvre).tolist(), key=lambda row: -sharpness[row])
        for manoeuvre in _SHOWN_FIRST
    }
    shown: list[int] = []
    while len(shown) < min(count, len(frames)):
        for queue in queues.values():
            if queue and len(shown) < count:
                # From the middle: the sharpest of all is often an odd one.
                shown.append(queue.pop(len(queue) // 3))
    return shown


def _lasts(header: EpisodeHeader, simulation: SimulationConfig) -> bool:
    return header.steps * simulation.control_step >= SHORTEST - 1e-9


def _simulation(path: Path, header: EpisodeHeader) -> SimulationConfig:
    """The car that an episode's file tells of."""
    told = header.metadata.get("simulation")
    if told is None:
        raise EpisodeError(f"{path}: does not tell its cameras; give the data folder that it lies in")
    return simulation_settings(told, path)


def _frames(path: Path, rows: NDArray[np.intp], redrawer: EpisodeRerenderer) -> Frames:
    """Some frames of one drive."""
    episode = read_episode(path)
    if len(episode.images) != len(episode):
        raise EpisodeError(f"{path}: was recorded without images; scripts/rerender.py draws them")
    network = load_town_map(episode.scenario.town).network
    manoeuvres = manoeuvre_of_frames(episode, network, scenario_route(network, episode.scenario))
    regions, notes = _regions(episode, rows, redrawer)
    return Frames(
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
    episode: Episode, rows: NDArray[np.intp], redrawer: EpisodeRerenderer
) -> tuple[Masks | None, tuple[str, ...]]:
    """Parts of the views, or why they cannot be told."""
    try:
        seen = redrawer.measure(episode, rows.tolist())
    except NavsimError as error:
        return None, (f"what the pixels show cannot be told: {error}",)
    apart = float(np.abs(seen.images.astype(float) - episode.images[rows]).mean())
    if apart > _FARTHEST_COLOUR:
        return None, (
            "what the pixels show cannot be told: drawn anew, the drives look different from their recording",
        )
    return camera_regions(seen, load_town_map(episode.scenario.town).network), ()


def _joined(parts: Sequence[Frames], notes: tuple[str, ...]) -> Frames:
    """Put frames one after another; regions only if all have them."""
    masks = [part.regions for part in parts if part.regions is not None]
    return Frames(
        ObservationBatch(
            torch.cat([part.senses.images for part in parts]),
            torch.cat([part.senses.road_map for part in parts]),
            torch.cat([part.senses.route_map for part in parts]),
            torch.cat([part.senses.speed for part in parts]),
        ),
        torch.cat([part.labels for part in parts]),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.manoeuvres for part in parts]),
        joined_masks(masks) if len(masks) == len(parts) else None,
        notes,
    )
