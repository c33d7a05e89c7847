"""Pictures with objects: settings of a detector's training, labels, and sheets of detections.

N: pictures or objects, T: frames, C: cameras.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray

from agents.perception.config import HeldOutConfig, PerceptionConfig
from agents.perception.detection.features import ABSENT, IGNORED, Detections, Targets
from agents.perception.pictures import Cell, PerceptionFrame, Pictures, Source, sheet
from agents.training.optimization import EmaConfig, OptimizerConfig
from agents.training.packed import check_objects
from navsim.config import Constrained
from navsim.datasets.dataset import DataFolders, Dataset
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.simulation.episode import OBJECT_COLUMNS, Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.visualization.canvas import Colour, Text, enlarged
from navsim.world.scenery.meshes import ObjectClass

DetectorName = Literal["own"]
"""Architectures: `own`, the project's two-stage detector in plain torch."""


@dataclass(frozen=True)
class CountedConfig(Constrained):
    """Objects that are learned and counted; detections of others are neither right nor wrong."""

    min_height: Annotated[int, Ge(0), Le(1000)] = 8
    """Smallest height of the box around the visible part [px]."""
    min_visible: Annotated[float, Ge(0), Le(1)] = 0.3
    """Smallest visible share of the outline."""


@dataclass(frozen=True)
class DetectionConfig(PerceptionConfig):
    """Settings of the training of a detector."""

    task: Literal["detection"] = "detection"
    """Name of the task: boxes around cars, people and signs."""
    data: DataFolders = Path("runs/detection/data")
    """Folder with the recorded drives, in `train` and `validation`, with their objects."""
    run_dir: Path = Path("runs/detection/detector")
    every: int = 6
    epochs: int = 8
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-3, max_gradient_norm=5))
    ema: EmaConfig = field(default_factory=lambda: EmaConfig(decay=0.995))
    held_out: HeldOutConfig = field(
        default_factory=lambda: HeldOutConfig(every=10, conditions=("", "fog", "night"), overlays=6)
    )
    detector: DetectorName = "own"
    """Architecture of the detector, stored with every checkpoint; there is one."""
    validate_every: Annotated[int, Ge(1)] = 15
    """Step between the frames of the validation drives that are validated on [frames]."""
    counted: CountedConfig = field(default_factory=CountedConfig)
    """Objects that are learned and counted."""


_COARSEST = 16  # pixels per feature of the coarsest level
BoxedPictures = Pictures[Targets]
"""Pictures whose labels are the objects in them."""


def objects_source(counted: CountedConfig) -> Source[Targets]:
    """Return the source of pictures with objects, of which some are `counted`."""
    return Source(_check, _recorded, _rerendered, partial(targets_of, counted=counted))


def check_size(camera: Camera) -> None:
    """Raise ConfigError if the detector cannot take a camera's pictures."""
    if camera.height % _COARSEST or camera.width % _COARSEST:
        raise ConfigError(
            f"the detector takes pictures whose width and height are multiples of {_COARSEST} px, got "
            f"{camera.width}x{camera.height}"
        )


def targets_of(parts: Sequence[PerceptionFrame], counted: CountedConfig) -> Targets:
    """Return the objects of all pictures, from drives whose recorded labels are objects (N, OBJECT_COLUMNS)."""
    boxes, classes = list[torch.Tensor](), list[torch.Tensor]()
    for part in parts:
        frames, cameras = part.images.shape[:2]
        number = part.truth[:, 0] * cameras + part.truth[:, 1]
        for picture in range(frames * cameras):
            own = part.truth[number == picture]
            boxes.append(torch.tensor(own[:, 3:7], dtype=torch.float32))
            classes.append(torch.tensor(counted_classes(own, counted)))
    return Targets.of(boxes, classes)


def counted_classes(objects: Array, counted: CountedConfig) -> NDArray[np.int64]:
    """Return the classes (N,) of objects (N, OBJECT_COLUMNS); IGNORED for those that do not count."""
    large = objects[:, 6] - objects[:, 4] >= counted.min_height
    return np.where(large & (objects[:, 7] >= counted.min_visible), objects[:, 2], IGNORED).astype(np.int64)


def _check(dataset: Dataset) -> None:
    check_size(dataset.description.simulation.cameras[0])
    check_objects(dataset)


def _recorded(episode: Episode, every: int) -> Array:
    """Return the objects of every `every`-th frame, with frames numbered among these."""
    objects = np.empty((0, len(OBJECT_COLUMNS))) if episode.objects is None else episode.objects
    kept = objects[objects[:, 0] % every == 0]
    return np.column_stack([kept[:, 0] // every, kept[:, 1:]])


def _rerendered(rerenderer: EpisodeRerenderer, episode: Episode, frames: range) -> tuple[Image, Array]:
    """Render images (T, C, H, W, 3) of some frames, with the objects in them."""
    return rerenderer.measure(episode, frames).images, rerenderer.objects(episode, frames)


COLOURS: tuple[Colour, ...] = ((90, 178, 255), (94, 230, 130), (255, 190, 60))
"""Colours of the boxes of each `ObjectClass`, in order."""
MIN_SHOWN = 0.3
"""Smallest score of a detection that is drawn."""
_FACTOR = 3
_UNCOUNTED: Colour = (150, 150, 150)
_COLUMNS = ("truth; grey: not counted", f"found, with scores from {MIN_SHOWN} on")


def detection_sheet(pictures: BoxedPictures, found: list[Detections], count: int, title: str) -> Image:
    """Draw up to `count` of the pictures one below the other as (height, width, 3) uint8.

    Args:
        pictures: N pictures.
        found: Detections in each picture.
        count: Largest number of pictures shown: from each of `count` equal stretches the one with the most objects.
        title: Title of the sheet.
    """
    objects = (pictures.labels.classes >= 0).sum(dim=1).numpy()
    stretches = np.array_split(np.arange(len(pictures)), min(count, len(pictures)))
    chosen = [int(part[objects[part].argmax()]) for part in stretches]
    height, width = (_FACTOR * size for size in pictures.images.shape[1:3])
    rows = []
    for number in chosen:
        image = enlarged(pictures.images[number], width, height, smooth=False)
        truth = Targets(pictures.labels.boxes[number], pictures.labels.classes[number])
        rows.append([Cell(with_truth(image, truth)), Cell(*with_found(image, found[number]))])
    return sheet(
        title, _COLUMNS, rows, [(str(kind), colour) for kind, colour in zip(ObjectClass, COLOURS, strict=True)]
    )


def with_truth(image: Image, targets: Targets) -> Image:
    """Draw the true boxes of a picture on the enlarged picture."""
    drawn = image.copy()
    for box, number in zip(targets.boxes.tolist(), targets.classes.tolist(), strict=True):
        if number != ABSENT:
            _rectangle(drawn, box, _UNCOUNTED if number == IGNORED else COLOURS[number])
    return drawn


def with_found(image: Image, found: Detections) -> tuple[Image, list[Text]]:
    """Draw detections on an enlarged picture; returns it with the scores to be written on it."""
    drawn, texts = image.copy(), []
    for box, score, number in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
        if score >= MIN_SHOWN:
            colour = COLOURS[number]
            _rectangle(drawn, box, colour)
            texts.append(Text(f"{score:.2f}", _FACTOR * box[0], max(_FACTOR * box[1] - 13, 0), 11, colour))
    return drawn, texts


def _rectangle(image: Image, box: list[float], colour: Colour) -> None:
    x0, y0, x1, y1 = (round(_FACTOR * edge) for edge in box)
    cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
