"""Pictures with labels, from recorded drives. N: pictures, T: frames, C: cameras, H and W: height and width [px]."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.training.checks import check_recorded
from navsim.datasets.dataset import Dataset, open_dataset
from navsim.geometry import Array
from navsim.roads.generators.towns import Split
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import Redrawer, under
from navsim.simulation.settings import SimulationConfig

L = TypeVar("L")


@dataclass(frozen=True, eq=False)
class Pictures(Generic[L]):
    """N pictures of cameras."""

    images: Image
    """What the cameras saw (N, H, W, 3) uint8 RGB."""
    labels: L
    """What is to be seen in them."""
    towns: NDArray[np.str_]
    """The town of each picture (N,)."""

    def __len__(self) -> int:
        """Number of pictures, N."""
        return len(self.images)


@dataclass(frozen=True, eq=False)
class PictureData(Generic[L]):
    """What a run learns from and is validated on."""

    train: Pictures[L]
    """Pictures to learn from."""
    validation: Pictures[L]
    """Pictures of other towns."""
    simulation: SimulationConfig
    """The car of both, with its cameras."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Some frames of a drive."""

    images: Image
    """What the cameras saw (T, C, H, W, 3) uint8 RGB."""
    noted: Array | Image
    """What the simulator knows of it: an array of the task's own kind."""
    town: str
    """Where it was."""


@dataclass(frozen=True)
class Source(Generic[L]):
    """How a task comes by its labels."""

    check: Callable[[Dataset], None]
    """Raises EpisodeError if recorded drives are without what the labels need, reading headers only."""
    recorded: Callable[[Episode, int], Array | Image]
    """What was noted of each so many-th frame of a recorded drive, copied."""
    drawn: Callable[[Redrawer, Episode, range], tuple[Image, Array | Image]]
    """Draws some frames of a drive anew: images (T, C, H, W, 3), and what is noted of them."""
    labels: Callable[[Sequence[Seen]], L]
    """Labels of all pictures of several drives, one after another."""

    def joined(self, parts: Iterable[Seen]) -> Pictures[L]:
        """Pictures of several drives, at least one, all of one size: frame by frame and within it camera by camera."""
        parts = list(parts)
        images = [part.images.reshape(-1, *part.images.shape[2:]) for part in parts]
        towns = np.repeat([part.town for part in parts], [*map(len, images)])
        return Pictures(np.concatenate(images), self.labels(parts), towns)

    def load(self, folder: Path, every: int, validate_every: int) -> PictureData[L]:
        """Read the training and validation pictures of a data folder.

        Args:
            folder: The data folder.
            every: Only each `every`-th frame of a drive is learned from: neighbouring frames look alike.
            validate_every: The same of the validation.

        Raises:
            EpisodeError: If a split is missing or empty, or an episode is damaged, foreign, or was recorded without
                what the labels need or with something else.
            ConfigError: If the pictures are such that the task cannot take them.
        """
        train, validation = (open_dataset(folder, split) for split in (Split.TRAIN, Split.VALIDATION))
        for dataset in (train, validation):
            check_recorded(dataset)
            self.check(dataset)
        return PictureData(
            self._read(train, every), self._read(validation, validate_every), train.description.simulation
        )

    def under(self, redrawer: Redrawer, drives: Iterable[Episode], condition: str, every: int) -> Pictures[L]:
        """Draw each `every`-th frame of drives under a condition, see `navsim.world.scenery.appearance`, with its
        labels.
        """
        parts = []
        for episode in drives:
            seen = replace(episode, scenario=under(episode.scenario, condition))
            parts.append(Seen(*self.drawn(redrawer, seen, range(0, len(episode), every)), episode.scenario.town))
        return self.joined(parts)

    def _read(self, dataset: Dataset, every: int) -> Pictures[L]:
        """Each `every`-th frame of every drive, copied so that the others can be let go."""
        return self.joined(
            Seen(episode.images[::every].copy(), self.recorded(episode, every), episode.scenario.town)
            for episode in dataset.episodes()
        )
