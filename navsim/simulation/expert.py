"""The expert that labels the data, the speed of cars along a route, and the noise added to the steering.

The expert follows the middle of a lane of the route by the true state. It adds two curvatures:

* That of the path a little ahead, since the steering needs time.
* A correction by pure pursuit (Coulter, CMU-RI-TR-92-01), linearised about the path. The circle through a point at the
  lookahead distance has curvature -2 (offset + lookahead sin(heading error)) / lookahead^2 relative to the path, which
  gives a damping ratio of 0.71.

Pure pursuit of the path itself would cut corners by the square of the lookahead. The correction may look far ahead, so
that commands are smooth and depend little on small errors of the position.

The policy steers. A longitudinal controller holds the speed that `speed_profile` plans for each place of the route.

Steering noise comes in bursts, so that recorded drives show recoveries from places where the expert alone never is:
triangular pulses added to the command, as in conditional imitation learning (Codevilla et al., ICRA 2018, section
VI-B). The label stays the expert's own command.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from navsim.config import Constrained
from navsim.drivers.protocol import Decision
from navsim.errors import ConfigError
from navsim.geometry import Array, Polyline
from navsim.roads.routing import Progress, Route, progress_along
from navsim.world.vehicle import VehicleSpec, VehicleState


@dataclass(frozen=True)
class SteeringNoise(Constrained):
    """Rate, duration and size of the pulses of steering noise."""

    bursts_per_minute: Annotated[float, Ge(0)] = 15.0
    """Mean number of pulses per minute; 0 switches the noise off."""
    duration: tuple[float, float] = (0.3, 1.2)
    """Shortest and longest pulse [s]."""
    lateral_acceleration: Annotated[float, Ge(0)] = 9.0
    """Largest peak of a pulse [m/s^2]. As an acceleration it has the same effect at any speed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.duration
        if not 0 < low <= high:
            raise ConfigError(f"duration must be two times above 0 in ascending order, got {self.duration}")


def steering_noise(spec: SteeringNoise, steps: int, control_step: float, rng: np.random.Generator) -> Array:
    """Draw the pulses of one drive.

    Args:
        spec: Rate, duration and size of the pulses.
        steps: Number of control steps.
        control_step: Length of a control step [s].
        rng: Source of the draws.

    Returns:
        Lateral acceleration (steps,) [m/s^2] to add; divided by the squared speed it is a curvature.
    """
    signal = np.zeros(steps)
    if spec.bursts_per_minute == 0:
        return signal
    times = np.arange(steps) * control_step
    start = 0.0
    while True:
        start += rng.exponential(60.0 / spec.bursts_per_minute)
        if start >= steps * control_step:
            return signal
        duration = rng.uniform(*spec.duration)
        peak = rng.uniform(-1.0, 1.0) * spec.lateral_acceleration
        signal += peak * np.clip(1.0 - np.abs(times - start - duration / 2) / (duration / 2), 0.0, None)
        start += duration


def noisy_command(command: float, lateral_acceleration: float, speed: float, max_curvature: float) -> float:
    """Add steering noise to a command.

    Args:
        command: The driver's curvature [1/m].
        lateral_acceleration: The noise [m/s^2].
        speed: Speed of the car [m/s]; below 3 m/s it counts as 3 m/s.
        max_curvature: Bound of the sum [1/m].
    """
    return float(np.clip(command + lateral_acceleration / max(speed, 3.0) ** 2, -max_curvature, max_curvature))


