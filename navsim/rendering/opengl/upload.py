"""A scene on the GPU: buffers, textures and the constants of its light and air."""

import math

import moderngl
import numpy as np
from numpy.typing import NDArray

from navsim.rendering.opengl.clouds import cloud_image
from navsim.rendering.opengl.device import Device
from navsim.rendering.opengl.packing import pack
from navsim.rendering.opengl.shaders import SHOT_FLOATS
from navsim.world.scenery.atmosphere import Atmosphere, ShadeMap
from navsim.world.scenery.scene import Scene

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
    """What of a shot's block (SHOT_FLOATS,) depends on the scene alone, the rest 0; see `shaders`."""
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
    """The map in a frame of sunlight, which then reaches on for ever."""
    step = shade.metres_per_pixel
    return ShadeMap(np.pad(shade.image, 1, constant_values=255), shade.west - step, shade.north + step, step)


def draws_on_cpu(context: moderngl.Context) -> bool:
    """Whether the driver is one of Mesa's that have no GPU: each further sample of a texture then costs time."""
    return any(name in str(context.info["GL_RENDERER"]) for name in ("llvmpipe", "softpipe"))


def _bytes(array: NDArray[np.float32] | NDArray[np.uint32]) -> bytes:
    """For a buffer, which must not be empty."""
    return array.tobytes() or bytes(4)


def _layers(context: moderngl.Context, images: NDArray[np.uint8], coarsest: int) -> moderngl.TextureArray:
    """Textures of one size as layers, with mipmaps."""
    count, height, width, _ = images.shape
    texture = context.texture_array((width, height, count), 4, images.tobytes())
    texture.build_mipmaps(0, coarsest)
    # Between two levels would cost a CPU three times as much as one level and look much the same.
    texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
    if not draws_on_cpu(context):
        texture.anisotropy = min(ANISOTROPY, context.max_anisotropy)
    return texture


def _grey(context: moderngl.Context, image: NDArray[np.uint8]) -> moderngl.Texture:
    """A picture of one channel that repeats."""
    texture = context.texture((image.shape[1], image.shape[0]), 1, image.tobytes(), alignment=1)
    texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
    return texture
