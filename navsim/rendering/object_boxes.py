"""Bounding boxes of the visible cars, pedestrians and signs of an image.

Visibility follows from the renderer's depths and classes. The silhouette of an object without occlusion is computed by
casting rays through the pixels' centres, which gives the visible share.

Camera frame: right, down, ahead [m]. Boxes count from the image's left and top edges [px]: the box around pixel (0, 0)
is 0, 0, 1, 1.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.rendering.interface import NEAR, VIEW_DISTANCE, RenderBuffers, RenderRequest
from navsim.sensing.camera import Camera
from navsim.world.scenery.meshes import Instances, Mesh, ObjectClass

OBJECT_CLASSES = tuple(ObjectClass)
"""Object classes in the order of their numbers."""
OBJECT_FIELDS = ("class", "x0", "y0", "x1", "y1", "visible")
"""Fields of each object: number of its class, box [px], and visible share of its silhouette."""
MIN_SIDE = 4
"""Smallest width or height of a box [px]."""
_SAME_DEPTH = 0.2  # smaller than the distance between any two objects of a class [m]
_REACH = 4.0  # upper bound of an object's extent [m]


def object_boxes(request: RenderRequest, buffers: RenderBuffers, index: int) -> Array:
    """Return the visible objects of an image.

    Args:
        request: Scene, camera and pose of the image.
        buffers: Buffers of this and other images.
        index: Index of the image in the buffers.

    Returns:
        OBJECT_FIELDS of each object (N, 6), in the order of the scene; (0, 6) without objects.
    """
    depth, semantic = buffers.depth[index], buffers.semantic[index]
    rows = [
        (OBJECT_CLASSES.index(kind), *box)
        for kind, mesh, vertices in _objects_in_front(request)
        if (box := _box(vertices, mesh, request.camera, depth, semantic)) is not None
    ]
    return np.array(rows, dtype=float).reshape(-1, len(OBJECT_FIELDS))


def ray_depths(corners: Array, rays: Array) -> Array:
    """Return the depth of a mesh's front along rays from the camera.

    A ray d hits a triangle a, b, c with its outside towards the origin if d (a x b), d (b x c) and d (c x a) are all at
    most 0. The point is t d with t = a (b x c) / d (a x b + b x c + c x a). Nothing is projected, so that corners
    behind the camera are allowed.

    Args:
        corners: Corners of triangles in the camera frame (F, 3, 3) [m], counter-clockwise seen from outside.
        rays: Directions (P, 3) of depth 1.

    Returns:
        Depths (P,) [m]; infinite for rays without a hit.
    """
    edges = np.cross(corners, np.roll(corners, -1, axis=1))  # (F, 3, 3): a x b, b x c, c x a
    volume = np.einsum("fi,fi->f", corners[:, 0], edges[:, 1])
    outside = volume < 0
    sides = rays @ edges[outside].reshape(-1, 3).T
    sides = sides.reshape(len(rays), -1, 3)  # (P, F, 3)
    total = np.minimum(sides.sum(axis=-1), -1e-12)
    depths = np.where((sides <= 0).all(axis=-1), volume[outside] / total, np.inf)
    depths[depths < NEAR] = np.inf
    return np.asarray(depths.min(axis=1, initial=np.inf))


def _objects_in_front(request: RenderRequest) -> Iterator[tuple[ObjectClass, Mesh, Array]]:
    """Yield class, mesh and vertices (V, 3) in the camera frame of each object in front of the camera."""
    motion = np.asarray(np.linalg.inv(request.camera.vehicle_from_camera), float)
    for group in request.scene.instances:
        if group.object_class is None:
            continue
        near = _near(group, request, motion)
        world = group.world_vertices(near)
        positions = request.pose.to_vehicle(world[..., :2].reshape(-1, 2)).reshape(*world.shape[:2], 2)
        vehicle = np.concatenate([positions, world[..., 2:]], axis=-1)
        for vertices in vehicle @ motion[:3, :3].T + motion[:3, 3]:
            yield group.object_class, group.mesh, vertices


def _near(group: Instances, request: RenderRequest, motion: Array) -> Array:
    """Return the transforms (N, 4) of the instances that may be in the image."""
    positions = request.pose.to_vehicle(group.transforms[:, :2])
    ground = np.concatenate([positions, np.zeros((len(positions), 1))], axis=1)
    right, _, ahead = (ground @ motion[:3, :3].T + motion[:3, 3]).T
    slope = np.hypot(1.0, request.camera.width / 2 / request.camera.focal_px) * _REACH
    wide = np.maximum(ahead, 0.0) * request.camera.width / 2 / request.camera.focal_px + slope
    seen = (ahead > -_REACH) & (np.hypot(*positions.T) < VIEW_DISTANCE + _REACH) & (np.abs(right) < wide)
    near: Array = group.transforms[seen]
    return near


def _box(
    vertices: Array, mesh: Mesh, camera: Camera, depth: NDArray[np.float32], semantic: NDArray[np.uint8]
) -> tuple[float, ...] | None:
    """Return box and visible share of one object; None if too little of it is visible."""
    x0, y0, x1, y1 = _pixel_bounds(vertices, camera)
    part = slice(y0, y1), slice(x0, x1)
    if not (semantic[part] == mesh.semantic).any():
        return None
    columns, rows = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    middles = np.stack([columns - camera.width / 2, rows - camera.height / 2], axis=-1).reshape(-1, 2)
    rays = np.column_stack([middles / camera.focal_px, np.ones(len(middles))])
    depths = ray_depths(vertices[mesh.triangles], rays).reshape(columns.shape)
    silhouette = np.isfinite(depths)
    visible = silhouette & (semantic[part] == mesh.semantic)
    visible[visible] &= np.abs(depths[visible] - depth[part][visible]) < _SAME_DEPTH
    if not visible.any():
        return None
    across, down = np.flatnonzero(visible.any(axis=0)), np.flatnonzero(visible.any(axis=1))
    left, right, top, bottom = across[0], across[-1] + 1, down[0], down[-1] + 1
    if max(right - left, bottom - top) < MIN_SIDE:
        return None
    return (x0 + left, y0 + top, x0 + right, y0 + bottom, visible.sum() / silhouette.sum())


def _pixel_bounds(vertices: Array, camera: Camera) -> tuple[int, int, int, int]:
    """Return the bounds of the pixels that an object may cover; the whole image if it reaches behind the camera."""
    if vertices[:, 2].min() < NEAR:
        return 0, 0, camera.width, camera.height
    pixels = camera.focal_px * vertices[:, :2] / vertices[:, 2:] + (camera.width / 2, camera.height / 2)
    size = np.array([camera.width, camera.height])
    low = np.clip(np.floor(pixels.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)), 0, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
