"""A GL context without a window, and the programs in it."""

import os
from typing import Any

import moderngl

from navsim.errors import ConfigError
from navsim.rendering.opengl import shaders

_HINT = "EGL and a driver are needed: apt-get install libegl1 libgl1-mesa-dri"
_EGL: dict[str, Any] = {"backend": "egl"}
SHOT_BINDING = 0
"""Where the block of a shot is bound."""


class Device:
    """A context and its programs; they belong to the process that made them."""

    def __init__(self) -> None:
        """Open a context.

        Raises:
            ConfigError: If there is none to be had here.
        """
        # Mesa's CPU driver otherwise starts a thread for each core, which gains little and slows other processes down.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        try:
            context = moderngl.create_context(require=330, standalone=True, **_EGL)
        except Exception as error:  # glcontext raises nothing more special
            raise ConfigError(f"no OpenGL context ({' '.join(str(error).split())}); {_HINT}") from error
        self.context = context
        self.name = str(context.info["GL_RENDERER"])
        self.process = os.getpid()
        self.is_open = True
        self.standing = self._program(shaders.SURFACE_VERTEX, shaders.STANDING_FRAGMENT, layers=0)
        self.ground = self._program(shaders.SURFACE_VERTEX, shaders.GROUND_FRAGMENT, layers=0, shadows=1)
        self.sky = context.vertex_array(self._program(shaders.SKY_VERTEX, shaders.SKY_FRAGMENT, cover=0), [])
        self.rain = context.vertex_array(self._program(shaders.RAIN_VERTEX, shaders.RAIN_FRAGMENT), [])

    def _program(self, vertex: str, fragment: str, **units: int) -> moderngl.Program:
        """Compile a program and name the texture units that its samplers read."""
        program = self.context.program(vertex_shader=vertex, fragment_shader=fragment)
        program["Shot"].binding = SHOT_BINDING  # type: ignore[union-attr]
        for name, unit in units.items():
            program[name] = unit
        return program

    def close(self) -> None:
        """Free everything that was not freed before."""
        for part in (self.standing, self.ground, self.sky.program, self.rain.program, self.sky, self.rain):
            part.release()
        self.context.release()
        self.is_open = False
