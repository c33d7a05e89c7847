"""Renderer interface: requests, image buffers, and the protocol of all renderers.

Culling: both renderers divide scenes into tiles and skip the same invisible ones. Distant objects that cover a small
part of a pixel only cost time and flicker. Roads and footways therefore end about a pixel below the horizon, markings
and kerbs where they are a quarter of a pixel wide, signs and people where they are one pixel wide. The ground below is
drawn in their place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from navsim.errors import ConfigError
from navsim.geometry import Array, Pose
from navsim.sensing.camera import Camera
from navsim.world.scenery.meshes import Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

VIEW_DISTANCE = 150.0
"""Largest distance of drawn objects, and smallest distance at which the ground may end [m]."""
NEAR, FAR = 0.2, 4000.0
"""Smallest and largest visible depth [m]."""
_MIN_WIDTH_PX = 1 / 4
_DETAIL_WIDTH = 0.12
"""Width of lines on the road and height of kerbs [m]."""
_NARROW_WIDTH = 0.6
"""Width of signs and people [m]."""


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """Scene, camera and pose of one image."""

    scene: Scene
    """Scene to draw; it must have been added to the renderer."""
    camera: Camera
    """Camera on the car; the car itself is not drawn."""
    pose: Pose
    """Pose of the car."""


@dataclass(frozen=True, eq=False)
class RenderBuffers:
    """Colour, depth and semantic class of each pixel of N images."""

    colour: NDArray[np.uint8]
    """RGB images (N, H, W, 3)."""
    depth: NDArray[np.float32]
    """Distance along the optical axis (N, H, W) [m]; infinite in the sky."""
    semantic: NDArray[np.uint8]
    """Semantic class (N, H, W), see `navsim.world.scenery.meshes.SemanticClass`."""


class Renderer(Protocol):
    """Draws scenes through the cameras of cars. The same request always gives the same pixels."""

    @property
    def name(self) -> str:
        """Name of the renderer, recorded with the data, for instance "tiny"."""
        ...

    def add(self, scene: Scene) -> None:
        """Add a scene, or count it once more."""
        ...

    def remove(self, scene: Scene) -> None:
        """Remove a scene once; it is freed after as many removals as additions."""
        ...

    def render(self, requests: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw any number of images in one call.

        Args:
            requests: One or more requests with cameras of the same size (H, W) and scenes that were added.

        Returns:
            New RGB images (N, H, W, 3).

        Raises:
            ConfigError: If `requests` is empty, or the cameras' sizes differ.
            KeyError: If a scene was not added.
        """
        ...

    def render_buffers(self, requests: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw as `render` does and return the depth and class of every pixel too."""
        ...

    def close(self) -> None:
        """Free everything; further calls do nothing."""
        ...


def common_size(requests: Sequence[RenderRequest]) -> tuple[int, int]:
    """Return the height and width [px] of all requests.

    Raises:
        ConfigError: If `requests` is empty, or the sizes differ.
    """
    sizes = {(request.camera.height, request.camera.width) for request in requests}
    if len(sizes) != 1:
        raise ConfigError(f"cameras drawn together must all have one size, got {sorted(sizes)}")
    return sizes.pop()


class TileKind(IntEnum):
    """Kind of a tile, which determines its draw distance."""

    STANDING = 0
    """Houses, trees, cars."""
    NARROW = 1
    """Signs, lamps, people."""
    DETAIL = 2
    """Markings and kerbs."""
    TERRAIN = 3
    """Road and ground."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Axis-aligned boxes around tiles."""

    table: Array
    """Centre and half size of each box (N, 6) [m]."""
    radii: Array
    """Half diagonal of each box in the ground plane (N,) [m]."""
    kinds: NDArray[np.intp]
    """`TileKind` of each box (N,)."""

    @staticmethod
    def around(low: Array, high: Array, kinds: NDArray[np.intp]) -> "Boxes":
        """Return boxes with the given lowest and highest corners (N, 3) [m]."""
        half = (high - low) / 2
        return Boxes(np.concatenate([(low + high) / 2, half], axis=1), np.hypot(half[:, 0], half[:, 1]), kinds)


def kind_of(semantic: SemanticClass) -> TileKind:
    """Return the tile kind of a semantic class."""
    if semantic in (SemanticClass.ROAD, SemanticClass.GROUND):
        return TileKind.TERRAIN
    if semantic in (SemanticClass.MARKING, SemanticClass.KERB):
        return TileKind.DETAIL
    return TileKind.NARROW if semantic in (SemanticClass.SIGN, SemanticClass.PEDESTRIAN) else TileKind.STANDING


def draw_distances(focal_px: float, height: float) -> Array:
    """Return the draw distance [m] of each `TileKind` for an eye at `height` [m] above the roads."""
    detail = min(_DETAIL_WIDTH * focal_px / _MIN_WIDTH_PX, VIEW_DISTANCE)
    narrow = min(_NARROW_WIDTH * focal_px, VIEW_DISTANCE)  # where it covers a pixel
    return np.array([VIEW_DISTANCE, narrow, detail, max(VIEW_DISTANCE, focal_px * height)])


def meshes_of(scene: Scene) -> list[Mesh]:
    """Return the non-empty meshes of a scene in drawing order: standing objects first, the terrain last."""
    meshes = [mesh for mesh in (*(group.baked() for group in scene.instances), *scene.meshes) if len(mesh.triangles)]
    meshes.sort(key=lambda mesh: kind_of(mesh.semantic))
    return meshes


def grid_squares(vertices: NDArray[np.float32], triangles: NDArray[np.integer], size: float) -> NDArray[np.int64]:
    """Return the number of the grid square of `size` [m] of each triangle's middle (F,)."""
    x, y = np.floor(vertices[:, :2][triangles].mean(axis=1) / size).astype(np.int64).T
    return np.asarray((x + (1 << 20) << 21) + (y + (1 << 20)))


def group_indices(group: NDArray[np.integer]) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of each value in `group` (N,), by ascending value and index."""
    order = np.argsort(group, kind="stable")
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)


def side_planes(clip: Array) -> Array:
    """Return the side planes and near plane (5, 4) of a clip-from-world matrix; points inside give values >= 0."""
    return np.stack([clip[3] + clip[0], clip[3] - clip[0], clip[3] + clip[1], clip[3] - clip[1], clip[3] + clip[2]])


def visible_boxes(boxes: Boxes, planes: Array, eye: Array, reach: Array) -> NDArray[np.intp]:
    """Return the boxes that may be visible, sorted by the distance of their far side.

    Args:
        boxes: Boxes of N tiles.
        planes: Planes of the view (5, 4), see `side_planes`.
        eye: Position of the camera (3,) [m].
        reach: Draw distance of each `TileKind`, see `draw_distances` [m].
    """
    offsets = boxes.table[:, :2] - eye[:2]
    distances = np.sqrt(offsets[:, 0] * offsets[:, 0] + offsets[:, 1] * offsets[:, 1])
    near = (distances < boxes.radii + reach[boxes.kinds]).nonzero()[
        0
    ]  # usually few, so that the planes are checked for few
    normals = planes[:, :3]
    sides = boxes.table[near] @ np.concatenate([normals, np.abs(normals)], axis=1).T  # (M, 5)
    visible = near[(sides >= -planes[:, 3]).all(axis=1)]
    return np.asarray(visible[(distances + boxes.radii)[visible].argsort(kind="stable")])
