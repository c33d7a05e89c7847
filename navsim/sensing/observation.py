"""Observation: the sensor data of one time step; the true state is `navsim.world.vehicle.VehicleState`.

The measured pose comes from GPS and compass with drift: first-order Gauss-Markov errors, as in a city. Each error e
follows de = -e / tau dt + noise with stationary standard deviation sigma, so that
E[e(t) e(t + s)] = sigma^2 exp(-s / tau). A network can average white noise out, but not this drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from navsim.config import Constrained
from navsim.geometry import Array, Pose
from navsim.sensing.camera import Camera

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Observation:
    """Camera images, map patches at the measured pose, speed and the measured pose."""

    images: Image
    """Camera images (C, H, W, 3) uint8, RGB, row 0 at the top."""
    road_map: Image
    """Unrouted map (S, S) uint8, heading-up at the measured pose: roads 255, elsewhere 0, edges in between."""
    route_map: Image
    """Route on the same patch (S, S) uint8: route 255, elsewhere 0, edges in between."""
    speed: float
    """Speed of the car [m/s]."""
    gps: Pose
    """Measured position and heading, with drifting errors."""
    cameras: tuple[Camera, ...] = ()
    """Camera of each image as specified, without the errors of its mounting."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3:
            raise ValueError(f"images must be (C, H, W, 3), got {self.images.shape}")
        if self.road_map.shape != self.route_map.shape or self.road_map.ndim != 2:
            raise ValueError(f"both maps must be (S, S), got {self.road_map.shape} and {self.route_map.shape}")


def blank_observation(cameras: Sequence[Camera], map_size_px: int) -> Observation:
    """Return black images of equal size and empty maps (S, S), to warm up a network before time matters."""
    images = np.zeros((len(cameras), cameras[0].height, cameras[0].width, 3), np.uint8)
    patch = np.zeros((map_size_px, map_size_px), np.uint8)
    return Observation(images, patch, patch, 0.0, Pose(0.0, 0.0, 0.0), tuple(cameras))


@dataclass(frozen=True)
class GpsSpec(Constrained):
    """Sizes and correlation times of the errors of GPS and compass."""

    position_sigma: Annotated[float, Ge(0)] = 2.0
    """Stationary standard deviation of the position error, east and north each [m]."""
    position_time: Annotated[float, Gt(0)] = 8.0
    """Correlation time of the position error [s]."""
    heading_sigma_deg: Annotated[float, Ge(0)] = 3.0
    """Stationary standard deviation of the heading error [deg]."""
    heading_time: Annotated[float, Gt(0)] = 8.0
    """Correlation time of the heading error [s]."""
    white_sigma: Annotated[float, Ge(0)] = 0.1
    """Standard deviation of the additional independent error of each fix, east and north [m]."""

    def _error_prefix(self) -> str:
        return "gps."


class GpsSensor:
    """GPS and compass of one drive."""

    def __init__(self, spec: GpsSpec, rng: np.random.Generator) -> None:
        """Draw the initial errors from their stationary distribution.

        Args:
            spec: Sizes and correlation times of the errors.
            rng: Random generator of the sensor's noise, for the sensor alone.
        """
        self._rng = rng
        self._sigmas = np.array([spec.position_sigma, spec.position_sigma, np.radians(spec.heading_sigma_deg)])
        self._times = np.array([spec.position_time, spec.position_time, spec.heading_time])
        self._white = spec.white_sigma
        self._errors: Array = rng.normal(size=3) * self._sigmas  # (3,): east, north, heading

    def measure(self, pose: Pose, elapsed: float = 0.0) -> Pose:
        """Advance the errors by `elapsed` [s] and return the measured pose of a car whose true pose is `pose`."""
        decay = np.exp(-elapsed / self._times)
        self._errors = decay * self._errors + self._sigmas * np.sqrt(1 - decay**2) * self._rng.normal(size=3)
        east, north = self._errors[:2] + self._white * self._rng.normal(size=2)
        return Pose(pose.x + float(east), pose.y + float(north), pose.heading + float(self._errors[2]))
