"""The framebuffer that pictures are drawn into, one after the other, and the buffers that collect them.

Every picture is drawn at the same place: where in a large framebuffer it stood would show in the rounding of its
colours. The pictures wait on the device and are read back together.

Where shots look from, as the numbers that the programs and the culling need.

Draws shots of scenes that are on the device into a canvas, all in one pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import moderngl
import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.rendering.interface import RenderRequest
from navsim.rendering.opengl.device import SHOT_BINDING, SHOT_FLOATS, Device
from navsim.rendering.opengl.scene_buffers import Uploaded
from navsim.rendering.tiles import FAR, NEAR, boxes_in_view, reaches
from navsim.sensing.camera import Camera

_BYTES = 4
"""Of a pixel, in colour and class or in depth."""


class Canvas:
    """Colour, class and depth of pictures of one size."""

    def __init__(self, context: moderngl.Context, width: int, height: int) -> None:
        self._context = context
        self.width, self.height = width, height
        self._colour = context.renderbuffer((width, height), 4)
        self._depth = context.depth_renderbuffer((width, height))
        self._frame = context.framebuffer([self._colour], self._depth)
        self._bytes = _BYTES * width * height
        self._stores = [context.buffer(reserve=self._bytes) for _ in range(2)]

    def prepare(self, count: int) -> None:
        """Make room for `count` pictures, and draw here from now on."""
        if self._stores[0].size < count * self._bytes:
            for store in self._stores:
                store.release()
            self._stores = [self._context.buffer(reserve=count * self._bytes, dynamic=True) for _ in range(2)]
        self._frame.use()

    def begin(self) -> None:
        """Draw on nothing."""
        self._frame.clear()

    def store(self, index: int, measured: bool) -> None:
        """Put the picture that was drawn in its place among the others, with its depths if `measured`."""
        self._frame.read_into(self._stores[0], components=4, write_offset=index * self._bytes)
        if measured:
            offset = index * self._bytes
            self._frame.read_into(self._stores[1], components=1, attachment=-1, dtype="f4", write_offset=offset)

    def colours(self, count: int) -> NDArray[np.uint8]:
        """Return colours and classes of the first pictures (count, height, width, 4)."""
        values = np.empty((count, self.height, self.width, 4), np.uint8)
        self._stores[0].read_into(values, values.nbytes)
        return values

    def depths(self, count: int) -> NDArray[np.float32]:
        """Return depth buffers of the first pictures (count, height, width)."""
        values = np.empty((count, self.height, self.width), np.float32)
        self._stores[1].read_into(values, values.nbytes)
        return values

    def release(self) -> None:
        """Free it."""
        self._frame.release()
        self._colour.release()
        self._depth.release()
        for store in self._stores:
            store.release()


@dataclass(frozen=True, eq=False)
class Views:
    """The eyes of N shots."""

    eyes: Array
    """In the world (N, 3) [m]."""
    axes: Array
    """Right, up and backward unit vectors in the world (N, 3, 3)."""
    sizes: Array
    """Width and height [px] (N, 2)."""
    slopes: Array
    """Half the width and half the height of each picture at depth 1 (N, 2)."""
    focal_px: Array
    """Focal lengths (N,) [px]."""

    @property
    def planes(self) -> Array:
        """The sides of each view volume and its near plane (N, 5, 4), inside where >= 0."""
        right, up, back = (self.axes[:, row] for row in range(3))
        wide, high = self.slopes[:, :1], self.slopes[:, 1:]
        normals = np.stack([right - back * wide, -right - back * wide, up - back * high, -up - back * high, -back], 1)
        offsets = -(normals @ self.eyes[:, :, None])[..., 0]
        offsets[:, 4] -= NEAR
        return np.concatenate([normals, offsets[..., None]], axis=2)


def views_of(shots: Sequence[RenderRequest]) -> Views:
    """Return the eyes of shots."""
    mounts = [_mount(shot.camera) for shot in shots]
    pose = np.array([(shot.pose.x, shot.pose.y, shot.pose.heading) for shot in shots])
    c, s = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    world_from_vehicle = np.zeros((len(shots), 3, 3))
    world_from_vehicle[:, 0, 0], world_from_vehicle[:, 0, 1] = c, -s
    world_from_vehicle[:, 1, 0], world_from_vehicle[:, 1, 1] = s, c
    world_from_vehicle[:, 2, 2] = 1.0
    mount = np.array([mount[:4] for mount in mounts])  # (N, 4, 3): axes, then position
    turned = mount @ world_from_vehicle.transpose(0, 2, 1)
    eyes = turned[:, 3]
    eyes[:, :2] += pose[:, :2]
    lens = np.array([mount[4] for mount in mounts])
    return Views(eyes, turned[:, :3], lens[:, :2] * 2 * lens[:, 2:], lens[:, :2], lens[:, 2])


def fill_blocks(blocks: NDArray[np.float32], views: Views) -> None:
    """Write what depends on the view into the shots' blocks (N, SHOT_FLOATS); upside down."""
    a, b = (FAR + NEAR) / (FAR - NEAR), 2 * FAR * NEAR / (FAR - NEAR)
    right, up, back = (views.axes[:, row] for row in range(3))
    wide, high = views.slopes[:, :1], views.slopes[:, 1:]
    rows = blocks.reshape(len(blocks), -1, 4)
    # The matrix goes column by column: entry [c, r] is row r of column c.
    rows[:, :3, 0], rows[:, :3, 1] = right / wide, -up / high
    rows[:, :3, 2], rows[:, :3, 3] = -a * back, -back
    rows[:, 3, 2] = -b
    rows[:, 4, :3] = views.eyes
    rows[:, 15, :2] = views.sizes
    rows[:, 15, 3] = np.modf(views.eyes[:, :2] @ (0.37, 0.73))[0]
    rows[:, 12, :3], rows[:, 13, :3], rows[:, 14, :3] = right * wide, -up * high, -back


