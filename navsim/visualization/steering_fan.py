"""The distribution over steering drawn on the road in a camera's image: a fan of arcs, the chosen one as a line."""

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.drivers.protocol import Decision
from navsim.geometry import Array
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import ACCENT, BRIGHT, TRUTH, Colour

_START = 1.0  # where arcs begin [m]
_POINTS = 24  # points of an arc
_LARGEST_TURN = 1.4  # arcs end where they have turned by this [rad]
_NEAREST = 0.3  # least depth of a point that is drawn [m]
_FAINTEST = 0.02  # densities below this share of the highest are not drawn
_OPACITY = 0.8
_SHIFT = 4  # cv2 draws with sub-pixel coordinates in units of 2^-4 px


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
