"""Primitives for pictures that a person watches: colours, text, images fitted into boxes. RGB uint8, row 0 on top."""

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

_BRIGHTEST = 99.5  # percentile of the saliency that is drawn as the hottest; single pixels would darken the rest
_GREYING = 0.75  # how much of a picture's colour is taken from it, so that the heat is not taken for a part of it
_DIMMED = 0.7
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
    """Left edge [px]."""
    y: int
    """Upper edge [px]."""
    width: int
    """[px]."""
    height: int
    """[px]."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an image that it covers."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def inset(self, margin: int) -> "Rectangle":
        """The box without `margin` [px] on every side."""
        return Rectangle(self.x + margin, self.y + margin, self.width - 2 * margin, self.height - 2 * margin)

    def fitted(self, width: int, height: int) -> "Rectangle":
        """The largest box of that shape inside this one, in its middle."""
        scale = min(self.width / width, self.height / height)
        w, h = max(int(width * scale), 1), max(int(height * scale), 1)
        return Rectangle(self.x + (self.width - w) // 2, self.y + (self.height - h) // 2, w, h)


@dataclass(frozen=True)
class Text:
    """Words to be written."""

    words: str
    """One line."""
    x: float
    """Anchor, from the left [px]."""
    y: float
    """Anchor, from the top [px]."""
    size: int = 14
    """Height of the font [px]."""
    colour: Colour = BRIGHT
    """RGB."""
    anchor: str = "la"
    """Which point of the line lies at (x, y), in Pillow's letters: l, m, r across and a, m, s down."""
    outlined: bool = False
    """Whether the letters have a dark edge, to be legible on a picture."""


def outcome_colour(outcome: Outcome) -> Colour:
    """Green for arrived, amber for too slow, red for the rest."""
    return _OUTCOME_COLOURS.get(outcome, ROUTE)


def blank(width: int, height: int) -> Image:
    """An empty dark picture (height, width, 3)."""
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def fill(canvas: Image, box: Rectangle, colour: Colour) -> None:
    """Paint a box in one colour."""
    canvas[box.slices] = colour


def paste(canvas: Image, box: Rectangle, image: Image, smooth: bool) -> None:
    """Stretch an image (H, W, 3) over a box, in soft or in hard pixels."""
    canvas[box.slices] = enlarged(image, box.width, box.height, smooth)


def enlarged(image: Image, width: int, height: int, smooth: bool) -> Image:
    """An image at another size [px], in soft or in hard pixels."""
    flag = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=flag), np.uint8)


def downsized(image: Image, width: int) -> Image:
    """An image (H, W, 3) at a smaller width [px], in its own shape, each pixel the mean of those it stands for."""
    height = round(image.shape[0] * width / image.shape[1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def png(image: Image) -> bytes:
    """An image (H, W, 3) as the content of a PNG file, as small as can be."""
    return cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def overlay_saliency(picture: Image, saliency: NDArray[np.floating]) -> Image:
    """Lay saliency (H, W) over a picture (H, W, 3) uint8 RGB, which is shown nearly grey and a little darker.

    The hottest colour stands for the picture's own largest values; where nothing is salient, nothing is laid over it.
    """
    heat = relative_saliency(saliency)[..., None]
    colours = cv2.applyColorMap(np.round(255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    plain = picture.astype(float)
    dull = _DIMMED * (plain + _GREYING * (plain.mean(axis=-1, keepdims=True) - plain))
    opacity = _HEAT_OPACITY * np.sqrt(heat)
    return np.asarray(np.round(dull + opacity * (colours - dull)), np.uint8)


def relative_saliency(saliency: NDArray[np.floating]) -> Array:
    """Saliency (...) from 0 to 1, cut off at its brightest."""
    top = float(np.percentile(saliency, _BRIGHTEST)) or float(saliency.max())
    return np.clip(saliency / top, 0.0, 1.0) if top > 0 else np.zeros(saliency.shape)


def polyline(canvas: Image, points: ArrayLike, colour: Colour, width: int = 2) -> None:
    """Draw a smooth-edged line through points (N, 2) as (x, y) [px]."""
    pixels = np.round(np.asarray(points, float) * 16).astype(np.int32)
    cv2.polylines(canvas, [pixels], False, colour, width, cv2.LINE_AA, 4)


def polygon(canvas: Image, points: ArrayLike, colour: Colour) -> None:
    """Fill a smooth-edged convex polygon of points (N, 2) as (x, y) [px]."""
    pixels = np.round(np.asarray(points, float) * 16).astype(np.int32)
    cv2.fillConvexPoly(canvas, pixels, colour, cv2.LINE_AA, 4)


def written(canvas: Image, texts: Iterable[Text]) -> Image:
    """The picture with all texts on it; one pass, since every conversion copies the whole picture."""
    picture = Picture.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for text in texts:
        edge = 2 if text.outlined else 0
        place, font = (text.x, text.y), _font(text.size)
        pen.text(place, text.words, text.colour, font, text.anchor, stroke_width=edge, stroke_fill=BACKGROUND)
    return np.array(picture, np.uint8)


def text_width(words: str, size: int) -> float:
    """Width of a line in a font of that height [px]."""
    return float(_font(size).getlength(words))


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which needs no file of the system."""
    return ImageFont.load_default(size)
