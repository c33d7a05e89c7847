"""Pinhole cameras fixed to the car.

Vehicle frame: x forward, y left, z up [m], its origin on the ground below the car's centre. Pixels: x to
the right, y downwards, row 0 at the top, the first pixel's centre at (0.5, 0.5).

Named sets of cameras: the source's three, PilotNet's one, and the demo's small one.

The sources give the sizes of the pictures; where the cameras sit and how wide they see is not known of them and is
our choice.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from navsim.errors import ConfigError
from navsim.geometry import Array, Pose


@dataclass(frozen=True)
class Camera:
    """A camera's size, view and place on the car."""

    name: str = "front"
    """Name shown in panels and recorded with the data."""
    width: int = 128
    """Image width [px]."""
    height: int = 48
    """Image height [px]."""
    fov_deg: float = 115.0
    """Horizontal field of view [deg], above 0 and below 170."""
    position: tuple[float, float, float] = (0.4, 0.0, 1.4)
    """Optical centre in the vehicle frame (forward, left, up) [m]."""
    yaw_deg: float = 0.0
    """Turn to the left [deg]."""
    pitch_deg: float = -8.0
    """Tilt upwards [deg]; negative looks down."""

    def __post_init__(self) -> None:
        if not 8 <= self.width <= 4096 or not 8 <= self.height <= 4096:
            raise ConfigError(
                f"camera {self.name!r}: width and height must be 8 to 4096 px, got {self.width}x{self.height}"
            )
        if not 0 < self.fov_deg < 170:
            raise ConfigError(f"camera {self.name!r}: fov_deg must lie between 0 and 170, got {self.fov_deg}")
        if not -80 <= self.pitch_deg <= 80:
            raise ConfigError(f"camera {self.name!r}: pitch_deg must lie between -80 and 80, got {self.pitch_deg}")

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
        """Rows: the camera's right, up and backward unit vectors in the vehicle frame (3, 3)."""
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
        """Return clip-from-eye matrix (4, 4) in OpenGL's convention for depths from `near` to `far` [m]."""
        x = 2 * self.focal_px / self.width
        y = 2 * self.focal_px / self.height
        a, b = -(far + near) / (far - near), -2 * far * near / (far - near)
        return np.array([[x, 0, 0, 0], [0, y, 0, 0], [0, 0, a, b], [0, 0, -1, 0]])

    def project(self, points: ArrayLike) -> tuple[Array, Array]:
        """Project points of the vehicle frame into the image.

        Args:
            points: (N, 3) [m].

        Returns:
            pixels (N, 2) as (x, y), meaningful where depth is positive, and depth (N,) [m] along the optical axis.
        """
        right, up, backward = ((np.asarray(points, dtype=float) - np.array(self.position)) @ self.axes.T).T
        depth = -backward
        safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        pixels = np.stack(
            [self.width / 2 + self.focal_px * right / safe, self.height / 2 - self.focal_px * up / safe], axis=-1
        )
        return pixels, depth

    def unproject(self, depth: ArrayLike) -> Array:
        """Return where what every pixel shows is: the inverse of `project` at the pixels' centres.

        Args:
            depth: (..., H, W) [m] along the optical axis, of this camera's height and width.

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
    """Which cameras a car carries."""

    OWN = "own"
    """Those given one by one."""
    DEMO = "demo"
    """One front camera, 128x48 pixels: little to learn from, quick to learn."""
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
"""The cameras of each rig, all of one size."""
