"""Pinhole cameras fixed to the car, rigs (named sets of cameras), and the errors of images and mounts.

Vehicle frame: x forward, y left, z up [m], its origin on the ground below the car's centre. Pixels: x to the right,
y downwards, row 0 at the top, the first pixel's centre at (0.5, 0.5).

Rigs of papers have the papers' image sizes. Mounts and fields of view are our choice, because the papers give none.

Camera noise is applied where images are consumed and never recorded: it defeats compression, and a recording would
freeze one draw. Mount errors are drawn once for each camera and drive, from the drive's seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, TypeVar

import cv2
import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import ArrayLike, NDArray

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Array, Pose

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Camera(Constrained):
    """Image size, field of view and mount of a camera."""

    name: str = "front"
    """Name shown on dashboards and recorded with the data."""
    width: Annotated[int, Ge(8), Le(4096)] = 128
    """Image width [px]."""
    height: Annotated[int, Ge(8), Le(4096)] = 48
    """Image height [px]."""
    fov_deg: Annotated[float, Gt(0), Lt(170)] = 115.0
    """Horizontal field of view [deg]."""
    position: tuple[float, float, float] = (0.4, 0.0, 1.4)
    """Optical centre in the vehicle frame (forward, left, up) [m]."""
    yaw_deg: float = 0.0
    """Rotation to the left [deg]."""
    pitch_deg: Annotated[float, Ge(-80), Le(80)] = -8.0
    """Rotation upwards [deg]; negative points down."""

    def _error_prefix(self) -> str:
        return f"camera {self.name!r}: "

    @property
    def focal_px(self) -> float:
        """Focal length [px], the same in both directions (square pixels)."""
        return self.width / 2 / float(np.tan(np.radians(self.fov_deg) / 2))

    @property
    def intrinsics(self) -> Array:
        """Camera matrix (3, 3) for pixels = K @ (right, down, depth) / depth."""
        return np.array([[self.focal_px, 0, self.width / 2], [0, self.focal_px, self.height / 2], [0, 0, 1]])

    @property
    def axes(self) -> Array:
        """The camera's right, up and backward unit vectors in the vehicle frame, as rows (3, 3)."""
        yaw, pitch = np.radians([self.yaw_deg, self.pitch_deg])
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        return np.stack([right, np.cross(right, forward), -forward])

    @property
    def vehicle_from_camera(self) -> Array:
        """Rigid motion (4, 4) from the camera's frame (right, down, ahead) to the vehicle frame [m]."""
        right, up, backward = self.axes
        motion = np.eye(4)
        motion[:3] = np.column_stack([right, -up, -backward, self.position])
        return motion

    def view_matrix(self, pose: Pose) -> Array:
        """Return the eye-from-world matrix (4, 4) for a car at `pose`, in OpenGL's axes (x right, y up, z backward)."""
        c, s = np.cos(pose.heading), np.sin(pose.heading)
        vehicle_from_world = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        rotation = self.axes @ vehicle_from_world
        eye = np.append(pose.to_world([self.position[:2]])[0], self.position[2])
        view = np.eye(4)
        view[:3, :3] = rotation
        view[:3, 3] = -rotation @ eye
        return view

    def projection_matrix(self, near: float = 0.2, far: float = 400.0) -> Array:
        """Return the clip-from-eye matrix (4, 4) in OpenGL's convention for depths from `near` to `far` [m]."""
        x = 2 * self.focal_px / self.width
        y = 2 * self.focal_px / self.height
        a, b = -(far + near) / (far - near), -2 * far * near / (far - near)
        return np.array([[x, 0, 0, 0], [0, y, 0, 0], [0, 0, a, b], [0, 0, -1, 0]])

    def project(self, points: ArrayLike) -> tuple[Array, Array]:
        """Project points of the vehicle frame into the image.

        Args:
            points: Points (N, 3) [m].

        Returns:
            Pixels (N, 2) as (x, y), valid where the depth is positive, and depths (N,) [m] along the optical axis.
        """
        right, up, backward = ((np.asarray(points, dtype=float) - np.array(self.position)) @ self.axes.T).T
        depth = -backward
        safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        pixels = np.stack(
            [self.width / 2 + self.focal_px * right / safe, self.height / 2 - self.focal_px * up / safe], axis=-1
        )
        return pixels, depth

    def unproject(self, depth: ArrayLike) -> Array:
        """Return the point that each pixel shows, the inverse of `project` at the pixels' centres.

        Args:
            depth: Depths (..., H, W) [m] along the optical axis, of this camera's height and width.

        Returns:
            Points of the vehicle frame (..., H, W, 3) [m]; NaN where the depth is not finite, as in the sky.
        """
        ahead = np.asarray(depth, dtype=float)
        ahead = np.where(np.isfinite(ahead), ahead, np.nan)[..., None]
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal_px
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal_px
        right, up, backward = self.axes
        rays = x[None, :, None] * right - y[:, None, None] * up - backward  # (H, W, 3), of depth 1
        return np.asarray(ahead * rays + np.array(self.position))


