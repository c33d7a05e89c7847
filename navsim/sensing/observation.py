"""Observation: the sensor data of one time step; the true state is `navsim.world.vehicle.VehicleState`.

Positions come from GPS, movements from odometry. The measured pose comes from GPS and compass with drift: first-order
Gauss-Markov errors, as in a city. Each error e follows de = -e / tau dt + noise with stationary standard deviation
sigma, so that E[e(t) e(t + s)] = sigma^2 exp(-s / tau). A network can average white noise out, but not this drift.
Deployment adds faults: late commands, black or old images, a missing camera, a wrong speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Array, Pose, wrap_angle
from navsim.roads.elements import DrivingSide
from navsim.sensing.camera import Camera, CameraNoise, mirrored_images, with_noise
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
    side: DrivingSide = DrivingSide.RIGHT
    """Side of the road on which traffic drives."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3:
            raise ValueError(f"images must be (C, H, W, 3), got {self.images.shape}")
        if self.road_map.shape != self.route_map.shape or self.road_map.ndim != 2:
            raise ValueError(f"both maps must be (S, S), got {self.road_map.shape} and {self.route_map.shape}")


def right_hand_observation(observation: Observation) -> Observation:
    """Return what networks learn from and drive by: where traffic keeps left, the mirror image of images and maps.

    Poses, odometry and the carried map stay those of the town.

    Raises:
        ConfigError: If the cameras are not placed symmetrically.
    """
    if observation.side is DrivingSide.RIGHT:
        return observation
    return replace(
        observation,
        images=mirrored_images(observation.images, observation.cameras),
        road_map=np.ascontiguousarray(observation.road_map[..., ::-1]),
        route_map=np.ascontiguousarray(observation.route_map[..., ::-1]),
        side=DrivingSide.RIGHT,
    )


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
        self._rng, self.spec = rng, spec
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


ANY_CAMERA = "any"
"""Name that stands for a camera drawn for each drive."""


@dataclass(frozen=True)
class DeploymentFaults(Constrained):
    """Faults between the car and its driver; none by default. They are not recorded."""

    latency_steps: Annotated[int, Ge(0), Le(10)] = 0
    """Control steps from a decision to its execution; the car goes straight until the first one is executed."""
    dropped_frames: Annotated[float, Ge(0), Le(1)] = 0.0
    """Probability in each control step that all images are black."""
    frozen_frames: Annotated[float, Ge(0), Le(1)] = 0.0
    """Probability in each control step that the driver sees the images of the step before again."""
    missing_camera: str | None = None
    """Name of a camera whose images are black; "any" draws one of the car's cameras for each drive."""
    speed_error: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Relative error of the speed that the driver sees, too high or too low for a whole drive."""
    speed_sigma: Annotated[float, Ge(0), Le(20)] = 0.0
    """Standard deviation of the independent error of each speed [m/s]."""

    def check_cameras(self, cameras: Sequence[Camera]) -> None:
        """Raise ConfigError if the missing camera is not one of the car's."""
        names = [*(camera.name for camera in cameras), ANY_CAMERA]
        if self.missing_camera not in (None, *names):
            raise ConfigError(f"faults.missing_camera must be one of {', '.join(names)}, got {self.missing_camera!r}")

    def _error_prefix(self) -> str:
        return "faults."


class FaultySensors:
    """Images and speed of one drive as its driver sees them, step by step."""

    def __init__(self, faults: DeploymentFaults, cameras: Sequence[Camera], rng: np.random.Generator) -> None:
        """Draw the faults that stay the same over the drive; no draw depends on the size of another fault.

        Args:
            faults: Faults of the drive.
            cameras: Cameras of the car, in the order of the images.
            rng: Random generator of the faults, for the drive alone.
        """
        self._faults, self._rng = faults, rng
        names, drawn = [camera.name for camera in cameras], int(rng.integers(len(cameras)))
        self._missing = names.index(faults.missing_camera) if faults.missing_camera in names else drawn
        self._scale = 1 + faults.speed_error * float(rng.choice([-1.0, 1.0]))
        self._last: Image | None = None

    def deliver(self, images: Image, speed: float) -> tuple[Image, float]:
        """Return images and speed [m/s] of a control step as the driver sees them; once for each step.

        Args:
            images: Images of the cameras (C, H, W, 3) uint8, not changed.
            speed: True speed of the car [m/s].
        """
        (dropped, frozen), noise = self._rng.random(2).tolist(), float(self._rng.normal())
        seen = images
        if dropped < self._faults.dropped_frames:
            seen = np.zeros_like(images)
        elif frozen < self._faults.frozen_frames and self._last is not None:
            seen = self._last.copy()
        elif self._faults.missing_camera is not None:
            seen = images.copy()
            seen[self._missing] = 0
        if self._faults.frozen_frames:
            self._last = seen.copy()  # what was handed out may be changed
        return seen, speed * self._scale + self._faults.speed_sigma * noise


@dataclass(frozen=True, eq=False)
class CarSensors:
    """All sensors of one drive, step by step."""

    cameras: tuple[Camera, ...]
    """Cameras as specified, in the order of the images."""
    camera_noise: CameraNoise
    """Noise of the images."""
    pixels: np.random.Generator
    """Random generator of that noise."""
    gps: GpsSensor
    """GPS and compass of the drive."""
    odometer: Odometer
    """Odometry of the drive."""
    carried_map: CarriedMap
    """Map that the car carries."""
    faults: FaultySensors
    """Faults between the sensors and the driver."""
    side: DrivingSide = DrivingSide.RIGHT
    """Side of the road on which traffic drives."""

    def sense(self, images: Image, pose: Pose, speed: float, time: float, elapsed: float) -> Observation:
        """Return what the driver sees; once for each control step. Map patches lie around the position fix.

        Args:
            images: Images of the cameras (C, H, W, 3) uint8, without noise.
            pose: True pose of the car.
            speed: True speed of the car [m/s].
            time: Time since the start [s].
            elapsed: Time since the last control step [s].
        """
        fix = self.gps.measure(pose, elapsed)
        seen, shown_speed = self.faults.deliver(with_noise(images, self.camera_noise, self.pixels), speed)
        return Observation(
            seen,
            *self.carried_map.patches(fix),
            speed=shown_speed,
            gps=fix,
            cameras=self.cameras,
            gps_spec=self.gps.spec if self.gps.has_fix else None,
            odometry=self.odometer.read(pose, time),
            carried_map=self.carried_map,
            side=self.side,
        )
