"""Obstacles: the collision geometry of a town as one mesh, with the kind of each triangle.

World frame: x east, y north, z up [m].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from navsim.geometry import Array


class ObstacleKind(StrEnum):
    """Kind of an obstacle."""

    KERB = "kerb"
    BUILDING = "building"
    TREE = "tree"
    CAR = "car"
    SIGN = "sign"
    PEDESTRIAN = "pedestrian"


_KINDS = tuple(ObstacleKind)


@dataclass(frozen=True, eq=False)
class Obstacles:
    """Merged collision geometry of a town."""

    vertices: NDArray[np.float32]
    """Corners (V, 3) [m]."""
    triangles: NDArray[np.int32]
    """Indices into `vertices` (F, 3)."""
    kinds: NDArray[np.uint8]
    """Kind of each triangle (F,): index into the members of ObstacleKind."""

    def __post_init__(self) -> None:
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise ValueError(f"obstacle vertices must have shape (V, 3), got {self.vertices.shape}")
        if self.triangles.ndim != 2 or self.triangles.shape[1] != 3 or len(self.kinds) != len(self.triangles):
            raise ValueError(
                f"triangles must have shape (F, 3) and kinds (F,), got {self.triangles.shape} and {self.kinds.shape}"
            )

    def nearest(self, point: ArrayLike) -> ObstacleKind:
        """Return the kind of the obstacle closest to `point` (2,) or (3,) [m], measured in the ground plane.

        Raises:
            ValueError: If the mesh is empty.
        """
        if len(self.triangles) == 0:
            raise ValueError("an empty mesh has no nearest obstacle")
        position = np.asarray(point, dtype=float)[:2]
        corners = self.vertices[self.triangles, :2].astype(float)  # (F, 3, 2)
        edges = np.roll(corners, -1, axis=1) - corners
        squares = np.maximum((edges**2).sum(axis=-1), 1e-12)
        along = np.clip(((position - corners) * edges).sum(axis=-1) / squares, 0.0, 1.0)
        gaps = corners + along[..., None] * edges - position
        closest = int((gaps**2).sum(axis=-1).min(axis=1).argmin())
        return _KINDS[int(self.kinds[closest])]

    @staticmethod
    def merged(parts: Sequence["Obstacles"]) -> "Obstacles":
        """Merge several into one; an empty sequence gives an empty mesh."""
        starts = np.cumsum([0] + [len(part.vertices) for part in parts])
        shifted = [part.triangles + start for part, start in zip(parts, starts, strict=False)]
        return Obstacles(
            vertices=np.concatenate([np.empty((0, 3), np.float32), *(part.vertices for part in parts)]),
            triangles=np.concatenate([np.empty((0, 3), np.int32), *shifted]).astype(np.int32),
            kinds=np.concatenate([np.empty(0, np.uint8), *(part.kinds for part in parts)]),
        )


def walls(faces: ArrayLike, kind: ObstacleKind) -> Obstacles:
    """Return obstacles of four-cornered faces (N, 4, 3) [m]."""
    points = np.asarray(faces, dtype=np.float32).reshape(-1, 4, 3)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(len(points))[:, None, None]
    return Obstacles(
        vertices=points.reshape(-1, 3),
        triangles=triangles.reshape(-1, 3).astype(np.int32),
        kinds=np.full(2 * len(points), _KINDS.index(kind), dtype=np.uint8),
    )


def prisms(outlines: ArrayLike, height: float | Array, kind: ObstacleKind) -> Obstacles:
    """Extrude convex outlines, all with the same number of corners, from the ground up.

    Args:
        outlines: Corners (N, K, 2) [m], counter-clockwise.
        height: Height of all outlines or of each (N,) [m].
        kind: Kind of the obstacles.

    Returns:
        Walls and roofs of the N prisms.
    """
    corners = np.asarray(outlines, dtype=float)
    count, k = corners.shape[:2]
    heights = np.broadcast_to(np.asarray(height, dtype=float), (count,))
    z = np.stack([np.zeros(count), heights], axis=1)  # (N, 2)
    points = np.empty((count, 2, k, 3))
    points[..., :2] = corners[:, None]
    points[..., 2] = z[:, :, None]
    i, j = np.arange(k), (np.arange(k) + 1) % k
    walls = np.concatenate([np.stack([i, j, j + k], axis=1), np.stack([i, j + k, i + k], axis=1)])
    roof = np.stack([np.full(k - 2, k), k + i[1:-1], k + i[2:]], axis=1)
    one = np.concatenate([walls, roof])  # (F1, 3)
    triangles = (one[None] + 2 * k * np.arange(count)[:, None, None]).reshape(-1, 3)
    index = _KINDS.index(kind)
    return Obstacles(
        vertices=points.reshape(-1, 3).astype(np.float32),
        triangles=triangles.astype(np.int32),
        kinds=np.full(len(triangles), index, dtype=np.uint8),
    )
