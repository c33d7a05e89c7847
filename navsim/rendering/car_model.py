"""The car as it looks: body, glass, roof, wheels, lights and a soft shadow, made in code.

Vehicle frame: x forward, y left, z up [m], the origin on the ground below the car's centre.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.world.vehicle import VehicleSpec

Paint = tuple[float, float, float, float]

BODY: Paint = (0.15, 0.42, 0.86, 1.0)
"""Coachwork: a colour that neither the town nor the fan has."""
GLASS: Paint = (0.09, 0.11, 0.14, 1.0)
TYRE: Paint = (0.06, 0.06, 0.07, 1.0)
RIM: Paint = (0.72, 0.74, 0.78, 1.0)
HEADLIGHT: Paint = (1.0, 0.98, 0.86, 1.0)
TAIL_LIGHT: Paint = (0.85, 0.05, 0.05, 1.0)
SHADOW: Paint = (0.0, 0.0, 0.0, 0.4)

WHEEL_RADIUS = 0.32
"""[m]."""
_SHADOW_HEIGHT = 0.035

# Side view, x over half the length and z over the height, counter-clockwise.
_BODY_SIDE = ((-0.96, 0.14), (0.94, 0.14), (1.0, 0.26), (0.98, 0.46), (0.48, 0.6), (-0.86, 0.62), (-1.0, 0.52))
_GLASS_FOOT = (-0.84, 0.44, 0.6, 0.45)
_GLASS_TOP = (-0.66, 0.1, 0.95, 0.38)
_ROOF_TOP = (-0.62, 0.06, 1.0, 0.35)


@dataclass(frozen=True, eq=False)
class CarPart:
    """One solid in one colour."""

    vertices: Array
    """Corners (V, 3) [m]."""
    triangles: NDArray[np.int64]
    """Indices into `vertices` (F, 3), counter-clockwise from outside."""
    paint: Paint
    """Red, green, blue, opacity in [0, 1]."""


def car_parts(spec: VehicleSpec) -> tuple[CarPart, ...]:
    """Build the parts of a car with the measures of `spec`."""
    half, tall, wide = spec.length / 2, spec.height, spec.width
    side = np.array([(half * x, tall * z) for x, z in _BODY_SIDE])
    body = loft(_upright(side, wide / 2), _upright(side, -wide / 2), BODY)
    foot, top, roof = (
        _level(half * rear, half * front, wide * across, tall * z)
        for rear, front, z, across in (_GLASS_FOOT, _GLASS_TOP, _ROOF_TOP)
    )
    shadow = _level(-1.06 * half, 1.06 * half, 0.56 * wide, _SHADOW_HEIGHT)
    lamps = (
        (half * 0.975, HEADLIGHT, 0.37),
        (-half * 0.965, TAIL_LIGHT, 0.45),
    )
    return (
        body,
        loft(foot, top, GLASS),
        loft(top, roof, BODY),
        *(_lamp(x, sign * wide * 0.36, tall * z, paint) for x, paint, z in lamps for sign in (1, -1)),
        *_wheels(spec),
        loft(shadow, shadow - [0.0, 0.0, 0.005], SHADOW),
    )


def loft(first: Array, second: Array, paint: Paint) -> CarPart:
    """Return the solid between two convex rings (N, 3) [m] that match corner by corner, closed at both ends."""
    count = len(first)
    here = np.arange(count)
    there = np.roll(here, -1)
    sides = np.concatenate(
        [np.stack([here, there, here + count], axis=1), np.stack([there, there + count, here + count], axis=1)]
    )
    cap = np.stack([np.zeros(count - 2, int), here[1:-1], here[2:]], axis=1)
    triangles = np.concatenate([sides, cap[:, ::-1], cap + count])
    vertices = np.concatenate([first, second])
    corners = vertices[triangles] - vertices.mean(axis=0)  # (F, 3, 3)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    return CarPart(vertices, triangles if volume >= 0 else triangles[:, ::-1], paint)


def _wheels(spec: VehicleSpec) -> Iterator[CarPart]:
    """Yield four tyres, each with a rim on its outer side."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * WHEEL_RADIUS
    for x in (spec.wheelbase / 2, -spec.wheelbase / 2):
        for sign in (1, -1):
            outer, inner = sign * (spec.width / 2 + 0.03), sign * (spec.width / 2 - 0.2)
            centre = np.array([x, WHEEL_RADIUS])
            tyre, rim = circle + centre, 0.55 * circle + centre
            yield loft(_upright(tyre, inner), _upright(tyre, outer), TYRE)
            yield loft(_upright(rim, outer), _upright(rim, outer + sign * 0.01), RIM)


def _lamp(x: float, y: float, z: float, paint: Paint) -> CarPart:
    """Return a small block that sticks out of the body."""
    return loft(_level(x - 0.09, x + 0.09, 0.19, z, y), _level(x - 0.09, x + 0.09, 0.19, z + 0.13, y), paint)


def _upright(side: Array, y: float) -> Array:
    """Return corners (N, 2) as (x, z) [m] placed in the plane at `y`: (N, 3)."""
    return np.stack([side[:, 0], np.full(len(side), y), side[:, 1]], axis=1)


def _level(rear: float, front: float, half_width: float, z: float, y: float = 0.0) -> Array:
    """Return a horizontal rectangle (4, 3) [m], counter-clockwise from above."""
    return np.array(
        [
            (rear, y - half_width, z),
            (front, y - half_width, z),
            (front, y + half_width, z),
            (rear, y + half_width, z),
        ]
    )
