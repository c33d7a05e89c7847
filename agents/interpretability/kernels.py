"""The hand-made filters of MIT 6.S191's lecture on computer vision, and a network's own first ones as pictures."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from navsim.sensing.observation import Image

_LEAST_SIDE = 30  # of a learned filter's tile [px]
_GAP = 3  # between tiles [px]

HAND_MADE: Mapping[str, tuple[tuple[int, ...], ...]] = MappingProxyType(
    {
        "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
        "edge detect": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
        "strong edge detect": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    }
)
"""3x3 kernels by name: what people designed before filters were learned."""


def filtered(image: Image, kernel: tuple[tuple[int, ...], ...]) -> Image:
    """Slide a kernel over each colour of a picture (H, W, 3) uint8; the border is continued by its own pixels.

    Returns:
        The weighted sums, cut off at 0 and 255 (H, W, 3) uint8.
    """
    weights = np.array(kernel, np.float32)
    return np.asarray(cv2.filter2D(image, -1, weights, borderType=cv2.BORDER_REPLICATE), np.uint8)


def filter_picture(weights: Tensor, columns: int | None = None) -> Image:
    """Draw filters as tiles of a picture (height, width, 3) uint8, a weight of nothing in grey.

    Args:
        weights: N filters (N, D, K, K). With D = 3 a tile shows them as colours; else each filter has D tiles, grey
            ones, below each other.
        columns: Tiles beside each other; None gives a picture about as high as wide.
    """
    values = weights.detach().float().cpu().numpy()
    reach = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
    shades = np.round(127.5 + 127.5 * values / np.maximum(reach, 1e-12))
    shown = np.clip(shades, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)  # (N, K, K, D)
    if shown.shape[3] != 3:
        shown = np.repeat(np.concatenate(np.split(shown, shown.shape[3], axis=3), axis=1), 3, axis=3)
    scale = max(_LEAST_SIDE // shown.shape[2], 1)
    return in_rows(shown.repeat(scale, axis=1).repeat(scale, axis=2), columns)


def in_rows(pictures: NDArray[np.uint8], columns: int | None = None) -> Image:
    """Lay N pictures (N, H, W, 3) out in rows on white; None as `columns` gives about as many rows as columns."""
    count, height, width, _ = pictures.shape
    columns = min(columns or math.ceil(math.sqrt(count * height / width)), count)
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * (height + _GAP), (i % columns) * (width + _GAP)
        sheet[y : y + height, x : x + width] = picture
    return sheet
