"""Textures of a town's surfaces, painted in code.

All small objects share one atlas, a palette of plain cells; the houses have their own texture. Road, footway and ground
have repeating tiles. Texture coordinates count from the image's left edge and top row.
"""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.facades import paint_facades
from navsim.world.scenery.presets import Colour, RoadMaterial, mixed

Image = NDArray[np.uint8]

ATLAS_SIZE = 128
"""Width and height of the atlas [px]."""
CELL = 16
"""Size of a palette cell [px]."""
CELLS = ATLAS_SIZE // CELL
"""Number of palette cells in a row."""
PATCH_SIZE = 16.0
"""Side of the square on the ground that the repeating tiles cover [m]."""
TILE = 256
"""Size of the repeating tiles [px]."""
SLAB = 4.0
"""Side of a concrete slab [m]."""
NUM_CRACKS = 18
"""Number of cracks in the tile of a cracked road."""


class Paint(IntEnum):
    """Palette cell of each colour; the further colours of crowns, cars and clothes follow their first one."""

    MARKING = 0
    KERB = 1
    TRUNK = 2
    CROWN = 3
    CAR = 8
    CLOTHES = 14
    GLASS = 18
    TYRE = 19
    HEADLIGHT = 20
    TAIL_LIGHT = 21
    SKIN = 22
    METAL = 23
    RED = 24
    WHITE = 25


@dataclass(frozen=True, eq=False)
class Textures:
    """All textures of a scene."""

    atlas: Image
    """Palette (ATLAS_SIZE, ATLAS_SIZE, 3)."""
    facades: Image
    """Walls and roofs, see `navsim.world.scenery.facades`."""
    asphalt: Image
    """Repeating tile of the road (TILE, TILE, 3); twice the resolution for cracked roads."""
    footway: Image
    """Repeating tile of the footways (TILE, TILE, 3)."""
    ground: Image
    """Repeating tile of the ground (TILE, TILE, 3)."""
    plain: Image
    """Mean colour of the ground (4, 4, 3)."""
    hills: Image
    """Colour of the wooded hills (4, 4, 3)."""


def paint_textures(appearance: Appearance, rng: np.random.Generator) -> Textures:
    """Paint the textures of a town; `rng` draws patches, windows and grain."""
    atlas = np.zeros((ATLAS_SIZE, ATLAS_SIZE, 3), np.uint8)
    for cell, colour in _palette(appearance).items():
        y, x = divmod(cell, CELLS)
        atlas[CELL * y : CELL * (y + 1), CELL * x : CELL * (x + 1)] = colour
    woods = mixed(appearance.ground, appearance.crowns[0], 0.5)
    return Textures(
        atlas=atlas,
        facades=paint_facades(appearance, rng),
        asphalt=_road(appearance, rng),
        footway=_slabs(appearance.footway, appearance.roughness, rng),
        ground=_patches(appearance.ground, 2 * appearance.roughness, rng),
        plain=np.full((4, 4, 3), appearance.ground, dtype=np.uint8),
        hills=np.full((4, 4, 3), woods, dtype=np.uint8),
    )


def palette_uv(cell: int) -> tuple[float, float]:
    """Return the texture coordinates of the middle of a palette cell."""
    y, x = divmod(cell, CELLS)
    return ((x + 0.5) * CELL / ATLAS_SIZE, (y + 0.5) * CELL / ATLAS_SIZE)


def _palette(appearance: Appearance) -> dict[int, Colour]:
    """Return the colour of each palette cell."""
    groups = {Paint.CROWN: appearance.crowns, Paint.CAR: appearance.cars, Paint.CLOTHES: appearance.clothes}
    return {
        Paint.MARKING: appearance.marking,
        Paint.KERB: appearance.kerb,
        Paint.TRUNK: appearance.trunk,
        Paint.GLASS: (44, 52, 62),
        Paint.TYRE: (28, 28, 30),
        Paint.HEADLIGHT: (236, 236, 224),
        Paint.TAIL_LIGHT: (168, 24, 24),
        Paint.SKIN: (206, 160, 130),
        Paint.METAL: (128, 132, 134),
        Paint.RED: (190, 28, 30),
        Paint.WHITE: (240, 240, 238),
        **{first + i: colour for first, colours in groups.items() for i, colour in enumerate(colours)},
    }


