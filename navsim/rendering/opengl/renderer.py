"""The OpenGL renderer: images of many cameras and scenes in one pass, read back together.

Every image is drawn at the same position of the framebuffer, because its position in a larger one would influence the
rounding of colours. Images are collected on the device.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.rendering.interface import (
    FAR,
    NEAR,
    RenderBuffers,
    RenderRequest,
    common_size,
    draw_distances,
    visible_boxes,
)
from navsim.rendering.opengl.device import VIEW_BINDING, VIEW_FLOATS, Device
from navsim.rendering.opengl.scene_buffers import SceneBuffers
from navsim.sensing.camera import Camera
from navsim.world.scenery.meshes import SemanticClass
from navsim.world.scenery.scene import Scene

_BYTES = 4
"""Bytes of a pixel, for colour and class or for depth."""
_BLOCK_BYTES = 4 * VIEW_FLOATS
_MAX_FRAMEBUFFERS = 4


class Framebuffer:
    """Framebuffer for images of one size, and buffers that collect the drawn images."""

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self._context = context
        self.width, self.height = width, height
        self._colour = context.renderbuffer((width, height), 4)
        self._depth = context.depth_renderbuffer((width, height))
        self._frame = context.framebuffer([self._colour], self._depth)
        self._bytes = _BYTES * width * height
        self._collected = [context.buffer(reserve=self._bytes) for _ in range(2)]

    def prepare(self, count: int) -> None:
        """Reserve memory for `count` images and make this the framebuffer to draw into."""
        if self._collected[0].size < count * self._bytes:
            for store in self._collected:
                store.release()
            self._collected = [self._context.buffer(reserve=count * self._bytes, dynamic=True) for _ in range(2)]
        self._frame.use()

    def clear(self) -> None:
        """Clear the framebuffer."""
        self._frame.clear()

    def store(self, index: int, with_depth: bool) -> None:
        """Copy the drawn image to position `index` of the collected ones, with its depths if `with_depth`."""
        self._frame.read_into(self._collected[0], components=4, write_offset=index * self._bytes)
        if with_depth:
            offset = index * self._bytes
            self._frame.read_into(self._collected[1], components=1, attachment=-1, dtype="f4", write_offset=offset)

    def colours(self, count: int) -> NDArray[np.uint8]:
        """Return the colours and classes of the first images (count, height, width, 4)."""
        values = np.empty((count, self.height, self.width, 4), np.uint8)
        self._collected[0].read_into(values, values.nbytes)
        return values

    def depths(self, count: int) -> NDArray[np.float32]:
        """Return the depth buffers of the first images (count, height, width)."""
        values = np.empty((count, self.height, self.width), np.float32)
        self._collected[1].read_into(values, values.nbytes)
        return values

    def release(self) -> None:
        """Free all resources on the device."""
        self._frame.release()
        self._colour.release()
        self._depth.release()
        for store in self._collected:
            store.release()


@dataclass(frozen=True, eq=False)
class Views:
    """Poses and optics of the cameras of N requests."""

    eyes: Array
    """Positions in the world (N, 3) [m]."""
    axes: Array
    """Right, up and backward unit vectors in the world (N, 3, 3)."""
    sizes: Array
    """Width and height of each image (N, 2) [px]."""
    slopes: Array
    """Half the width and half the height of each image at depth 1 (N, 2)."""
    focal_px: Array
    """Focal lengths (N,) [px]."""

    @property
    def planes(self) -> Array:
        """Side planes and near plane of each view volume (N, 5, 4); points inside give values >= 0."""
        right, up, back = (self.axes[:, row] for row in range(3))
        wide, high = self.slopes[:, :1], self.slopes[:, 1:]
        normals = np.stack([right - back * wide, -right - back * wide, up - back * high, -up - back * high, -back], 1)
        offsets = -(normals @ self.eyes[:, :, None])[..., 0]
        offsets[:, 4] -= NEAR
        return np.concatenate([normals, offsets[..., None]], axis=2)


def views_of(requests: Sequence[RenderRequest]) -> Views:
    """Return the views of requests."""
    mounts = [_mount(request.camera) for request in requests]
    pose = np.array([(request.pose.x, request.pose.y, request.pose.heading) for request in requests])
    c, s = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    world_from_vehicle = np.zeros((len(requests), 3, 3))
    world_from_vehicle[:, 0, 0], world_from_vehicle[:, 0, 1] = c, -s
    world_from_vehicle[:, 1, 0], world_from_vehicle[:, 1, 1] = s, c
    world_from_vehicle[:, 2, 2] = 1.0
    mount = np.array([mount[:4] for mount in mounts])  # (N, 4, 3): axes, then position
    rotated = mount @ world_from_vehicle.transpose(0, 2, 1)
    eyes = rotated[:, 3]
    eyes[:, :2] += pose[:, :2]
    optics = np.array([mount[4] for mount in mounts])
    return Views(eyes, rotated[:, :3], optics[:, :2] * 2 * optics[:, 2:], optics[:, :2], optics[:, 2])


def fill_blocks(blocks: NDArray[np.float32], views: Views) -> None:
    """Write the values of the views into the uniform blocks (N, VIEW_FLOATS), for images that are upside down."""
    a, b = (FAR + NEAR) / (FAR - NEAR), 2 * FAR * NEAR / (FAR - NEAR)
    right, up, back = (views.axes[:, row] for row in range(3))
    wide, high = views.slopes[:, :1], views.slopes[:, 1:]
    rows = blocks.reshape(len(blocks), -1, 4)
    # The matrix is stored by columns: entry [c, r] is row r of column c.
    rows[:, :3, 0], rows[:, :3, 1] = right / wide, -up / high
    rows[:, :3, 2], rows[:, :3, 3] = -a * back, -back
    rows[:, 3, 2] = -b
    rows[:, 4, :3] = views.eyes
    rows[:, 15, :2] = views.sizes
    rows[:, 15, 3] = np.modf(views.eyes[:, :2] @ (0.37, 0.73))[0]
    rows[:, 12, :3], rows[:, 13, :3], rows[:, 14, :3] = right * wide, -up * high, -back


@lru_cache(maxsize=64)
def _mount(camera: Camera) -> Array:
    """Return axes, position, and both slopes with the focal length of a camera (5, 3)."""
    optics = (camera.width / 2 / camera.focal_px, camera.height / 2 / camera.focal_px, camera.focal_px)
    return np.concatenate([camera.axes, [camera.position], [optics]])


class DrawPass:
    """Draws images with buffers that are reused between calls; the device's context must be current."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._framebuffers: dict[tuple[int, int], Framebuffer] = {}
        self._blocks = device.context.buffer(reserve=_BLOCK_BYTES)
        self._commands = device.context.buffer(reserve=4096)

    def draw(
        self, scenes: Sequence[SceneBuffers], views: Views, width: int, height: int, with_depth: bool
    ) -> Framebuffer:
        """Draw one image (height, width) of each scene from its view, with its depths if `with_depth`."""
        blocks = np.stack([scene.constants for scene in scenes])
        fill_blocks(blocks, views)
        self._blocks = self._with_values(self._blocks, blocks)
        draws = _visible_commands(scenes, views)
        self._commands = self._with_values(self._commands, np.concatenate(draws))
        framebuffer = self._framebuffer(width, height)
        framebuffer.prepare(len(scenes))
        self._set_state()
        first = 0
        for index, scene in enumerate(scenes):
            framebuffer.clear()
            self._blocks.bind_to_uniform_block(VIEW_BINDING, index * _BLOCK_BYTES, _BLOCK_BYTES)
            standing, ground = draws[2 * index : 2 * index + 2]
            self._draw_scene(scene, first, standing, ground)
            first += len(standing) + len(ground)
            if scene.has_rain:
                self._draw_rain()
            framebuffer.store(index, with_depth)
        return framebuffer

    def close(self) -> None:
        """Free everything; further calls do nothing."""
        while self._framebuffers:
            self._framebuffers.popitem()[1].release()
        self._blocks.release()
        self._commands.release()

    def _draw_scene(
        self, scene: SceneBuffers, first: int, standing: NDArray[np.uint32], ground: NDArray[np.uint32]
    ) -> None:
        """Draw the tiles of `standing` and `ground`, whose commands are at `first` in the buffer, and the sky."""
        scene.standing_layers.use(0)
        self._draw_tiles(scene.standing_array, standing, first)
        scene.ground_layers.use(0)
        scene.shadows.use(1)
        self._draw_tiles(scene.ground_array, ground, first + len(standing))
        scene.clouds.use(0)
        self._device.sky.render(vertices=3)

    def _draw_tiles(self, array: moderngl.VertexArray, commands: NDArray[np.uint32], first: int) -> None:
        """Draw tiles by their commands (T, 5), which are at `first` in the buffer: all at once or one by one."""
        if not self._device.draws_indirectly:
            for count, _, start, _, _ in commands.tolist():
                array.render(vertices=count, first=start)
        elif len(commands):
            array.render_indirect(self._commands, count=len(commands), first=first)

    def _draw_rain(self) -> None:
        """Draw rain streaks over the image without changing the classes."""
        context = self._device.context
        context.enable_only(moderngl.BLEND)
        factors = (moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ZERO, moderngl.ONE)
        context.blend_func = factors  # type: ignore[assignment] # the stubs know two factors, the library four
        self._device.rain.render(vertices=3)
        self._set_state()

    def _set_state(self) -> None:
        """Enable the depth test and the culling of back faces."""
        context = self._device.context
        context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        context.depth_func = "<="
        context.front_face = "cw"  # images are upside down

    def _framebuffer(self, width: int, height: int) -> Framebuffer:
        """Return a framebuffer of a size; the last few are kept."""
        size = (width, height)
        framebuffer = self._framebuffers.pop(size, None) or Framebuffer(self._device.context, width, height)
        self._framebuffers[size] = framebuffer  # the most recent one is last
        if len(self._framebuffers) > _MAX_FRAMEBUFFERS:
            self._framebuffers.pop(next(iter(self._framebuffers))).release()
        return framebuffer

    def _with_values(
        self, buffer: moderngl.Buffer, values: NDArray[np.float32] | NDArray[np.uint32]
    ) -> moderngl.Buffer:
        """Write `values` into the buffer, or into a larger one that replaces it; return the buffer."""
        if buffer.size < values.nbytes:
            buffer.release()
            buffer = self._device.context.buffer(reserve=2 * values.nbytes, dynamic=True)
        buffer.write(values)
        return buffer


