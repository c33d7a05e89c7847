"""Pictures with the class of every pixel. N: pictures, T: frames, C: cameras, H and W: height and width [px]."""

from collections.abc import Sequence

import numpy as np

from agents.perception.pictures import Pictures, Seen, Source
from agents.training.checks import check_classes
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import Redrawer

LabelledPictures = Pictures[Image]
"""Labels are what each pixel shows (N, H, W) uint8, a `navsim.world.scenery.meshes.SemanticClass`."""


def _recorded(episode: Episode, every: int) -> Image:
    """Classes (T, C, H, W) of each so many-th frame."""
    return episode.classes[::every].copy()


def _drawn(redrawer: Redrawer, episode: Episode, frames: range) -> tuple[Image, Image]:
    """Images (T, C, H, W, 3) of some frames, with the classes (T, C, H, W)."""
    seen = redrawer.measure(episode, frames)
    return seen.images, seen.semantic


def _labels(parts: Sequence[Seen]) -> Image:
    """Classes of all pictures."""
    return np.concatenate([part.noted.reshape(-1, *part.noted.shape[2:]) for part in parts])


CLASSES = Source(check_classes, _recorded, _drawn, _labels)
"""Pictures with their classes."""
