"""Buffers of a scene on the GPU: vertices, indices sorted by tile, textures in layers, light and air.

Tiles are of two groups, each drawn in one call: the ground (terrain, markings, kerbs), with repeating textures and
shadows, and the standing objects, with textures from atlases.
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
from navsim.rendering.interface import Boxes, TileKind, grid_squares, group_indices, kind_of, meshes_of
from navsim.rendering.opengl.device import VIEW_FLOATS, Device
from navsim.seeding import generator
from navsim.world.scenery.lighting import Atmosphere, GroundShadows
from navsim.world.scenery.meshes import Mesh, SemanticClass
from navsim.world.scenery.scene import Scene

SIZE = 128
"""Width and height of the cloud image [px]."""
_COARSEST = 4
_OCTAVES = 5
_SOFTNESS = 0.16
"""Width of a cloud's edge, as a share of the range of the noise."""


def cloud_image(cover: float, seed: int) -> NDArray[np.uint8]:
    """Return the density of clouds (SIZE, SIZE), 0 for clear sky to 255, for a share `cover` of the sky."""
    rng = generator(seed, "clouds")
    noise = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(_OCTAVES):
        cells = _COARSEST << octave
        coarse = rng.normal(0.0, 0.55**octave, (cells, cells)).astype(np.float32)
        padded = np.pad(coarse, 2, mode="wrap")
        step = SIZE // cells
        enlarged = cv2.resize(padded, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        noise += enlarged[2 * step : -2 * step, 2 * step : -2 * step]
    rank = noise.ravel().argsort().argsort().reshape(noise.shape) / noise.size  # uniform in [0, 1)
    density = np.clip((rank - (1.0 - cover) * (1.0 + _SOFTNESS)) / _SOFTNESS + 1.0, 0.0, 1.0)
    return np.asarray(np.round(255 * density * density * (3 - 2 * density)), np.uint8)


SQUARE = 35.0
"""Side of the scene's tiles [m]."""
VERTEX_FLOATS = 6
"""Floats of a vertex: position (3), texture coordinates (2), and four bytes: sunlight, layer, class, unused."""
_MILLIMETRES = 1000.0


@dataclass(frozen=True, eq=False)
class PackedScene:
    """Arrays of a scene for the GPU."""

    vertices: NDArray[np.float32]
    """Vertices (V, VERTEX_FLOATS)."""
    indices: NDArray[np.uint32]
    """Three indices for each triangle, sorted by tile (I,)."""
    commands: NDArray[np.uint32]
    """OpenGL's indirect draw command of each tile (T, 5): number of indices, 1, first index, 0, 0."""
    boxes: Boxes
    """Boxes around the tiles."""
    standing: int
    """Number of tiles of standing objects, which come first; the others are the ground."""
    standing_layers: NDArray[np.uint8]
    """RGBA textures of standing objects, all of one size (L, H, W, 4), at least one."""
    ground_layers: NDArray[np.uint8]
    """RGBA textures of the ground, all of one size (L, H, W, 4), at least one."""


def pack_scene(scene: Scene) -> PackedScene:
    """Pack a scene's triangles and textures, with the sunlight of each vertex."""
    meshes = meshes_of(scene)
    sun = np.array(scene.atmosphere.sun_direction)
    standing, ground = (
        list({id(mesh.texture): mesh.texture for mesh in meshes if _stands(mesh) == is_standing}.values())
        for is_standing in (True, False)
    )
    layer = {
        (id(texture), is_standing): i
        for is_standing, part in ((True, standing), (False, ground))
        for i, texture in enumerate(part)
    }
    parts = [_shaded_vertices(mesh, sun, layer[id(mesh.texture), _stands(mesh)]) for mesh in meshes]
    vertices = np.concatenate([np.empty((0, VERTEX_FLOATS), np.float32), *(points for points, _ in parts)])
    starts = np.cumsum([0, *(len(points) for points, _ in parts)])
    corners = np.concatenate(
        [np.empty((0, 3), np.int64), *(part + start for (_, part), start in zip(parts, starts, strict=False))]
    )
    kinds = np.repeat([kind_of(mesh.semantic) for mesh in meshes], [len(part) for _, part in parts]).astype(np.intp)
    indices, commands, boxes = _cut_into_tiles(vertices, corners, kinds)
    stand = int((boxes.kinds <= TileKind.NARROW).sum())
    return PackedScene(vertices, indices, commands, boxes, stand, _as_layers(standing), _as_layers(ground))


def _stands(mesh: Mesh) -> bool:
    return kind_of(mesh.semantic) <= TileKind.NARROW


def _cut_into_tiles(
    vertices: NDArray[np.float32], corners: NDArray[np.int64], kinds: NDArray[np.intp]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], Boxes]:
    """Sort triangles (F, 3) into tiles by kind and square; return indices (3F,), draw commands and boxes."""
    tiles = list(group_indices(grid_squares(vertices, corners, SQUARE) + (kinds.astype(np.int64) << 44)))
    if not tiles:
        none = np.empty((0, 3))
        return np.empty(0, np.uint32), np.empty((0, 5), np.uint32), Boxes.around(none, none, kinds)
    counts = np.array([3 * len(tile) for tile in tiles])
    starts = np.cumsum(counts) - counts
    indices = corners[np.concatenate(tiles)].ravel()
    points = vertices[indices, :3].astype(float)
    commands = np.zeros((len(tiles), 5), np.uint32)
    commands[:, 0], commands[:, 1], commands[:, 2] = counts, 1, starts
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    boxes = Boxes.around(low, high, np.array([kinds[tile[0]] for tile in tiles], np.intp))
    return indices.astype(np.uint32), commands, boxes


