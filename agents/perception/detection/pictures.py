"""The configuration of learning to find objects.

Pictures with the objects in them. T: frames, C: cameras.

Pictures of what a detector finds: the camera's with the true boxes, and with the detector's and their scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agents.perception.config import HeldOutConfig, PerceptionConfig
from agents.perception.detection.features import ABSENT, IGNORED, Detections, Targets
from agents.perception.pictures import Cell, PerceptionFrame, Pictures, Source, sheet
from agents.training.optimization import EmaConfig, OptimizerConfig
from agents.training.packed import check_objects
from navsim.config import check_limits
from navsim.datasets.dataset import Dataset
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
class CountedConfig:
    """Which objects are learned and counted; finding one of the others is neither right nor wrong."""

    least_height: int = 8
    """Height of the box around what is visible [px]."""
    least_visible: float = 0.3
    """Visible share of the outline."""

    def __post_init__(self) -> None:
        if not (0 <= self.least_height <= 1000 and 0 <= self.least_visible <= 1):
            raise ConfigError(
                "counted needs least_height of 0 to 1000 and least_visible of 0 to 1, "
                f"got {self.least_height} and {self.least_visible}"
            )


@dataclass(frozen=True)
class DetectionConfig(PerceptionConfig):
    """What to learn from, what to learn, and how."""

    task: Literal["detection"] = "detection"
    """What is learned: boxes around cars, people and signs."""
    data: Path = Path("runs/detection/data")
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
    validate_every: int = 15
    """Each so many-th frame of the validation drives is validated on."""
    counted: CountedConfig = field(default_factory=CountedConfig)
    """Which objects are learned and counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_limits(self, {"validate_every": (1, 10**6)})


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


def targets_of(parts: Sequence[PerceptionFrame], counted: CountedConfig) -> Targets:
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


def _drawn(redrawer: EpisodeRerenderer, episode: Episode, frames: range) -> tuple[Image, Array]:
    """Images (T, C, H, W, 3) of some frames, with the objects in them."""
    return redrawer.measure(episode, frames).images, redrawer.objects(episode, frames)


COLOURS: tuple[Colour, ...] = ((90, 178, 255), (94, 230, 130), (255, 190, 60))
"""Of the boxes of each `ObjectClass`, in order."""
LEAST_SHOWN = 0.3
"""Detections that are less sure are not drawn."""
_FACTOR = 3
_UNCOUNTED: Colour = (150, 150, 150)
_COLUMNS = ("truth; grey: not counted", f"found, with scores from {LEAST_SHOWN} on")


def detection_sheet(pictures: BoxedPictures, found: list[Detections], count: int, title: str) -> Image:
    """Draw up to `count` of the pictures one below the other as (height, width, 3) uint8.

    Args:
        pictures: N pictures.
        found: What was found in each.
        count: How many are shown at most: of as many equal stretches of them the ones with the most objects.
        title: Over the sheet.
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
    """Draw the true boxes of one picture on it, which is enlarged."""
    drawn = image.copy()
    for box, number in zip(targets.boxes.tolist(), targets.classes.tolist(), strict=True):
        if number != ABSENT:
            _rectangle(drawn, box, _UNCOUNTED if number == IGNORED else COLOURS[number])
    return drawn


def with_found(image: Image, found: Detections) -> tuple[Image, list[Text]]:
    """Draw the sure detections on a picture, which is enlarged; returns it with the scores to be written on it."""
    drawn, texts = image.copy(), []
    for box, score, number in zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
        if score >= LEAST_SHOWN:
            colour = COLOURS[number]
            _rectangle(drawn, box, colour)
            texts.append(Text(f"{score:.2f}", _FACTOR * box[0], max(_FACTOR * box[1] - 13, 0), 11, colour))
    return drawn, texts


def _rectangle(image: Image, box: list[float], colour: Colour) -> None:
    x0, y0, x1, y1 = (round(_FACTOR * edge) for edge in box)
    cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
