"""PyBullet's TinyRenderer: draws on the CPU and needs nothing installed.

It transforms every triangle it is given on every picture, so the scene is cut into tiles and only those in front
of the camera are shown. What is shown depends on the camera's place alone, and tiles are always drawn in the same
order: the same pose gives the same pixels, wherever the car was before.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.rendering.shots import Measurement, Shot, common_size
from navsim.sensing.camera import Camera
from navsim.world.bodies import Light
from navsim.world.bullet import BulletClient
from navsim.world.meshes import Mesh, SemanticClass
from navsim.world.scene import Scene

TILE_SIZE = 70.0
"""Side of the squares that the scene is cut into [m]."""
VIEW_DISTANCE = 150.0
"""Things farther away are left out [m]; the terrain reaches to the horizon."""
TERRAIN = (SemanticClass.ROAD, SemanticClass.GROUND)
"""What the terrain consists of."""
NEAR, FAR = 0.2, 4000.0
"""Depths between which something can be seen [m]."""
EMPTY_DEPTH = 1.0 - 1e-6
"""What is drawn has smaller depths, some 100 m short of FAR; where nothing is, single precision may miss 1."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A piece of the scene with one texture."""

    vertices: NDArray[np.float32]
    """(V, 3) [m]."""
    triangles: NDArray[np.int64]
    """(F, 3)."""
    uv: NDArray[np.float32]
    """(V, 2)."""
    texture: NDArray[np.uint8]
    """RGB image (H, W, 3)."""
    reach: float
    """Up to which distance it is drawn [m]."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes around tiles, along the world's axes."""

    centres: Array
    """(N, 3) [m]."""
    halves: Array
    """Half sizes (N, 3) [m]."""
    reaches: Array
    """Up to which distance each is drawn (N,) [m]."""


