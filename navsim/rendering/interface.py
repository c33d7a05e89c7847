"""What renderers are asked for and what they give: the one interface behind which pictures are drawn."""

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
    """One picture to be taken."""

    scene: Scene
    """What is there; a renderer must have been given it by `add`."""
    camera: Camera
    """Fixed to the car, which is itself left out of the picture."""
    pose: Pose
    """Of the car."""


@dataclass(frozen=True, eq=False)
class RenderBuffers:
    """What a renderer knows of N pictures, pixel by pixel."""

    colour: NDArray[np.uint8]
    """RGB (N, H, W, 3)."""
    depth: NDArray[np.float32]
    """Distance along the optical axis (N, H, W) [m]; infinite where the sky is."""
    semantic: NDArray[np.uint8]
    """Class (N, H, W), see `navsim.world.scenery.meshes.SemanticClass`."""


class Renderer(Protocol):
    """Draws scenes through the cameras of cars. The same shot always gives the same pixels, whatever else is drawn."""

    @property
    def name(self) -> str:
        """Recorded with the data, for instance "tiny"."""
        ...

    def add(self, scene: Scene) -> None:
        """Take in a scene; one that is there already is counted once more."""
        ...

    def remove(self, scene: Scene) -> None:
        """Let go of a scene that was added; it is freed when it was removed as often as it was added."""
        ...

    def render(self, shots: Sequence[RenderRequest]) -> NDArray[np.uint8]:
        """Draw pictures, as many as wanted in one go.

        Args:
            shots: At least one, their cameras all of the same size (H, W), their scenes added before.

        Returns:
            RGB images (N, H, W, 3) of the caller's own.

        Raises:
            ConfigError: If there is no shot, or the cameras' sizes differ.
            KeyError: If a scene was not added.
        """
        ...

    def measure(self, shots: Sequence[RenderRequest]) -> RenderBuffers:
        """Draw as `render` does and tell depth and class of every pixel as well."""
        ...

    def close(self) -> None:
        """Free everything; may be called again."""
        ...


def common_size(shots: Sequence[RenderRequest]) -> tuple[int, int]:
    """Return height and width [px] that all shots share.

    Raises:
        ConfigError: If there is no shot, or their sizes differ.
    """
    sizes = {(shot.camera.height, shot.camera.width) for shot in shots}
    if len(sizes) != 1:
        raise ConfigError(f"cameras drawn together must all have one size, got {sorted(sizes)}")
    return sizes.pop()
