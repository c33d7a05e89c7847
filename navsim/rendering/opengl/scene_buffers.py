"""Clouds as a picture that repeats, drawn from a seed.

A scene as the arrays that go to the GPU: one list of vertices, indices sorted by square, textures in layers.

Two lots are told apart, each drawn in one go: the ground (terrain, markings, kerbs), whose textures repeat and on
which shadows lie, and all that stands on it, painted from atlases.

A scene on the GPU: buffers, textures and the constants of its light and air.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.rendering.opengl.device import SHOT_FLOATS, Device
from navsim.rendering.tiles import Boxes, Kind, kind_of, meshes_of, runs, squares_of
from navsim.seeding import generator
from navsim.world.scenery.lighting import Atmosphere, ShadeMap
from navsim.world.scenery.meshes import Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

SIZE = 128
"""Width and height [px]."""
_COARSEST = 4
_OCTAVES = 5
_SOFTNESS = 0.16
"""How wide the edge of a cloud is, as a share of all heights of the noise."""


def cloud_image(cover: float, seed: int) -> NDArray[np.uint8]:
    """Return how dense the clouds are (SIZE, SIZE): 0 for clear sky, 255 where none shows; `cover` is their share."""
    rng = generator(seed, "clouds")
    noise = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(_OCTAVES):
        cells = _COARSEST << octave
        coarse = rng.normal(0.0, 0.55**octave, (cells, cells)).astype(np.float32)
        around = np.pad(coarse, 2, mode="wrap")
        step = SIZE // cells
        grown = cv2.resize(around, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        noise += grown[2 * step : -2 * step, 2 * step : -2 * step]
    rank = noise.ravel().argsort().argsort().reshape(noise.shape) / noise.size  # uniform in [0, 1)
    density = np.clip((rank - (1.0 - cover) * (1.0 + _SOFTNESS)) / _SOFTNESS + 1.0, 0.0, 1.0)
    return np.asarray(np.round(255 * density * density * (3 - 2 * density)), np.uint8)


SQUARE = 35.0
"""Side of the squares that the scene is cut into [m]."""
VERTEX_FLOATS = 6
"""Position (3), texture coordinates (2), then four bytes: sunlight, layer, class, nothing."""
_MILLIMETRES = 1000.0


@dataclass(frozen=True, eq=False)
class Packed:
    """A scene ready for the GPU."""

    vertices: NDArray[np.float32]
    """(V, VERTEX_FLOATS)."""
    indices: NDArray[np.uint32]
    """Three for each triangle, tile by tile (I,)."""
    commands: NDArray[np.uint32]
    """How OpenGL draws each of T tiles (T, 5): number of indices, 1, first index, 0, 0."""
    boxes: Boxes
    """Around the tiles."""
    standing: int
    """How many of the tiles, the first ones, hold what stands; the others are the ground."""
    standing_layers: NDArray[np.uint8]
    """RGBA textures of what stands, of one size (L, H, W, 4), at least one."""
    ground_layers: NDArray[np.uint8]
    """The same of the ground."""


def pack(scene: Scene) -> Packed:
    """Lay out a scene's triangles, lit by its sun."""
    meshes = meshes_of(scene)
    sun = np.array(scene.atmosphere.sun_direction)
    standing, ground = (
        list({id(mesh.texture): mesh.texture for mesh in meshes if _stands(mesh) == lot}.values())
        for lot in (True, False)
    )
    layer = {
        (id(texture), lot): i for lot, part in ((True, standing), (False, ground)) for i, texture in enumerate(part)
    }
    lit = [_lit(mesh, sun, layer[id(mesh.texture), _stands(mesh)]) for mesh in meshes]
    vertices = np.concatenate([np.empty((0, VERTEX_FLOATS), np.float32), *(points for points, _ in lit)])
    starts = np.cumsum([0, *(len(points) for points, _ in lit)])
    corners = np.concatenate(
        [np.empty((0, 3), np.int64), *(part + start for (_, part), start in zip(lit, starts, strict=False))]
    )
    kinds = np.repeat([kind_of(mesh.semantic) for mesh in meshes], [len(part) for _, part in lit]).astype(np.intp)
    indices, commands, boxes = _cut(vertices, corners, kinds)
    stand = int((boxes.kinds <= Kind.SLIM).sum())
    return Packed(vertices, indices, commands, boxes, stand, _as_layers(standing), _as_layers(ground))


def _stands(mesh: Mesh) -> bool:
    return kind_of(mesh.semantic) <= Kind.SLIM