class TinyRenderer:
    """Renders with physics clients of its own, one for each scene, that hold nothing but the scene's tiles."""

    name = "tiny"

    def __init__(self) -> None:
        self._stages: dict[int, _Stage] = {}
        self._counts: dict[int, int] = {}
        self._mounts: dict[Camera, tuple[Array, Array]] = {}

    def add(self, scene: Scene) -> None:
        """Take in a scene, see `Renderer.add`."""
        key = id(scene)  # unique while the stage keeps the scene
        if key not in self._stages:
            self._stages[key] = _Stage(scene)
        self._counts[key] = self._counts.get(key, 0) + 1

    def remove(self, scene: Scene) -> None:
        """Let go of a scene, see `Renderer.remove`."""
        key = id(scene)
        self._counts[key] -= 1
        if self._counts[key] == 0:
            del self._counts[key]
            self._stages.pop(key).close()

    def render(self, shots: Sequence[Shot]) -> NDArray[np.uint8]:
        """Draw pictures, see `Renderer.render`."""
        common_size(shots)
        return np.stack([self._stages[id(shot.scene)].draw(shot, *self._matrices(shot)) for shot in shots])

    def measure(self, shots: Sequence[Shot]) -> Measurement:
        """Draw pictures with depth and classes, see `Renderer.measure`."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the physics clients; may be called again."""
        while self._stages:
            self._stages.popitem()[1].close()
        self._counts.clear()

    def _matrices(self, shot: Shot) -> tuple[Array, Array]:
        """Eye-from-world and clip-from-eye matrix; what does not depend on the pose is worked out once."""
        camera, pose = shot.camera, shot.pose
        if camera not in self._mounts:
            self._mounts[camera] = (camera.view_matrix(Pose(0.0, 0.0, 0.0)), camera.projection_matrix(NEAR, FAR))
        eye_from_vehicle, projection = self._mounts[camera]
        c, s = math.cos(pose.heading), math.sin(pose.heading)
        vehicle_from_world = np.array(
            [
                [c, s, 0.0, -c * pose.x - s * pose.y],
                [-s, c, 0.0, s * pose.x - c * pose.y],
                [0.0, 0.0, 1.0, 0.0],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        return eye_from_vehicle @ vehicle_from_world, projection


class _Stage:
    """One scene's tiles in a physics client."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        client = BulletClient()
        tiles = list(cut_into_tiles([*(trees.baked() for trees in scene.instances), *scene.meshes]))
        images = {id(tile.texture): tile.texture for tile in tiles}
        textures = {key: client.add_texture(image) for key, image in images.items()}
        self._bodies = [
            client.add_ghost(client.add_mesh_look(tile.vertices, tile.triangles, tile.uv), textures[id(tile.texture)])
            for tile in tiles
        ]
        self._shown = np.ones(len(tiles), dtype=bool)
        low = np.array([tile.vertices.min(axis=0) for tile in tiles]).reshape(-1, 3).astype(float)
        high = np.array([tile.vertices.max(axis=0) for tile in tiles]).reshape(-1, 3).astype(float)
        self._boxes = Boxes((low + high) / 2, (high - low) / 2, np.array([tile.reach for tile in tiles]))
        air = scene.atmosphere
        self._sky = np.array(air.horizon, dtype=np.uint8)
        self._light = Light(air.sun_direction, sum(air.ambient) / 3, sum(air.sunlight) / 3)
        self._client = client

    def draw(self, shot: Shot, view: Array, projection: Array) -> NDArray[np.uint8]:
        """One picture (H, W, 3)."""
        camera = shot.camera
        visible = boxes_in_view(self._boxes, view, projection)
        for index in np.flatnonzero(visible != self._shown).tolist():
            self._client.show(self._bodies[index], bool(visible[index]))
        self._shown = visible
        colour, depth = self._client.picture(camera.width, camera.height, view, projection, self._light)
        image = colour[..., :3].copy()
        image[depth > EMPTY_DEPTH] = self._sky
        return image

    def close(self) -> None:
        """Free the client."""
        self._client.close()


def cut_into_tiles(meshes: Sequence[Mesh]) -> Iterator[Tile]:
    """Sort the triangles of all meshes by texture and by the square that their middle lies in."""
    for texture in {id(mesh.texture): mesh.texture for mesh in meshes}.values():
        parts = [mesh for mesh in meshes if mesh.texture is texture and len(mesh.triangles)]
        reach = np.inf if all(part.semantic in TERRAIN for part in parts) else VIEW_DISTANCE
        starts = np.cumsum([0] + [len(part.vertices) for part in parts])
        vertices = np.concatenate([part.vertices for part in parts])
        uv = np.concatenate([part.uv for part in parts])
        triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
        squares = np.floor(vertices[triangles, :2].mean(axis=1) / TILE_SIZE).astype(int)  # (F, 2)
        _, group = np.unique(squares, axis=0, return_inverse=True)
        group = group.ravel()
        order = np.argsort(group, kind="stable")
        for chosen in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
            used, renumbered = np.unique(triangles[chosen], return_inverse=True)
            yield Tile(vertices[used], renumbered.reshape(-1, 3), uv[used], texture, reach)


def boxes_in_view(boxes: Boxes, view: Array, projection: Array) -> NDArray[np.bool_]:
    """Which boxes may be seen: those not wholly outside one side of the view, nor too far.

    Args:
        boxes: N of them.
        view: Eye-from-world matrix (4, 4).
        projection: Clip-from-eye matrix (4, 4).
    """
    clip = projection @ view
    planes = np.stack([clip[3] + clip[0], clip[3] - clip[0], clip[3] + clip[1], clip[3] - clip[1], clip[3] + clip[2]])
    reach = (
        boxes.centres @ planes[:, :3].T + planes[:, 3] + boxes.halves @ np.abs(planes[:, :3]).T
    )  # (N, 5), >= 0 inside
    eye = -view[:3, :3].T @ view[:3, 3]
    gaps = np.maximum(np.abs(boxes.centres[:, :2] - eye[:2]) - boxes.halves[:, :2], 0.0)
    return np.asarray((reach >= 0).all(axis=1) & ((gaps**2).sum(axis=1) < boxes.reaches**2))
