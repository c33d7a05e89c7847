"""Car: dimensions, state, and the forces of tyres and springs on the chassis.

Vehicle frame: x forward, y left, z up [m], the origin on the ground below the car's centre. Angles and curvature are
positive to the left. The force law uses plain floats, because it runs every few milliseconds of simulated time and
numpy's overhead for four wheels would cost more than the physics.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.world.bullet import BodyMotion, BoxShape, Vector

GRAVITY = 9.81
"""Gravitational acceleration [m/s^2]."""
MIN_SLIP_SPEED = 1.0
"""Smallest speed in the slip angle [m/s], which is not defined at standstill."""

Positive = Annotated[float, Gt(0), Lt(math.inf)]


@dataclass(frozen=True)
class VehicleSpec(Constrained):
    """Dimensions and limits of a small car with four driven wheels and front steering, neutral in curves."""

    length: Positive = 4.2
    """Length of the body [m]."""
    width: Positive = 1.6
    """Width over the tyres [m]."""
    height: Positive = 1.5
    """Height of the roof [m]."""
    wheelbase: Positive = 2.6
    """Distance from front to rear axle [m]; the centre of mass lies halfway."""
    track: Positive = 1.4
    """Distance from left to right tyre centre [m]."""
    mass: Positive = 1300.0
    """Mass of the car [kg]."""
    centre_height: Positive = 0.5
    """Height of the centre of mass above the ground [m]."""
    friction: Positive = 0.9
    """Largest tyre force over load at the rear."""
    front_friction: Positive = 0.82
    """Largest tyre force over load at the front; lower, so that a car beyond its grip understeers."""
    cornering_stiffness: Positive = 14.0
    """Side force over load per slip angle, at small slip [1/rad]."""
    ride_frequency: Positive = 2.2
    """Natural frequency of the body on its springs [Hz]."""
    damping_ratio: Positive = 0.5
    """Damping ratio of the body on its springs."""
    max_wheel_angle_deg: Positive = 35.0
    """Largest steering angle of the front wheels [deg]."""
    wheel_rate_deg: Positive = 70.0
    """Largest rate of the steering angle [deg/s]."""
    steering_lag: Positive = 0.05
    """Time constant of the steering angle towards its command, within the largest rate [s]."""
    max_curvature: Positive = 0.2
    """Largest path curvature of a command [1/m]."""
    max_acceleration: Positive = 3.0
    """Largest acceleration by the engine [m/s^2]."""
    max_braking: Positive = 6.0
    """Largest deceleration by the brakes [m/s^2]."""
    speed_gain: Positive = 4.0
    """Acceleration command per speed error [1/s]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        limit = self.curvature(math.radians(self.max_wheel_angle_deg))
        if self.max_curvature > limit:
            raise ConfigError(
                f"vehicle: max_curvature must be at most {limit:.3f} 1/m for a max_wheel_angle_deg of "
                f"{self.max_wheel_angle_deg}, got {self.max_curvature}"
            )

    def _error_prefix(self) -> str:
        return "vehicle: "

    def next_wheel_angle(self, angle: float, target: float, elapsed: float) -> float:
        """Return the front wheel angle [rad] after `elapsed` [s], from `angle` towards `target` [rad].

        The actuator is of first order with a bounded rate.
        """
        max_change = math.radians(self.wheel_rate_deg) * elapsed
        change = (target - angle) * -math.expm1(-elapsed / self.steering_lag)
        return angle + min(max(change, -max_change), max_change)

    def wheel_angle(self, curvature: float) -> float:
        """Return the front wheel angle [rad], within limits, for a `curvature` [1/m] of the centre's path."""
        slip = math.asin(min(max(curvature * self.wheelbase / 2, -0.99), 0.99))
        limit = math.radians(self.max_wheel_angle_deg)
        return min(max(math.atan(2 * math.tan(slip)), -limit), limit)

    def curvature(self, wheel_angle: float) -> float:
        """Return the path curvature [1/m] of the car's centre at `wheel_angle` [rad] without slip."""
        return math.sin(math.atan(math.tan(wheel_angle) / 2)) / (self.wheelbase / 2)

    def sideslip(self, curvature: float) -> float:
        """Return the angle [rad] from the heading to the direction of motion of the car's centre.

        The centre lies halfway between the axles and follows a path of `curvature` [1/m].
        """
        return math.atan(self.wheelbase / 2 * curvature)

    def acceleration(self, speed: float, target_speed: float) -> float:
        """Return the commanded acceleration [m/s^2] at `speed`, towards `target_speed` [m/s]."""
        return min(max(self.speed_gain * (target_speed - speed), -self.max_braking), self.max_acceleration)

    @cached_property
    def suspension(self) -> tuple[float, float, float]:
        """Load at rest [N], spring stiffness [N/m] and damping [N s/m] of one wheel."""
        omega = 2 * math.pi * self.ride_frequency
        return self.mass * GRAVITY / 4, self.mass / 4 * omega**2, self.mass / 2 * omega * self.damping_ratio

    @cached_property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """Wheel positions (forward, left) in the vehicle frame [m], the front wheels first."""
        x, y = self.wheelbase / 2, self.track / 2
        return ((x, y), (x, -y), (-x, y), (-x, -y))

    @property
    def inertia(self) -> Vector:
        """Principal moments of a box of the car's size and mass [kg m^2]."""
        x, y, z = self.length**2, self.width**2, self.height**2
        return (self.mass * (y + z) / 12, self.mass * (x + z) / 12, self.mass * (x + y) / 12)

    @property
    def boxes(self) -> tuple[BoxShape, ...]:
        """Body and wheels about the centre of mass; the wheels are low enough to hit a kerb."""
        sill, clearance, tyre = 0.25, 0.05, 0.6
        low, drop = sill - self.centre_height, clearance + tyre / 2 - self.centre_height
        body = BoxShape(
            (self.length, self.width, self.height - sill), (0, 0, (low + self.height - self.centre_height) / 2)
        )
        across = self.width - self.track
        x, y = self.wheelbase / 2, self.track / 2
        wheels = [
            BoxShape((tyre, across, tyre), (i * x, j * y, drop), (0.1, 0.1, 0.1)) for i in (1, -1) for j in (1, -1)
        ]
        return (body, *wheels)


