"""Pictures with the objects in them, read from recorded drives. N: pictures, H and W: height and width [px]."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agents.detection.config import CountedConfig
from agents.detection.interface import IGNORED, Targets
from agents.training.checks import check_objects, check_recorded
from navsim.driving.episode import Episode
from navsim.driving.simulation import SimulationConfig
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.recording.dataset import Dataset, open_dataset
from navsim.roads.towns import Split
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image

_COARSEST = 16  # pixels of the detectors' coarsest features


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures of cameras."""

    images: Image
    """What the cameras saw (N, H, W, 3) uint8 RGB."""
    targets: Targets
    """The objects in them."""
    towns: NDArray[np.str_]
    """The town of each picture (N,)."""

    def __len__(self) -> int:
        """Number of pictures, N."""
        return len(self.images)


@dataclass(frozen=True, eq=False)
class DetectionData:
    """What a run learns from and is validated on."""

    train: Pictures
    """Pictures to learn from."""
    validation: Pictures
    """Pictures of other towns."""
    simulation: SimulationConfig
    """The car of both, with its cameras."""


def load_detection_data(folder: Path, every: int, validate_every: int, counted: CountedConfig) -> DetectionData:
    """Read the training and validation pictures of a data folder.

    Args:
        folder: The data folder.
        every: Only each `every`-th frame of a drive is learned from.
        validate_every: The same of the validation.
        counted: Which objects are learned and counted.

    Raises:
        EpisodeError: If a split is missing or empty, or an episode is damaged, foreign, or was recorded without objects
            or with others.
        ConfigError: If the pictures have a size that the detectors cannot take.
    """
    train, validation = (open_dataset(folder, split) for split in (Split.TRAIN, Split.VALIDATION))
    simulation = train.description.simulation
    check_size(simulation.cameras[0])
    for dataset in (train, validation):
        check_recorded(dataset)
        check_objects(dataset)
    return DetectionData(_pictures(train, every, counted), _pictures(validation, validate_every, counted), simulation)


def check_size(camera: Camera) -> None:
    """Raise ConfigError if the detectors cannot take a camera's pictures."""
    if camera.height % _COARSEST or camera.width % _COARSEST:
        raise ConfigError(
            f"detectors take pictures whose width and height are multiples of {_COARSEST} px, got "
            f"{camera.width}x{camera.height}"
        )


def joined(parts: Iterable[tuple[Image, Array, str]], counted: CountedConfig) -> Pictures:
    """Put pictures of several drives one after another.

    Args:
        parts: For each drive images (T, C, H, W, 3), its objects (N, OBJECT_COLUMNS), and the town.
        counted: Which objects are learned and counted.
    """
    images, boxes, classes, towns = [], list[torch.Tensor](), list[torch.Tensor](), list[str]()
    for seen, objects, town in parts:
        frames, cameras = seen.shape[:2]
        images.append(seen.reshape(-1, *seen.shape[2:]))
        number = objects[:, 0] * cameras + objects[:, 1]
        for picture in range(frames * cameras):
            own = objects[number == picture]
            boxes.append(torch.tensor(own[:, 3:7], dtype=torch.float32))
            classes.append(torch.tensor(counted_classes(own, counted)))
        towns += [town] * frames * cameras
    return Pictures(np.concatenate(images), Targets.of(boxes, classes), np.array(towns))


def counted_classes(objects: Array, counted: CountedConfig) -> NDArray[np.int64]:
    """Class (N,) of objects (N, OBJECT_COLUMNS); IGNORED for those that do not count."""
    large = objects[:, 6] - objects[:, 4] >= counted.least_height
    return np.where(large & (objects[:, 7] >= counted.least_visible), objects[:, 2], IGNORED).astype(np.int64)


def _pictures(dataset: Dataset, every: int, counted: CountedConfig) -> Pictures:
    """Each `every`-th frame of every drive, copied so that the others can be let go."""
    return joined((_some(episode, every) for episode in dataset.episodes()), counted)


def _some(episode: Episode, every: int) -> tuple[Image, Array, str]:
    """Each `every`-th frame with its objects and its town."""
    objects = np.empty((0, 8)) if episode.objects is None else episode.objects
    kept = objects[objects[:, 0] % every == 0]
    kept = np.column_stack([kept[:, 0] // every, kept[:, 1:]])
    return episode.images[::every].copy(), kept, episode.scenario.town
