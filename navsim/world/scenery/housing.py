"""The shapes of houses: walls that show as much of the painted facades as they are wide and high, and roofs."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.world.scenery.buildings import Building
from navsim.world.scenery.facades import BAY, BAYS, FLOORS, roof_rows, wall_rows
from navsim.world.scenery.meshes import Surface

Integers = NDArray[np.int64]


def building_surface(buildings: Sequence[Building]) -> Surface:
    """Walls with windows, and roofs, for the picture of `navsim.world.scenery.facades`."""
    if not buildings:
        return Surface.merged([])
    gabled = [building for building in buildings if building.gabled]
    flat = [building for building in buildings if not building.gabled]
    return Surface.merged([_walls(buildings), _pitched_roofs(gabled), *_flat_roofs(flat)])


def _walls(buildings: Sequence[Building]) -> Surface:
    """All walls; those higher than a painted facade repeat its upper floors."""
    sizes = np.array([len(building.outline) for building in buildings])
    house = np.repeat(np.arange(len(buildings)), sizes)  # of each wall (W,)
    a = np.concatenate([building.outline for building in buildings])
    b = np.concatenate([np.roll(building.outline, -1, axis=0) for building in buildings])
    height, kind, bay = (
        np.array([getattr(building, name) for building in buildings])[house] for name in ("height", "kind", "bay")
    )
    floors = np.maximum(np.round(height / BAY), 1).astype(np.int64)
    bays = np.maximum(np.round(np.hypot(*(b - a).T) / BAY), 1)
    left = (bay + np.arange(len(a))) % BAYS / BAYS
    parts = []
    base = np.zeros(len(a), np.int64)
    while len(wall := np.flatnonzero(base < floors)):
        most = np.where(base[wall] == 0, FLOORS, FLOORS - 1)  # the ground floor is there once
        count = np.minimum(floors[wall] - base[wall], most)
        z = np.stack([base[wall], base[wall] + count], axis=1) * (height / floors)[wall, None]
        rows = wall_rows(kind[wall].astype(np.int64), np.minimum(base[wall], 1), count)
        parts.append(_upright(a[wall], b[wall], z, np.stack([left[wall], left[wall] + bays[wall] / BAYS], 1), rows))
        base[wall] += count
    return Surface.merged(parts)


def _upright(a: Array, b: Array, z: Array, u: Array, v: Array) -> Surface:
    """Upright rectangles from `a` to `b` (N, 2) between heights `z` (N, 2) [m], with the texture's ranges (N, 2)."""
    corners = np.empty((len(a), 4, 3))
    corners[:, (0, 3), :2], corners[:, (1, 2), :2] = a[:, None], b[:, None]
    corners[:, :2, 2], corners[:, 2:, 2] = z[:, :1], z[:, 1:]
    uv = np.stack([u[:, (0, 1, 1, 0)], v[:, (0, 0, 1, 1)]], axis=-1)
    return _quads(corners, uv)


def _pitched_roofs(buildings: Sequence[Building]) -> Surface:
    """Two slopes and two gables over houses of four corners, the ridge along the longer side."""
    if not buildings:
        return Surface.merged([])
    corners = np.array([_long_side_first(building.outline) for building in buildings])  # (N, 4, 2)
    height = np.array([building.height for building in buildings])
    ridge = height + np.array([building.ridge for building in buildings])
    eaves = np.concatenate([corners, np.broadcast_to(height[:, None, None], (*corners.shape[:2], 1))], axis=-1)
    ahead, behind = (eaves[:, 1] + eaves[:, 2]) / 2, (eaves[:, 3] + eaves[:, 0]) / 2
    ahead[:, 2] = behind[:, 2] = ridge
    v = roof_rows(np.array([building.kind for building in buildings], dtype=np.int64))
    bays = np.hypot(*(corners[:, 1] - corners[:, 0]).T) / BAY / BAYS
    uv = np.stack([np.stack([0 * bays, bays, bays, 0 * bays], 1), v[:, (0, 0, 1, 1)]], axis=-1)
    slopes = [
        _quads(np.stack([eaves[:, i], eaves[:, j], first, second], axis=1), uv)
        for i, j, first, second in ((0, 1, ahead, behind), (2, 3, behind, ahead))
    ]
    gables = np.concatenate(
        [np.stack([eaves[:, 1], eaves[:, 2], ahead], 1), np.stack([eaves[:, 3], eaves[:, 0], behind], 1)]
    )
    flat_uv = np.stack([np.full((2 * len(v), 3), 0.5), np.tile(v.mean(axis=1), 2)[:, None].repeat(3, axis=1)], axis=-1)
    return Surface.merged([*slopes, _triangles(gables, flat_uv)])


def _flat_roofs(buildings: Sequence[Building]) -> list[Surface]:
    """Flat roofs over outlines of any shape, in the plain colour of the roofing."""
    if not buildings:
        return []
    outlines = np.array([shapely.Polygon(building.outline) for building in buildings], dtype=object)
    pieces, house = shapely.get_parts(shapely.constrained_delaunay_triangles(outlines), return_index=True)
    rings = shapely.get_coordinates(shapely.orient_polygons(pieces)).reshape(-1, 4, 2)[:, :3]
    height = np.array([building.height for building in buildings])[house]
    v = roof_rows(np.array([building.kind for building in buildings], dtype=np.int64))[house].mean(axis=1)
    points = np.concatenate([rings, np.broadcast_to(height[:, None, None], (len(rings), 3, 1))], axis=-1)
    uv = np.stack([np.full((len(rings), 3), 0.5), v[:, None].repeat(3, axis=1)], axis=-1)
    return [_triangles(points, uv)]


def _long_side_first(outline: Array) -> Array:
    """The four corners, beginning with those of a longer side."""
    first, second = np.hypot(*(outline[1] - outline[0])), np.hypot(*(outline[2] - outline[1]))
    return outline if first >= second else np.roll(outline, -1, axis=0)


def _quads(corners: Array, uv: Array) -> Surface:
    """Faces (N, 4, 3) with texture coordinates (N, 4, 2)."""
    triangles = np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(len(corners))[:, None, None]
    return Surface(corners.reshape(-1, 3), triangles.reshape(-1, 3), uv.reshape(-1, 2))


def _triangles(corners: Array, uv: Array) -> Surface:
    """Faces (N, 3, 3) with texture coordinates (N, 3, 2)."""
    return Surface(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), uv.reshape(-1, 2))
