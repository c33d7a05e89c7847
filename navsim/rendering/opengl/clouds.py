"""Clouds as a picture that repeats, drawn from a seed."""

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.seeding import generator

SIZE = 128
"""Width and height [px]."""
_COARSEST = 4
_OCTAVES = 5
_SOFTNESS = 0.16
"""How wide the edge of a cloud is, as a share of all heights of the noise."""


def cloud_image(cover: float, seed: int) -> NDArray[np.uint8]:
    """How dense the clouds are (SIZE, SIZE): 0 for clear sky, 255 where none shows; `cover` is their share."""
    rng = generator(seed, "clouds")
    noise = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(_OCTAVES):
        cells = _COARSEST << octave
        coarse = rng.normal(0.0, 0.55**octave, (cells, cells)).astype(np.float32)
        around = np.pad(coarse, 2, mode="wrap")
        step = SIZE // cells
        grown = cv2.resize(around, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        noise += grown[2 * step : -2 * step, 2 * step : -2 * step]
    rank = noise.ravel().argsort().argsort().reshape(noise.shape) / noise.size  # uniform in [0, 1)
    density = np.clip((rank - (1.0 - cover) * (1.0 + _SOFTNESS)) / _SOFTNESS + 1.0, 0.0, 1.0)
    return np.asarray(np.round(255 * density * density * (3 - 2 * density)), np.uint8)
