"""What a detector says of pictures, and how good that is. N: pictures, H and W: height and width [px]."""

from collections.abc import Sequence

import numpy as np
import torch

from agents.detection.interface import IGNORED, Detections, Detector
from agents.detection.pictures import Pictures
from agents.detection.precision import Ranked, match, ranked
from agents.segmentation.network import network_inputs
from navsim.sensing.observation import Image

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
    device = next(detector.parameters()).device
    found: list[Detections] = []
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
        for start in range(0, len(images), _BATCH):
            pictures = torch.tensor(images[start : start + _BATCH], device=device)
            found += detector.detect(network_inputs(pictures, torch.float32))
    return [Detections(each.boxes.cpu(), each.scores.cpu(), each.classes.cpu()) for each in found]


def rank_found(pictures: Pictures, found: Sequence[Detections], classes: int) -> list[Ranked]:
    """Match what was found to what is there, class by class.

    An object that is not counted may be of any class: what lies on it is left out, whatever it is called.
    """
    names, towns = np.unique(pictures.towns, return_inverse=True)
    boxes, kinds = pictures.targets.boxes.numpy().astype(float), pictures.targets.classes.numpy()
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