@lru_cache(maxsize=64)
def _mount(camera: Camera) -> Array:
    """Return axes, position, then both slopes and the focal length of a camera (5, 3)."""
    lens = (camera.width / 2 / camera.focal_px, camera.height / 2 / camera.focal_px, camera.focal_px)
    return np.concatenate([camera.axes, [camera.position], [lens]])


_BLOCK_BYTES = 4 * SHOT_FLOATS
_KEPT_CANVASES = 4


class DrawPass:
    """Holds the buffers and canvases that one picture leaves to the next; the device's context must be current."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._canvases: dict[tuple[int, int], Canvas] = {}
        self._blocks = device.context.buffer(reserve=_BLOCK_BYTES)
        self._commands = device.context.buffer(reserve=4096)

    def draw(self, scenes: Sequence[Uploaded], views: Views, width: int, height: int, measured: bool) -> Canvas:
        """Draw one picture (height, width) of each scene, from its view, with its depths if `measured`."""
        blocks = np.stack([scene.constants for scene in scenes])
        fill_blocks(blocks, views)
        self._blocks = self._written(self._blocks, blocks)
        draws = _visible(scenes, views)
        self._commands = self._written(self._commands, np.concatenate(draws))
        canvas = self._canvas(width, height)
        canvas.prepare(len(scenes))
        self._set_up()
        first = 0
        for index, scene in enumerate(scenes):
            canvas.begin()
            self._blocks.bind_to_uniform_block(SHOT_BINDING, index * _BLOCK_BYTES, _BLOCK_BYTES)
            standing, ground = len(draws[2 * index]), len(draws[2 * index + 1])
            self._draw_scene(scene, first, standing, ground)
            first += standing + ground
            if scene.rains:
                self._let_it_rain()
            canvas.store(index, measured)
        return canvas

    def close(self) -> None:
        """Free everything; may be called again."""
        while self._canvases:
            self._canvases.popitem()[1].release()
        self._blocks.release()
        self._commands.release()

    def _draw_scene(self, scene: Uploaded, first: int, standing: int, ground: int) -> None:
        """Draw `standing` and `ground` tiles from the `first` command on, and the sky where nothing else is."""
        if standing:
            scene.standing_layers.use(0)
            scene.standing_array.render_indirect(self._commands, count=standing, first=first)
        if ground:
            scene.ground_layers.use(0)
            scene.shadows.use(1)
            scene.ground_array.render_indirect(self._commands, count=ground, first=first + standing)
        scene.clouds.use(0)
        self._device.sky.render(vertices=3)

    def _let_it_rain(self) -> None:
        """Draw streaks over the picture; the classes stay."""
        context = self._device.context
        context.enable_only(moderngl.BLEND)
        factors = (moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ZERO, moderngl.ONE)
        context.blend_func = factors  # type: ignore[assignment] # the stubs know two factors, the library four
        self._device.rain.render(vertices=3)
        self._set_up()

    def _set_up(self) -> None:
        """Hide what is behind, and what is seen from behind."""
        context = self._device.context
        context.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        context.depth_func = "<="
        context.front_face = "cw"  # upside down

    def _canvas(self, width: int, height: int) -> Canvas:
        """Return a canvas of a size; the ones used before are kept, up to a few."""
        size = (width, height)
        canvas = self._canvases.pop(size, None) or Canvas(self._device.context, width, height)
        self._canvases[size] = canvas  # the latest comes last
        if len(self._canvases) > _KEPT_CANVASES:
            self._canvases.pop(next(iter(self._canvases))).release()
        return canvas

    def _written(self, buffer: moderngl.Buffer, values: NDArray[np.float32] | NDArray[np.uint32]) -> moderngl.Buffer:
        """Return a buffer that holds `values`: the one given, or a larger one in its place."""
        if buffer.size < values.nbytes:
            buffer.release()
            buffer = self._device.context.buffer(reserve=2 * values.nbytes, dynamic=True)
        buffer.write(values)
        return buffer


def _visible(scenes: Sequence[Uploaded], views: Views) -> list[NDArray[np.uint32]]:
    """Return draw commands for the visible tiles, nearest first: for each scene its standing tiles and its ground."""
    draws = []
    for scene, planes, eye, focal_px in zip(scenes, views.planes, views.eyes, views.focal_px.tolist(), strict=True):
        seen = boxes_in_view(scene.boxes, planes, eye, reaches(focal_px, float(eye[2])))
        stands = seen < scene.standing
        draws += [scene.commands[seen[stands]], scene.commands[seen[~stands]]]
    return draws
