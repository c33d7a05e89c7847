"""The renderer on OpenGL: many cameras of many scenes in one pass over one framebuffer, read back once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.rendering.interface import RenderBuffers, RenderRequest, common_size
from navsim.rendering.opengl.device import Device
from navsim.rendering.opengl.drawing import Canvas, DrawPass, views_of
from navsim.rendering.opengl.scene_buffers import Uploaded
from navsim.rendering.tiles import FAR, NEAR
from navsim.world.scenery.meshes import SemanticClass
from navsim.world.scenery.scene import Scene


class OpenGLRenderer:
    """Renders with a context of its own; in a process forked after it was made, it opens another one there."""

    name = "opengl"

    def __init__(self) -> None:
        """Open a context.

        Raises:
            ConfigError: If there is none to be had here.
        """
        self._scenes: dict[int, Scene] = {}
        self._counts: dict[int, int] = {}
        self._uploaded: dict[int, Uploaded] = {}
        self._device = Device()
        self._painter: DrawPass | None = None

    @property
    def device_name(self) -> str:
        """What draws, in the driver's words, for instance "llvmpipe (LLVM 15.0.6, 256 bits)"."""
        return self._device.name

    def add(self, scene: Scene) -> None:
        """Take in a scene, see `Renderer.add`."""
        key = id(scene)  # unique while the scene is kept
        self._scenes[key] = scene
        self._counts[key] = self._counts.get(key, 0) + 1
        with self._current():
            self._on_device(scene)

    def remove(self, scene: Scene) -> None:
        """Let go of a scene, see `Renderer.remove`."""
        key = id(scene)
        self._counts[key] -= 1
        if self._counts[key] == 0:
            del self._counts[key], self._scenes[key]
            with self._current():
                if key in self._uploaded:
                    self._uploaded.pop(key).release()

    def render(self, shots: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw pictures, see `Renderer.render`."""
        height, width = common_size(shots)
        with self._current():
            pixels = self._draw(shots, width, height, measured=False).colours(len(shots))
        images = cv2.cvtColor(pixels.reshape(len(shots) * height, width, 4), cv2.COLOR_RGBA2RGB)
        return np.asarray(images, np.uint8).reshape(len(shots), height, width, 3)

    def measure(self, shots: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw pictures with depth and classes, see `Renderer.measure`."""
        height, width = common_size(shots)
        with self._current():
            canvas = self._draw(shots, width, height, measured=True)
            pixels, buffer = canvas.colours(len(shots)), canvas.depths(len(shots)).astype(float)
        depth = FAR * NEAR / (FAR - buffer * (FAR - NEAR))
        depth[pixels[..., 3] == SemanticClass.SKY] = np.inf
        return RenderBuffers(pixels[..., :3].copy(), depth.astype(np.float32), pixels[..., 3].copy())

    def close(self) -> None:
        """Free everything; may be called again."""
        self._scenes.clear()
        self._counts.clear()
        if self._device.is_open and self._device.process == os.getpid():
            with self._device.context:
                self._release()
            self._device.close()

    def _draw(self, shots: Sequence[RenderRequest], width: int, height: int, measured: bool) -> Canvas:
        """Draw shots of one size."""
        scenes = [self._on_device(self._scenes[id(shot.scene)]) for shot in shots]
        if self._painter is None:
            self._painter = DrawPass(self._device)
        return self._painter.draw(scenes, views_of(shots), width, height, measured)

    def _on_device(self, scene: Scene) -> Uploaded:
        """Return the scene's buffers, made where they are missing."""
        key = id(scene)
        if key not in self._uploaded:
            self._uploaded[key] = Uploaded(scene, self._device)
        return self._uploaded[key]

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Make the context current, since other renderers have theirs; open one if this process has none."""
        if not self._device.is_open or self._device.process != os.getpid():
            self._uploaded.clear()  # they belong to the process before the fork, as does the old context
            self._painter = None
            self._device = Device()
        with self._device.context:
            yield

    def _release(self) -> None:
        """Free what is on the device."""
        while self._uploaded:
            self._uploaded.popitem()[1].release()
        if self._painter is not None:
            self._painter.close()
            self._painter = None
