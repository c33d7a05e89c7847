"""Pictures with the class of every pixel, and sheets of a network's predictions beside the truth.

N: pictures, T: frames, C: cameras, H and W: height and width [px].
"""

from collections.abc import Sequence

import numpy as np

from agents.perception.pictures import Cell, PerceptionFrame, Pictures, Source, sheet
from agents.training.packed import check_classes
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.visualization.canvas import ROUTE, enlarged
from navsim.visualization.contact_sheet import CLASS_COLOURS
from navsim.world.scenery.meshes import CLASS_NAMES, SemanticClass

LabelledPictures = Pictures[Image]
"""Pictures whose labels are the pixels' classes (N, H, W) uint8, see `navsim.world.scenery.meshes.SemanticClass`."""


def _recorded(episode: Episode, every: int) -> Image:
    """Return the classes (T, C, H, W) of every `every`-th frame."""
    return episode.classes[::every].copy()


def _rerendered(rerenderer: EpisodeRerenderer, episode: Episode, frames: range) -> tuple[Image, Image]:
    """Render images (T, C, H, W, 3) of some frames, with their classes (T, C, H, W)."""
    seen = rerenderer.measure(episode, frames)
    return seen.images, seen.semantic


def _labels(parts: Sequence[PerceptionFrame]) -> Image:
    """Return the classes of all pictures."""
    return np.concatenate([part.truth.reshape(-1, *part.truth.shape[2:]) for part in parts])


CLASSES = Source(check_classes, _recorded, _rerendered, _labels)
"""Source of pictures with their classes."""
_HEIGHT = 150  # of a picture [px]
_OPACITY = 0.62  # of the classes' colours over the picture
_COLUMNS = ("camera", "truth", "network", "wrong pixels")


def overlay_sheet(pictures: LabelledPictures, predicted: Image, count: int, title: str) -> Image:
    """Draw up to `count` of the pictures, spread over all, one below the other, as (height, width, 3) uint8.

    Args:
        pictures: N pictures.
        predicted: Predicted classes (N, H, W).
        count: Largest number of pictures shown.
        title: Title of the sheet.
    """
    count = min(count, len(pictures))
    chosen = (2 * np.arange(count) + 1) * len(pictures) // (2 * count)  # the middles of as many equal stretches
    height, width = pictures.images.shape[1:3]
    size = round(width * _HEIGHT / height), _HEIGHT
    rows = [
        [
            Cell(enlarged(cell, *size, smooth=False))
            for cell in _cells(pictures.images[number], pictures.labels[number], predicted[number])
        ]
        for number in chosen
    ]
    there = [member for member in SemanticClass if member in pictures.labels[chosen] or member in predicted[chosen]]
    return sheet(title, _COLUMNS, rows, [(CLASS_NAMES[member], CLASS_COLOURS[member]) for member in there])


def class_colours(classes: Image) -> Image:
    """Return classes (...) as colours (..., 3) uint8, one for each class."""
    palette = np.array([CLASS_COLOURS[member] for member in SemanticClass], np.uint8)
    return np.asarray(palette[classes])


def overlay_classes(image: Image, classes: Image) -> Image:
    """Draw the colours of classes (H, W) over a picture (H, W, 3), which shows through."""
    mixed = (1 - _OPACITY) * image.astype(float) + _OPACITY * class_colours(classes)
    return np.asarray(np.round(mixed), np.uint8)


def _cells(image: Image, truth: Image, predicted: Image) -> tuple[Image, ...]:
    """Return the four pictures (H, W, 3) of a row."""
    dull = np.repeat((image.mean(axis=-1, keepdims=True) * 0.5).astype(np.uint8), 3, axis=-1)
    wrong = np.where((truth != predicted)[..., None], np.array(ROUTE, np.uint8), dull)
    return image, overlay_classes(image, truth), overlay_classes(image, predicted), np.asarray(wrong, np.uint8)
