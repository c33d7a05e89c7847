"""Plots of the steering distribution: a fan of arcs on the road in a camera's image, and a curve. Left is left."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.drivers.action_selection import Mode
from navsim.drivers.protocol import Decision
from navsim.geometry import Array
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import (
    ACCENT,
    BRIGHT,
    DIM,
    LINE,
    SURFACE,
    TRUTH,
    Colour,
    Rectangle,
    Text,
    fill,
    polyline,
)
from navsim.visualization.drive_events import decision_modes

_START = 1.0  # distance at which arcs begin [m]
_POINTS = 24  # of an arc
_MAX_TURN = 1.4  # heading change at which an arc ends [rad]
_MIN_DEPTH = 0.3  # points closer to the camera are not drawn [m]
_MIN_DENSITY = 0.02  # densities below this fraction of the highest are not drawn
_OPACITY = 0.8
_SHIFT = 4  # cv2 draws with sub-pixel coordinates in units of 2^-4 px
_ACCENT_FILL: Colour = (104, 78, 42)


def arc(curvature: float, length: float = 15.0) -> Array:
    """Return a path of constant curvature from the car's origin: points (P, 3) [m] on the ground, vehicle frame.

    Args:
        curvature: Path curvature [1/m], positive to the left.
        length: Arc length at the end [m]; sharp arcs end earlier, before they turn back.
    """
    end = min(length, _MAX_TURN / max(abs(curvature), 1e-9))
    stations = np.linspace(min(_START, end / 2), end, _POINTS)
    half_turns = curvature * stations / 2
    chords = stations * np.sinc(half_turns / np.pi)
    return np.stack([chords * np.cos(half_turns), chords * np.sin(half_turns), np.zeros(_POINTS)], axis=-1)


def draw_fan(
    image: Image, camera: Camera, decision: Decision, label: float | None = None, length: float = 15.0
) -> Image:
    """Draw a decision's distribution on the road, with the chosen arc as a line.

    Args:
        image: Image of the camera (H, W, 3) uint8 RGB. Enlarge small images before, for smooth lines.
        camera: Camera with the `width` and `height` of `image`.
        decision: Decision of the driver; without a density only the chosen arc is drawn.
        label: Curvature of the expert [1/m], drawn as a second line if given.
        length: Arc length of the fan [m].

    Returns:
        New picture of the same size.

    Raises:
        ValueError: If the image does not have the camera's size.
    """
    if image.shape[:2] != (camera.height, camera.width):
        raise ValueError(f"the camera takes {camera.width}x{camera.height} px, the image has {image.shape[1::-1]}")
    picture = np.ascontiguousarray(image).copy()
    if decision.grid is not None and decision.density is not None:
        opacity = _fan_opacity(camera, decision.grid, decision.density, length)
        weight = cv2.merge([opacity] * 3)
        colour = np.array(ACCENT, np.float32)
        picture = np.round(picture + weight * (colour - picture)).astype(np.uint8)
    width = max(round(camera.height / 100), 1)
    if label is not None:
        _draw_arc(picture, camera, label, length, TRUTH, width)
    _draw_arc(picture, camera, decision.curvature, length, BRIGHT, width)
    return picture


def _fan_opacity(camera: Camera, grid: Array, density: Array, length: float) -> NDArray[np.float32]:
    """Return the fan's opacity at each pixel (H, W): the square root of the density relative to its maximum.

    The root makes flanks and smaller modes visible beside a sharp peak.
    """
    opacity = np.zeros((camera.height, camera.width), np.uint8)
    relative = density / max(float(density.max()), 1e-12)
    strips = (relative[1:] + relative[:-1]) / 2  # (G - 1,)
    for i in np.flatnonzero(strips > _MIN_DENSITY):
        right, left = (_visible_pixels(camera, float(grid[edge]), length) for edge in (i, i + 1))
        outline = np.concatenate([right, left[::-1]])
        if len(outline) > 2:
            cv2.fillPoly(opacity, [outline], float(255 * np.sqrt(strips[i])), cv2.LINE_8, _SHIFT)
    soft = cv2.GaussianBlur(opacity, (0, 0), max(camera.height / 150, 0.3))
    return np.asarray(soft * np.float32(_OPACITY / 255), np.float32)


def _draw_arc(picture: Image, camera: Camera, curvature: float, length: float, colour: Colour, width: int) -> None:
    """Draw the visible part of an arc as an antialiased line."""
    pixels = _visible_pixels(camera, curvature, length)
    cv2.polylines(picture, [pixels], False, colour, width, cv2.LINE_AA, _SHIFT)


@lru_cache(maxsize=1024)  # the arcs between a fan's strips are the same in all pictures of a drive
def _visible_pixels(camera: Camera, curvature: float, length: float) -> NDArray[np.int32]:
    """Return pixels (P, 2) of the part of an arc in front of the camera, in cv2's sub-pixel units."""
    pixels, depth = camera.project(arc(curvature, length))
    fixed = np.clip((pixels[depth > _MIN_DEPTH] - 0.5) * 2**_SHIFT, -(2**18), 2**18)
    return np.asarray(np.round(fixed), np.int32)


