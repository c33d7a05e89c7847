"""Lighting of a scene: light and air as plain values for renderers, and shadows on the ground.

The shadows of houses, trees and parked cars are drawn once for a town.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.world.scenery.buildings import Building
from navsim.world.scenery.presets import Colour
from navsim.world.scenery.trees import CROWNS, EVERGREEN


@dataclass(frozen=True)
class Atmosphere:
    """Sun, sky, fog and rain.

    A surface of colour c, with unit normal n and a share s of sunlight, is seen as
    `c * (ambient + sunlight * s * max(n . sun_direction, 0))`. At a distance d it is mixed with the horizon's colour by
    `1 - exp(-fog_density * d)`.
    """

    sun_direction: tuple[float, float, float] = (-0.492, -0.413, 0.766)
    """Unit vector towards the sun in the world frame."""
    sunlight: tuple[float, float, float] = (0.42, 0.42, 0.42)
    """Red, green and blue of the light from the sun; 0 behind clouds."""
    ambient: tuple[float, float, float] = (0.62, 0.62, 0.62)
    """Red, green and blue of the ambient light."""
    zenith: Colour = (110, 160, 220)
    """Colour of the sky overhead."""
    horizon: Colour = (170, 200, 232)
    """Colour of the sky at the horizon, and of fog."""
    cloud_cover: float = 0.3
    """Share of the sky under clouds, in [0, 1]."""
    cloud_seed: int = 0
    """Seed of the clouds' shapes."""
    fog_density: float = 0.0008
    """Attenuation by the air [1/m]."""
    rain: float = 0.0
    """Intensity of rain streaks in the image, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class GroundShadows:
    """Image of the sunlight on the ground, north up."""

    image: NDArray[np.uint8]
    """Sunlight (H, W): 255 in full sun, 0 in full shadow; row 0 in the north. The sun shines outside the image."""
    west: float
    """x coordinate of the left edge [m]."""
    north: float
    """y coordinate of the upper edge [m]."""
    metres_per_pixel: float
    """Scale of the image [m/px]."""


MIN_SCALE = 0.5
"""Scale of the image for small towns [m/px]."""
MAX_SIZE = 2000
"""Largest width and height of the image [px]."""
MAX_SHADOW_LENGTH = 60.0
"""Largest length of a shadow under a low sun [m]."""
UNDER_TREES = 90
"""Sunlight under a crown with leaves, of 255."""
UNDER_BRANCHES = 190
"""Sunlight under a bare crown, of 255."""
CROWN_SIDES = 8
"""Number of corners of a crown's shadow."""
FRACTION_BITS = 4
"""Number of fractional bits of pixel coordinates in OpenCV's drawing functions."""


@dataclass(frozen=True, eq=False)
class ShadowCasters:
    """Objects that cast shadows."""

    buildings: Sequence[Building]
    """Houses of the town."""
    trees: tuple[Array, ...]
    """Transforms of the trees of each kind (N, 4): x [m], y [m], heading [rad], scale."""
    bare: bool
    """Whether broad-leaved trees have no leaves."""
    cars: Array
    """Outlines of the parked cars (N, 4, 2) [m]."""
    car_heights: Array
    """Heights of the parked cars (N,) [m]."""


def draw_ground_shadows(
    casters: ShadowCasters, sun: tuple[float, float, float], bounds: tuple[float, float, float, float]
) -> GroundShadows:
    """Draw the shadows on the ground within `bounds` (x0, y0, x1, y1) [m] for the direction `sun` towards the sun."""
    x0, y0, x1, y1 = bounds
    scale = max(MIN_SCALE, math.ceil(100 * max(x1 - x0, y1 - y0) / MAX_SIZE) / 100)
    image = np.full((math.ceil((y1 - y0) / scale), math.ceil((x1 - x0) / scale)), 255, np.uint8)
    slope = -np.array(sun[:2]) / max(sun[2], 1e-3)  # shadow length for each metre of height
    canvas = _PolygonCanvas(image, np.array([x0, y1]), scale)
    tones = [
        UNDER_BRANCHES if casters.bare and kind != EVERGREEN else UNDER_TREES for kind in range(len(casters.trees))
    ]
    for kind in sorted(range(len(tones)), key=lambda kind: -tones[kind]):  # the darkest last, so that they stay dark
        canvas.fill(_crown_shadows(kind, casters.trees[kind], slope), tones[kind])
    for outlines, heights in _outlines_by_size(casters):
        canvas.fill(outlines, 0)
        canvas.fill(_swept_walls(outlines, heights, slope), 0)
    soft = cv2.GaussianBlur(image, (3, 3), 0).astype(np.uint8, copy=False)
    return GroundShadows(soft, x0, y1, scale)


