"""A few lines of text as a small picture, for the corner of the window."""

from collections.abc import Sequence

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from navsim.sensing.observation import Image

CAPTION_WIDTH, CAPTION_HEIGHT = 320, 100
"""Size of the picture [px]; room for four lines."""

_BACKGROUND = (16, 19, 25)
_INK = ((255, 255, 255), (176, 188, 206), (255, 196, 84), (150, 160, 178))
_SIZES = (20, 14, 16, 11)
_TOPS = (8, 36, 57, 81)
_LEFT = 12
_LEAST_SIZE = 10


def draw_caption(lines: Sequence[str]) -> Image:
    """Write up to four lines, the third in colour, the fourth small: (CAPTION_HEIGHT, CAPTION_WIDTH, 3).

    Lines are fitted into its width.
    """
    picture = Picture.new("RGB", (CAPTION_WIDTH, CAPTION_HEIGHT), _BACKGROUND)
    pen = ImageDraw.Draw(picture)
    for words, ink, size, top in zip(lines, _INK, _SIZES, _TOPS, strict=False):
        shown, fitting = fitted(words, size, CAPTION_WIDTH - 2 * _LEFT)
        pen.text((_LEFT, top), shown, fill=ink, font=ImageFont.load_default(fitting))
    return np.array(picture, np.uint8)


def fitted(words: str, size: int, room: float) -> tuple[str, int]:
    """A line that fits into `room` [px] and its size: written smaller, or, too small to read, ending in dots."""
    for smaller in range(size, _LEAST_SIZE - 1, -1):
        if ImageFont.load_default(smaller).getlength(words) <= room:
            return words, smaller
    font = ImageFont.load_default(_LEAST_SIZE)
    kept = next(n for n in range(len(words), -1, -1) if font.getlength(words[:n] + "...") <= room)
    return words[:kept] + "...", _LEAST_SIZE
