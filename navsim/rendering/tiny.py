"""Renderer on PyBullet's TinyRenderer, which runs on the CPU and needs no graphics driver.

It transforms every visible triangle for every image, so the scene is divided into tiles, and only those in front of the
camera are visible. Visibility depends on the camera's pose alone, and tiles are always drawn in the same order, so the
same pose gives the same pixels.

Light and air are the scene's with two simplifications: the light has the same colour on all sides, and clouds, rain and
shadows are left out, because they would cost more than the image.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array, Pose
from navsim.rendering.interface import (
    FAR,
    NEAR,
    Boxes,
    RenderBuffers,
    RenderRequest,
    common_size,
    draw_distances,
    grid_squares,
    group_indices,
    kind_of,
    meshes_of,
    side_planes,
    visible_boxes,
)
from navsim.sensing.camera import Camera
from navsim.world.bullet import BulletClient, Light
from navsim.world.scenery.lighting import Atmosphere
from navsim.world.scenery.meshes import Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

TILE_SIZE = 70.0
"""Side of the squares that the scene is cut into [m]."""
EMPTY_DEPTH = 1.0 - 1e-6
"""Smallest depth of the background: single precision may miss 1, and all objects are nearer."""
_FACING_SUN = 0.5
"""Cosine of the sun's angle on the surface that determines the tint of the image."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Part of the scene with one texture and semantic class."""

    vertices: NDArray[np.float32]
    """Positions (V, 3) [m]."""
    triangles: NDArray[np.int64]
    """Indices into `vertices` (F, 3)."""
    uv: NDArray[np.float32]
    """Texture coordinates (V, 2)."""
    texture: NDArray[np.uint8]
    """RGB image (H, W, 3)."""
    semantic: SemanticClass
    """Semantic class of all triangles."""


@dataclass(frozen=True, eq=False)
class _PixelRays:
    """Matrices and pixel directions of a camera, independent of the car's pose."""

    eye_from_vehicle: Array
    """Rigid motion from the vehicle's to the camera's frame (4, 4)."""
    projection: Array
    """Clip-from-eye matrix (4, 4)."""
    distance_per_depth: NDArray[np.float32]
    """Distance over depth of each pixel (H, W)."""
    height: NDArray[np.float32]
    """Sine of each pixel's elevation over the horizon (H, W); the car does not tilt."""