def _visible_commands(scenes: Sequence[SceneBuffers], views: Views) -> list[NDArray[np.uint32]]:
    """Return draw commands for the visible tiles, nearest first: for each scene its standing tiles and its ground."""
    draws = []
    for scene, planes, eye, focal_px in zip(scenes, views.planes, views.eyes, views.focal_px.tolist(), strict=True):
        visible = visible_boxes(scene.boxes, planes, eye, draw_distances(focal_px, float(eye[2])))
        stands = visible < scene.standing
        draws += [scene.commands[visible[stands]], scene.commands[visible[~stands]]]
    return draws


class OpenGLRenderer:
    """Renderer with its own OpenGL context; a forked process opens another one."""

    name = "opengl"

    def __init__(self) -> None:
        """Open an OpenGL context.

        Raises:
            ConfigError: If no context is available.
        """
        self._scenes: dict[int, Scene] = {}
        self._counts: dict[int, int] = {}
        self._buffers: dict[int, SceneBuffers] = {}
        self._device = Device()
        self._draw_pass: DrawPass | None = None

    @property
    def device_name(self) -> str:
        """Name of the device by its driver, for instance "llvmpipe (LLVM 15.0.6, 256 bits)"."""
        return self._device.name

    def add(self, scene: Scene) -> None:
        """Add a scene, see `Renderer.add`."""
        key = id(scene)  # unique while the scene is kept
        self._scenes[key] = scene
        self._counts[key] = self._counts.get(key, 0) + 1
        with self._current():
            self._scene_buffers(scene)

    def remove(self, scene: Scene) -> None:
        """Remove a scene, see `Renderer.remove`."""
        key = id(scene)
        self._counts[key] -= 1
        if self._counts[key] == 0:
            del self._counts[key], self._scenes[key]
            with self._current():
                if key in self._buffers:
                    self._buffers.pop(key).release()

    def render(self, requests: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw images, see `Renderer.render`."""
        height, width = common_size(requests)
        with self._current():
            pixels = self._draw(requests, width, height, with_depth=False).colours(len(requests))
        images = cv2.cvtColor(pixels.reshape(len(requests) * height, width, 4), cv2.COLOR_RGBA2RGB)
        return np.asarray(images, np.uint8).reshape(len(requests), height, width, 3)

    def render_buffers(self, requests: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw images with depth and classes, see `Renderer.render_buffers`."""
        height, width = common_size(requests)
        with self._current():
            framebuffer = self._draw(requests, width, height, with_depth=True)
            pixels, depth_buffer = framebuffer.colours(len(requests)), framebuffer.depths(len(requests)).astype(float)
        depth = FAR * NEAR / (FAR - depth_buffer * (FAR - NEAR))
        depth[pixels[..., 3] == SemanticClass.SKY] = np.inf
        return RenderBuffers(pixels[..., :3].copy(), depth.astype(np.float32), pixels[..., 3].copy())

    def close(self) -> None:
        """Free everything; further calls do nothing."""
        self._scenes.clear()
        self._counts.clear()
        if self._device.is_open and self._device.process == os.getpid():
            with self._device.context:
                self._release()
            self._device.close()

    def _draw(self, requests: Sequence[RenderRequest], width: int, height: int, with_depth: bool) -> Framebuffer:
        """Draw requests of one size."""
        scenes = [self._scene_buffers(self._scenes[id(request.scene)]) for request in requests]
        if self._draw_pass is None:
            self._draw_pass = DrawPass(self._device)
        return self._draw_pass.draw(scenes, views_of(requests), width, height, with_depth)

    def _scene_buffers(self, scene: Scene) -> SceneBuffers:
        """Return the scene's buffers on the device; upload them if they are missing."""
        key = id(scene)
        if key not in self._buffers:
            self._buffers[key] = SceneBuffers(scene, self._device)
        return self._buffers[key]

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Make the context current, because other renderers have theirs; open one if this process has none."""
        if not self._device.is_open or self._device.process != os.getpid():
            self._buffers.clear()  # buffers and the old context belong to the process before the fork
            self._draw_pass = None
            self._device = Device()
        with self._device.context:
            yield

    def _release(self) -> None:
        """Free all resources on the device."""
        while self._buffers:
            self._buffers.popitem()[1].release()
        if self._draw_pass is not None:
            self._draw_pass.close()
            self._draw_pass = None
