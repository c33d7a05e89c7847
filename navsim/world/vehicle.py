"""The car: its measures, its state, and the forces that tyres and springs exert on its chassis.

Vehicle frame: x forward, y left, z up [m], the origin on the ground below the car's centre. Angles and
curvature are positive to the left. The force law runs in plain floats: it is called every few milliseconds
of simulated time and numpy's overhead on four wheels would cost more than the physics.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.world.bullet import BodyMotion, BoxShape, Vector

GRAVITY = 9.81
"""[m/s^2]."""

CREEP_SPEED = 1.0
"""Below this speed [m/s] slip is measured against it: slip angles have no meaning at standstill."""


@dataclass(frozen=True)
class VehicleSpec:
    """Measures and limits of a small car with four driven wheels, steered in front; neutral in curves."""

    length: float = 4.2
    """[m]."""
    width: float = 1.6
    """Over the tyres [m]."""
    height: float = 1.5
    """[m]."""
    wheelbase: float = 2.6
    """Front to rear axle [m]; the centre of mass lies halfway."""
    track: float = 1.4
    """Left to right tyre centre [m]."""
    mass: float = 1300.0
    """[kg]."""
    centre_height: float = 0.5
    """Height of the centre of mass above the ground [m]."""
    friction: float = 0.9
    """Largest tyre force over load at the rear."""
    front_friction: float = 0.82
    """The same at the front; lower, so that a car beyond its grip runs wide instead of spinning."""
    cornering_stiffness: float = 14.0
    """Side force over load per slip angle, at small slip [1/rad]."""
    ride_frequency: float = 2.2
    """Of the body on its springs [Hz]."""
    damping_ratio: float = 0.5
    """Of that motion."""
    max_wheel_angle_deg: float = 35.0
    """Largest steering angle of the front wheels [deg]."""
    wheel_rate_deg: float = 70.0
    """How fast that angle can change [deg/s]."""
    steering_lag: float = 0.05
    """Time constant with which that angle approaches what is commanded, where the rate does not bound it [s]."""
    max_curvature: float = 0.2
    """Largest path curvature that may be commanded [1/m]."""
    max_acceleration: float = 3.0
    """What the engine can do [m/s^2]."""
    max_braking: float = 6.0
    """What the brakes can do [m/s^2]."""
    speed_gain: float = 4.0
    """Acceleration asked for per speed error [1/s]."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"vehicle: {name} must be above 0, got {value}")
        reach = self.curvature(math.radians(self.max_wheel_angle_deg))
        if self.max_curvature > reach:
            raise ConfigError(
                f"vehicle: max_curvature {self.max_curvature} is beyond the {reach:.3f} 1/m that "
                f"max_wheel_angle_deg {self.max_wheel_angle_deg} allows"
            )

    def turned_wheels(self, angle: float, goal: float, elapsed: float) -> float:
        """Return front wheel angle [rad] after `elapsed` [s] of turning from `angle` towards `goal` [rad].

        The actuator is of first order with a bounded rate.
        """
        reach = math.radians(self.wheel_rate_deg) * elapsed
        wanted = (goal - angle) * -math.expm1(-elapsed / self.steering_lag)
        return angle + min(max(wanted, -reach), reach)

    def wheel_angle(self, curvature: float) -> float:
        """Return the front wheel angle [rad], within limits, for a `curvature` [1/m] of the centre's path."""
        slip = math.asin(min(max(curvature * self.wheelbase / 2, -0.99), 0.99))
        limit = math.radians(self.max_wheel_angle_deg)
        return min(max(math.atan(2 * math.tan(slip)), -limit), limit)

    def curvature(self, wheel_angle: float) -> float:
        """Return path curvature [1/m] of the car's centre at `wheel_angle` [rad] without slip."""
        return math.sin(math.atan(math.tan(wheel_angle) / 2)) / (self.wheelbase / 2)

    def sideslip(self, curvature: float) -> float:
        """Return angle [rad] from the heading to the course of a car whose centre follows a path of `curvature` [1/m].

        The centre, halfway between the axles, moves at that angle to the heading while the car turns.
        """
        return math.atan(self.wheelbase / 2 * curvature)

    def acceleration(self, speed: float, target_speed: float) -> float:
        """Return acceleration [m/s^2] that engine or brakes are asked for at `speed` to reach `target_speed` [m/s]."""
        return min(max(self.speed_gain * (target_speed - speed), -self.max_braking), self.max_acceleration)

    @cached_property
    def suspension(self) -> tuple[float, float, float]:
        """Of one wheel: load at rest [N], stiffness of the spring [N/m], and of the damper [N s/m]."""
        omega = 2 * math.pi * self.ride_frequency
        return self.mass * GRAVITY / 4, self.mass / 4 * omega**2, self.mass / 2 * omega * self.damping_ratio

    @cached_property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """Wheel positions (forward, left) [m] in the vehicle frame, the front ones first."""
        x, y = self.wheelbase / 2, self.track / 2
        return ((x, y), (x, -y), (-x, y), (-x, -y))

    @property
    def inertia(self) -> Vector:
        """Principal moments of a box of the car's size and mass [kg m^2]."""
        x, y, z = self.length**2, self.width**2, self.height**2
        return (self.mass * (y + z) / 12, self.mass * (x + z) / 12, self.mass * (x + y) / 12)

    @property
    def boxes(self) -> tuple[BoxShape, ...]:
        """Body and wheels, about the centre of mass; the wheels reach low enough to strike a kerb."""
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
    """How far cars differ from drive to drive: uniform factors (low, high)."""

    mass: tuple[float, float] = (1.0, 1.0)
    """Of the mass."""
    grip: tuple[float, float] = (1.0, 1.0)
    """Of the tyres' friction; comes on top of the weather's."""

    def __post_init__(self) -> None:
        for name in ("mass", "grip"):
            low, high = getattr(self, name)
            if not 0.2 <= low <= high <= 5.0:
                raise ConfigError(f"vehicle_spread.{name} must be (low, high) within 0.2 to 5, got ({low}, {high})")


