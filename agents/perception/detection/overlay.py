"""Pictures of what a detector finds: the camera's with the true boxes, and with the detector's and their scores."""

import cv2
import numpy as np

from agents.perception.detection.interface import ABSENT, IGNORED, Detections, Targets
from agents.perception.detection.pictures import BoxedPictures
from agents.perception.sheet import Cell, sheet
from navsim.sensing.observation import Image
from navsim.visualization.canvas import Colour, Text, enlarged
from navsim.world.scenery.meshes import ObjectClass

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