def _road(appearance: Appearance, rng: np.random.Generator) -> Image:
    """Return the road's tile: patches, grain and the pattern of its material."""
    tile = _smooth_noise(appearance.roughness, rng)
    if appearance.roughness > 0:
        tile += 0.5 * appearance.roughness * rng.standard_normal((TILE, TILE), np.float32)
    if appearance.road_material is RoadMaterial.PATCHED:
        _add_patches(tile, rng)
    elif appearance.road_material is RoadMaterial.CRACKED:
        tile = _cracked(tile, rng)
    elif appearance.road_material is RoadMaterial.CONCRETE:
        _add_joints(tile, SLAB, rng, spread=0.03, depth=0.6)
    return _tinted(appearance.asphalt, tile)


def _slabs(colour: Colour, contrast: float, rng: np.random.Generator) -> Image:
    """Return a tile of slabs of 1 m with joints between them."""
    tile = _smooth_noise(contrast, rng)
    _add_joints(tile, 1.0, rng, spread=contrast / 2, depth=0.86)
    return _tinted(colour, tile / tile.mean())


def _patches(colour: Colour, contrast: float, rng: np.random.Generator) -> Image:
    """Return a tile of soft patches with a `contrast` (relative standard deviation) around `colour`."""
    return _tinted(colour, _smooth_noise(contrast, rng))


def _smooth_noise(contrast: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth random factors (TILE, TILE) around 1 that repeat seamlessly."""
    smooth = np.zeros((TILE, TILE), np.float32)
    for cells, weight in ((8, 1.0), (32, 0.5)):
        noise = np.pad(rng.standard_normal((cells, cells), np.float32), 2, mode="wrap")
        size = TILE // cells
        large = cv2.resize(noise, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        smooth += weight * large[2 * size : 2 * size + TILE, 2 * size : 2 * size + TILE]
    factors: NDArray[np.float32] = 1.0 + np.float32(contrast) * (smooth - smooth.mean()) / smooth.std()
    return factors


def _add_patches(tile: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Add rectangles of newer and older asphalt to the tile."""
    for _ in range(7):
        x, y = rng.integers(0, TILE - 80, 2).tolist()
        w, h = rng.integers(20, 80, 2).tolist()
        tile[y : y + h, x : x + w] *= float(rng.uniform(0.72, 1.16))
        cv2.rectangle(tile, (x, y), (x + w, y + h), float(rng.uniform(0.6, 0.75)), 1)


def _cracked(tile: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the tile at twice the resolution (2 TILE, 2 TILE), with thin cracks and tar seams over some of them."""
    size = 2 * TILE
    lines = np.zeros((size, size), np.uint8)  # darkness as bytes, the only type with antialiased lines
    for number in range(NUM_CRACKS):
        turns = rng.normal(0.0, 0.3, 60).cumsum()
        headings = (
            rng.uniform(0, 2 * np.pi) + turns - np.linspace(0.0, 1.0, 60) * turns[-1]
        )  # random walk without a total turn
        path = rng.uniform(0, size, 2) + 5.0 * np.stack([np.cos(headings), np.sin(headings)], axis=1).cumsum(axis=0)
        dark, width = (125, 1) if number % 3 else (95, 2)
        for dx in (-size, 0, size):
            for dy in (-size, 0, size):
                points = np.round(16 * (path + np.array([dx, dy]))).astype(np.int32)
                cv2.polylines(lines, [points], False, dark, width, cv2.LINE_AA, 4)
    return np.asarray(tile.repeat(2, axis=0).repeat(2, axis=1) * (1.0 - lines.astype(np.float32) / 255))


def _add_joints(tile: NDArray[np.float32], side: float, rng: np.random.Generator, spread: float, depth: float) -> None:
    """Divide the tile into slabs of `side` [m] with a `spread` of brightness, and joints darkened by `depth`."""
    count = round(PATCH_SIZE / side)
    step = TILE // count
    tile *= np.kron(1.0 + spread * rng.standard_normal((count, count)), np.ones((step, step))).astype(np.float32)
    tile[::step] *= depth
    tile[:, ::step] *= depth


def _tinted(colour: Colour, factors: NDArray[np.float32]) -> Image:
    """Return a colour multiplied by factors (H, W)."""
    tile = np.clip(factors[..., None] * np.array(colour, np.float32) + 0.5, 0, 255)
    return np.asarray(tile.astype(np.uint8))
