"""PyBullet's TinyRenderer: draws on the CPU and needs nothing installed.

It transforms every triangle it is given on every picture, so the scene is cut into tiles and only those in front
of the camera are shown. What is shown depends on the camera's place alone, and tiles are always drawn in the same
order: the same pose gives the same pixels, wherever the car was before.

Light and air are the scene's, with two simplifications: the colour of the light is the same on all sides, and there
are no clouds, no rain and no shadows, which would cost more than the picture.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.rendering.interface import RenderBuffers, RenderRequest, common_size
from navsim.rendering.tiles import (
    FAR,
    NEAR,
    Boxes,
    boxes_in_view,
    kind_of,
    meshes_of,
    reaches,
    runs,
    side_planes,
    squares_of,
)
from navsim.sensing.camera import Camera
from navsim.world.bullet import BulletClient, Light
from navsim.world.scenery.lighting import Atmosphere
from navsim.world.scenery.meshes import Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

TILE_SIZE = 70.0
"""Side of the squares that the scene is cut into [m]."""
EMPTY_DEPTH = 1.0 - 1e-6
"""What is drawn has smaller depths, some 100 m short of FAR; where nothing is, single precision may miss 1."""
_FACING_SUN = 0.5
"""How directly the sun shines on what gives the whole picture its tint."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A piece of the scene with one texture and class."""

    vertices: NDArray[np.float32]
    """(V, 3) [m]."""
    triangles: NDArray[np.int64]
    """(F, 3)."""
    uv: NDArray[np.float32]
    """(V, 2)."""
    texture: NDArray[np.uint8]
    """RGB image (H, W, 3)."""
    semantic: SemanticClass
    """What it shows."""


@dataclass(frozen=True, eq=False)
class _Lens:
    """What pictures of one camera have in common, wherever the car is."""

    eye_from_vehicle: Array
    """(4, 4)."""
    projection: Array
    """Clip-from-eye (4, 4)."""
    stretch: NDArray[np.float32]
    """Distance over depth of each pixel (H, W)."""
    height: NDArray[np.float32]
    """Sine of each pixel's elevation over the horizon (H, W); the car does not tilt."""


