"""Renderer on OpenGL: many cameras of many scenes in one pass, read back once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from navsim.rendering.interface import RenderBuffers, RenderRequest, common_size
from navsim.rendering.opengl.device import Device
from navsim.rendering.opengl.drawing import DrawPass, Framebuffer, views_of
from navsim.rendering.opengl.scene_buffers import SceneBuffers
from navsim.rendering.tiles import FAR, NEAR
from navsim.world.scenery.meshes import SemanticClass
from navsim.world.scenery.scene import Scene


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