def _shaded_vertices(mesh: Mesh, sun: Array, layer: int) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Return vertices (V, VERTEX_FLOATS) with their sunlight and triangles (F, 3) of a mesh.

    Vegetation has one normal for each vertex and looks round. Other vertices are split where their faces differ, so
    that edges stay sharp.
    """
    positions, uv = mesh.vertices, mesh.uv
    triangles: NDArray[np.integer] = mesh.triangles
    if kind_of(mesh.semantic) is TileKind.TERRAIN:
        positions, uv, triangles = _merged_vertices(positions, uv, triangles)
    corners = positions[triangles]
    normals = np.cross(
        corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    )  # (F, 3), with a length of twice the area
    if mesh.semantic is SemanticClass.VEGETATION:
        owners, count = triangles.ravel(), len(positions)
        sums = [np.bincount(owners, np.repeat(normals[:, axis], 3), count) for axis in range(3)]
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
    attributes = np.zeros((len(positions), 4), np.uint8)
    attributes[:, 0], attributes[:, 1], attributes[:, 2] = light, layer, mesh.semantic
    vertices[:, 5] = attributes.view(np.float32)[:, 0]
    return vertices, triangles


def _merged_vertices(
    positions: NDArray[np.float32], uv: NDArray[np.float32], triangles: NDArray[np.integer]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.integer]]:
    """Merge the equal corners of flat ground; return everything unchanged if corners differ in height."""
    x, y = np.round(positions[:, :2].astype(float) * _MILLIMETRES).astype(np.int64).T
    _, first, inverse = np.unique((x << 32) + y, return_index=True, return_inverse=True)
    inverse = inverse.ravel()
    same = np.abs(positions[first][inverse] - positions).max(initial=0.0) < 2 / _MILLIMETRES
    if not same or np.abs(uv[first][inverse] - uv).max(initial=0.0) > 1 / _MILLIMETRES:
        return positions, uv, triangles
    return positions[first], uv[first], inverse[triangles]


def _sunlight(normals: NDArray[Any], sun: Array) -> NDArray[np.uint8]:
    """Return the sunlight for normals (N, 3) of any length, 255 for one towards the sun."""
    length = np.maximum(np.sqrt(np.einsum("ij,ij->i", normals, normals)), 1e-12)
    return np.asarray(np.round(255 * np.clip(normals @ sun / length, 0.0, 1.0)), np.uint8)


def _as_layers(textures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Enlarge RGB textures to the size of the largest and stack them (L, H, W, 4)."""
    height = max((texture.shape[0] for texture in textures), default=1)
    width = max((texture.shape[1] for texture in textures), default=1)
    layers = np.full((max(len(textures), 1), height, width, 4), 255, np.uint8)
    for layer, texture in zip(layers, textures, strict=False):
        layer[..., :3] = texture if texture.shape[:2] == (height, width) else _enlarged(texture, height, width)
    return layers