def draw_curve(canvas: Image, box: Rectangle, decision: Decision, label: float | None, limit: float) -> list[Text]:
    """Draw a decision's density over curvature, scaled to its peak, from `limit` [1/m] (left) to -`limit`.

    Returns:
        Texts of the plot, to be written on the canvas.
    """
    fill(canvas, box, SURFACE)
    plot = Rectangle(box.x + 14, box.y + 34, box.width - 28, box.height - 64)
    texts = _axis(canvas, plot, limit)
    if decision.grid is not None and decision.density is not None:
        _density(canvas, plot, decision.grid, decision.density, limit)
    modes = decision_modes(decision)
    texts += _mode_texts(plot, modes, limit) if len(modes) > 1 else []
    _marker(canvas, plot, decision.curvature, limit, BRIGHT, dashed=False)
    if label is not None:
        _marker(canvas, plot, label, limit, TRUTH, dashed=True)
    return texts + _legend(box, decision, label)


def _column(plot: Rectangle, curvature: float, limit: float) -> float:
    """Return the column of a curvature [px], clipped to the axis."""
    fraction = (1 - float(np.clip(curvature / limit, -1, 1))) / 2
    return plot.x + fraction * plot.width


def _axis(canvas: Image, plot: Rectangle, limit: float) -> list[Text]:
    """Draw the axis with ticks, and return their labels [1/m]."""
    bottom = plot.y + plot.height
    polyline(canvas, [(plot.x, bottom), (plot.x + plot.width, bottom)], LINE, 1)
    texts = []
    for fraction in (1.0, 0.5, 0.0, -0.5, -1.0):
        x = _column(plot, fraction * limit, limit)
        polyline(canvas, [(x, bottom), (x, bottom + 4)], LINE, 1)
        side = "left" if fraction > 0 else "right"
        label = f"{abs(fraction) * limit:.3g} {side}" if fraction else "0"
        anchor = {1.0: "la", -1.0: "ra"}.get(fraction, "ma")
        texts.append(Text(label, x, bottom + 8, 12, DIM, anchor))
    return texts


def _density(canvas: Image, plot: Rectangle, grid: Array, density: Array, limit: float) -> None:
    """Fill the area under the density, one column of pixels after the other, since peaks may be a few pixels wide."""
    columns = np.arange(plot.width)
    curvatures = limit * (1 - 2 * (columns + 0.5) / plot.width)
    values = np.interp(curvatures, grid, density, left=0.0, right=0.0)
    peak = max(float(density.max()), 1e-12)
    heights = np.clip(values / peak, 0, 1) * plot.height
    rows = np.arange(plot.height)[:, None]
    area = canvas[plot.slices]
    area[rows >= plot.height - heights] = _ACCENT_FILL
    bottom = plot.y + plot.height
    polyline(canvas, np.stack([plot.x + columns, bottom - heights], axis=-1), ACCENT, 2)


def _mode_texts(plot: Rectangle, modes: Sequence[Mode], limit: float) -> list[Text]:
    """Return the probability of each mode, as a text over it."""
    return [
        Text(f"{mode.mass:.0%}", _column(plot, mode.curvature, limit), plot.y - 3, 13, ACCENT, "ms", outlined=True)
        for mode in modes
    ]


def _marker(canvas: Image, plot: Rectangle, curvature: float, limit: float, colour: Colour, dashed: bool) -> None:
    """Draw a vertical line at a curvature."""
    x = _column(plot, curvature, limit)
    top, bottom = plot.y - 4, plot.y + plot.height
    length, gap = (7, 7) if dashed else (bottom - top, 1)
    for y in range(top, bottom, length + gap):
        polyline(canvas, [(x, y), (x, min(y + length, bottom))], colour, 2)


def _legend(box: Rectangle, decision: Decision, label: float | None) -> list[Text]:
    """Return the legend of the lines, with their values."""
    texts = [Text(f"command {decision.curvature:+.3f}", box.x + 14, box.y + 9, 13, BRIGHT)]
    if label is not None:
        texts.append(Text(f"expert {label:+.3f}", box.x + box.width // 2, box.y + 9, 13, TRUTH, "ma"))
    return [*texts, Text("curvature 1/m", box.x + box.width - 14, box.y + 9, 13, DIM, "ra")]
