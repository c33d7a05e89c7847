"""What a detector says of pictures, and how good that is. N: pictures, H and W: height and width [px]."""

from collections.abc import Sequence

import numpy as np
import torch

from agents.perception.answering import answers
from agents.perception.detection.interface import IGNORED, Detections, Detector
from agents.perception.detection.pictures import BoxedPictures
from agents.perception.detection.precision import DetectionScores, Ranked, match, precisions, ranked
from navsim.sensing.observation import Image
from navsim.world.scenery.meshes import ObjectClass

CLASS_NAMES = tuple(ObjectClass)
"""What is found, in order."""
_BATCH = 16


def found_objects(detector: Detector, images: Image, dtype: torch.dtype = torch.float32) -> list[Detections]:
    """Find the objects in pictures.

    Args:
        detector: In evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        dtype: Type of the layers' arithmetic.

    Returns:
        What was found in each, in the computer's own memory.
    """
    parts = answers(detector, images, detector.detect, dtype, torch.float32, _BATCH)
    return [Detections(each.boxes.cpu(), each.scores.cpu(), each.classes.cpu()) for part in parts for each in part]


def rank_found(pictures: BoxedPictures, found: Sequence[Detections], classes: int) -> list[Ranked]:
    """Match what was found to what is there, class by class.

    An object that is not counted may be of any class: what lies on it is left out, whatever it is called.
    """
    names, towns = np.unique(pictures.towns, return_inverse=True)
    boxes, kinds = pictures.labels.boxes.numpy().astype(float), pictures.labels.classes.numpy()
    ranks = []
    for number in range(classes):
        matched, counts = [], []
        for place, each in enumerate(found):
            own = (each.classes == number).numpy()
            there = (kinds[place] == number) | (kinds[place] == IGNORED)
            counted = kinds[place][there] >= 0
            scores = each.scores.numpy()[own].astype(float)
            matched.append(match(each.boxes.numpy()[own].astype(float), scores, boxes[place][there], counted))
            counts.append(int(counted.sum()))
        ranks.append(ranked(matched, towns.astype(np.intp), np.array(counts, np.intp), len(names)))
    return ranks


def score_pictures(pictures: BoxedPictures, found: list[Detections], rng: np.random.Generator) -> DetectionScores:
    """Score what was found in pictures; `rng` draws towns for the intervals."""
    each, mean = precisions(rank_found(pictures, found, len(CLASS_NAMES)), rng)
    classes = {str(name): part for name, part in zip(CLASS_NAMES, each, strict=True)}
    return DetectionScores(len(pictures), len(np.unique(pictures.towns)), classes, mean)
