"""Which cars, people and signs a picture shows, and where: boxes around their visible pixels.

What is visible is told by the renderer's own depths and classes. The outline that a thing would have with nothing
before it is cast here, ray by ray through the middles of the pixels, so that its visible share is known as well.

Camera frame: right, down, ahead [m]. Boxes count from the picture's left and top edges [px]: one around pixel (0, 0)
alone is 0, 0, 1, 1.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.rendering.interface import RenderBuffers, RenderRequest
from navsim.rendering.tiles import NEAR, VIEW_DISTANCE
from navsim.sensing.camera import Camera
from navsim.world.scenery.meshes import Instances, Mesh, ObjectClass

OBJECT_CLASSES = tuple(ObjectClass)
"""The classes in the order of their numbers."""
OBJECT_FIELDS = ("class", "x0", "y0", "x1", "y1", "visible")
"""What is told of each thing: number of its class, its box [px], the visible share of its outline."""
LEAST_SIDE = 4
"""Things whose box is smaller than this both ways are left out [px]."""
_SAME_DEPTH = 0.2  # no two things of a class stand nearer to each other [m]
_REACH = 4.0  # no thing is farther across [m]


def objects_in(shot: RenderRequest, seen: RenderBuffers, index: int) -> Array:
    """Tell what things a picture shows.

    Args:
        shot: Whence the picture was taken.
        seen: What the renderer knows of it and of others.
        index: Its number among them.

    Returns:
        OBJECT_FIELDS of each thing (N, 6), in the order of the scene; (0, 6) where there are none.
    """
    depth, semantic = seen.depth[index], seen.semantic[index]
    rows = [
        (OBJECT_CLASSES.index(kind), *found)
        for kind, mesh, vertices in _things_before(shot)
        if (found := _box(vertices, mesh, shot.camera, depth, semantic)) is not None
    ]
    return np.array(rows, dtype=float).reshape(-1, len(OBJECT_FIELDS))


def cast(corners: Array, rays: Array) -> Array:
    """Return how far away the front of a mesh is.

    A ray d meets a triangle a, b, c whose outside is seen from the origin if d (a x b), d (b x c) and d (c x a) are all
    at most 0; it does so at t d with t = a (b x c) / d (a x b + b x c + c x a). Nothing is projected, so that corners
    behind the camera do no harm.

    Args:
        corners: Of triangles in the camera frame (F, 3, 3) [m], counter-clockwise seen from outside.
        rays: Directions (P, 3) of depth 1.

    Returns:
        Depths (P,) [m]; infinite for rays that pass by.
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


def _things_before(shot: RenderRequest) -> Iterator[tuple[ObjectClass, Mesh, Array]]:
    """Yield class, mesh and vertices (V, 3) in the camera frame of each thing that stands before the camera."""
    motion = np.asarray(np.linalg.inv(shot.camera.vehicle_from_camera), float)
    for group in shot.scene.instances:
        if group.object_class is None:
            continue
        near = _near(group, shot, motion)
        world = group.placed(near)
        places = shot.pose.to_vehicle(world[..., :2].reshape(-1, 2)).reshape(*world.shape[:2], 2)
        vehicle = np.concatenate([places, world[..., 2:]], axis=-1)
        for vertices in vehicle @ motion[:3, :3].T + motion[:3, 3]:
            yield group.object_class, group.mesh, vertices


def _near(group: Instances, shot: RenderRequest, motion: Array) -> Array:
    """Return places (N, 4) of those that may be in the picture."""
    places = shot.pose.to_vehicle(group.transforms[:, :2])
    ground = np.concatenate([places, np.zeros((len(places), 1))], axis=1)
    right, _, ahead = (ground @ motion[:3, :3].T + motion[:3, 3]).T
    slope = np.hypot(1.0, shot.camera.width / 2 / shot.camera.focal_px) * _REACH
    wide = np.maximum(ahead, 0.0) * shot.camera.width / 2 / shot.camera.focal_px + slope
    seen = (ahead > -_REACH) & (np.hypot(*places.T) < VIEW_DISTANCE + _REACH) & (np.abs(right) < wide)
    near: Array = group.transforms[seen]
    return near


def _box(
    vertices: Array, mesh: Mesh, camera: Camera, depth: NDArray[np.float32], semantic: NDArray[np.uint8]
) -> tuple[float, ...] | None:
    """Return box and visible share of one thing; None if too little of it is seen."""
    x0, y0, x1, y1 = _window(vertices, camera)
    part = slice(y0, y1), slice(x0, x1)
    if not (semantic[part] == mesh.semantic).any():
        return None
    columns, rows = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
    middles = np.stack([columns - camera.width / 2, rows - camera.height / 2], axis=-1).reshape(-1, 2)
    rays = np.column_stack([middles / camera.focal_px, np.ones(len(middles))])
    outline = cast(vertices[mesh.triangles], rays).reshape(columns.shape)
    there = np.isfinite(outline)
    visible = there & (semantic[part] == mesh.semantic)
    visible[visible] &= np.abs(outline[visible] - depth[part][visible]) < _SAME_DEPTH
    if not visible.any():
        return None
    across, down = np.flatnonzero(visible.any(axis=0)), np.flatnonzero(visible.any(axis=1))
    left, right, top, bottom = across[0], across[-1] + 1, down[0], down[-1] + 1
    if max(right - left, bottom - top) < LEAST_SIDE:
        return None
    return (x0 + left, y0 + top, x0 + right, y0 + bottom, visible.sum() / there.sum())


def _window(vertices: Array, camera: Camera) -> tuple[int, int, int, int]:
    """Return columns and rows that a thing may cover; all of them if it reaches behind the camera."""
    if vertices[:, 2].min() < NEAR:
        return 0, 0, camera.width, camera.height
    pixels = camera.focal_px * vertices[:, :2] / vertices[:, 2:] + (camera.width / 2, camera.height / 2)
    size = np.array([camera.width, camera.height])
    low = np.clip(np.floor(pixels.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)), 0, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
