"""Pictures painted on the town's surfaces, made in code.

All small things share one atlas, a palette of plain cells; the houses have a picture of their own. Road, footway and
ground have tiles that repeat. Texture coordinates count from the image's left edge and top row.
"""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.facades import paint_facades
from navsim.world.scenery.presets import Colour, Paving, mixed

Image = NDArray[np.uint8]

ATLAS_SIZE = 128
"""Width and height of the atlas [px]."""
CELL = 16
"""Size of a palette cell [px]."""
CELLS = ATLAS_SIZE // CELL
"""Palette cells beside each other."""
PATCH_SIZE = 16.0
"""Side of the square on the ground that the repeating tiles cover [m]."""
TILE = 256
"""Size of the repeating tiles [px]."""
SLAB = 4.0
"""Side of a concrete slab [m]."""
CRACKS = 18
"""In the tile of a cracked road."""


class Paint(IntEnum):
    """Cells of the palette; each colour that a town has several of is followed by the others."""

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
    """The images that a scene is painted with."""

    atlas: Image
    """Palette (ATLAS_SIZE, ATLAS_SIZE, 3)."""
    facades: Image
    """Walls and roofs, see `navsim.world.scenery.facades`."""
    asphalt: Image
    """Repeating tile (TILE, TILE, 3); twice as fine where the road is cracked."""
    footway: Image
    """Repeating tile (TILE, TILE, 3)."""
    ground: Image
    """Repeating tile (TILE, TILE, 3)."""
    plain: Image
    """The ground's mean colour (4, 4, 3)."""
    hills: Image
    """What the horizon is wooded with (4, 4, 3)."""


def paint_textures(look: Appearance, rng: np.random.Generator) -> Textures:
    """Paint the textures of a town; `rng` draws patches and curtains."""
    atlas = np.zeros((ATLAS_SIZE, ATLAS_SIZE, 3), np.uint8)
    for cell, colour in _palette(look).items():
        y, x = divmod(cell, CELLS)
        atlas[CELL * y : CELL * (y + 1), CELL * x : CELL * (x + 1)] = colour
    woods = mixed(look.ground, look.crowns[0], 0.5)
    return Textures(
        atlas=atlas,
        facades=paint_facades(look, rng),
        asphalt=_road(look, rng),
        footway=_slabs(look.footway, look.roughness, rng),
        ground=_patches(look.ground, 2 * look.roughness, rng),
        plain=np.full((4, 4, 3), look.ground, dtype=np.uint8),
        hills=np.full((4, 4, 3), woods, dtype=np.uint8),
    )


def palette_uv(cell: int) -> tuple[float, float]:
    """Return texture coordinates of the middle of a palette cell."""
    y, x = divmod(cell, CELLS)
    return ((x + 0.5) * CELL / ATLAS_SIZE, (y + 0.5) * CELL / ATLAS_SIZE)


def _palette(look: Appearance) -> dict[int, Colour]:
    """Colour of each cell."""
    several = {Paint.CROWN: look.crowns, Paint.CAR: look.cars, Paint.CLOTHES: look.clothes}
    return {
        Paint.MARKING: look.marking,
        Paint.KERB: look.kerb,
        Paint.TRUNK: look.trunk,
        Paint.GLASS: (44, 52, 62),
        Paint.TYRE: (28, 28, 30),
        Paint.HEADLIGHT: (236, 236, 224),
        Paint.TAIL_LIGHT: (168, 24, 24),
        Paint.SKIN: (206, 160, 130),
        Paint.METAL: (128, 132, 134),
        Paint.RED: (190, 28, 30),
        Paint.WHITE: (240, 240, 238),
        **{first + i: colour for first, colours in several.items() for i, colour in enumerate(colours)},
    }


