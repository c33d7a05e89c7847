"""The choice of who draws the pictures."""

import logging
from typing import Literal, get_args

from navsim.errors import ConfigError
from navsim.rendering.interface import Renderer
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.rendering.tiny import TinyRenderer

RendererName = Literal["auto", "opengl", "tiny"]

_log = logging.getLogger(__name__)


def make_renderer(name: str = "auto") -> Renderer:
    """Start a renderer and log which one and why.

    Args:
        name: "opengl" for ModernGL, "tiny" for PyBullet's CPU renderer; "auto" for OpenGL where it works, else tiny.

    Raises:
        ConfigError: If there is no renderer of that name, or OpenGL is asked for and does not work here.
    """
    if name not in get_args(RendererName):
        raise ConfigError(f"unknown renderer {name!r}: use 'auto', 'opengl' or 'tiny'")
    reason = "asked for"
    if name != "tiny":
        try:
            renderer = OpenGLRenderer()
        except ConfigError as error:
            if name == "opengl":
                raise
            reason = f"auto: {error}"
        else:
            _log.info(
                "renderer: opengl on %s; %s", renderer.device_name, "auto: it works" if name == "auto" else reason
            )
            return renderer
    _log.info("renderer: tiny (PyBullet on the CPU); %s", reason)
    return TinyRenderer()
