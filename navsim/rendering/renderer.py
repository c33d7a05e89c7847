"""The choice of who draws the pictures."""

import logging
from typing import Literal

from navsim.errors import ConfigError
from navsim.rendering.shots import Renderer
from navsim.rendering.tiny import TinyRenderer

RendererName = Literal["auto", "opengl", "tiny"]

_log = logging.getLogger(__name__)


def make_renderer(name: str = "auto") -> Renderer:
    """Start a renderer and log which one and why.

    Args:
        name: "opengl" for ModernGL, "tiny" for PyBullet's CPU renderer; "auto" for OpenGL where it works, else tiny.

    Raises:
        ConfigError: If there is no renderer of that name.
    """
    if name not in ("auto", "tiny"):
        raise ConfigError(f"unknown renderer {name!r}: use 'auto' or 'tiny'")
    reason = "asked for" if name == "tiny" else "auto: the only renderer in this version"
    _log.info("renderer: tiny (PyBullet on the CPU); %s", reason)
    return TinyRenderer()
