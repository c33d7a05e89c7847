"""Primitives for pictures: colours, text, boxes, resized images and overlays. RGB uint8, row 0 at the top."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from navsim.geometry import Array
from navsim.sensing.observation import Image
from navsim.simulation.scenario import Outcome

Colour = tuple[int, int, int]

BACKGROUND: Colour = (17, 20, 26)
SURFACE: Colour = (29, 34, 43)
LINE: Colour = (66, 75, 90)
DIM: Colour = (146, 156, 172)
BRIGHT: Colour = (236, 240, 246)
ACCENT: Colour = (255, 170, 51)
TRUTH: Colour = (94, 214, 150)
ROUTE: Colour = (232, 72, 72)
CAR: Colour = (90, 178, 255)
TRAIL: Colour = (176, 122, 250)

_BRIGHTEST = 99.5  # percentile of the saliency that has the brightest colour; single pixels would darken the rest
_GREYING = 0.75  # share of the colour that is removed, so that saliency is not mistaken for a part of the picture
_DIMMING = 0.7
_HEAT_OPACITY = 0.9
_OUTCOME_COLOURS: dict[Outcome, Colour] = {
    Outcome.ARRIVED: TRUTH,
    Outcome.STUCK: ACCENT,
    Outcome.TIMED_OUT: ACCENT,
}


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of pixels."""

    x: int
    """Column of the left edge [px]."""
    y: int
    """Row of the upper edge [px]."""
    width: int
    """Number of columns [px]."""
    height: int
    """Number of rows [px]."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an image that the rectangle covers."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def inset(self, margin: int) -> "Rectangle":
        """Return the rectangle without `margin` [px] on every side."""
        return Rectangle(self.x + margin, self.y + margin, self.width - 2 * margin, self.height - 2 * margin)

    def fitted(self, width: int, height: int) -> "Rectangle":
        """Return the largest rectangle with the shape of `width` by `height`, centred in this one."""
        scale = min(self.width / width, self.height / height)
        w, h = max(int(width * scale), 1), max(int(height * scale), 1)
        return Rectangle(self.x + (self.width - w) // 2, self.y + (self.height - h) // 2, w, h)


@dataclass(frozen=True)
class Text:
    """A line of text with its place on a picture."""

    text: str
    """Characters of the line."""
    x: float
    """Column of the anchor [px]."""
    y: float
    """Row of the anchor [px]."""
    size: int = 14
    """Height of the font [px]."""
    colour: Colour = BRIGHT
    """Colour of the letters."""
    anchor: str = "la"
    """Point of the line that lies at (x, y), in Pillow's letters: l, m or r across, and a, m or s down."""
    outlined: bool = False
    """Whether the letters have a dark outline, which keeps them legible on a picture."""


def outcome_colour(outcome: Outcome) -> Colour:
    """Return green for an arrival, amber for stuck or timed out, red for all other outcomes."""
    return _OUTCOME_COLOURS.get(outcome, ROUTE)


def blank(width: int, height: int) -> Image:
    """Return an empty dark picture (height, width, 3)."""
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def fill(canvas: Image, box: Rectangle, colour: Colour) -> None:
    """Fill a box with one colour."""
    canvas[box.slices] = colour


def paste(canvas: Image, box: Rectangle, image: Image, smooth: bool) -> None:
    """Resize an image (H, W, 3) to a box and paste it there, interpolated if `smooth`."""
    canvas[box.slices] = enlarged(image, box.width, box.height, smooth)


def enlarged(image: Image, width: int, height: int, smooth: bool) -> Image:
    """Return an image (H, W, 3) at another size [px], interpolated if `smooth`."""
    flag = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=flag), np.uint8)


def downsized(image: Image, width: int) -> Image:
    """Return an image (H, W, 3) at a smaller width [px] with the same aspect ratio, averaged over areas."""
    height = round(image.shape[0] * width / image.shape[1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def png(image: Image) -> bytes:
    """Return the content of a PNG file with an image (H, W, 3), at the highest compression."""
    return cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def overlay_saliency(picture: Image, saliency: NDArray[np.floating]) -> Image:
    """Overlay saliency (H, W) on a picture (H, W, 3), which becomes nearly grey and slightly darker.

    The brightest colour stands for the largest values in this picture. Saliency of 0 is transparent.
    """
    heat = relative_saliency(saliency)[..., None]
    colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    plain = picture.astype(float)
    dull = _DIMMING * (plain + _GREYING * (plain.mean(axis=-1, keepdims=True) - plain))
    opacity = _HEAT_OPACITY * np.sqrt(heat)
    return np.asarray(np.round(dull + opacity * (colours - dull)), np.uint8)


def relative_saliency(saliency: NDArray[np.floating]) -> Array:
    """Return saliency (...) scaled to [0, 1] and clipped at its highest percentile."""
    top = float(np.percentile(saliency, _BRIGHTEST)) or float(saliency.max())
    return np.clip(saliency / top, 0.0, 1.0) if top > 0 else np.zeros(saliency.shape)


def polyline(canvas: Image, points: ArrayLike, colour: Colour, width: int = 2) -> None:
    """Draw an antialiased line through points (N, 2) as (x, y) [px]."""
    pixels = np.round(np.asarray(points, float) * 16).astype(np.int32)
    cv2.polylines(canvas, [pixels], False, colour, width, cv2.LINE_AA, 4)


def polygon(canvas: Image, points: ArrayLike, colour: Colour) -> None:
    """Fill an antialiased convex polygon of points (N, 2) as (x, y) [px]."""
    pixels = np.round(np.asarray(points, float) * 16).astype(np.int32)
    cv2.fillConvexPoly(canvas, pixels, colour, cv2.LINE_AA, 4)


def written(canvas: Image, texts: Iterable[Text]) -> Image:
    """Return a copy of the picture with texts on it.

    All texts are written in one pass, since each conversion for Pillow copies the whole picture.
    """
    picture = Picture.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for text in texts:
        edge = 2 if text.outlined else 0
        place, font = (text.x, text.y), _font(text.size)
        pen.text(place, text.text, text.colour, font, text.anchor, stroke_width=edge, stroke_fill=BACKGROUND)
    return np.array(picture, np.uint8)


def text_width(text: str, size: int) -> float:
    """Return the width of a line in a font of height `size` [px]."""
    return float(_font(size).getlength(text))


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font, which needs no font file on the machine."""
    return ImageFont.load_default(size)