@dataclass(frozen=True)
class VehicleSpread:
    """Ranges (low, high) of uniform factors by which cars differ between drives."""

    mass: tuple[float, float] = (1.0, 1.0)
    """Factor on the mass."""
    grip: tuple[float, float] = (1.0, 1.0)
    """Factor on the tyres' friction, multiplied with the factor of the weather."""

    def __post_init__(self) -> None:
        for name in ("mass", "grip"):
            low, high = getattr(self, name)
            if not 0.2 <= low <= high <= 5.0:
                raise ConfigError(f"vehicle_spread.{name} must be (low, high) within 0.2 to 5, got ({low}, {high})")


def varied_vehicle(spec: VehicleSpec, spread: VehicleSpread, grip: float, rng: np.random.Generator) -> VehicleSpec:
    """Return the car of one drive.

    Args:
        spec: Nominal car.
        spread: Ranges of the random factors.
        grip: Factor of the road on the tyres' friction; 1 is dry.
        rng: Random generator of the factors; the number of draws does not depend on the spread.
    """
    mass, tyres = rng.uniform(*spread.mass), grip * rng.uniform(*spread.grip)
    return replace(
        spec,
        mass=spec.mass * float(mass),
        friction=spec.friction * float(tyres),
        front_friction=spec.front_friction * float(tyres),
    )


@dataclass(frozen=True)
class VehicleState:
    """True state of the car, for the expert and the metrics only."""

    time: float
    """Time since the car was placed [s]."""
    pose: Pose
    """Pose of the vehicle frame in the world."""
    speed: float
    """Forward speed along the heading [m/s]."""
    curvature: float
    """Curvature of the driven path [1/m]: yaw rate over speed, or the wheels' curvature near standstill."""
    yaw_rate: float
    """Yaw rate, counter-clockwise [rad/s]."""
    lateral_speed: float
    """Speed of the car's centre to the left [m/s]."""
    wheel_angle: float
    """Steering angle of the front wheels [rad]."""


