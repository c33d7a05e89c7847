"""Renderer interface: requests, image buffers, and the protocol of all renderers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.sensing.camera import Camera
from navsim.world.scenery.scene import Scene


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """Scene, camera and pose of one image."""

    scene: Scene
    """Scene to draw; it must have been added to the renderer."""
    camera: Camera
    """Camera on the car; the car itself is not drawn."""
    pose: Pose
    """Pose of the car."""


@dataclass(frozen=True, eq=False)
class RenderBuffers:
    """Colour, depth and semantic class of each pixel of N images."""

    colour: NDArray[np.uint8]
    """RGB images (N, H, W, 3)."""
    depth: NDArray[np.float32]
    """Distance along the optical axis (N, H, W) [m]; infinite in the sky."""
    semantic: NDArray[np.uint8]
    """Semantic class (N, H, W), see `navsim.world.scenery.meshes.SemanticClass`."""


class Renderer(Protocol):
    """Draws scenes through the cameras of cars. The same request always gives the same pixels."""

    @property
    def name(self) -> str:
        """Name of the renderer, recorded with the data, for instance "tiny"."""
        ...

    def add(self, scene: Scene) -> None:
        """Add a scene, or count it once more."""
        ...

    def remove(self, scene: Scene) -> None:
        """Remove a scene once; it is freed after as many removals as additions."""
        ...

    def render(self, requests: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw any number of images in one call.

        Args:
            requests: One or more requests with cameras of the same size (H, W) and scenes that were added.

        Returns:
            New RGB images (N, H, W, 3).

        Raises:
            ConfigError: If `requests` is empty, or the cameras' sizes differ.
            KeyError: If a scene was not added.
        """
        ...

    def render_buffers(self, requests: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw as `render` does and return the depth and class of every pixel too."""
        ...

    def close(self) -> None:
        """Free everything; further calls do nothing."""
        ...


def common_size(requests: Sequence[RenderRequest]) -> tuple[int, int]:
    """Return the height and width [px] of all requests.

    Raises:
        ConfigError: If `requests` is empty, or the sizes differ.
    """
    sizes = {(request.camera.height, request.camera.width) for request in requests}
    if len(sizes) != 1:
        raise ConfigError(f"cameras drawn together must all have one size, got {sorted(sizes)}")
    return sizes.pop()
