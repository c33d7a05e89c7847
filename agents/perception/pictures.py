"""Pictures with labels from recorded drives, a network's predictions on them, and sheets that show both.

N: pictures, B: pictures of a batch, T: frames, C: cameras, H and W: height and width [px].
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.policies.networks.observation_batch import scale_images
from agents.training.packed import check_recorded
from navsim.datasets.dataset import DataFolders, Dataset, open_dataset
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
    """N labelled camera pictures."""

    images: Image
    """Camera images (N, H, W, 3) uint8 RGB."""
    labels: L
    """Labels of the pictures."""
    towns: NDArray[np.str_]
    """Town of each picture (N,)."""

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
    """Training and validation data of a run."""

    train: Pictures[L]
    """Pictures to learn from."""
    validation: Pictures[L]
    """Pictures of other towns."""
    simulation: SimulationConfig
    """Simulation of both, with the cameras."""


@dataclass(frozen=True, eq=False)
class PerceptionFrame:
    """Some frames of a drive, with the simulator's ground truth."""

    images: Image
    """Camera images (T, C, H, W, 3) uint8 RGB."""
    truth: Array | Image
    """Ground truth of the frames, an array of the task's own kind."""
    town: str
    """Town of the drive."""


@dataclass(frozen=True)
class Source(Generic[L]):
    """Functions that get a task's labels from drives."""

    check: Callable[[Dataset], None]
    """Function that raises EpisodeError if recorded drives lack the ground truth; it reads headers only."""
    recorded: Callable[[Episode, int], Array | Image]
    """Function that copies the ground truth of every n-th frame of a recorded drive."""
    rerendered: Callable[[EpisodeRerenderer, Episode, range], tuple[Image, Array | Image]]
    """Function that renders some frames of a drive again: images (T, C, H, W, 3) and ground truth."""
    labels: Callable[[Sequence[PerceptionFrame]], L]
    """Function from the frames of several drives to the labels of all their pictures."""

    def joined(self, parts: Iterable[PerceptionFrame]) -> Pictures[L]:
        """Join the pictures of at least one drive, all of one size: frame by frame, and within a frame by camera."""
        parts = list(parts)
        images = [part.images.reshape(-1, *part.images.shape[2:]) for part in parts]
        towns = np.repeat([part.town for part in parts], [*map(len, images)])
        return Pictures(np.concatenate(images), self.labels(parts), towns)

    def load(self, data: DataFolders, every: int, validate_every: int) -> PictureData[L]:
        """Read the training and validation pictures of one or several data folders.

        Args:
            data: The data folders.
            every: Step between the training frames of a drive, as neighbouring frames look alike [frames].
            validate_every: Step between the validation frames [frames].

        Raises:
            EpisodeError: If a split is missing or empty, or an episode is damaged, foreign, or lacks the ground truth.
            ConfigError: If the task cannot take pictures of this size.
        """
        train, validation = (open_dataset(data, split) for split in (Split.TRAIN, Split.VALIDATION))
        for dataset in (train, validation):
            check_recorded(dataset)
            self.check(dataset)
        return PictureData(
            self._read(train, every), self._read(validation, validate_every), train.description.simulation
        )

    def under(
        self, rerenderer: EpisodeRerenderer, drives: Iterable[Episode], condition: str, every: int
    ) -> Pictures[L]:
        """Render every `every`-th frame of drives under a condition, with its labels."""
        parts = []
        for episode in drives:
            changed = replace(episode, scenario=with_appearance(episode.scenario, condition))
            parts.append(
                PerceptionFrame(
                    *self.rerendered(rerenderer, changed, range(0, len(episode), every)), episode.scenario.town
                )
            )
        return self.joined(parts)

    def _read(self, dataset: Dataset, every: int) -> Pictures[L]:
        """Read every `every`-th frame of all drives, copied so that the other frames can be freed."""
        return self.joined(
            PerceptionFrame(episode.images[::every].copy(), self.recorded(episode, every), episode.scenario.town)
            for episode in dataset.episodes()
        )


A = TypeVar("A")


def network_inputs(pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """Return pictures (B, H, W, 3) uint8 as images (B, 3, H, W) in [-1, 1] of type `dtype`, channels-last."""
    return scale_images(pictures, dtype).permute(0, 3, 1, 2)


def predictions(
    network: nn.Module,
    images: Image,
    predict: Callable[[Tensor], A],
    dtype: torch.dtype,
    picture_dtype: torch.dtype,
    batch: int,
) -> list[A]:
    """Return a network's predictions for each batch of pictures.

    Args:
        network: Network in evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        predict: Function from images (B, 3, H, W) in [-1, 1] to the network's predictions.
        dtype: Type of the layers' arithmetic.
        picture_dtype: Type of the images.
        batch: Largest number of pictures in a batch.
    """
    device = next(network.parameters()).device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        parts = (torch.tensor(images[start : start + batch], device=device) for start in range(0, len(images), batch))
        return [predict(network_inputs(part, picture_dtype)) for part in parts]


_GAP = 6
_HEADER, _LEGEND = 26, 30  # heights of the lines above and below [px]
_MAX_STEP = 160  # largest distance between the legend's labels [px]


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a row."""

    image: Image
    """Picture (height, width, 3) uint8, of the same size in all cells."""
    texts: Sequence[Text] = ()
    """Texts on the picture, placed from its corner."""


def sheet(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], legend: Sequence[tuple[str, Colour]]
) -> Image:
    """Draw a sheet (height, width, 3) uint8.

    Args:
        title: Title of the sheet.
        columns: Headers of the columns.
        rows: At least one row, with a cell for each column.
        legend: Labels of the colours.
    """
    height, width = rows[0][0].image.shape[:2]
    canvas = blank(len(columns) * (width + _GAP) - _GAP, 2 * _HEADER + len(rows) * (height + _GAP) + _LEGEND)
    texts = [Text(title, 4, 5, size=16)]
    texts += [Text(header, i * (width + _GAP) + 4, _HEADER + 5, colour=DIM) for i, header in enumerate(columns)]
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            x, y = j * (width + _GAP), 2 * _HEADER + i * (height + _GAP)
            canvas[y : y + height, x : x + width] = cell.image
            texts += [replace(text, x=text.x + x, y=text.y + y, outlined=True) for text in cell.texts]
    return written(canvas, texts + _legend(canvas, legend))


def _legend(canvas: Image, legend: Sequence[tuple[str, Colour]]) -> list[Text]:
    """Paint a patch for each colour along the lower edge; returns the labels to be written beside them."""
    y, step = canvas.shape[0] - _LEGEND + 8, min(canvas.shape[1] / max(len(legend), 1), _MAX_STEP)
    texts = []
    for i, (label, colour) in enumerate(legend):
        x = round(i * step) + 4
        canvas[y : y + 14, x : x + 14] = colour
        texts.append(Text(label, x + 20, y, size=13, colour=BRIGHT))
    return texts
