"""Pictures with labels, from recorded drives. N: pictures, T: frames, C: cameras, H and W: height and width [px].

Asking a network about many pictures. N: pictures, B: pictures of a batch, H and W: height and width [px].

Sheets of pictures that a network was asked about: one row for each, its aspects side by side, a legend below.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.policies.networks.observation_batch import scale_images
from agents.training.packed import check_recorded
from navsim.datasets.dataset import Dataset, open_dataset
from navsim.geometry import Array
from navsim.roads.generators.towns import Split
from navsim.sensing.observation import Image
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer, with_appearance
from navsim.visualization.canvas import BRIGHT, DIM, Colour, Text, blank, written

L = TypeVar("L")
_FINGERPRINT_PICTURES = 256


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

    @property
    def fingerprint(self) -> str:
        """Short text that differs, almost surely, for other pictures."""
        numbers = np.linspace(0, len(self) - 1, min(len(self), _FINGERPRINT_PICTURES)).round().astype(int)
        return f"{len(self)}-{zlib.crc32(self.images[numbers].tobytes()):08x}"


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
class PerceptionFrame:
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
    drawn: Callable[[EpisodeRerenderer, Episode, range], tuple[Image, Array | Image]]
    """Draws some frames of a drive anew: images (T, C, H, W, 3), and what is noted of them."""
    labels: Callable[[Sequence[PerceptionFrame]], L]
    """Labels of all pictures of several drives, one after another."""

    def joined(self, parts: Iterable[PerceptionFrame]) -> Pictures[L]:
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

    def under(self, redrawer: EpisodeRerenderer, drives: Iterable[Episode], condition: str, every: int) -> Pictures[L]:
        """Draw each `every`-th frame of drives under a condition, with its labels."""
        parts = []
        for episode in drives:
            seen = replace(episode, scenario=with_appearance(episode.scenario, condition))
            parts.append(
                PerceptionFrame(*self.drawn(redrawer, seen, range(0, len(episode), every)), episode.scenario.town)
            )
        return self.joined(parts)

    def _read(self, dataset: Dataset, every: int) -> Pictures[L]:
        """Each `every`-th frame of every drive, copied so that the others can be let go."""
        return self.joined(
            PerceptionFrame(episode.images[::every].copy(), self.recorded(episode, every), episode.scenario.town)
            for episode in dataset.episodes()
        )


A = TypeVar("A")


def network_inputs(pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures (B, H, W, 3) uint8 as images (B, 3, H, W) in [-1, 1] of type `dtype`, channels-last without a copy."""
    return scale_images(pictures, dtype).permute(0, 3, 1, 2)


def answers(
    network: nn.Module,
    images: Image,
    answer: Callable[[Tensor], A],
    dtype: torch.dtype,
    picture_dtype: torch.dtype,
    batch: int,
) -> list[A]:
    """What a network answers to each batch of pictures.

    Args:
        network: In evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        answer: Asks the network about images (B, 3, H, W) in [-1, 1].
        dtype: Type of the layers' arithmetic.
        picture_dtype: Type of the images that the network is given.
        batch: How many pictures are looked at at once, at most.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        parts = (torch.tensor(images[start : start + batch], device=device) for start in range(0, len(images), batch))
        return [answer(network_inputs(part, picture_dtype)) for part in parts]


_GAP = 6
_HEAD, _LEGEND = 26, 30  # heights of the lines above and below [px]
_WIDEST = 160  # distance of the legend's words [px], at most


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a row."""

    image: Image
    """(height, width, 3) uint8, of one size in all of the sheet."""
    texts: Sequence[Text] = ()
    """What is written on it, placed from its own corner."""


def sheet(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], legend: Sequence[tuple[str, Colour]]
) -> Image:
    """Draw a sheet (height, width, 3) uint8.

    Args:
        title: Over the sheet.
        columns: What each column shows.
        rows: At least one, with a cell for each of the columns.
        legend: What the colours mean.
    """
    height, width = rows[0][0].image.shape[:2]
    canvas = blank(len(columns) * (width + _GAP) - _GAP, 2 * _HEAD + len(rows) * (height + _GAP) + _LEGEND)
    texts = [Text(title, 4, 5, size=16)]
    texts += [Text(words, i * (width + _GAP) + 4, _HEAD + 5, colour=DIM) for i, words in enumerate(columns)]
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            x, y = j * (width + _GAP), 2 * _HEAD + i * (height + _GAP)
            canvas[y : y + height, x : x + width] = cell.image
            texts += [replace(text, x=text.x + x, y=text.y + y, outlined=True) for text in cell.texts]
    return written(canvas, texts + _legend(canvas, legend))


def _legend(canvas: Image, legend: Sequence[tuple[str, Colour]]) -> list[Text]:
    """Paint a patch for each colour along the lower edge; returns the words to be written beside them."""
    y, step = canvas.shape[0] - _LEGEND + 8, min(canvas.shape[1] / max(len(legend), 1), _WIDEST)
    texts = []
    for i, (words, colour) in enumerate(legend):
        x = round(i * step) + 4
        canvas[y : y + 14, x : x + 14] = colour
        texts.append(Text(words, x + 20, y, size=13, colour=BRIGHT))
    return texts