class Rig(StrEnum):
    """Named set of cameras."""

    OWN = "own"
    """Cameras given one by one."""
    DEMO = "demo"
    """One front camera, 128x48 pixels: small and fast to train with."""
    PILOTNET = "pilotnet"
    """One front camera, 200x66 pixels (Bojarski et al. 2016, arXiv 1604.07316, figure 4)."""
    AMINI2019 = "amini2019"
    """Front, left and right camera, 200x80 pixels each (Amini et al., ICRA 2019, figure 2)."""


RIGS: dict[Rig, tuple[Camera, ...]] = {
    Rig.DEMO: (Camera(),),
    Rig.PILOTNET: (Camera("front", 200, 66, fov_deg=100.0),),
    Rig.AMINI2019: (
        Camera("front", 200, 80, fov_deg=90.0),
        Camera("left", 200, 80, fov_deg=90.0, yaw_deg=60.0),
        Camera("right", 200, 80, fov_deg=90.0, yaw_deg=-60.0),
    ),
}
"""Cameras of each rig, all of one size."""


@dataclass(frozen=True)
class CameraNoise(Constrained):
    """Noise of camera images; 0 turns a part off."""

    variance: Annotated[float, Ge(0), Le(20)] = 0.0
    """Variance of the Gaussian noise of each pixel and colour, for colours in [0, 1]; Lechner et al. (Neural circuit
    policies, 2020) use 0.1 to 0.3."""
    exposure: Annotated[float, Ge(0), Le(20)] = 0.0
    """Standard deviation of the logarithm of the gain; one draw for all cameras in each time step."""
    blur_px: Annotated[float, Ge(0), Le(20)] = 0.0
    """Standard deviation of the Gaussian blur [px]."""

    @property
    def is_clean(self) -> bool:
        """Whether images stay unchanged."""
        return not (self.variance or self.exposure or self.blur_px)

    def _error_prefix(self) -> str:
        return "camera_noise."


@dataclass(frozen=True)
class MountError(Constrained):
    """Errors of the cameras' mounts, drawn once for each camera and drive."""

    angle_sigma_deg: Annotated[float, Ge(0), Le(10)] = 0.0
    """Standard deviation of yaw and of pitch [deg]."""
    position_sigma: Annotated[float, Ge(0), Le(0.5)] = 0.0
    """Standard deviation of the position along each axis [m]."""

    def _error_prefix(self) -> str:
        return "mount_error."


def mirrored_images(images: NDArray[Value], cameras: Sequence[Camera]) -> NDArray[Value]:
    """Return images (..., C, H, W, 3) of the mirror image of a scene, left and right exchanged.

    Args:
        images: Images of the scene.
        cameras: Camera of each image, C; a camera that looks to the left gets the image of the one to the right.

    Raises:
        ConfigError: If the cameras are not placed symmetrically.
    """
    return np.ascontiguousarray(images[..., _mirrored_order(tuple(cameras)), :, ::-1, :])


@lru_cache(maxsize=16)
def _mirrored_order(cameras: tuple[Camera, ...]) -> list[int]:
    """Return the index of the camera that sees the mirror image of each camera's scene."""
    places = [replace(camera, name="any") for camera in cameras]
    order = []
    for camera in places:
        x, y, z = camera.position
        mirror = replace(camera, position=(x, -y, z), yaw_deg=-camera.yaw_deg)
        if mirror not in places:
            raise ConfigError(
                "policies that learned from traffic that keeps right drive on the left with cameras at mirrored places "
                f"only; none mirrors that at y = {y} m with a yaw of {camera.yaw_deg} deg"
            )
        order.append(places.index(mirror))
    return order


def with_noise(images: NDArray[np.uint8], noise: CameraNoise, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add camera noise to the images of one time step.

    Args:
        images: Clean images (C, H, W, 3) uint8, not changed.
        noise: Sizes of the noise.
        rng: Random generator of the draws.

    Returns:
        Images of the same shape; the given ones if the noise is zero.
    """
    if noise.is_clean:
        return images
    noisy = images
    if noise.blur_px:
        noisy = np.stack([cv2.GaussianBlur(image, (0, 0), noise.blur_px) for image in noisy]).astype(np.uint8)
    gain = float(np.exp(noise.exposure * rng.normal()))
    values = noisy.astype(np.float32) * np.float32(gain)
    if noise.variance:
        sigma = np.float32(255 * np.sqrt(noise.variance))
        values += sigma * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def with_mount_error(camera: Camera, error: MountError, rng: np.random.Generator) -> Camera:
    """Return the camera with the errors of its mount. The number of draws does not depend on the size of the error."""
    yaw, pitch, *shift = rng.normal(size=5).tolist()
    x, y, z = (float(value + error.position_sigma * draw) for value, draw in zip(camera.position, shift, strict=True))
    return replace(
        camera,
        position=(x, y, z),
        yaw_deg=camera.yaw_deg + error.angle_sigma_deg * yaw,
        pitch_deg=float(np.clip(camera.pitch_deg + error.angle_sigma_deg * pitch, -80.0, 80.0)),
    )
