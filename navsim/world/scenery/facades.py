"""Texture of the houses' walls and roofs, painted in code.

Every kind of building has a band of `FLOORS` floors by `BAYS` bays, its ground floor at the bottom; bands repeat to
the right. Below the bands lies a strip of roof for each kind.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.presets import Colour, mixed, scaled

Image = NDArray[np.uint8]

BAY = 3.0
"""Width of a bay and height of a floor [m]."""
CELL = 32
"""Size of one bay of one floor [px]."""
BAYS, FLOORS = 8, 6
"""Width of a band in bays and its height in floors."""
DOORS = (2, 6)
"""Bays of a band with a door."""
FRAME: Colour = (226, 224, 216)
"""Colour of window frames."""
LAMPLIGHT: Colour = (255, 214, 140)
"""Colour of lit windows."""


class Facade(IntEnum):
    """Kind of building."""

    BRICK = 0
    PLASTER = 1
    PANEL = 2
    BRICK_SHOP = 3
    PLASTER_SHOP = 4
    OFFICE = 5


SIZE = (len(Facade) * (FLOORS + 1) * CELL, BAYS * CELL)
"""Height and width of the texture [px]."""

Cells = NDArray[np.float32]
"""A band as (floor from the top, row, bay, column, RGB)."""


@dataclass(frozen=True)
class Windows:
    """Edges of the window within each cell of a kind of building [px]."""

    top: int
    bottom: int
    left: int
    right: int


_WINDOWS = {
    Facade.BRICK: Windows(7, 24, 10, 22),
    Facade.PLASTER: Windows(7, 25, 11, 21),
    Facade.PANEL: Windows(8, 23, 6, 26),
    Facade.BRICK_SHOP: Windows(6, 25, 9, 23),
    Facade.PLASTER_SHOP: Windows(6, 25, 11, 21),
    Facade.OFFICE: Windows(6, 25, 1, 31),
}


def paint_facades(appearance: Appearance, rng: np.random.Generator) -> Image:
    """Paint the texture (SIZE, 3); `rng` draws windows, shop signs and the grain of the walls."""
    texture = np.empty((*SIZE, 3), np.uint8)
    for kind in Facade:
        band = np.empty((FLOORS, CELL, BAYS, CELL, 3), np.float32)
        band[:] = appearance.facades[kind]
        _paint_wall(band, kind)
        _paint_windows(band, kind, appearance.lit_windows, rng)
        _paint_ground_floor(band, kind, rng)
        band *= 1.0 + 0.03 * rng.standard_normal((FLOORS, CELL, BAYS, CELL, 1), np.float32)
        top = int(kind) * FLOORS * CELL
        texture[top : top + FLOORS * CELL] = np.clip(band, 0, 255).reshape(FLOORS * CELL, BAYS * CELL, 3)
        top = (len(Facade) * FLOORS + int(kind)) * CELL
        texture[top : top + CELL] = _roof_strip(appearance.roofs[kind], rng)
    return texture


def wall_rows(kind: NDArray[np.int64], base: NDArray[np.int64], floors: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return texture coordinates v (N, 2) of the bottom and top of `floors` floors, from floor `base` of a band."""
    ground = (kind + 1) * FLOORS - base
    return np.stack([ground, ground - floors], axis=-1) * CELL / SIZE[0]


def roof_rows(kind: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return texture coordinates v (N, 2) of the eaves and the ridge of a kind's roof."""
    top = len(Facade) * FLOORS + kind
    return np.stack([top + 0.9, top + 0.1], axis=-1) * CELL / SIZE[0]


def _paint_wall(band: Cells, kind: Facade) -> None:
    """Paint brick courses, cornices or the joints of panels."""
    if kind in (Facade.BRICK, Facade.BRICK_SHOP):
        band[:, ::3] *= 0.88
        band[:, :, :, ::6] *= 0.94
    if kind is Facade.PANEL:
        band[:, :1] *= 0.72
        band[:, :, :, :1] *= 0.72
    if kind in (Facade.PLASTER, Facade.PLASTER_SHOP):
        band[:, :2] *= 0.9
    if kind is Facade.OFFICE:
        band[:, 28:] *= 0.85


def _paint_windows(band: Cells, kind: Facade, lit: float, rng: np.random.Generator) -> None:
    """Paint a window into every cell, some of them lit."""
    at = _WINDOWS[kind]
    if kind is Facade.PLASTER:
        band[:, at.top : at.bottom, :, at.left - 5 : at.right + 5] *= (0.62, 0.72, 0.7)  # shutters
    if kind is not Facade.OFFICE:
        band[:, at.top - 1 : at.bottom + 1, :, at.left - 1 : at.right + 1] = FRAME
        band[:, at.bottom + 1 : at.bottom + 3, :, at.left - 2 : at.right + 2] *= 0.7  # the sill's shadow
    glass = np.array((52, 64, 80)) + rng.uniform(0, 50, (FLOORS, 1, BAYS, 1, 1)) * (1.0, 1.0, 1.1)
    glass = np.where(rng.uniform(size=(FLOORS, 1, BAYS, 1, 1)) < lit, LAMPLIGHT, glass)
    slope = np.linspace(1.25, 0.85, at.bottom - at.top)[:, None, None, None]  # the upper part reflects the sky
    band[:, at.top : at.bottom, :, at.left : at.right] = glass * slope
    middle = (at.left + at.right) // 2
    band[:, at.top : at.bottom, :, middle : middle + 1] = FRAME if kind is not Facade.OFFICE else (60, 66, 72)


def _paint_ground_floor(band: Cells, kind: Facade, rng: np.random.Generator) -> None:
    """Paint doors, or shop fronts under signs."""
    floor, wall = band[-1], tuple(int(part) for part in band[-1, 4, 0, 2])
    if kind in (Facade.BRICK_SHOP, Facade.PLASTER_SHOP):
        signs = rng.uniform(40, 220, (1, BAYS // 2, 1, 3)).repeat(2, axis=1)
        floor[:] = scaled((wall[0], wall[1], wall[2]), 0.8)
        floor[3:9] = signs
        floor[10:28, :, 1:31] = np.array((70, 82, 92)) + rng.uniform(0, 60, (1, BAYS, 1, 1))
        floor[24:28, :, 1:31] *= 0.7
        if kind is Facade.PLASTER_SHOP:
            floor[9:13] = np.where(np.arange(CELL)[None, None, :, None] // 4 % 2, (236, 234, 228), signs)  # awnings
    elif kind is Facade.OFFICE:
        floor[4:30, :, 2:30] = np.array((60, 74, 84)) + rng.uniform(0, 24, (1, BAYS, 1, 1))
    else:
        floor[29:] *= 0.75  # the plinth
    for bay in DOORS:
        leaf = mixed((96, 62, 40), (48, 74, 70), float(rng.uniform()))
        floor[5:, bay, 9:23] = FRAME
        floor[7:, bay, 11:21] = leaf
        floor[9:15, bay, 13:19] = (70, 84, 96)


def _roof_strip(colour: Colour, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a strip of roof tiles (CELL, BAYS * CELL, 3)."""
    strip = np.empty((CELL, BAYS * CELL, 3), np.float32)
    strip[:] = colour
    strip[::4] *= 0.82
    strip[2::8, ::8] *= 0.85
    strip *= 1.0 + 0.05 * rng.standard_normal((CELL, BAYS * CELL, 1), np.float32)
    return np.clip(strip, 0, 255)
