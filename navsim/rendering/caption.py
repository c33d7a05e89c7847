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
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_caption(lines: Sequence[str]) -> Image:
    """Write up to four lines, the third in colour, the fourth small: (CAPTION_HEIGHT, CAPTION_WIDTH, 3).

    A line that is too wide is written smaller; one that would be too small to read ends in dots.
    """
    picture = Picture.new("RGB", (CAPTION_WIDTH, CAPTION_HEIGHT), _BACKGROUND)
    pen = ImageDraw.Draw(picture)
    for words, ink, size, top in zip(lines, _INK, _SIZES, _TOPS, strict=False):
        shown, font = _fitted(words, size)
        pen.text((_LEFT, top), shown, fill=ink, font=font)
    return np.array(picture, np.uint8)


def _fitted(words: str, size: int) -> tuple[str, _Font]:
    """Words and font such that they fit into the picture's width."""
    room = CAPTION_WIDTH - 2 * _LEFT
    for smaller in range(size, _LEAST_SIZE - 1, -1):
        font = ImageFont.load_default(smaller)
        if font.getlength(words) <= room:
            return words, font
    font = ImageFont.load_default(_LEAST_SIZE)
    kept = next(n for n in range(len(words), -1, -1) if font.getlength(words[:n] + "...") <= room)
    return words[:kept] + "...", font
