"""Sheets of pictures that a network was asked about: one row for each, its aspects side by side, a legend below."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from navsim.sensing.observation import Image
from navsim.visualization.canvas import BRIGHT, DIM, Colour, Text, blank, written

_GAP = 6
_HEAD, _LEGEND = 26, 30  # heights of the lines above and below [px]
_WIDEST = 160  # distance of the legend's words [px], at most


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a row."""

    image: Image
    """(height, width, 3) uint8, of one size in all of the sheet."""
    texts: Sequence[Text] = ()
    """What is written on it, placed from its own corner."""


def sheet(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], legend: Sequence[tuple[str, Colour]]
) -> Image:
    """Draw a sheet (height, width, 3) uint8.

    Args:
        title: Over the sheet.
        columns: What each column shows.
        rows: At least one, with a cell for each of the columns.
        legend: What the colours mean.
    """
    height, width = rows[0][0].image.shape[:2]
    canvas = blank(len(columns) * (width + _GAP) - _GAP, 2 * _HEAD + len(rows) * (height + _GAP) + _LEGEND)
    texts = [Text(title, 4, 5, size=16)]
    texts += [Text(words, i * (width + _GAP) + 4, _HEAD + 5, colour=DIM) for i, words in enumerate(columns)]
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            x, y = j * (width + _GAP), 2 * _HEAD + i * (height + _GAP)
            canvas[y : y + height, x : x + width] = cell.image
            texts += [replace(text, x=text.x + x, y=text.y + y, outlined=True) for text in cell.texts]
    return written(canvas, texts + _legend(canvas, legend))


def _legend(canvas: Image, legend: Sequence[tuple[str, Colour]]) -> list[Text]:
    """Paint a patch for each colour along the lower edge; returns the words to be written beside them."""
    y, step = canvas.shape[0] - _LEGEND + 8, min(canvas.shape[1] / max(len(legend), 1), _WIDEST)
    texts = []
    for i, (words, colour) in enumerate(legend):
        x = round(i * step) + 4
        canvas[y : y + 14, x : x + 14] = colour
        texts.append(Text(words, x + 20, y, size=13, colour=BRIGHT))
    return texts