class TinyRenderer:
    """Renders with physics clients of its own, one for each scene, that hold nothing but the scene's tiles."""

    name = "tiny"

    def __init__(self) -> None:
        self._stages: dict[int, _Stage] = {}
        self._counts: dict[int, int] = {}
        self._lenses: dict[Camera, _Lens] = {}

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

    def render(self, shots: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw pictures, see `Renderer.render`."""
        common_size(shots)
        return np.stack([self._stages[id(shot.scene)].draw(shot, self._lens(shot.camera)) for shot in shots])

    def measure(self, shots: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw pictures with depth and classes, see `Renderer.measure`."""
        common_size(shots)
        seen = [self._stages[id(shot.scene)].measure(shot, self._lens(shot.camera)) for shot in shots]
        colour, depth, semantic = (np.stack(images) for images in zip(*seen, strict=True))
        return RenderBuffers(colour, depth, semantic)

    def close(self) -> None:
        """Free the physics clients; may be called again."""
        while self._stages:
            self._stages.popitem()[1].close()
        self._counts.clear()

    def _lens(self, camera: Camera) -> _Lens:
        if camera not in self._lenses:
            self._lenses[camera] = _lens(camera)
        return self._lenses[camera]


class _Stage:
    """One scene's tiles in a physics client."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        client = BulletClient()
        tiles = list(cut_into_tiles(meshes_of(scene)))
        images = {id(tile.texture): tile.texture for tile in tiles}
        textures = {key: client.add_texture(image) for key, image in images.items()}
        self._bodies = [
            client.add_ghost(client.add_mesh_look(tile.vertices, tile.triangles, tile.uv), textures[id(tile.texture)])
            for tile in tiles
        ]
        self._shown = np.ones(len(tiles), dtype=bool)
        low = np.array([tile.vertices.min(axis=0) for tile in tiles]).reshape(-1, 3).astype(float)
        high = np.array([tile.vertices.max(axis=0) for tile in tiles]).reshape(-1, 3).astype(float)
        kinds = np.array([kind_of(tile.semantic) for tile in tiles], np.intp)
        self._boxes = Boxes.around(low, high, kinds)
        self._classes = np.full(max(self._bodies, default=-1) + 2, SemanticClass.SKY, np.uint8)  # the last for no body
        self._classes[self._bodies] = [tile.semantic for tile in tiles]
        self._client = client
        self._light = light_of(scene.atmosphere)
        self._skies: dict[int, NDArray[np.uint8]] = {}

    def draw(self, shot: RenderRequest, lens: _Lens) -> NDArray[np.uint8]:
        """Return one picture (H, W, 3)."""
        colour, depth, _ = self._picture(shot, lens, False)
        return self._through_air(colour[..., :3], depth, lens)

    def measure(
        self, shot: RenderRequest, lens: _Lens
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Return one picture (H, W, 3), its depths (H, W) [m] and classes (H, W)."""
        colour, depth, bodies = self._picture(shot, lens, True)
        image = self._through_air(colour[..., :3], depth, lens)
        empty = depth > EMPTY_DEPTH
        metres = np.where(empty, np.float32(np.inf), _metres(depth))
        return image, metres, np.where(empty, np.uint8(SemanticClass.SKY), self._classes[np.maximum(bodies, -1)])

    def close(self) -> None:
        """Free the client."""
        self._client.close()

    def _picture(
        self, shot: RenderRequest, lens: _Lens, tell_bodies: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
        """Return what PyBullet draws, see `BulletClient.picture`."""
        camera, view = shot.camera, lens.eye_from_vehicle @ _vehicle_from_world(shot.pose)
        eye = -view[:3, :3].T @ view[:3, 3]
        visible = np.zeros(len(self._bodies), dtype=bool)
        reach = reaches(camera.focal_px, float(eye[2]))
        visible[boxes_in_view(self._boxes, side_planes(lens.projection @ view), eye, reach)] = True
        for index in np.flatnonzero(visible != self._shown).tolist():
            self._client.show(self._bodies[index], bool(visible[index]))
        self._shown = visible
        return self._client.picture(camera.width, camera.height, view, lens.projection, self._light, tell_bodies)

    def _through_air(self, drawn: NDArray[np.uint8], depth: NDArray[np.float32], lens: _Lens) -> NDArray[np.uint8]:
        """Tint and fog what was drawn (H, W, 3), the sky behind it."""
        air = self._scene.atmosphere
        horizon = np.array(air.horizon, np.float32)
        clearness = np.exp(np.float32(-air.fog_density) * _metres(depth) * lens.stretch)[..., None]
        fogged = horizon + clearness * (np.minimum(drawn * tint_of(air), np.float32(255)) - horizon)
        image: NDArray[np.uint8] = (fogged + np.float32(0.5)).astype(np.uint8)
        key = id(lens)  # lenses live as long as their renderer
        if key not in self._skies:
            self._skies[key] = sky_image(air, lens.height)
        np.copyto(image, self._skies[key], where=(depth > EMPTY_DEPTH)[..., None])
        return image


def light_of(air: Atmosphere) -> Light:
    """Return the light without its colour."""
    return Light(air.sun_direction, sum(air.ambient) / 3, sum(air.sunlight) / 3)


def tint_of(air: Atmosphere) -> NDArray[np.float32]:
    """Return its colour: factors for red, green and blue (3,), 1 on average."""
    light = np.array(air.ambient) + _FACING_SUN * np.array(air.sunlight)
    return np.asarray(light / max(light.mean(), 1e-6), np.float32)


def sky_image(air: Atmosphere, height: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the sky without clouds (H, W, 3) at directions whose elevation has a sine of `height` (H, W)."""
    share = np.sqrt(np.maximum(height, 0.0))[..., None]
    return np.asarray(np.round((1 - share) * np.array(air.horizon) + share * np.array(air.zenith)), np.uint8)


def _lens(camera: Camera) -> _Lens:
    x = (np.arange(camera.width) + 0.5 - camera.width / 2) / camera.focal_px
    y = (camera.height / 2 - np.arange(camera.height) - 0.5) / camera.focal_px
    right, up = np.meshgrid(x, y)
    stretch = np.sqrt(1 + right**2 + up**2)
    axes = camera.axes
    height = (right * axes[0, 2] + up * axes[1, 2] - axes[2, 2]) / stretch
    view, projection = camera.view_matrix(Pose(0.0, 0.0, 0.0)), camera.projection_matrix(NEAR, FAR)
    # PyBullet looks through the lower left corners of pixels, not through their middles.
    projection[0, 2], projection[1, 2] = 1 / camera.width, 1 / camera.height
    return _Lens(view, projection, stretch.astype(np.float32), height.astype(np.float32))


def _metres(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return depth along the optical axis from a depth buffer."""
    return np.asarray(np.float32(FAR * NEAR) / (np.float32(FAR) - depth * np.float32(FAR - NEAR)), np.float32)


def _vehicle_from_world(pose: Pose) -> Array:
    """Return (4, 4)."""
    c, s = math.cos(pose.heading), math.sin(pose.heading)
    return np.array(
        [
            [c, s, 0.0, -c * pose.x - s * pose.y],
            [-s, c, 0.0, s * pose.x - c * pose.y],
            [0.0, 0.0, 1.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def cut_into_tiles(meshes: Sequence[Mesh]) -> Iterator[Tile]:
    """Sort the triangles of all meshes by texture and class, and by the square that their middle lies in."""
    groups: dict[tuple[int, SemanticClass], list[Mesh]] = {}
    for mesh in meshes:
        if len(mesh.triangles):
            groups.setdefault((id(mesh.texture), mesh.semantic), []).append(mesh)
    for (_, semantic), parts in groups.items():
        starts = np.cumsum([0] + [len(part.vertices) for part in parts])
        vertices = np.concatenate([part.vertices for part in parts])
        uv = np.concatenate([part.uv for part in parts])
        triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
        for chosen in runs(squares_of(vertices, triangles, TILE_SIZE)):
            used, renumbered = np.unique(triangles[chosen], return_inverse=True)
            yield Tile(vertices[used], renumbered.reshape(-1, 3), uv[used], parts[0].texture, semantic)
