"""The distribution over steering: as a fan of arcs on the road in a camera's image, and as a curve; left is left."""

from collections.abc import Sequence

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

_START = 1.0  # where arcs begin [m]
_POINTS = 24  # points of an arc
_LARGEST_TURN = 1.4  # arcs end where they have turned by this [rad]
_NEAREST = 0.3  # least depth of a point that is drawn [m]
_FAINTEST = 0.02  # densities below this share of the highest are not drawn
_OPACITY = 0.8
_SHIFT = 4  # cv2 draws with sub-pixel coordinates in units of 2^-4 px
_ACCENT_FILL: Colour = (104, 78, 42)


def arc(curvature: float, length: float = 15.0) -> Array:
    """The path of constant curvature from the car's origin: points (P, 3) [m] on the ground, vehicle frame.

    Args:
        curvature: Path curvature [1/m], positive to the left.
        length: Arc length at the end [m]; sharp arcs end earlier, before they come back.
    """
    end = min(length, _LARGEST_TURN / max(abs(curvature), 1e-9))
    stations = np.linspace(min(_START, end / 2), end, _POINTS)
    half_turns = curvature * stations / 2
    chords = stations * np.sinc(half_turns / np.pi)
    return np.stack([chords * np.cos(half_turns), chords * np.sin(half_turns), np.zeros(_POINTS)], axis=-1)


def draw_fan(
    image: Image, camera: Camera, decision: Decision, label: float | None = None, length: float = 15.0
) -> Image:
    """Draw a decision's distribution on the road, the chosen arc as a line on it.

    Args:
        image: What the camera saw (H, W, 3) uint8 RGB. Enlarge small images before, for smooth lines.
        camera: The camera, with `width` and `height` of the image that is given.
        decision: What to draw; without a density only the chosen arc is.
        label: The expert's curvature [1/m], drawn as a second, thinner line if given.
        length: Arc length of the fan [m].

    Returns:
        A new picture of the same size.

    Raises:
        ValueError: If the image does not have the camera's size.
    """
    if image.shape[:2] != (camera.height, camera.width):
        raise ValueError(f"the camera takes {camera.width}x{camera.height} px, the image has {image.shape[1::-1]}")
    picture = np.ascontiguousarray(image).copy()
    if decision.grid is not None and decision.density is not None:
        opacity = _fan_opacity(camera, decision.grid, decision.density, length)
        veil = cv2.merge([opacity] * 3)
        colour = np.array(ACCENT, np.float32)
        picture = np.round(picture + veil * (colour - picture)).astype(np.uint8)
    width = max(round(camera.height / 100), 1)
    if label is not None:
        _draw_arc(picture, camera, label, length, TRUTH, width)
    _draw_arc(picture, camera, decision.curvature, length, BRIGHT, width)
    return picture


def _fan_opacity(camera: Camera, grid: Array, density: Array, length: float) -> NDArray[np.float32]:
    """Opacity of the fan at each pixel (H, W): the root of the density relative to its highest value.

    The root shows the fan's flanks and lesser modes beside a sharp peak.
    """
    opacity = np.zeros((camera.height, camera.width), np.uint8)
    relative = density / max(float(density.max()), 1e-12)
    strips = (relative[1:] + relative[:-1]) / 2  # (G - 1,)
    for i in np.flatnonzero(strips > _FAINTEST):
        right, left = (_visible_pixels(camera, float(grid[edge]), length) for edge in (i, i + 1))
        outline = np.concatenate([right, left[::-1]])
        if len(outline) > 2:
            cv2.fillPoly(opacity, [outline], float(255 * np.sqrt(strips[i])), cv2.LINE_8, _SHIFT)
    soft = cv2.GaussianBlur(opacity, (0, 0), max(camera.height / 150, 0.3))
    return np.asarray(soft * np.float32(_OPACITY / 255), np.float32)


def _draw_arc(picture: Image, camera: Camera, curvature: float, length: float, colour: Colour, width: int) -> None:
    """Draw the visible part of an arc as a smooth line."""
    pixels = _visible_pixels(camera, curvature, length)
    cv2.polylines(picture, [pixels], False, colour, width, cv2.LINE_AA, _SHIFT)


def _visible_pixels(camera: Camera, curvature: float, length: float) -> NDArray[np.int32]:
    """Pixels (P, 2) of the part of an arc that lies before the camera, in cv2's sub-pixel units."""
    pixels, depth = camera.project(arc(curvature, length))
    fixed = np.clip((pixels[depth > _NEAREST] - 0.5) * 2**_SHIFT, -(2**18), 2**18)
    return np.asarray(np.round(fixed), np.int32)


def draw_curve(canvas: Image, box: Rectangle, decision: Decision, label: float | None, limit: float) -> list[Text]:
    """Draw a decision's density over curvature, scaled to its own peak, from `limit` [1/m] (left) to -`limit`.

    Returns:
        The texts that belong to it.
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
    """Where a curvature lies [px]; beyond the axis it sticks to its end."""
    share = (1 - float(np.clip(curvature / limit, -1, 1))) / 2
    return plot.x + share * plot.width


def _axis(canvas: Image, plot: Rectangle, limit: float) -> list[Text]:
    """Base line and ticks, labelled by the radius that they stand for."""
    bottom = plot.y + plot.height
    polyline(canvas, [(plot.x, bottom), (plot.x + plot.width, bottom)], LINE, 1)
    texts = []
    for share in (1.0, 0.5, 0.0, -0.5, -1.0):
        x = _column(plot, share * limit, limit)
        polyline(canvas, [(x, bottom), (x, bottom + 4)], LINE, 1)
        side = "left" if share > 0 else "right"
        words = f"{abs(share) * limit:.3g} {side}" if share else "0"
        anchor = {1.0: "la", -1.0: "ra"}.get(share, "ma")
        texts.append(Text(words, x, bottom + 8, 12, DIM, anchor))
    return texts


def _density(canvas: Image, plot: Rectangle, grid: Array, density: Array, limit: float) -> None:
    """Fill the area under the density: one column of pixels per place, since peaks are narrower than any grid line."""
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
    """The share of the probability that each mode holds, over it."""
    return [
        Text(f"{mode.mass:.0%}", _column(plot, mode.curvature, limit), plot.y - 3, 13, ACCENT, "ms", outlined=True)
        for mode in modes
    ]


def _marker(canvas: Image, plot: Rectangle, curvature: float, limit: float, colour: Colour, dashed: bool) -> None:
    """A vertical line at a curvature."""
    x = _column(plot, curvature, limit)
    top, bottom = plot.y - 4, plot.y + plot.height
    length, gap = (7, 7) if dashed else (bottom - top, 1)
    for y in range(top, bottom, length + gap):
        polyline(canvas, [(x, y), (x, min(y + length, bottom))], colour, 2)


def _legend(box: Rectangle, decision: Decision, label: float | None) -> list[Text]:
    """What the lines mean, with their values."""
    texts = [Text(f"command {decision.curvature:+.3f}", box.x + 14, box.y + 9, 13, BRIGHT)]
    if label is not None:
        texts.append(Text(f"expert {label:+.3f}", box.x + box.width // 2, box.y + 9, 13, TRUTH, "ma"))
    return [*texts, Text("curvature 1/m", box.x + box.width - 14, box.y + 9, 13, DIM, "ra")]