@dataclass(frozen=True, eq=False)
class _PolygonCanvas:
    """Image that polygons of the world are drawn into."""

    image: NDArray[np.uint8]
    """Grey levels (H, W)."""
    corner: Array
    """Upper left corner of the image (2,) [m]."""
    scale: float
    """Scale of the image [m/px]."""

    def fill(self, polygons: Array, tone: int) -> None:
        """Fill polygons (N, K, 2) [m] with a grey level."""
        pixels = (polygons - self.corner) * (1, -1) / self.scale - 0.5
        for points in np.round(pixels * 2**FRACTION_BITS).astype(np.int32):
            cv2.fillPoly(self.image, [points], tone, cv2.LINE_8, FRACTION_BITS)


def _outlines_by_size(casters: ShadowCasters) -> list[tuple[Array, Array]]:
    """Return outlines (N, K, 2) [m] and heights (N,) [m] of houses and cars, grouped by the number K of corners."""
    sizes = sorted({len(building.outline) for building in casters.buildings})
    groups = [[building for building in casters.buildings if len(building.outline) == size] for size in sizes]
    houses = [
        (np.array([b.outline for b in group]), np.array([b.height + b.ridge / 2 for b in group])) for group in groups
    ]
    return [*houses, (casters.cars, casters.car_heights)]


def _swept_walls(outlines: Array, heights: Array, slope: Array) -> Array:
    """Return the shadows (M, 4, 2) [m] of the walls on the side away from the sun.

    Together with the outlines they cover the whole shadow, because it begins at such a wall.
    """
    shift = np.broadcast_to(_shadow_shift(heights, slope)[:, None], outlines.shape)
    following = np.roll(outlines, -1, axis=1)
    (dx, dy), (sx, sy) = np.moveaxis(following - outlines, -1, 0), np.moveaxis(shift, -1, 0)
    swept = np.stack([outlines, following, following + shift, outlines + shift], axis=2)  # (N, K, 4, 2)
    return np.asarray(swept[dx * sy - dy * sx < 0])


def _shadow_shift(heights: Array, slope: Array) -> Array:
    """Return the shift from points at these heights (N,) to their shadows (N, 2) [m]."""
    reach = float(np.hypot(*slope))
    return np.minimum(heights, MAX_SHADOW_LENGTH / max(reach, 1e-9))[:, None] * slope


def _crown_shadows(kind: int, trees: Array, slope: Array) -> Array:
    """Return the shadows of crowns (N, CROWN_SIDES, 2) [m]: circles stretched away from the sun."""
    low, high = CROWNS[kind][0][0], CROWNS[kind][-1][0]
    radius = max(radius for _, radius in CROWNS[kind])
    reach = float(np.hypot(*slope))
    along = slope / max(reach, 1e-9)
    across = np.array([-along[1], along[0]])
    angles = np.arange(CROWN_SIDES) * 2 * np.pi / CROWN_SIDES
    stretch = min(math.hypot(radius, reach * (high - low) / 2), MAX_SHADOW_LENGTH / 2)
    ellipse = stretch * np.cos(angles)[:, None] * along + radius * np.sin(angles)[:, None] * across
    centres = trees[:, :2] + _shadow_shift((low + high) / 2 * trees[:, 3], slope)
    return np.asarray(centres[:, None] + trees[:, 3, None, None] * ellipse)
