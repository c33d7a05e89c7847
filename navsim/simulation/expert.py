"""Steering noise in bursts, so that recorded drives hold recoveries from where an expert alone never goes.

Triangular pulses added to the command, as in conditional imitation learning (Codevilla et al., ICRA 2018,
section VI-B); the label stays the expert's own command.

The longitudinal controller's plan: how fast each place of a route may be driven.

The policy steers; speed is the environment's business, as the pedals were the human's in the source.

The expert that labels the data: it follows the middle of the route's lane by the true state.

Feedforward of the path's curvature a little ahead, for the steering takes time, plus the feedback of pure pursuit
(Coulter, CMU-RI-TR-92-01) linearised about the path: the circle through a point at the lookahead distance has
curvature -2 (offset + lookahead sin(heading error)) / lookahead^2 relative to the path, a damping ratio of 0.71. Pure
pursuit of the path itself would cut corners by the square of the lookahead; this may look far ahead, so that commands
are smooth and depend little on small errors of whoever learns them.
"""

import math
from dataclasses import dataclass

import numpy as np

from navsim.drivers.protocol import Decision
from navsim.errors import ConfigError
from navsim.geometry import Array, Polyline
from navsim.roads.routing import Progress, Route
from navsim.world.vehicle import VehicleSpec, VehicleState


@dataclass(frozen=True)
class SteeringNoise:
    """How often, how long and how hard the steering is pulled aside."""

    bursts_per_minute: float = 15.0
    """Mean number of pulses per minute; 0 switches the noise off."""
    duration: tuple[float, float] = (0.3, 1.2)
    """Shortest and longest pulse [s]."""
    lateral_acceleration: float = 9.0
    """Largest peak of a pulse, as lateral acceleration [m/s2], so that it pulls as hard at any speed."""

    def __post_init__(self) -> None:
        low, high = self.duration
        if not 0 < low <= high or not self.bursts_per_minute >= 0 or not self.lateral_acceleration >= 0:
            raise ConfigError(
                "steering noise needs 0 < duration[0] <= duration[1], bursts_per_minute >= 0 and "
                f"lateral_acceleration >= 0, got {self}"
            )


def steering_noise(spec: SteeringNoise, steps: int, control_step: float, rng: np.random.Generator) -> Array:
    """Draw the pulses of one drive.

    Args:
        spec: How often, how long and how hard.
        steps: Number of control steps.
        control_step: Their length [s].
        rng: Source of the draws.

    Returns:
        Lateral acceleration (steps,) [m/s2] to add; divide by the squared speed for curvature.
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
    """Add a pull to a command.

    Args:
        command: The driver's curvature [1/m].
        lateral_acceleration: The pull [m/s2].
        speed: Speed of the car [m/s]; below 3 m/s the pull is taken as at 3 m/s.
        max_curvature: Bound of the sum [1/m].
    """
    return float(np.clip(command + lateral_acceleration / max(speed, 3.0) ** 2, -max_curvature, max_curvature))


def speed_profile(path: Polyline, cruise_speed: float, lateral_acceleration: float, braking: float = 2.0) -> Array:
    """Plan the speed at each vertex of a path.

    Args:
        path: The middle of the lane to drive.
        cruise_speed: Speed on straights [m/s].
        lateral_acceleration: Bound in curves: v^2 |curvature| [m/s^2].
        braking: Deceleration with which slower places are approached [m/s^2].

    Returns:
        Speeds (N,) [m/s] over `path.stations`.
    """
    # A window of about 4 m keeps one sharp vertex from counting as a curve.
    spacing = path.length / (len(path.points) - 1)
    width = max(round(4.0 / spacing), 1)
    padded = np.pad(path.curvatures, (width // 2, width - 1 - width // 2), mode="edge")
    curvature = np.convolve(padded, np.ones(width) / width, mode="valid")
    allowed = np.minimum(cruise_speed, np.sqrt(lateral_acceleration / np.maximum(np.abs(curvature), 1e-6)))
    # Braking at a constant rate keeps v^2 + 2 b s constant: a slower place ahead bounds it from there back.
    energy = allowed**2 + 2 * braking * path.stations
    return np.asarray(np.sqrt(np.minimum.accumulate(energy[::-1])[::-1] - 2 * braking * path.stations))


def curve_speed(curvature: float, lateral_acceleration: float, cruise_speed: float) -> float:
    """Fastest speed [m/s] for a commanded curvature [1/m], at most `cruise_speed`."""
    return min(cruise_speed, float(np.sqrt(lateral_acceleration / max(abs(curvature), 1e-6))))


@dataclass(frozen=True)
class ExpertConfig:
    """How far ahead the expert looks."""

    lookahead_time: float = 0.8
    """Distance over which errors are corrected, over speed [s]."""
    min_lookahead: float = 5.0
    """Least distance over which errors are corrected [m]."""
    preview_time: float = 0.15
    """How far ahead the path's curvature is taken, over speed: the delay of the steering [s]."""

    def __post_init__(self) -> None:
        if not self.lookahead_time >= 0 or not self.min_lookahead > 0 or not self.preview_time >= 0:
            raise ConfigError(
                "the expert needs lookahead_time >= 0, min_lookahead > 0 and preview_time >= 0, "
                f"got {self.lookahead_time}, {self.min_lookahead} and {self.preview_time}"
            )


class LaneExpert:
    """Follows a route by the truth; it sees no image and no map."""

    def __init__(self, spec: ExpertConfig, vehicle: VehicleSpec) -> None:
        """Make an expert for a vehicle, within whose largest curvature its commands stay."""
        self.name = "expert"
        self._spec = spec
        self._vehicle = vehicle
        self._route: Route | None = None
        self._station: float | None = None

    def follow(self, route: Route) -> None:
        """Take up a route from its start."""
        self._route = route
        self._station = None

    def command(self, state: VehicleState) -> Decision:
        """Steer along the route's lane.

        Raises:
            RuntimeError: If no route was taken up.
        """
        if self._route is None:
            raise RuntimeError("the expert has no route yet: call follow(route) first")
        progress = self._route.progress(state.pose, near=self._station)
        self._station = progress.station
        return Decision(lane_curvature(self._spec, self._vehicle, self._route.path, progress, state.speed))


def lane_curvature(spec: ExpertConfig, vehicle: VehicleSpec, path: Polyline, progress: Progress, speed: float) -> float:
    """The expert's law: the curvature [1/m] that leads a car along a path.

    Args:
        spec: How far ahead to look.
        vehicle: The car, within whose largest curvature the command stays.
        path: Middle of the lane to drive [m].
        progress: Where the car is along it.
        speed: How fast the car drives [m/s].
    """
    bend = float(path.curvature(progress.station + spec.preview_time * speed))
    reach = max(spec.lookahead_time * speed, spec.min_lookahead)
    error = progress.offset + reach * math.sin(course_error(vehicle, path, progress))
    limit = vehicle.max_curvature
    return float(np.clip(bend - 2 * error / reach**2, -limit, limit))


def course_error(vehicle: VehicleSpec, path: Polyline, progress: Progress) -> float:
    """The direction in which a car that follows a path's curvature moves, minus that of the path [rad]."""
    return progress.heading_error + vehicle.sideslip(float(path.curvature(progress.station)))