def _road(look: Appearance, rng: np.random.Generator) -> Image:
    """Return the road's tile: patches and grain, and what its material adds to them."""
    tile = _blotches(look.roughness, rng)
    if look.roughness > 0:
        tile += 0.5 * look.roughness * rng.standard_normal((TILE, TILE), np.float32)
    if look.paving is Paving.PATCHED:
        _mend(tile, rng)
    elif look.paving is Paving.CRACKED:
        tile = _cracked(tile, rng)
    elif look.paving is Paving.CONCRETE:
        _joints(tile, SLAB, rng, spread=0.03, depth=0.6)
    return _tinted(look.asphalt, tile)


def _slabs(colour: Colour, contrast: float, rng: np.random.Generator) -> Image:
    """Return slabs of a metre with joints between them."""
    tile = _blotches(contrast, rng)
    _joints(tile, 1.0, rng, spread=contrast / 2, depth=0.86)
    return _tinted(colour, tile / tile.mean())


def _patches(colour: Colour, contrast: float, rng: np.random.Generator) -> Image:
    """Return soft patches of `contrast` (relative standard deviation) around `colour`."""
    return _tinted(colour, _blotches(contrast, rng))


def _blotches(contrast: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return factors (TILE, TILE) that vary softly around 1 and repeat seamlessly."""
    smooth = np.zeros((TILE, TILE), np.float32)
    for blobs, weight in ((8, 1.0), (32, 0.5)):
        around = np.pad(rng.standard_normal((blobs, blobs), np.float32), 2, mode="wrap")
        size = TILE // blobs
        large = cv2.resize(around, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        smooth += weight * large[2 * size : 2 * size + TILE, 2 * size : 2 * size + TILE]
    factors: NDArray[np.float32] = 1.0 + np.float32(contrast) * (smooth - smooth.mean()) / smooth.std()
    return factors


def _mend(tile: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Lay rectangles of newer and older asphalt."""
    for _ in range(7):
        x, y = rng.integers(0, TILE - 80, 2).tolist()
        w, h = rng.integers(20, 80, 2).tolist()
        tile[y : y + h, x : x + w] *= float(rng.uniform(0.72, 1.16))
        cv2.rectangle(tile, (x, y), (x + w, y + h), float(rng.uniform(0.6, 0.75)), 1)


def _cracked(tile: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the tile at twice the resolution (2 TILE, 2 TILE), with thin cracks and tar seams over some of them."""
    size = 2 * TILE
    lines = np.zeros((size, size), np.uint8)  # darkness, since OpenCV smooths the edges of lines in bytes alone
    for number in range(CRACKS):
        turns = rng.normal(0.0, 0.3, 60).cumsum()
        headings = rng.uniform(0, 2 * np.pi) + turns - np.linspace(0.0, 1.0, 60) * turns[-1]  # wanders, never curls up
        path = rng.uniform(0, size, 2) + 5.0 * np.stack([np.cos(headings), np.sin(headings)], axis=1).cumsum(axis=0)
        dark, width = (125, 1) if number % 3 else (95, 2)
        for dx in (-size, 0, size):
            for dy in (-size, 0, size):
                points = np.round(16 * (path + np.array([dx, dy]))).astype(np.int32)
                cv2.polylines(lines, [points], False, dark, width, cv2.LINE_AA, 4)
    return np.asarray(tile.repeat(2, axis=0).repeat(2, axis=1) * (1.0 - lines.astype(np.float32) / 255))


def _joints(tile: NDArray[np.float32], side: float, rng: np.random.Generator, spread: float, depth: float) -> None:
    """Cut the tile into square slabs of `side` [m] that differ by `spread`, with joints of `depth` times their tone."""
    count = round(PATCH_SIZE / side)
    step = TILE // count
    tile *= np.kron(1.0 + spread * rng.standard_normal((count, count)), np.ones((step, step))).astype(np.float32)
    tile[::step] *= depth
    tile[:, ::step] *= depth


def _tinted(colour: Colour, factors: NDArray[np.float32]) -> Image:
    """Return a colour times factors (H, W)."""
    tile = np.clip(factors[..., None] * np.array(colour, np.float32) + 0.5, 0, 255)
    return np.asarray(tile.astype(np.uint8))
