"""Pictures with the objects in them. T: frames, C: cameras."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from agents.perception.detection.config import CountedConfig
from agents.perception.detection.interface import IGNORED, Targets
from agents.perception.pictures import Pictures, Seen, Source
from agents.training.checks import check_objects
from navsim.datasets.dataset import Dataset
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.episode import OBJECT_COLUMNS, Episode
from navsim.simulation.episode_rerenderer import Redrawer

_COARSEST = 16  # pixels of the detectors' coarsest features

BoxedPictures = Pictures[Targets]
"""Labels are the objects in them."""


def objects_source(counted: CountedConfig) -> Source[Targets]:
    """Pictures with the objects in them, some of which are `counted`."""
    return Source(_check, _recorded, _drawn, partial(targets_of, counted=counted))


def check_size(camera: Camera) -> None:
    """Raise ConfigError if the detectors cannot take a camera's pictures."""
    if camera.height % _COARSEST or camera.width % _COARSEST:
        raise ConfigError(
            f"detectors take pictures whose width and height are multiples of {_COARSEST} px, got "
            f"{camera.width}x{camera.height}"
        )


def targets_of(parts: Sequence[Seen], counted: CountedConfig) -> Targets:
    """The objects of all pictures; what is noted of a drive are its objects (N, OBJECT_COLUMNS)."""
    boxes, classes = list[torch.Tensor](), list[torch.Tensor]()
    for part in parts:
        frames, cameras = part.images.shape[:2]
        number = part.noted[:, 0] * cameras + part.noted[:, 1]
        for picture in range(frames * cameras):
            own = part.noted[number == picture]
            boxes.append(torch.tensor(own[:, 3:7], dtype=torch.float32))
            classes.append(torch.tensor(counted_classes(own, counted)))
    return Targets.of(boxes, classes)


def counted_classes(objects: Array, counted: CountedConfig) -> NDArray[np.int64]:
    """Class (N,) of objects (N, OBJECT_COLUMNS); IGNORED for those that do not count."""
    large = objects[:, 6] - objects[:, 4] >= counted.least_height
    return np.where(large & (objects[:, 7] >= counted.least_visible), objects[:, 2], IGNORED).astype(np.int64)


def _check(dataset: Dataset) -> None:
    check_size(dataset.description.simulation.cameras[0])
    check_objects(dataset)


def _recorded(episode: Episode, every: int) -> Array:
    """Objects of each so many-th frame; their frames count these alone."""
    objects = np.empty((0, len(OBJECT_COLUMNS))) if episode.objects is None else episode.objects
    kept = objects[objects[:, 0] % every == 0]
    return np.column_stack([kept[:, 0] // every, kept[:, 1:]])


def _drawn(redrawer: Redrawer, episode: Episode, frames: range) -> tuple[Image, Array]:
    """Images (T, C, H, W, 3) of some frames, with the objects in them."""
    return redrawer.measure(episode, frames).images, redrawer.objects(episode, frames)
