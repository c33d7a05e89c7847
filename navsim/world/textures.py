"""Pictures painted on the town's surfaces, made in code.

All small things share one atlas: a palette of plain cells, and a facade for each kind of building. Ground and
asphalt have a tile of their own that repeats. Texture coordinates count from the image's left edge and top row.
"""

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.world.appearance import Appearance, Colour

Image = NDArray[np.uint8]

ATLAS_SIZE = 256
"""Width and height of the atlas [px]."""
CELL = 16
"""Size of a palette cell, and of one bay of one floor of a facade [px]."""
FACADE_BAYS, FACADE_FLOORS = 8, 5
"""Extent of each painted facade; a building shows a part of it."""
PATCH_SIZE = 16.0
"""Side of the square on the ground that the repeating tiles cover [m]."""


class Paint(IntEnum):
    """Cells of the palette; each colour that a town has several of is followed by the others."""

    MARKING = 0
    KERB = 1
    TRUNK = 2
    CROWN = 3
    ROOF = 6


@dataclass(frozen=True, eq=False)
class Textures:
    """The images that a scene is painted with."""

    atlas: Image
    """Palette and facades (ATLAS_SIZE, ATLAS_SIZE, 3)."""
    asphalt: Image
    """Repeating tile (H, W, 3)."""
    ground: Image
    """Repeating tile (H, W, 3)."""
    plain: Image
    """The ground's mean colour (4, 4, 3)."""


def paint_textures(look: Appearance, rng: np.random.Generator) -> Textures:
    """Paint the textures of a town; `rng` draws patches and curtains."""
    atlas = np.zeros((ATLAS_SIZE, ATLAS_SIZE, 3), np.uint8)
    for cell, colour in enumerate((look.marking, look.kerb, look.trunk, *look.crowns, *look.roofs)):
        atlas[:CELL, CELL * cell : CELL * (cell + 1)] = colour
    for kind, colour in enumerate(look.facades):
        x, y = _facade_corner(kind)
        atlas[y : y + CELL * FACADE_FLOORS, x : x + CELL * FACADE_BAYS] = _facade(colour, rng)
    return Textures(
        atlas=atlas,
        asphalt=_patches(look.asphalt, look.roughness, rng),
        ground=_patches(look.ground, 2 * look.roughness, rng),
        plain=np.full((4, 4, 3), look.ground, dtype=np.uint8),
    )


def palette_uv(cell: int) -> tuple[float, float]:
    """Texture coordinates of the middle of a palette cell."""
    return ((cell + 0.5) * CELL / ATLAS_SIZE, 0.5 * CELL / ATLAS_SIZE)


def facade_uv(kind: int, bays: int, floors: int) -> tuple[float, float, float, float]:
    """Texture coordinates (left, top, right, bottom) of `bays` by `floors` of a facade, standing on its ground floor.

    Raises:
        ValueError: If the painted facade is smaller.
    """
    if not (1 <= bays <= FACADE_BAYS and 1 <= floors <= FACADE_FLOORS):
        raise ValueError(f"facades have 1 to {FACADE_BAYS} bays and 1 to {FACADE_FLOORS} floors, got {bays}, {floors}")
    x, y = _facade_corner(kind)
    bottom = y + CELL * FACADE_FLOORS
    return (x / ATLAS_SIZE, (bottom - CELL * floors) / ATLAS_SIZE, (x + CELL * bays) / ATLAS_SIZE, bottom / ATLAS_SIZE)


def _facade_corner(kind: int) -> tuple[int, int]:
    """Left and top of a facade in the atlas [px]: two beside each other, under the palette."""
    return CELL * FACADE_BAYS * (kind % 2), CELL + CELL * FACADE_FLOORS * (kind // 2)


def _facade(wall: Colour, rng: np.random.Generator) -> Image:
    """Paint a wall with a window in each bay of each floor, lighter or darker behind its glass."""
    image = np.empty((CELL * FACADE_FLOORS, CELL * FACADE_BAYS, 3), np.uint8)
    image[:] = wall
    frame = tuple(min(255, part + 36) for part in wall)
    for floor in range(FACADE_FLOORS):
        for bay in range(FACADE_BAYS):
            x, y = CELL * bay, CELL * floor
            image[y + 3 : y + 13, x + 4 : x + 12] = frame
            image[y + 4 : y + 12, x + 5 : x + 11] = np.array([48, 58, 72]) + rng.integers(0, 40)
    return image


def _patches(colour: Colour, contrast: float, rng: np.random.Generator, size: int = 64, blobs: int = 8) -> Image:
    """Paint a repeating tile of soft patches of `contrast` (relative standard deviation) around `colour`."""
    coarse = rng.normal(0.0, 1.0, (blobs, blobs))
    around = np.pad(coarse, blobs, mode="wrap").astype(np.float32)
    smooth = cv2.resize(around, (3 * size, 3 * size), interpolation=cv2.INTER_CUBIC)[size : 2 * size, size : 2 * size]
    shade = 1.0 + contrast * (smooth - smooth.mean()) / smooth.std()
    tile: Image = np.clip(np.array(colour) * shade[..., None], 0, 255).astype(np.uint8)
    return tile
