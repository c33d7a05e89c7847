"""What a real camera adds to a clean picture: noise, exposure, blur; and the small errors with which it is mounted.

Noise is applied where images are consumed, never recorded: it defeats compression, and a recording would freeze one
draw of it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image


@dataclass(frozen=True)
class CameraNoise:
    """How a camera spoils its pictures; 0 turns a part off."""

    variance: float = 0.0
    """Of the Gaussian noise of each pixel and colour, for colours in [0, 1]; 0.1 to 0.3 is the range of Lechner et
    al. (Neural circuit policies, 2020)."""
    exposure: float = 0.0
    """Standard deviation of the logarithm of the factor on all colours; one draw for all cameras of a moment."""
    blur_px: float = 0.0
    """Standard deviation of the Gaussian blur [px]."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 20:
                raise ConfigError(f"camera_noise.{name} must be 0 to 20, got {value}")

    @property
    def is_clean(self) -> bool:
        """Whether pictures stay as they are."""
        return self == CameraNoise()


@dataclass(frozen=True)
class MountError:
    """How far cameras sit from where they should: one draw for each camera and drive."""

    angle_sigma_deg: float = 0.0
    """Standard deviation of yaw and of pitch [deg]."""
    position_sigma: float = 0.0
    """Standard deviation along each axis [m]."""

    def __post_init__(self) -> None:
        if not (0 <= self.angle_sigma_deg <= 10 and 0 <= self.position_sigma <= 0.5):
            raise ConfigError(
                "mount_error needs angle_sigma_deg of 0 to 10 and position_sigma of 0 to 0.5, "
                f"got {self.angle_sigma_deg} and {self.position_sigma}"
            )


def with_noise(images: Image, noise: CameraNoise, rng: np.random.Generator) -> Image:
    """Spoil the pictures of one moment.

    Args:
        images: Clean pictures (C, H, W, 3) uint8; not changed.
        noise: How.
        rng: Source of the draws.

    Returns:
        Pictures of the same shape; the given ones if there is nothing to do.
    """
    if noise.is_clean:
        return images
    spoiled = images
    if noise.blur_px:
        spoiled = np.stack([cv2.GaussianBlur(image, (0, 0), noise.blur_px) for image in spoiled]).astype(np.uint8)
    gain = float(np.exp(noise.exposure * rng.normal()))
    values = spoiled.astype(np.float32) * np.float32(gain)
    if noise.variance:
        sigma = np.float32(255 * np.sqrt(noise.variance))
        values += sigma * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def with_mount_error(camera: Camera, error: MountError, rng: np.random.Generator) -> Camera:
    """The camera as it was really mounted; the same draws whatever the size of the error."""
    yaw, pitch, *shift = rng.normal(size=5).tolist()
    x, y, z = (float(value + error.position_sigma * draw) for value, draw in zip(camera.position, shift, strict=True))
    return replace(
        camera,
        position=(x, y, z),
        yaw_deg=camera.yaw_deg + error.angle_sigma_deg * yaw,
        pitch_deg=float(np.clip(camera.pitch_deg + error.angle_sigma_deg * pitch, -80.0, 80.0)),
    )
