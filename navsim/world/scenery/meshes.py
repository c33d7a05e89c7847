"""Triangle meshes as plain arrays, and the simple shapes that a town is built from.

World frame: x east, y north, z up [m]. Triangles are counter-clockwise seen from outside. Texture coordinates count
from the image's left edge and top row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from navsim.geometry import Array
from navsim.world.scenery.textures import PATCH_SIZE, palette_uv


class SemanticClass(IntEnum):
    """Semantic class of a surface."""

    ROAD = 0
    MARKING = 1
    KERB = 2
    GROUND = 3
    BUILDING = 4
    VEGETATION = 5
    VEHICLE = 6
    PEDESTRIAN = 7
    SIGN = 8
    SKY = 9


CLASS_NAMES = tuple(member.name.lower() for member in SemanticClass)
"""Names of the semantic classes by number."""


class ObjectClass(StrEnum):
    """Class of an object for detectors; lamps have none, although their surface is of the class SIGN."""

    CAR = "car"
    PEDESTRIAN = "pedestrian"
    SIGN = "sign"


@dataclass(frozen=True, eq=False)
class Mesh:
    """Textured triangles of one semantic class."""

    vertices: NDArray[np.float32]
    """Positions (V, 3) [m]."""
    triangles: NDArray[np.int32]
    """Indices into `vertices` (F, 3)."""
    uv: NDArray[np.float32]
    """Texture coordinates (V, 2) >= 0; beyond 1 the texture repeats."""
    texture: NDArray[np.uint8]
    """RGB image (H, W, 3); meshes with the same texture share the array."""
    semantic: SemanticClass
    """Semantic class of all triangles."""

    def __post_init__(self) -> None:
        if self.vertices.shape[1:] != (3,) or self.uv.shape != (len(self.vertices), 2):
            raise ValueError(
                f"vertices must have shape (V, 3) and uv (V, 2), got {self.vertices.shape} and {self.uv.shape}"
            )
        if self.triangles.shape[1:] != (3,) or self.texture.shape[2:] != (3,):
            raise ValueError(
                f"triangles must have shape (F, 3) and texture (H, W, 3), got {self.triangles.shape} "
                f"and {self.texture.shape}"
            )
        if len(self.triangles) and not 0 <= self.triangles.min() <= self.triangles.max() < len(self.vertices):
            raise ValueError(
                f"triangle indices must be 0 to {len(self.vertices) - 1}, "
                f"got {self.triangles.min()} to {self.triangles.max()}"
            )


@dataclass(frozen=True, eq=False)
class Instances:
    """One mesh drawn at many positions."""

    mesh: Mesh
    """Mesh in its own frame, standing on z = 0."""
    transforms: Array
    """Transform of each instance (N, 4): x [m], y [m], heading [rad], scale."""
    object_class: ObjectClass | None = None
    """Class of each instance for detectors, or None."""

    def world_vertices(self, transforms: Array) -> Array:
        """Return the mesh's vertices in the world frame (N, V, 3) [m] for transforms (N, 4)."""
        x, y, heading, scale = transforms.T
        c, s = np.cos(heading) * scale, np.sin(heading) * scale
        px, py, pz = self.mesh.vertices.T.astype(float)
        return np.stack(
            [
                x[:, None] + c[:, None] * px - s[:, None] * py,
                y[:, None] + s[:, None] * px + c[:, None] * py,
                scale[:, None] * pz,
            ],
            axis=-1,
        )

    def baked(self) -> Mesh:
        """Return all instances as one mesh in the world frame."""
        points = self.world_vertices(self.transforms)
        shift = len(self.mesh.vertices) * np.arange(len(self.transforms))
        return Mesh(
            vertices=points.reshape(-1, 3).astype(np.float32),
            triangles=(self.mesh.triangles[None] + shift[:, None, None]).reshape(-1, 3).astype(np.int32),
            uv=np.tile(self.mesh.uv, (len(self.transforms), 1)),
            texture=self.mesh.texture,
            semantic=self.mesh.semantic,
        )


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles with texture coordinates, but without texture and semantic class."""

    vertices: Array
    """Positions (V, 3) [m]."""
    triangles: NDArray[np.int64]
    """Indices into `vertices` (F, 3)."""
    uv: Array
    """Texture coordinates (V, 2)."""

    def mesh(self, texture: NDArray[np.uint8], semantic: SemanticClass) -> Mesh:
        """Return the mesh with a texture and a semantic class."""
        return Mesh(
            self.vertices.astype(np.float32),
            self.triangles.astype(np.int32),
            self.uv.astype(np.float32),
            texture,
            semantic,
        )

    @staticmethod
    def merged(parts: Sequence["Surface"]) -> "Surface":
        """Merge several surfaces into one; an empty sequence gives an empty surface."""
        starts = np.cumsum([0] + [len(part.vertices) for part in parts])
        shifted = [part.triangles + start for part, start in zip(parts, starts, strict=False)]
        return Surface(
            np.concatenate([np.empty((0, 3)), *(part.vertices for part in parts)]),
            np.concatenate([np.empty((0, 3), np.int64), *shifted]),
            np.concatenate([np.empty((0, 2)), *(part.uv for part in parts)]),
        )


def quads(corners: ArrayLike, paint: int) -> Surface:
    """Return four-cornered faces (N, 4, 3) [m], counter-clockwise from outside, in one palette colour."""
    points = np.asarray(corners, dtype=float)
    count = len(points)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(count)[:, None, None]
    return Surface(points.reshape(-1, 3), triangles.reshape(-1, 3), np.tile(palette_uv(paint), (4 * count, 1)))


def ribbon(left: Array, right: Array, z: float, paint: int) -> Surface:
    """Return a flat band between two lines (N, 2) [m] at height `z`, in one palette colour."""
    flat = np.stack([right[:-1], right[1:], left[1:], left[:-1]], axis=1)  # (N-1, 4, 2)
    return quads(np.concatenate([flat, np.full((*flat.shape[:2], 1), z)], axis=-1), paint)


def flat_surface(
    area: shapely.Polygon | shapely.MultiPolygon, z: float, origin: Array, tile_size: float = 70.0
) -> Surface:
    """Cover a plane area with triangles, cut along a grid so that renderers can skip distant ones.

    Args:
        area: Area to cover [m].
        z: Height of the surface [m].
        origin: Start (2,) of the repeating texture, west and south of the area [m].
        tile_size: Spacing of the grid [m].
    """
    pieces = _cut_along_grid(area, tile_size)
    parts = shapely.get_parts(shapely.constrained_delaunay_triangles(pieces))
    rings = shapely.get_coordinates(shapely.orient_polygons(shapely.get_parts(parts)))
    corners = rings.reshape(-1, 4, 2)[:, :3].reshape(-1, 2)  # each triangle's ring repeats its first corner
    vertices = np.concatenate([corners, np.full((len(corners), 1), z)], axis=1)
    return Surface(vertices, np.arange(len(corners)).reshape(-1, 3), (corners - origin) / PATCH_SIZE)


def _cut_along_grid(area: shapely.Geometry, size: float) -> NDArray[np.object_]:
    """Cut an area into its parts in each square of a grid by repeated halving.

    Intersecting each square with the whole area would take much longer.
    """
    pieces = np.array([area], dtype=object)
    bounds = shapely.bounds(area) / size
    squares = np.concatenate([np.floor(bounds[:2]), np.ceil(bounds[2:])])[None]
    while len(large := np.flatnonzero(np.maximum(*_extent(squares)) > 1)):
        wide, tall = _extent(squares[large])
        low, high = squares[large].copy(), squares[large].copy()
        column = np.where(wide >= tall, 0, 1)
        middle = low[np.arange(len(large)), column] + np.maximum(wide, tall) // 2
        low[np.arange(len(large)), column + 2] = middle
        high[np.arange(len(large)), column] = middle
        halves = np.concatenate([low, high])
        cut = shapely.intersection(np.tile(pieces[large], 2), shapely.box(*(size * halves.T)))
        full = ~shapely.is_empty(cut)
        pieces = np.concatenate([np.delete(pieces, large), cut[full]])
        squares = np.concatenate([np.delete(squares, large, axis=0), halves[full]])
    return pieces


def _extent(squares: Array) -> tuple[Array, Array]:
    """Return the width and height of ranges of squares (N, 4)."""
    return squares[:, 2] - squares[:, 0], squares[:, 3] - squares[:, 1]


Rectangle = tuple[float, float, float, float, float]
"""Smallest and largest x, half width in y, shift in y, height z [m]."""


def rectangle(rect: Rectangle) -> Array:
    """Return the corners (4, 3) of a rectangle [m], counter-clockwise from above."""
    x0, x1, half, y, z = rect
    return np.array([[x0, y - half, z], [x1, y - half, z], [x1, y + half, z], [x0, y + half, z]])


def block(lower: Rectangle, upper: Rectangle, paint: int, lid: int | None = None) -> list[Surface]:
    """Return four sides from one rectangle up to another, with a lid in the palette colour `lid` unless it is None."""
    below, above = rectangle(lower), rectangle(upper)
    ahead, raised = np.roll(below, -1, axis=0), np.roll(above, -1, axis=0)
    sides = quads(np.stack([below, ahead, raised, above], axis=1), paint)
    return [sides] if lid is None else [sides, quads(above[None], lid)]


def panel(corners: ArrayLike, paint: int) -> Surface:
    """Return one flat convex face (K, 3) [m], counter-clockwise from outside."""
    points = np.asarray(corners, dtype=float)
    fan = np.array([[0, i, i + 1] for i in range(1, len(points) - 1)])
    uv = quads(np.zeros((1, 4, 3)), paint).uv[:1]
    return Surface(points, fan, np.repeat(uv, len(points), axis=0))
