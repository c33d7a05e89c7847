"""Draws shots of scenes that are on the device into a canvas, all in one pass."""

from collections.abc import Sequence

import moderngl
import numpy as np
from numpy.typing import NDArray

from navsim.rendering.opengl.canvas import Canvas
from navsim.rendering.opengl.device import SHOT_BINDING, Device
from navsim.rendering.opengl.shaders import SHOT_FLOATS
from navsim.rendering.opengl.upload import Uploaded
from navsim.rendering.opengl.views import Views, fill_blocks
from navsim.rendering.tiles import boxes_in_view, reaches

_BLOCK_BYTES = 4 * SHOT_FLOATS
_KEPT_CANVASES = 4


class Painter:
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
        """A canvas of a size; the ones used before are kept, up to a few."""
        size = (width, height)
        canvas = self._canvases.pop(size, None) or Canvas(self._device.context, width, height)
        self._canvases[size] = canvas  # the latest comes last
        if len(self._canvases) > _KEPT_CANVASES:
            self._canvases.pop(next(iter(self._canvases))).release()
        return canvas

    def _written(self, buffer: moderngl.Buffer, values: NDArray[np.float32] | NDArray[np.uint32]) -> moderngl.Buffer:
        """A buffer that holds `values`: the one given, or a larger one in its place."""
        if buffer.size < values.nbytes:
            buffer.release()
            buffer = self._device.context.buffer(reserve=2 * values.nbytes, dynamic=True)
        buffer.write(values)
        return buffer


def _visible(scenes: Sequence[Uploaded], views: Views) -> list[NDArray[np.uint32]]:
    """Commands for the tiles that each view may see, the nearest first: for each scene standing ones and the ground."""
    draws = []
    for scene, planes, eye, focal_px in zip(scenes, views.planes, views.eyes, views.focal_px.tolist(), strict=True):
        seen = boxes_in_view(scene.boxes, planes, eye, reaches(focal_px, float(eye[2])))
        stands = seen < scene.standing
        draws += [scene.commands[seen[stands]], scene.commands[seen[~stands]]]
    return draws
