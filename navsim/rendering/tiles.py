"""Which parts of a scene a camera may see: both renderers cut scenes into squares and leave out the same ones.

Far away, what spans a small part of a pixel only costs time and flickers. So roads and footways end about a pixel below
the horizon, markings and kerbs end where they are a quarter of a pixel wide, signs and people where they are one, and
the ground below all shows in their place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.world.scenery.meshes import Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

VIEW_DISTANCE = 150.0
"""Standing things farther away are left out [m]; nearer than that the ground never ends."""
NEAR, FAR = 0.2, 4000.0
"""Depths between which something can be seen [m]."""
_LEAST_WIDTH_PX = 1 / 4
_DETAIL_WIDTH = 0.12
"""Of lines on the road, and height of kerbs [m]."""
_SLIM_WIDTH = 0.6
"""Of signs and people [m]."""


class Kind(IntEnum):
    """What decides how far a thing is drawn."""

    STANDING = 0
    """Houses, trees, cars."""
    SLIM = 1
    """Signs, lamps, people."""
    DETAIL = 2
    """Markings and kerbs."""
    TERRAIN = 3
    """Road and ground."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes around tiles, along the world's axes."""

    table: Array
    """Middle, then half of the size (N, 6) [m]."""
    radii: Array
    """Half of the diagonal seen from above (N,) [m]."""
    kinds: NDArray[np.intp]
    """The `Kind` of each (N,)."""

    @staticmethod
    def around(low: Array, high: Array, kinds: NDArray[np.intp]) -> "Boxes":
        """Return boxes from their lowest to their highest corners (N, 3) [m]."""
        half = (high - low) / 2
        return Boxes(np.concatenate([(low + high) / 2, half], axis=1), np.hypot(half[:, 0], half[:, 1]), kinds)


def kind_of(semantic: SemanticClass) -> Kind:
    """Return the kind that a class is of."""
    if semantic in (SemanticClass.ROAD, SemanticClass.GROUND):
        return Kind.TERRAIN
    if semantic in (SemanticClass.MARKING, SemanticClass.KERB):
        return Kind.DETAIL
    return Kind.SLIM if semantic in (SemanticClass.SIGN, SemanticClass.PEDESTRIAN) else Kind.STANDING


def reaches(focal_px: float, height: float) -> Array:
    """Return up to which distance [m] each `Kind` is drawn for an eye at `height` [m] above the roads."""
    detail = min(_DETAIL_WIDTH * focal_px / _LEAST_WIDTH_PX, VIEW_DISTANCE)
    slim = min(_SLIM_WIDTH * focal_px, VIEW_DISTANCE)  # where it spans a pixel
    return np.array([VIEW_DISTANCE, slim, detail, max(VIEW_DISTANCE, focal_px * height)])


def meshes_of(scene: Scene) -> list[Mesh]:
    """Return all that a renderer draws of a scene: standing things first, the terrain last, nothing empty."""
    meshes = [mesh for mesh in (*(things.baked() for things in scene.instances), *scene.meshes) if len(mesh.triangles)]
    meshes.sort(key=lambda mesh: kind_of(mesh.semantic))
    return meshes


def squares_of(vertices: NDArray[np.float32], triangles: NDArray[np.integer], size: float) -> NDArray[np.int64]:
    """Return a number (F,) for the square of a grid of `size` [m] that the middle of each triangle (F, 3) lies in."""
    x, y = np.floor(vertices[:, :2][triangles].mean(axis=1) / size).astype(np.int64).T
    return np.asarray((x + (1 << 20) << 21) + (y + (1 << 20)))


def runs(group: NDArray[np.integer]) -> Iterator[NDArray[np.intp]]:
    """Yield the places of each value in `group` (N,), the values in ascending order, the places too."""
    order = np.argsort(group, kind="stable")
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def side_planes(clip: Array) -> Array:
    """Return the side planes and near plane (5, 4) of a clip-from-world matrix; points inside give values >= 0."""
    return np.stack([clip[3] + clip[0], clip[3] - clip[0], clip[3] + clip[1], clip[3] - clip[1], clip[3] + clip[2]])


def boxes_in_view(boxes: Boxes, planes: Array, eye: Array, reach: Array) -> NDArray[np.intp]:
    """Return the boxes that may be visible, sorted by the distance of their far side.

    Args:
        boxes: N of them.
        planes: Of the view (5, 4), see `side_planes`.
        eye: Where from (3,) [m].
        reach: How far each `Kind` is drawn, see `reaches`.
    """
    away = boxes.table[:, :2] - eye[:2]
    distances = np.sqrt(away[:, 0] * away[:, 0] + away[:, 1] * away[:, 1])
    near = (distances < boxes.radii + reach[boxes.kinds]).nonzero()[0]  # mostly few, whose sides are then looked at
    normals = planes[:, :3]
    sides = boxes.table[near] @ np.concatenate([normals, np.abs(normals)], axis=1).T  # (M, 5)
    seen = near[(sides >= -planes[:, 3]).all(axis=1)]
    return np.asarray(seen[(distances + boxes.radii)[seen].argsort(kind="stable")])
