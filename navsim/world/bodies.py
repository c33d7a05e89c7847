"""Plain values that the physics client takes and gives: motions, boxes, light.

World frame: x east, y north, z up [m]. Quaternions are (x, y, z, w).
"""

from dataclasses import dataclass
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Motion(NamedTuple):
    """Where a body's centre of mass is and how it moves, in the world frame."""

    position: Vector
    """Centre of mass [m]."""
    orientation: Quaternion
    """Rotation from the body's to the world's axes."""
    velocity: Vector
    """Of the centre of mass [m/s]."""
    angular_velocity: Vector
    """About the world's axes [rad/s]."""


@dataclass(frozen=True)
class Box:
    """One box of a rigid body, given in the body's frame (origin at its centre of mass)."""

    size: Vector
    """Full edge lengths along x, y, z [m]."""
    centre: Vector
    """Centre [m]."""
    colour: tuple[float, float, float] = (0.8, 0.8, 0.8)
    """Red, green, blue in [0, 1], for what draws it."""


@dataclass(frozen=True)
class Light:
    """One distant light for `BulletClient.picture`; the parts add up to the brightness of a surface."""

    direction: Vector
    """Towards the light."""
    ambient: float = 0.6
    """Share of light that reaches every surface."""
    diffuse: float = 0.35
    """Share that depends on the surface's slope to the light."""
    specular: float = 0.0
    """Share that mirrors the light."""
