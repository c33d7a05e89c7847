"""Light and air of a scene as plain values, in the form that renderers want them; drawn from an `Appearance`.

Shadows of houses, trees and parked cars on the ground, thrown along the sun and drawn once for a town.
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

    A surface of colour c with unit normal n is seen as `c * (ambient + sunlight * s * max(n . sun_direction, 0))`, s
    being the share of sunlight that reaches it, then mixed with the horizon's colour by `1 - exp(-fog_density * d)` at
    distance d.
    """

    sun_direction: tuple[float, float, float] = (-0.492, -0.413, 0.766)
    """Unit vector towards the sun in the world frame."""
    sunlight: tuple[float, float, float] = (0.42, 0.42, 0.42)
    """Red, green and blue of the light from the sun; 0 when it is hidden."""
    ambient: tuple[float, float, float] = (0.62, 0.62, 0.62)
    """Red, green and blue of the light from everywhere."""
    zenith: Colour = (110, 160, 220)
    """Colour of the sky overhead."""
    horizon: Colour = (170, 200, 232)
    """Colour of the sky at the horizon, and of fog."""
    cloud_cover: float = 0.3
    """Share of the sky under clouds, in [0, 1]."""
    cloud_seed: int = 0
    """Which clouds."""
    fog_density: float = 0.0008
    """Attenuation by the air [1/m]."""
    rain: float = 0.0
    """How much rain streaks the picture, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class ShadeMap:
    """The ground's sunlight as one picture, north up: shadows of houses and trees, drawn once for a town."""

    image: NDArray[np.uint8]
    """(H, W): 255 in full sun, 0 in full shade; row 0 in the north. Outside of it the sun shines."""
    west: float
    """x of the left edge [m]."""
    north: float
    """y of the upper edge [m]."""
    metres_per_pixel: float
    """Scale [m/px]."""


FINEST = 0.5
"""Scale where the town is small enough [m/px]."""
LARGEST = 2000
"""Most pixels along a side."""
LONGEST = 60.0
"""Shadows of a low sun end here [m]."""
UNDER_TREES = 90
"""Sunlight that comes through leaves, of 255."""
UNDER_BRANCHES = 190
"""The same through bare branches."""
CROWN_SIDES = 8
"""Corners of a tree's shadow."""
FRACTION = 4
"""Bits of a pixel's fraction in which OpenCV takes corners."""


@dataclass(frozen=True, eq=False)
class Casters:
    """What throws shadows."""

    buildings: Sequence[Building]
    """Houses."""
    trees: tuple[Array, ...]
    """Trees of each kind: x [m], y [m], heading [rad], scale (N, 4)."""
    bare: bool
    """Whether those with broad leaves have none."""
    cars: Array
    """Ground plans (N, 4, 2) [m]."""
    car_heights: Array
    """(N,) [m]."""


def draw_shade(
    casters: Casters, sun: tuple[float, float, float], bounds: tuple[float, float, float, float]
) -> ShadeMap:
    """Draw the shadows on the ground within `bounds` (x0, y0, x1, y1) [m] for a sun in the direction `sun`."""
    x0, y0, x1, y1 = bounds
    scale = max(FINEST, math.ceil(100 * max(x1 - x0, y1 - y0) / LARGEST) / 100)
    image = np.full((math.ceil((y1 - y0) / scale), math.ceil((x1 - x0) / scale)), 255, np.uint8)
    slope = -np.array(sun[:2]) / max(sun[2], 1e-3)  # a shadow's reach for each metre of height
    pen = _Pen(image, np.array([x0, y1]), scale)
    tones = [
        UNDER_BRANCHES if casters.bare and kind != EVERGREEN else UNDER_TREES for kind in range(len(casters.trees))
    ]
    for kind in sorted(range(len(tones)), key=lambda kind: -tones[kind]):  # the darkest last, that they stay dark
        pen.fill(_crown_shadows(kind, casters.trees[kind], slope), tones[kind])
    for outlines, heights in _by_corners(casters):
        pen.fill(outlines, 0)
        pen.fill(_swept_walls(outlines, heights, slope), 0)
    soft = cv2.GaussianBlur(image, (3, 3), 0).astype(np.uint8, copy=False)
    return ShadeMap(soft, x0, y1, scale)


@dataclass(frozen=True, eq=False)
class _Pen:
    """Fills polygons of the world in a picture."""

    image: NDArray[np.uint8]
    """(H, W)."""
    corner: Array
    """Its upper left corner (2,) [m]."""
    scale: float
    """[m/px]."""

    def fill(self, polygons: Array, tone: int) -> None:
        """Fill polygons (N, K, 2) [m]."""
        pixels = (polygons - self.corner) * (1, -1) / self.scale - 0.5
        for points in np.round(pixels * 2**FRACTION).astype(np.int32):
            cv2.fillPoly(self.image, [points], tone, cv2.LINE_8, FRACTION)


def _by_corners(casters: Casters) -> list[tuple[Array, Array]]:
    """Return outlines (N, K, 2) [m] and heights (N,) [m] of houses and cars, for each number K of corners."""
    sizes = sorted({len(building.outline) for building in casters.buildings})
    groups = [[building for building in casters.buildings if len(building.outline) == size] for size in sizes]
    houses = [
        (np.array([b.outline for b in group]), np.array([b.height + b.ridge / 2 for b in group])) for group in groups
    ]
    return [*houses, (casters.cars, casters.car_heights)]


def _swept_walls(outlines: Array, heights: Array, slope: Array) -> Array:
    """Return parallelograms (M, 4, 2) [m] that the walls away from the sun sweep over the ground.

    With the ground plans they make up the whole shadow: light that ends in it left the plan through such a wall.
    """
    shift = np.broadcast_to(_shift(heights, slope)[:, None], outlines.shape)
    following = np.roll(outlines, -1, axis=1)
    (dx, dy), (sx, sy) = np.moveaxis(following - outlines, -1, 0), np.moveaxis(shift, -1, 0)
    swept = np.stack([outlines, following, following + shift, outlines + shift], axis=2)  # (N, K, 4, 2)
    return np.asarray(swept[dx * sy - dy * sx < 0])


def _shift(heights: Array, slope: Array) -> Array:
    """Return where the shadows of points at these heights lie, relative to the points (N, 2) [m]."""
    reach = float(np.hypot(*slope))
    return np.minimum(heights, LONGEST / max(reach, 1e-9))[:, None] * slope


def _crown_shadows(kind: int, trees: Array, slope: Array) -> Array:
    """Return shadows of crowns (N, CROWN_SIDES, 2) [m]: circles drawn out away from the sun."""
    low, high = CROWNS[kind][0][0], CROWNS[kind][-1][0]
    radius = max(radius for _, radius in CROWNS[kind])
    reach = float(np.hypot(*slope))
    along = slope / max(reach, 1e-9)
    across = np.array([-along[1], along[0]])
    angles = np.arange(CROWN_SIDES) * 2 * np.pi / CROWN_SIDES
    stretch = min(math.hypot(radius, reach * (high - low) / 2), LONGEST / 2)
    ellipse = stretch * np.cos(angles)[:, None] * along + radius * np.sin(angles)[:, None] * across
    centres = trees[:, :2] + _shift((low + high) / 2 * trees[:, 3], slope)
    return np.asarray(centres[:, None] + trees[:, 3, None, None] * ellipse)