def vehicle_state(spec: VehicleSpec, motion: BodyMotion, wheel_angle: float, time: float) -> VehicleState:
    """Return the car's state from the motion of its chassis."""
    (x, y, _), (qx, qy, qz, qw), (vx, vy, _), (_, _, yaw_rate) = motion
    heading = math.atan2(2 * (qx * qy + qw * qz), 1 - 2 * (qy * qy + qz * qz))
    c, s = math.cos(heading), math.sin(heading)
    total = math.hypot(vx, vy)
    curvature = yaw_rate / total if total > 0.5 else spec.curvature(wheel_angle)
    return VehicleState(
        time=time,
        pose=Pose(x, y, heading),
        speed=c * vx + s * vy,
        curvature=curvature,
        yaw_rate=yaw_rate,
        lateral_speed=c * vy - s * vx,
        wheel_angle=wheel_angle,
    )


def tyre_force(grip: float, stiffness: float, forward: float, sideways: float, drive: float) -> tuple[float, float]:
    """Return the force of one tyre on the car, in the wheel's frame.

    The side force grows with the slip angle and saturates (tanh, a Pacejka curve without its decrease). The friction
    circle then bounds the longitudinal force.

    Args:
        grip: Largest force in any direction [N], above 0.
        stiffness: Side force per slip angle, at small slip [N/rad].
        forward: Speed of the contact patch along the wheel [m/s].
        sideways: Speed of the contact patch to the wheel's left [m/s].
        drive: Longitudinal force commanded by engine or brakes [N].

    Returns:
        Force along the wheel and to its left [N], together at most `grip`.
    """
    slip = math.atan(sideways / max(abs(forward), MIN_SLIP_SPEED))
    side = -grip * math.tanh(stiffness * slip / grip)
    max_drive = math.sqrt(grip * grip - side * side)
    return min(max(drive, -max_drive), max_drive), side


def chassis_forces(
    spec: VehicleSpec, motion: BodyMotion, wheel_angle: float, acceleration: float
) -> tuple[Vector, Vector]:
    """Return the total force and torque of springs and tyres on the chassis, on flat ground at z = 0.

    Args:
        spec: Specification of the car.
        motion: Motion of the car's centre of mass.
        wheel_angle: Steering angle of the front wheels [rad].
        acceleration: Command to engine or brakes [m/s^2], shared by the wheels in proportion to their load.

    Returns:
        Force [N] and torque about the centre of mass [N m], in the world frame.
    """
    (_, _, z), (qx, qy, qz, qw), (vx, vy, vz), (wx, wy, wz) = motion
    forward = (1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy + qw * qz), 2 * (qx * qz - qw * qy))
    left = (2 * (qx * qy - qw * qz), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz + qw * qx))
    flat = math.hypot(forward[0], forward[1]) or 1.0
    c, s = forward[0] / flat, forward[1] / flat
    at_rest, spring, damper = spec.suspension
    fx = fy = fz = tx = ty = tz = 0.0
    for along, across in spec.corners:
        rx, ry = along * forward[0] + across * left[0], along * forward[1] + across * left[1]
        rise = along * forward[2] + across * left[2]
        load = at_rest + spring * (spec.centre_height - z - rise) - damper * (vz + wx * ry - wy * rx)
        if load <= 0:
            continue
        dx, dy = _rolling_direction(spec, c, s, wheel_angle, across) if along > 0 else (c, s)
        ux, uy = vx - wy * z - wz * ry, vy + wz * rx + wx * z  # the contact patch lies z below the centre of mass
        drive = acceleration * load / GRAVITY
        grip = load * (spec.front_friction if along > 0 else spec.friction)
        push, side = tyre_force(grip, spec.cornering_stiffness * load, ux * dx + uy * dy, uy * dx - ux * dy, drive)
        gx, gy = push * dx - side * dy, push * dy + side * dx
        fx, fy, fz = fx + gx, fy + gy, fz + load
        tx, ty, tz = tx + ry * load + z * gy, ty - z * gx - rx * load, tz + rx * gy - ry * gx
    return (fx, fy, fz), (tx, ty, tz)


def _rolling_direction(spec: VehicleSpec, c: float, s: float, wheel_angle: float, across: float) -> tuple[float, float]:
    """Return the direction of a front wheel for a heading with cosine `c` and sine `s`, by Ackermann's geometry."""
    bicycle = math.tan(wheel_angle)
    own = spec.wheelbase * bicycle / (spec.wheelbase - across * bicycle)  # Ackermann
    scale = 1 / math.sqrt(1 + own * own)
    return (c - s * own) * scale, (s + c * own) * scale