def _cut(
    vertices: NDArray[np.float32], corners: NDArray[np.int64], kinds: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Boxes]:
    """Sort triangles (F, 3) by kind and square: their indices (3F,), the tiles' commands and boxes."""
    tiles = list(runs(squares_of(vertices, corners, SQUARE) + (kinds.astype(np.int64) << 44)))
    if not tiles:
        nothing = np.empty((0, 3))
        return np.empty(0, np.uint32), np.empty((0, 5), np.uint32), Boxes.around(nothing, nothing, kinds)
    counts = np.array([3 * len(tile) for tile in tiles])
    starts = np.cumsum(counts) - counts
    indices = corners[np.concatenate(tiles)].ravel()
    points = vertices[indices, :3].astype(float)
    commands = np.zeros((len(tiles), 5), np.uint32)
    commands[:, 0], commands[:, 1], commands[:, 2] = counts, 1, starts
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    boxes = Boxes.around(low, high, np.array([kinds[tile[0]] for tile in tiles], np.intp))
    return indices.astype(np.uint32), commands, boxes


def _lit(mesh: Mesh, sun: Array, layer: int) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Return vertices (V, VERTEX_FLOATS) and triangles (F, 3) of a mesh, each vertex with the sunlight that it gets.

    Leaves are rounded by one normal for each vertex; elsewhere corners that face several ways are split, so that
    edges stay sharp.
    """
    positions, uv = mesh.vertices, mesh.uv
    triangles: NDArray[np.integer] = mesh.triangles
    if kind_of(mesh.semantic) is Kind.TERRAIN:
        positions, uv, triangles = _shared(positions, uv, triangles)
    corners = positions[triangles]
    normals = np.cross(
        corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    )  # (F, 3), as long as twice the area
    if mesh.semantic is SemanticClass.VEGETATION:
        places, count = triangles.ravel(), len(positions)
        sums = [np.bincount(places, np.repeat(normals[:, axis], 3), count) for axis in range(3)]
        light = _sunlight(np.stack(sums, axis=1), sun)
    else:
        of_face = _sunlight(normals, sun)
        light = np.zeros(len(positions), np.uint8)
        light[triangles] = of_face[:, None]
        if (light[triangles] != of_face[:, None]).any():
            positions, uv, light = corners.reshape(-1, 3), uv[triangles].reshape(-1, 2), of_face.repeat(3)
            triangles = np.arange(len(positions), dtype=np.int32).reshape(-1, 3)
    vertices = np.empty((len(positions), VERTEX_FLOATS), np.float32)
    vertices[:, :3], vertices[:, 3:5] = positions, uv
    look = np.zeros((len(positions), 4), np.uint8)
    look[:, 0], look[:, 1], look[:, 2] = light, layer, mesh.semantic
    vertices[:, 5] = look.view(np.float32)[:, 0]
    return vertices, triangles


def _shared(
    positions: NDArray[np.float32], uv: NDArray[np.float32], triangles: NDArray[np.integer]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.integer]]:
    """Let the triangles of flat ground share their corners; left as they are where corners are not at one height."""
    x, y = np.round(positions[:, :2].astype(float) * _MILLIMETRES).astype(np.int64).T
    _, first, place = np.unique((x << 32) + y, return_index=True, return_inverse=True)
    place = place.ravel()
    same = np.abs(positions[first][place] - positions).max(initial=0.0) < 2 / _MILLIMETRES
    if not same or np.abs(uv[first][place] - uv).max(initial=0.0) > 1 / _MILLIMETRES:
        return positions, uv, triangles
    return positions[first], uv[first], place[triangles]


def _sunlight(normals: NDArray[Any], sun: Array) -> NDArray[np.uint8]:
    """Return the sun's share by the angle to normals (N, 3) of any length: 255 for one that points at it."""
    length = np.maximum(np.sqrt(np.einsum("ij,ij->i", normals, normals)), 1e-12)
    return np.asarray(np.round(255 * np.clip(normals @ sun / length, 0.0, 1.0)), np.uint8)


