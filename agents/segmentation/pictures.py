"""Pictures with the class of every pixel, read from recorded drives. N: pictures, H and W: height and width [px]."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.training.checks import check_classes, check_recorded
from navsim.driving.settings import SimulationConfig
from navsim.recording.dataset import Dataset, open_dataset
from navsim.roads.towns import Split
from navsim.sensing.observation import Image


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """N pictures of cameras."""

    images: Image
    """What the cameras saw (N, H, W, 3) uint8 RGB."""
    classes: Image
    """What each pixel shows (N, H, W) uint8, a `navsim.world.meshes.SemanticClass`."""
    towns: NDArray[np.str_]
    """The town of each picture (N,)."""

    def __len__(self) -> int:
        """Number of pictures, N."""
        return len(self.images)


@dataclass(frozen=True, eq=False)
class SegmentationData:
    """What a run learns from and is validated on."""

    train: LabelledPictures
    """Pictures to learn from."""
    validation: LabelledPictures
    """Pictures of other towns."""
    simulation: SimulationConfig
    """The car of both, with its cameras."""


def load_segmentation_data(folder: Path, every: int) -> SegmentationData:
    """Read the training and validation pictures of a data folder.

    Args:
        folder: The data folder.
        every: Only each `every`-th frame of a drive is read: neighbouring frames look alike.

    Raises:
        EpisodeError: If a split is missing or empty, or an episode is damaged, foreign, or was recorded without
            classes or with others.
    """
    splits = [open_dataset(folder, split) for split in (Split.TRAIN, Split.VALIDATION)]
    for dataset in splits:
        check_recorded(dataset)
        check_classes(dataset)
    train, validation = (_pictures(dataset, every) for dataset in splits)
    return SegmentationData(train, validation, splits[0].description.simulation)


def joined(parts: Iterable[LabelledPictures]) -> LabelledPictures:
    """Pictures of several sources, one after another; at least one source, all pictures of one size."""
    parts = list(parts)
    return LabelledPictures(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.towns for part in parts]),
    )


def of_cameras(images: Image, classes: Image, town: str) -> LabelledPictures:
    """The pictures of several cameras (T, C, H, W, 3), with classes (T, C, H, W), as one row of pictures."""
    pictures = images.reshape(-1, *images.shape[2:])
    return LabelledPictures(pictures, classes.reshape(pictures.shape[:-1]), np.full(len(pictures), town))


def _pictures(dataset: Dataset, every: int) -> LabelledPictures:
    """Each `every`-th frame of every drive, copied so that the others can be let go."""
    return joined(
        of_cameras(episode.images[::every].copy(), episode.classes[::every].copy(), episode.scenario.town)
        for episode in dataset.episodes()
    )