class TinyRenderer:
    """Renderer with one physics client for each scene, which contains only the scene's tiles."""

    name = "tiny"

    def __init__(self) -> None:
        self._clients: dict[int, _SceneClient] = {}
        self._counts: dict[int, int] = {}
        self._rays: dict[Camera, _PixelRays] = {}

    def add(self, scene: Scene) -> None:
        """Add a scene, see `Renderer.add`."""
        key = id(scene)  # unique while the client keeps the scene
        if key not in self._clients:
            self._clients[key] = _SceneClient(scene)
        self._counts[key] = self._counts.get(key, 0) + 1

    def remove(self, scene: Scene) -> None:
        """Remove a scene, see `Renderer.remove`."""
        key = id(scene)
        self._counts[key] -= 1
        if self._counts[key] == 0:
            del self._counts[key]
            self._clients.pop(key).close()

    def render(self, requests: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw images, see `Renderer.render`."""
        common_size(requests)
        return np.stack(
            [self._clients[id(request.scene)].draw(request, self._pixel_rays(request.camera)) for request in requests]
        )

    def render_buffers(self, requests: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw images with depth and classes, see `Renderer.render_buffers`."""
        common_size(requests)
        buffers = [
            self._clients[id(request.scene)].render_buffers(request, self._pixel_rays(request.camera))
            for request in requests
        ]
        colour, depth, semantic = (np.stack(images) for images in zip(*buffers, strict=True))
        return RenderBuffers(colour, depth, semantic)

    def close(self) -> None:
        """Free the physics clients; further calls do nothing."""
        while self._clients:
            self._clients.popitem()[1].close()
        self._counts.clear()

    def _pixel_rays(self, camera: Camera) -> _PixelRays:
        if camera not in self._rays:
            self._rays[camera] = _pixel_rays(camera)
        return self._rays[camera]


class _SceneClient:
    """Tiles of one scene in a physics client."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        client = BulletClient()
        tiles = list(cut_into_tiles(meshes_of(scene)))
        images = {id(tile.texture): tile.texture for tile in tiles}
        textures = {key: client.add_texture(image) for key, image in images.items()}
        self._bodies = [
            client.add_visual_body(
                client.add_visual_shape(tile.vertices, tile.triangles, tile.uv), textures[id(tile.texture)]
            )
            for tile in tiles
        ]
        self._shown = np.ones(len(tiles), dtype=bool)
        low = np.array([tile.vertices.min(axis=0) for tile in tiles]).reshape(-1, 3).astype(float)
        high = np.array([tile.vertices.max(axis=0) for tile in tiles]).reshape(-1, 3).astype(float)
        kinds = np.array([kind_of(tile.semantic) for tile in tiles], np.intp)
        self._boxes = Boxes.around(low, high, kinds)
        self._classes = np.full(
            max(self._bodies, default=-1) + 2, SemanticClass.SKY, np.uint8
        )  # the last entry is for no body
        self._classes[self._bodies] = [tile.semantic for tile in tiles]
        self._client = client
        self._light = light_of(scene.atmosphere)
        self._skies: dict[int, NDArray[np.uint8]] = {}

    def draw(self, request: RenderRequest, rays: _PixelRays) -> NDArray[np.uint8]:
        """Return one image (H, W, 3)."""
        colour, depth, _ = self._raw_buffers(request, rays, False)
        return self._apply_atmosphere(colour[..., :3], depth, rays)

    def render_buffers(
        self, request: RenderRequest, rays: _PixelRays
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
        """Return one image (H, W, 3), its depths (H, W) [m] and classes (H, W)."""
        colour, depth, bodies = self._raw_buffers(request, rays, True)
        image = self._apply_atmosphere(colour[..., :3], depth, rays)
        empty = depth > EMPTY_DEPTH
        metres = np.where(empty, np.float32(np.inf), _metres(depth))
        return image, metres, np.where(empty, np.uint8(SemanticClass.SKY), self._classes[np.maximum(bodies, -1)])

    def close(self) -> None:
        """Free the client."""
        self._client.close()

    def _raw_buffers(
        self, request: RenderRequest, rays: _PixelRays, with_bodies: bool
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
        """Return PyBullet's colour, depth and body buffers, see `BulletClient.render`."""
        camera, view = request.camera, rays.eye_from_vehicle @ _vehicle_from_world(request.pose)
        eye = -view[:3, :3].T @ view[:3, 3]
        visible = np.zeros(len(self._bodies), dtype=bool)
        reach = draw_distances(camera.focal_px, float(eye[2]))
        visible[visible_boxes(self._boxes, side_planes(rays.projection @ view), eye, reach)] = True
        for index in np.flatnonzero(visible != self._shown).tolist():
            self._client.set_visible(self._bodies[index], bool(visible[index]))
        self._shown = visible
        return self._client.render(camera.width, camera.height, view, rays.projection, self._light, with_bodies)

    def _apply_atmosphere(
        self, colour: NDArray[np.uint8], depth: NDArray[np.float32], rays: _PixelRays
    ) -> NDArray[np.uint8]:
        """Apply tint, fog and sky to the drawn colours (H, W, 3)."""
        air = self._scene.atmosphere
        horizon = np.array(air.horizon, np.float32)
        clearness = np.exp(np.float32(-air.fog_density) * _metres(depth) * rays.distance_per_depth)[..., None]
        fogged = horizon + clearness * (np.minimum(colour * tint_of(air), np.float32(255)) - horizon)
        image: NDArray[np.uint8] = (fogged + np.float32(0.5)).astype(np.uint8)
        key = id(rays)  # rays live as long as their renderer
        if key not in self._skies:
            self._skies[key] = sky_image(air, rays.height)
        np.copyto(image, self._skies[key], where=(depth > EMPTY_DEPTH)[..., None])
        return image


def light_of(air: Atmosphere) -> Light:
    """Return the light of an atmosphere without its colour."""
    return Light(air.sun_direction, sum(air.ambient) / 3, sum(air.sunlight) / 3)


def tint_of(air: Atmosphere) -> NDArray[np.float32]:
    """Return the colour of the light as factors for red, green and blue (3,), 1 on average."""
    light = np.array(air.ambient) + _FACING_SUN * np.array(air.sunlight)
    return np.asarray(light / max(light.mean(), 1e-6), np.float32)


def sky_image(air: Atmosphere, height: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the clear sky (H, W, 3) for directions whose elevation has a sine of `height` (H, W)."""
    share = np.sqrt(np.maximum(height, 0.0))[..., None]
    return np.asarray(np.round((1 - share) * np.array(air.horizon) + share * np.array(air.zenith)), np.uint8)


def _pixel_rays(camera: Camera) -> _PixelRays:
    x = (np.arange(camera.width) + 0.5 - camera.width / 2) / camera.focal_px
    y = (camera.height / 2 - np.arange(camera.height) - 0.5) / camera.focal_px
    right, up = np.meshgrid(x, y)
    distance_per_depth = np.sqrt(1 + right**2 + up**2)
    axes = camera.axes
    height = (right * axes[0, 2] + up * axes[1, 2] - axes[2, 2]) / distance_per_depth
    view, projection = camera.view_matrix(Pose(0.0, 0.0, 0.0)), camera.projection_matrix(NEAR, FAR)
    # PyBullet's rays go through the lower left corners of pixels, not through their centres.
    projection[0, 2], projection[1, 2] = 1 / camera.width, 1 / camera.height
    return _PixelRays(view, projection, distance_per_depth.astype(np.float32), height.astype(np.float32))


def _metres(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the depth along the optical axis [m] from a depth buffer."""
    return np.asarray(np.float32(FAR * NEAR) / (np.float32(FAR) - depth * np.float32(FAR - NEAR)), np.float32)


def _vehicle_from_world(pose: Pose) -> Array:
    """Return the rigid motion from the world's to the vehicle's frame (4, 4)."""
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
    """Group the triangles of all meshes by texture, class and grid square."""
    groups: dict[tuple[int, SemanticClass], list[Mesh]] = {}
    for mesh in meshes:
        if len(mesh.triangles):
            groups.setdefault((id(mesh.texture), mesh.semantic), []).append(mesh)
    for (_, semantic), parts in groups.items():
        starts = np.cumsum([0] + [len(part.vertices) for part in parts])
        vertices = np.concatenate([part.vertices for part in parts])
        uv = np.concatenate([part.uv for part in parts])
        triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)])
        for tile in group_indices(grid_squares(vertices, triangles, TILE_SIZE)):
            used, renumbered = np.unique(triangles[tile], return_inverse=True)
            yield Tile(vertices[used], renumbered.reshape(-1, 3), uv[used], parts[0].texture, semantic)