def varied_vehicle(spec: VehicleSpec, spread: VehicleSpread, grip: float, rng: np.random.Generator) -> VehicleSpec:
    """Return the car of one drive.

    Args:
        spec: The car as it was built.
        spread: How far cars differ.
        grip: Of the road, as a factor on the tyres' friction; 1 is dry.
        rng: Draws the factors; the same number of draws whatever the spread.
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
    """The truth about the car, for the expert and the metrics only."""

    time: float
    """Since the car was placed [s]."""
    pose: Pose
    """Of the vehicle frame in the world."""
    speed: float
    """Forward, along the heading [m/s]."""
    curvature: float
    """Of the path being driven [1/m]: yaw rate over speed, or what the wheels point at near standstill."""
    yaw_rate: float
    """[rad/s]."""
    lateral_speed: float
    """Of the car's centre, to the left [m/s]."""
    wheel_angle: float
    """Of the front wheels [rad]."""


def vehicle_state(spec: VehicleSpec, motion: BodyMotion, wheel_angle: float, time: float) -> VehicleState:
    """Read the car's state off its chassis."""
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


def tyre_force(grip: float, stiffness: float, forward: float, sideways: float, wanted: float) -> tuple[float, float]:
    """Return force of one tyre on the car, in the wheel's own directions.

    The side force grows with the slip angle and saturates (tanh, a Pacejka curve without its fall); what the
    friction circle then leaves bounds the force along.

    Args:
        grip: Largest force in any direction [N], above 0.
        stiffness: Side force per slip angle, at small slip [N/rad].
        forward: Speed of the contact patch along the wheel [m/s].
        sideways: Speed of the contact patch to the wheel's left [m/s].
        wanted: Force along that engine or brakes ask for [N].

    Returns:
        Force along the wheel and to its left [N], together at most `grip`.
    """
    slip = math.atan(sideways / max(abs(forward), CREEP_SPEED))
    side = -grip * math.tanh(stiffness * slip / grip)
    left_over = math.sqrt(grip * grip - side * side)
    return min(max(wanted, -left_over), left_over), side


def chassis_forces(
    spec: VehicleSpec, motion: BodyMotion, wheel_angle: float, acceleration: float
) -> tuple[Vector, Vector]:
    """Sum what springs and tyres exert on the chassis over flat ground at z = 0.

    Args:
        spec: The car.
        motion: Of its centre of mass.
        wheel_angle: Of the front wheels [rad].
        acceleration: Asked of engine or brakes [m/s^2], shared by the wheels in proportion to their load.

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
        wanted = acceleration * load / GRAVITY
        grip = load * (spec.front_friction if along > 0 else spec.friction)
        push, side = tyre_force(grip, spec.cornering_stiffness * load, ux * dx + uy * dy, uy * dx - ux * dy, wanted)
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