def _as_layers(textures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Bring RGB textures to the size of the largest and stack them (L, H, W, 4)."""
    height = max((texture.shape[0] for texture in textures), default=1)
    width = max((texture.shape[1] for texture in textures), default=1)
    layers = np.full((max(len(textures), 1), height, width, 4), 255, np.uint8)
    for layer, texture in zip(layers, textures, strict=False):
        layer[..., :3] = texture if texture.shape[:2] == (height, width) else _enlarged(texture, height, width)
    return layers


def _enlarged(texture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Enlarge a texture so that it still repeats without a seam."""
    padded = np.pad(texture, ((1, 1), (1, 1), (0, 0)), mode="wrap")
    rows, columns = texture.shape[:2]
    x = (np.arange(width) + 0.5) * columns / width + 0.5
    y = (np.arange(height) + 0.5) * rows / height + 0.5
    at = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return np.asarray(cv2.remap(padded, at[0], at[1], cv2.INTER_LINEAR), np.uint8)


ATLAS_LEVELS = 3
"""Coarsest mipmap of atlases: beyond it, neighbouring pictures would run into each other."""
ANISOTROPY = 8.0
"""Samples along the longer side of a pixel's footprint, where a GPU takes them: roads are seen at a flat angle."""
_FULL_SUN = ShadeMap(np.full((1, 1), 255, np.uint8), 0.0, 0.0, 1.0)


class Uploaded:
    """One scene on a device."""

    def __init__(self, scene: Scene, device: Device) -> None:
        packed = pack(scene)
        context = device.context
        self.commands = packed.commands
        self.boxes = packed.boxes
        self.standing = packed.standing
        self.rains = scene.atmosphere.rain > 0
        self._vertices = context.buffer(_bytes(packed.vertices))
        self._indices = context.buffer(_bytes(packed.indices))
        layout = [(self._vertices, "3f 2f 4f1", "position", "uv", "look")]
        self.standing_array = context.vertex_array(device.standing, layout, self._indices)
        self.ground_array = context.vertex_array(device.ground, layout, self._indices)
        self.standing_layers = _layers(context, packed.standing_layers, ATLAS_LEVELS)
        self.ground_layers = _layers(context, packed.ground_layers, 1000)
        shade = _bordered(scene.shade or _FULL_SUN)
        self.shadows = _grey(context, shade.image)
        self.clouds = _grey(context, cloud_image(scene.atmosphere.cloud_cover, scene.atmosphere.cloud_seed))
        self.constants = shot_constants(scene.atmosphere, shade)

    def release(self) -> None:
        """Free everything on the device, whose context must be current."""
        for part in (
            self.standing_array,
            self.ground_array,
            self._vertices,
            self._indices,
            self.standing_layers,
            self.ground_layers,
            self.shadows,
            self.clouds,
        ):
            part.release()


def shot_constants(air: Atmosphere, shade: ShadeMap) -> NDArray[np.float32]:
    """Return what of a shot's block (SHOT_FLOATS,) depends on the scene alone, the rest 0."""
    block = np.zeros((SHOT_FLOATS // 4, 4), np.float32)
    block[4, 3] = air.fog_density / math.log(2)
    block[5, :3], block[6, :3] = air.ambient, air.sunlight
    horizon, zenith = np.array(air.horizon) / 255, np.array(air.zenith) / 255
    white = np.minimum(np.array(air.ambient) + 0.9 * np.array(air.sunlight), 1.0)
    block[7, :3], block[8, :3], block[9, :3] = horizon, zenith, 0.45 * horizon + 0.55 * white
    block[10, :3] = air.sun_direction
    block[11, :3] = shade.west, shade.north, 1 / shade.metres_per_pixel
    block[15, 2] = air.rain
    return block.ravel()


def _bordered(shade: ShadeMap) -> ShadeMap:
    """Return the map in a frame of sunlight, which then reaches on for ever."""
    step = shade.metres_per_pixel
    return ShadeMap(np.pad(shade.image, 1, constant_values=255), shade.west - step, shade.north + step, step)


def draws_on_cpu(context: moderngl.Context) -> bool:
    """Return whether the driver is one of Mesa's that have no GPU: each further sample of a texture then costs time."""
    return any(name in str(context.info["GL_RENDERER"]) for name in ("llvmpipe", "softpipe"))


def _bytes(array: NDArray[np.float32] | NDArray[np.uint32]) -> bytes:
    """For a buffer, which must not be empty."""
    return array.tobytes() or bytes(4)


def _layers(context: moderngl.Context, images: NDArray[np.uint8], coarsest: int) -> moderngl.TextureArray:
    """Return textures of one size as layers, with mipmaps."""
    count, height, width, _ = images.shape
    texture = context.texture_array((width, height, count), 4, images.tobytes())
    texture.build_mipmaps(0, coarsest)
    # Between two levels would cost a CPU three times as much as one level and look much the same.
    texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
    if not draws_on_cpu(context):
        texture.anisotropy = min(ANISOTROPY, context.max_anisotropy)
    return texture


def _grey(context: moderngl.Context, image: NDArray[np.uint8]) -> moderngl.Texture:
    """Return a picture of one channel that repeats."""
    texture = context.texture((image.shape[1], image.shape[0]), 1, image.tobytes(), alignment=1)
    texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
    return texture
