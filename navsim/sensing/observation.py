"""Observation: the sensor data of one time step; the true state is `navsim.world.vehicle.VehicleState`.

Positions come from GPS, movements from odometry.

The measured pose comes from GPS and compass with drift: first-order Gauss-Markov errors, as in a city. Each error e
follows de = -e / tau dt + noise with stationary standard deviation sigma, so that
E[e(t) e(t + s)] = sigma^2 exp(-s / tau). A network can average white noise out, but not this drift.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from navsim.config import Constrained
from navsim.geometry import Array, Pose, wrap_angle
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import CarriedMap

Image = NDArray[np.uint8]


class OdometryStep(NamedTuple):
    """A movement in the frame of its initial pose, as wheel encoders and a gyroscope measure it."""

    forward: float
    """Distance forward [m]."""
    left: float
    """Distance to the left [m]."""
    turn: float
    """Change of heading, counter-clockwise [rad]."""
    seconds: float = 0.0
    """Duration of the movement [s]."""

    @property
    def distance(self) -> float:
        """Length of the straight path [m]."""
        return float(np.hypot(self.forward, self.left))


NO_MOVEMENT = OdometryStep(0.0, 0.0, 0.0)
"""Odometry of a car that stands."""


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
    lost_after: Annotated[float, Ge(0)] | None = None
    """Time after which the fixes end [s]; 0 leaves the one at the start, None keeps all."""

    def _error_prefix(self) -> str:
        return "gps."


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
    """Measured position and heading, with drifting errors; without a new fix the last one."""
    cameras: tuple[Camera, ...] = ()
    """Camera of each image as specified, without the errors of its mounting."""
    gps_spec: GpsSpec | None = None
    """Sizes of the errors of `gps`, as the receiver reports them; None without a new fix."""
    odometry: OdometryStep = NO_MOVEMENT
    """Movement since the last observation, with errors."""
    carried_map: CarriedMap | None = None
    """Map from which both patches were cut, for patches at other poses; None in replays."""

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


class GpsSensor:
    """GPS and compass of one drive."""

    has_fix = True
    """Whether the last measurement was a fix."""

    def __init__(self, spec: GpsSpec, rng: np.random.Generator) -> None:
        """Draw the initial errors from their stationary distribution.

        Args:
            spec: Sizes and correlation times of the errors.
            rng: Random generator of the sensor's noise, for the sensor alone.
        """
        self._rng = rng
        self._sigmas = np.array([spec.position_sigma, spec.position_sigma, np.radians(spec.heading_sigma_deg)])
        self._times = np.array([spec.position_time, spec.position_time, spec.heading_time])
        self._white, self._lost_after, self._time = spec.white_sigma, spec.lost_after, 0.0
        self._last: Pose | None = None
        self._errors: Array = rng.normal(size=3) * self._sigmas  # (3,): east, north, heading

    def measure(self, pose: Pose, elapsed: float = 0.0) -> Pose:
        """Advance the errors by `elapsed` [s] and return the measured pose of a car whose true pose is `pose`.

        Once the fixes are lost, the last one is returned.
        """
        self._time += elapsed
        if self._last is not None and self._lost_after is not None and self._time > self._lost_after:
            self.has_fix = False
            return self._last
        decay = np.exp(-elapsed / self._times)
        self._errors = decay * self._errors + self._sigmas * np.sqrt(1 - decay**2) * self._rng.normal(size=3)
        east, north = self._errors[:2] + self._white * self._rng.normal(size=2)
        self._last = Pose(pose.x + float(east), pose.y + float(north), pose.heading + float(self._errors[2]))
        return self._last


@dataclass(frozen=True)
class OdometrySpec(Constrained):
    """Errors of wheel encoders and a gyroscope, as in a road car."""

    scale_sigma: Annotated[float, Ge(0)] = 0.01
    """Standard deviation between drives of the relative error of distance: tyre wear."""
    distance_sigma: Annotated[float, Ge(0)] = 0.02
    """Standard deviation of the distance driven over 1 m [m]; grows with the root of the distance."""
    bias_sigma_deg: Annotated[float, Ge(0)] = 0.05
    """Standard deviation between drives of the gyroscope's drift [deg/s]."""
    turn_sigma_deg: Annotated[float, Ge(0)] = 0.2
    """Standard deviation of the heading after 1 m [deg]; grows with the root of the distance."""

    def _error_prefix(self) -> str:
        return "odometry."


class Odometer:
    """The odometry of one drive, reading by reading."""

    def __init__(self, spec: OdometrySpec, rng: np.random.Generator) -> None:
        """Draw the errors that stay constant over the drive.

        Args:
            spec: Errors of the odometry.
            rng: Generator of the errors; owned by the odometer from here on.
        """
        self._spec, self._rng = spec, rng
        self._scale = 1 + spec.scale_sigma * rng.normal()
        self._bias = np.radians(spec.bias_sigma_deg) * rng.normal()
        self._last: tuple[Pose, float] | None = None

    def read(self, pose: Pose, time: float) -> OdometryStep:
        """Return the movement since the last reading, with errors; no movement at the first reading.

        Args:
            pose: True pose of the car.
            time: Time since the start [s].
        """
        start, since = self._last or (pose, time)
        self._last = pose, time
        forward, left = start.to_vehicle(pose.position[None])[0].tolist()
        root, draws = np.sqrt(np.hypot(forward, left)), self._rng.normal(size=2)
        turn = float(wrap_angle(pose.heading - start.heading))
        turn += self._bias * (time - since) + np.radians(self._spec.turn_sigma_deg) * root * draws[1]
        forward = self._scale * forward + self._spec.distance_sigma * root * draws[0]
        return OdometryStep(float(forward), float(self._scale * left), float(turn), time - since)
