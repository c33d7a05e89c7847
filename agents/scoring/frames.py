"""Recorded frames of a split, batch by batch, with what they are to be judged by; one episode in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.networks.observation_batch import Senses
from navsim.datasets.dataset import Dataset
from navsim.datasets.files import read_episode
from navsim.errors import EpisodeError
from navsim.roads.network import RoadNetwork
from navsim.simulation.episode import Episode
from navsim.simulation.exits import JunctionExits, episode_exits
from navsim.simulation.manoeuvres import manoeuvre_of_frames
from navsim.simulation.settings import SimulationConfig
from navsim.simulation.town import scenario_route
from navsim.simulation.town_map import load_town_map


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """B neighbouring frames of one episode."""

    town: str
    """The town they were driven in."""
    episode: int
    """Number of the episode within the data set."""
    senses: Senses
    """What was sensed."""
    labels: Tensor
    """The expert's curvatures (B,) float32 [1/m]."""
    manoeuvres: NDArray[np.str_]
    """What the car was doing (B,), values of `FrameManoeuvre`."""
    exits: JunctionExits
    """What was open to it, B rows."""

    def __len__(self) -> int:
        """Number of frames, B."""
        return len(self.labels)


def judged_frames(dataset: Dataset, size: int = 256) -> Iterator[FrameBatch]:
    """Go through the frames of a data set; each town is built once.

    Args:
        dataset: The episodes.
        size: Largest number of frames in a batch.

    Yields:
        Every frame once, in the order of the files.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    number = 0
    # Episodes of a town lie together, for they are sorted by names that begin with the town's.
    for town, paths in groupby(dataset.headers, key=lambda path: dataset.headers[path].scenario.town):
        network = load_town_map(town).network
        for path in paths:
            episode = read_episode(path)
            if len(episode.images) != len(episode):
                raise EpisodeError(f"{path}: was recorded without images")
            yield from _batches(episode, number, network, dataset.description.simulation, size)
            number += 1


def _batches(
    episode: Episode, number: int, network: RoadNetwork, simulation: SimulationConfig, size: int
) -> Iterator[FrameBatch]:
    """Cut one episode into batches."""
    route = scenario_route(network, episode.scenario)
    exits = episode_exits(episode, network, route, simulation.expert, simulation.vehicle)
    manoeuvres = manoeuvre_of_frames(episode, network, route)
    for start in range(0, len(episode), size):
        part = slice(start, min(start + size, len(episode)))
        senses = Senses(
            torch.tensor(episode.images[part]),
            torch.tensor(episode.road_maps[part]),
            torch.tensor(episode.route_maps[part]),
            torch.tensor(episode.speeds[part], dtype=torch.float32),
        )
        labels = torch.tensor(episode.labels[part], dtype=torch.float32)
        yield FrameBatch(episode.scenario.town, number, senses, labels, manoeuvres[part], exits[part])
