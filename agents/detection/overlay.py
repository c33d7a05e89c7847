"""Pictures of what a detector finds: the camera's with the true boxes, and with the detector's and their scores."""

import cv2
import numpy as np

from agents.detection.interface import ABSENT, IGNORED, Detections, Targets
from agents.detection.pictures import Pictures
from navsim.evaluation.canvas import BRIGHT, DIM, Colour, Text, blank, enlarged, written
from navsim.sensing.observation import Image
from navsim.world.meshes import ObjectClass

COLOURS: tuple[Colour, ...] = ((90, 178, 255), (94, 230, 130), (255, 190, 60))
"""Of the boxes of each `ObjectClass`, in order."""
LEAST_SHOWN = 0.3
"""Detections that are less sure are not drawn."""
_FACTOR = 3
_GAP, _HEAD, _LEGEND = 6, 26, 30
_UNCOUNTED: Colour = (150, 150, 150)
_COLUMNS = ("truth; grey: not counted", f"found, with scores from {LEAST_SHOWN} on")


def detection_sheet(pictures: Pictures, found: list[Detections], count: int, title: str) -> Image:
    """Draw up to `count` of the pictures one below the other as (height, width, 3) uint8.

    Args:
        pictures: N pictures.
        found: What was found in each.
        count: How many are shown at most: of as many equal stretches of them the ones with the most objects.
        title: Over the sheet.
    """
    objects = (pictures.targets.classes >= 0).sum(dim=1).numpy()
    stretches = np.array_split(np.arange(len(pictures)), min(count, len(pictures)))
    chosen = [int(part[objects[part].argmax()]) for part in stretches]
    height, width = (_FACTOR * size for size in pictures.images.shape[1:3])
    canvas = blank(2 * width + _GAP, 2 * _HEAD + len(chosen) * (height + _GAP) + _LEGEND)
    texts = [Text(title, 4, 5, size=16)]
    texts += [Text(word, i * (width + _GAP) + 4, _HEAD + 5, colour=DIM) for i, word in enumerate(_COLUMNS)]
    for row, number in enumerate(chosen):
        y = 2 * _HEAD + row * (height + _GAP)
        image = enlarged(pictures.images[number], width, height, smooth=False)
        truth = Targets(pictures.targets.boxes[number], pictures.targets.classes[number])
        canvas[y : y + height, :width] = with_truth(image, truth)
        boxed, labels = with_found(image, found[number])
        canvas[y : y + height, width + _GAP :] = boxed
        texts += [Text(t.words, t.x + width + _GAP, t.y + y, t.size, t.colour, outlined=True) for t in labels]
    return written(canvas, texts + _legend(canvas))


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


def _legend(canvas: Image) -> list[Text]:
    """Paint a patch for each class along the lower edge; returns the names to be written beside them."""
    y, texts = canvas.shape[0] - _LEGEND + 8, []
    for i, (kind, colour) in enumerate(zip(ObjectClass, COLOURS, strict=True)):
        x = 140 * i + 4
        canvas[y : y + 14, x : x + 14] = colour
        texts.append(Text(str(kind), x + 20, y, size=13, colour=BRIGHT))
    return texts