def speed_profile(path: Polyline, cruise_speed: float, lateral_acceleration: float, braking: float = 2.0) -> Array:
    """Plan the speed at each vertex of a path.

    Args:
        path: Middle of the lane to drive [m].
        cruise_speed: Speed on straights [m/s].
        lateral_acceleration: Bound in curves: v^2 |curvature| [m/s^2].
        braking: Deceleration before slower places [m/s^2].

    Returns:
        Speeds (N,) [m/s] over `path.stations`.
    """
    # A window of about 4 m keeps one sharp vertex from counting as a curve.
    spacing = path.length / (len(path.points) - 1)
    width = max(round(4.0 / spacing), 1)
    padded = np.pad(path.curvatures, (width // 2, width - 1 - width // 2), mode="edge")
    curvature = np.convolve(padded, np.ones(width) / width, mode="valid")
    allowed = np.minimum(cruise_speed, np.sqrt(lateral_acceleration / np.maximum(np.abs(curvature), 1e-6)))
    # Braking at a constant rate keeps v^2 + 2 b s constant, so a slower place ahead bounds it before that place.
    energy = allowed**2 + 2 * braking * path.stations
    return np.asarray(np.sqrt(np.minimum.accumulate(energy[::-1])[::-1] - 2 * braking * path.stations))


def curve_speed(curvature: float, lateral_acceleration: float, cruise_speed: float) -> float:
    """Return the highest speed [m/s] for a commanded curvature [1/m], at most `cruise_speed`."""
    return min(cruise_speed, float(np.sqrt(lateral_acceleration / max(abs(curvature), 1e-6))))


@dataclass(frozen=True)
class ExpertConfig(Constrained):
    """Distances over which the expert looks ahead."""

    lookahead_time: Annotated[float, Ge(0)] = 0.8
    """Time within which errors are corrected [s]."""
    min_lookahead: Annotated[float, Gt(0)] = 5.0
    """Shortest distance over which errors are corrected [m]."""
    preview_time: Annotated[float, Ge(0)] = 0.15
    """Time ahead at which the path's curvature is taken: the delay of the steering [s]."""


LANE_CHANGE_OFFSET = 1.75
"""Distance from the route's own lane beyond which the expert drives in the nearest lane that leads on [m]: half a
lane."""


class LaneExpert:
    """Follows a route by the true state; it sees no image and no map.

    It keeps to the route's own lane. Where the car is in another one, it stays there if that lane leads on along the
    route, and changes to the nearest one that does otherwise.
    """

    def __init__(self, spec: ExpertConfig, vehicle: VehicleSpec) -> None:
        """Make an expert for a vehicle; commands stay within the vehicle's largest curvature."""
        self.name = "expert"
        self._spec = spec
        self._vehicle = vehicle
        self._route: Route | None = None
        self._station: float | None = None

    def follow(self, route: Route) -> None:
        """Start following a route from its start."""
        self._route = route
        self._station = None

    def command(self, state: VehicleState) -> Decision:
        """Steer along the route's lane.

        Raises:
            RuntimeError: Without a route.
        """
        if self._route is None:
            raise RuntimeError("the expert has no route yet: call follow(route) first")
        route, pose = self._route, state.pose
        path, progress = route.path, progress_along(route.path, pose, near=self._station)
        self._station = progress.station
        if abs(progress.offset) > LANE_CHANGE_OFFSET:
            way = route.corridor.way_on((pose.x, pose.y), progress.station)
            if way is not None:
                path, progress = way, progress_along(way, pose)
        return Decision(lane_curvature(self._spec, self._vehicle, path, progress, state.speed))


def lane_curvature(spec: ExpertConfig, vehicle: VehicleSpec, path: Polyline, progress: Progress, speed: float) -> float:
    """Return the expert's command: the curvature [1/m] that leads a car along a path.

    Args:
        spec: Distances over which the expert looks ahead.
        vehicle: The car, whose largest curvature bounds the command.
        path: Middle of the lane to drive [m].
        progress: Place of the car along the path.
        speed: Speed of the car [m/s].
    """
    feedforward = float(path.curvature(progress.station + spec.preview_time * speed))
    reach = max(spec.lookahead_time * speed, spec.min_lookahead)
    error = progress.offset + reach * math.sin(course_error(vehicle, path, progress))
    limit = vehicle.max_curvature
    return float(np.clip(feedforward - 2 * error / reach**2, -limit, limit))


def course_error(vehicle: VehicleSpec, path: Polyline, progress: Progress) -> float:
    """Return the direction of motion of a car that follows a path's curvature, relative to the path [rad]."""
    return progress.heading_error + vehicle.sideslip(float(path.curvature(progress.station)))
