"""The one interface behind which pictures are drawn, and the choice of who draws them."""

import logging
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.rendering.tiny import TinyRenderer
from navsim.sensing.camera import Camera
from navsim.world.scene import Scene

RendererName = Literal["auto", "tiny"]

_log = logging.getLogger(__name__)


class Renderer(Protocol):
    """Draws a scene through the cameras of a car. The same scene, cameras and pose always give the same pixels."""

    @property
    def name(self) -> str:
        """Recorded with the data, for instance "tiny"."""
        ...

    def load(self, scene: Scene) -> None:
        """Take over a scene in place of the one before."""
        ...

    def render(self, cameras: Sequence[Camera], pose: Pose) -> NDArray[np.uint8]:
        """Draw what each camera of a car at `pose` sees; the car itself is left out.

        Args:
            cameras: At least one, all of the same size (H, W).
            pose: Of the car.

        Returns:
            RGB images (C, H, W, 3) of the caller's own.
        """
        ...

    def close(self) -> None:
        """Free everything; may be called again."""
        ...


def make_renderer(name: str = "auto") -> Renderer:
    """Start a renderer and log which one and why.

    Args:
        name: "tiny" for PyBullet's CPU renderer; "auto" for the fastest that works here.

    Raises:
        ConfigError: If there is no renderer of that name.
    """
    if name not in ("auto", "tiny"):
        raise ConfigError(f"unknown renderer {name!r}: use 'auto' or 'tiny'")
    reason = "asked for" if name == "tiny" else "auto: the only renderer in this version"
    _log.info("renderer: tiny (PyBullet on the CPU); %s", reason)
    return TinyRenderer()