def _enlarged(texture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Enlarge a texture so that it repeats without a seam."""
    padded = np.pad(texture, ((1, 1), (1, 1), (0, 0)), mode="wrap")
    rows, columns = texture.shape[:2]
    x = (np.arange(width) + 0.5) * columns / width + 0.5
    y = (np.arange(height) + 0.5) * rows / height + 0.5
    at = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return np.asarray(cv2.remap(padded, at[0], at[1], cv2.INTER_LINEAR), np.uint8)


ATLAS_LEVELS = 3
"""Coarsest mipmap level of atlases; in coarser ones neighbouring cells would mix."""
ANISOTROPY = 8.0
"""Number of anisotropic samples on GPUs, because roads are seen at a flat angle."""
_FULL_SUN = GroundShadows(np.full((1, 1), 255, np.uint8), 0.0, 0.0, 1.0)


class SceneBuffers:
    """Buffers and textures of one scene on a device."""

    def __init__(self, scene: Scene, device: Device) -> None:
        packed = pack_scene(scene)
        context = device.context
        self.commands = packed.commands
        self.boxes = packed.boxes
        self.standing = packed.standing
        self.has_rain = scene.atmosphere.rain > 0
        self._vertices = context.buffer(_bytes(packed.vertices))
        self._indices = context.buffer(_bytes(packed.indices))
        layout = [(self._vertices, "3f 2f 4f1", "position", "uv", "attributes")]
        self.standing_array = context.vertex_array(device.standing, layout, self._indices)
        self.ground_array = context.vertex_array(device.ground, layout, self._indices)
        self.standing_layers = _layers(context, packed.standing_layers, ATLAS_LEVELS)
        self.ground_layers = _layers(context, packed.ground_layers, 1000)
        shadows = _with_border(scene.ground_shadows or _FULL_SUN)
        self.shadows = _grey(context, shadows.image)
        self.clouds = _grey(context, cloud_image(scene.atmosphere.cloud_cover, scene.atmosphere.cloud_seed))
        self.constants = view_constants(scene.atmosphere, shadows)

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


def view_constants(air: Atmosphere, shadows: GroundShadows) -> NDArray[np.float32]:
    """Return a uniform block (VIEW_FLOATS,) with the values of the scene, and 0 for those of the view."""
    block = np.zeros((VIEW_FLOATS // 4, 4), np.float32)
    block[4, 3] = air.fog_density / math.log(2)
    block[5, :3], block[6, :3] = air.ambient, air.sunlight
    horizon, zenith = np.array(air.horizon) / 255, np.array(air.zenith) / 255
    white = np.minimum(np.array(air.ambient) + 0.9 * np.array(air.sunlight), 1.0)
    block[7, :3], block[8, :3], block[9, :3] = horizon, zenith, 0.45 * horizon + 0.55 * white
    block[10, :3] = air.sun_direction
    block[11, :3] = shadows.west, shadows.north, 1 / shadows.metres_per_pixel
    block[15, 2] = air.rain
    return block.ravel()


def _with_border(shadows: GroundShadows) -> GroundShadows:
    """Return the image with a border of full sunlight, which holds for all ground outside it."""
    step = shadows.metres_per_pixel
    return GroundShadows(np.pad(shadows.image, 1, constant_values=255), shadows.west - step, shadows.north + step, step)


def draws_on_cpu(context: moderngl.Context) -> bool:
    """Return whether Mesa draws on the CPU, where each further texture sample costs time."""
    return any(name in str(context.info["GL_RENDERER"]) for name in ("llvmpipe", "softpipe"))


def _bytes(array: NDArray[np.float32] | NDArray[np.uint32]) -> bytes:
    """Return the bytes of an array for a buffer, which must not be empty."""
    return array.tobytes() or bytes(4)


def _layers(context: moderngl.Context, images: NDArray[np.uint8], coarsest: int) -> moderngl.TextureArray:
    """Return textures of one size as layers, with mipmaps."""
    count, height, width, _ = images.shape
    texture = context.texture_array((width, height, count), 4, images.tobytes())
    texture.build_mipmaps(0, coarsest)
    # Interpolation between two levels would cost a CPU three times as much and looks much the same.
    texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
    if not draws_on_cpu(context):
        texture.anisotropy = min(ANISOTROPY, context.max_anisotropy)
    return texture


def _grey(context: moderngl.Context, image: NDArray[np.uint8]) -> moderngl.Texture:
    """Return a repeating texture of one channel."""
    texture = context.texture((image.shape[1], image.shape[0]), 1, image.tobytes(), alignment=1)
    texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
    return texture
