"""Scenes of a few triangles, of which the right picture can be worked out by hand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Pose
from navsim.rendering.interface import Renderer, RenderRequest
from navsim.sensing.camera import Camera
from navsim.world.obstacles import Obstacles
from navsim.world.scenery.lighting import Atmosphere, GroundShadows
from navsim.world.scenery.meshes import Instances, Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

STILL_AIR = Atmosphere(
    sun_direction=(0.0, 0.0, 1.0),
    sunlight=(0.4, 0.4, 0.4),
    ambient=(0.6, 0.6, 0.6),
    zenith=(40, 80, 200),
    horizon=(200, 220, 240),
    cloud_cover=0.0,
    fog_density=0.0,
)
"""A surface that faces upwards looks as it is painted."""
ORIGIN = Pose(0.0, 0.0, 0.0)

Texture = NDArray[np.uint8]


def plain(red: int, green: int, blue: int) -> Texture:
    """Return a texture of one colour."""
    return np.full((4, 4, 3), (red, green, blue), np.uint8)


def quad(
    corners: Sequence[tuple[float, float, float]], texture: Texture, semantic: SemanticClass, repeats: float = 1.0
) -> Mesh:
    """Return four corners, counter-clockwise from outside."""
    uv = repeats * np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    return Mesh(
        np.array(corners, np.float32),
        np.array([(0, 1, 2), (0, 2, 3)], np.int32),
        uv.astype(np.float32),
        texture,
        semantic,
    )


def level(x: tuple[float, float], y: tuple[float, float], z: float) -> list[tuple[float, float, float]]:
    """Return corners of a level rectangle, seen from above."""
    return [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]


def road(texture: Texture | None = None, size: float = 900.0, repeats: float = 1.0) -> Mesh:
    """Return a plane of road around the origin."""
    grey = plain(100, 100, 100) if texture is None else texture
    return quad(level((-size, size), (-size, size), 0.0), grey, SemanticClass.ROAD, repeats)


def wall(distance: float, texture: Texture, semantic: SemanticClass = SemanticClass.BUILDING) -> Mesh:
    """Return a large wall across the x axis that faces the origin."""
    d, half, high = distance, 60.0, 40.0
    return quad([(d, half, -5.0), (d, -half, -5.0), (d, -half, high), (d, half, high)], texture, semantic)


def cube(centre: Sequence[float], edge: float, texture: Texture) -> Mesh:
    """Return a small sign."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * edge / 2 + centre
    faces = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
    triangles = np.concatenate([faces[:, :3], faces[:, [0, 2, 3]]])
    return Mesh(
        corners.astype(np.float32),
        triangles.astype(np.int32),
        np.full((8, 2), 0.5, np.float32),
        texture,
        SemanticClass.SIGN,
    )


def scene_of(
    *meshes: Mesh,
    air: Atmosphere = STILL_AIR,
    shade: GroundShadows | None = None,
    instances: tuple[Instances, ...] = (),
) -> Scene:
    """Return a scene without obstacles."""
    return Scene(meshes, instances, air, shade, Obstacles.merged([]))


def picture(renderer: Renderer, scene: Scene, camera: Camera, pose: Pose = ORIGIN) -> NDArray[np.int64]:
    """Return one image (H, W, 3) of a scene that is added only for it."""
    renderer.add(scene)
    image = renderer.render([RenderRequest(scene, camera, pose)])[0]
    renderer.remove(scene)
    return np.asarray(image, np.int64)
