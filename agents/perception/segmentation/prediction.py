"""What a network says of pictures. N: pictures, H and W: height and width [px], K: classes, U: towns."""

import numpy as np
import torch
from torch import Tensor

from agents.perception.answering import answers
from agents.perception.segmentation.network import SegmentationNetwork
from agents.perception.segmentation.pictures import LabelledPictures
from agents.perception.segmentation.scores import Counts, SegmentationScores, confusion, score_towns
from navsim.sensing.observation import Image
from navsim.world.scenery.meshes import CLASS_NAMES

_BATCH = 32


def predicted_classes(network: SegmentationNetwork, images: Image, dtype: torch.dtype = torch.float32) -> Image:
    """The likeliest class of every pixel.

    Args:
        network: In evaluation mode, on any device.
        images: Pictures (N, H, W, 3) uint8.
        dtype: Type of the layers' arithmetic.

    Returns:
        Classes (N, H, W) uint8.
    """

    def likeliest(pictures: Tensor) -> Tensor:
        scores: Tensor = network(pictures)
        return scores.argmax(dim=1).byte().cpu()

    return np.asarray(torch.cat(answers(network, images, likeliest, dtype, dtype, _BATCH)))


def score_pictures(pictures: LabelledPictures, predicted: Image, rng: np.random.Generator) -> SegmentationScores:
    """Score predicted classes (N, H, W) of pictures; `rng` draws towns for the intervals."""
    return score_towns(town_counts(pictures, predicted), CLASS_NAMES, len(pictures), rng)


def town_counts(pictures: LabelledPictures, predicted: Image) -> Counts:
    """Confusion of each town (U, K, K), towns in the order of their names."""
    chosen = [pictures.towns == town for town in np.unique(pictures.towns)]
    return np.stack([confusion(pictures.labels[own], predicted[own], len(CLASS_NAMES)) for own in chosen])
