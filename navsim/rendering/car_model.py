"""Mesh of the driven car for windows and films: body, glass, roof, wheels, lights and a shadow, built in code.

Vehicle frame: x forward, y left, z up [m], the origin on the ground below the car's centre.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.world.vehicle import VehicleSpec

Rgba = tuple[float, float, float, float]

BODY: Rgba = (0.15, 0.42, 0.86, 1.0)
"""Colour of the body, which neither the town nor the fan has."""
GLASS: Rgba = (0.09, 0.11, 0.14, 1.0)
TYRE: Rgba = (0.06, 0.06, 0.07, 1.0)
RIM: Rgba = (0.72, 0.74, 0.78, 1.0)
HEADLIGHT: Rgba = (1.0, 0.98, 0.86, 1.0)
TAIL_LIGHT: Rgba = (0.85, 0.05, 0.05, 1.0)
SHADOW: Rgba = (0.0, 0.0, 0.0, 0.4)

WHEEL_RADIUS = 0.32
"""Radius of the tyres [m]."""
_SHADOW_HEIGHT = 0.035

# Side view, x over half the length and z over the height, counter-clockwise.
_BODY_SIDE = ((-0.96, 0.14), (0.94, 0.14), (1.0, 0.26), (0.98, 0.46), (0.48, 0.6), (-0.86, 0.62), (-1.0, 0.52))
_GLASS_BASE = (-0.84, 0.44, 0.6, 0.45)
_GLASS_TOP = (-0.66, 0.1, 0.95, 0.38)
_ROOF_TOP = (-0.62, 0.06, 1.0, 0.35)


@dataclass(frozen=True, eq=False)
class CarPart:
    """Solid part of the car in one colour."""

    vertices: Array
    """Corners (V, 3) [m]."""
    triangles: NDArray[np.int64]
    """Indices into `vertices` (F, 3), counter-clockwise from outside."""
    colour: Rgba
    """Red, green, blue and opacity in [0, 1]."""


def car_parts(spec: VehicleSpec) -> tuple[CarPart, ...]:
    """Build the parts of a car with the dimensions of `spec`."""
    half, tall, wide = spec.length / 2, spec.height, spec.width
    side = np.array([(half * x, tall * z) for x, z in _BODY_SIDE])
    body = loft(_upright(side, wide / 2), _upright(side, -wide / 2), BODY)
    base, top, roof = (
        _level(half * rear, half * front, wide * across, tall * z)
        for rear, front, z, across in (_GLASS_BASE, _GLASS_TOP, _ROOF_TOP)
    )
    shadow = _level(-1.06 * half, 1.06 * half, 0.56 * wide, _SHADOW_HEIGHT)
    lamps = (
        (half * 0.975, HEADLIGHT, 0.37),
        (-half * 0.965, TAIL_LIGHT, 0.45),
    )
    return (
        body,
        loft(base, top, GLASS),
        loft(top, roof, BODY),
        *(_lamp(x, sign * wide * 0.36, tall * z, colour) for x, colour, z in lamps for sign in (1, -1)),
        *_wheels(spec),
        loft(shadow, shadow - [0.0, 0.0, 0.005], SHADOW),
    )


def loft(first: Array, second: Array, colour: Rgba) -> CarPart:
    """Return the closed solid between two convex rings (N, 3) [m] with corresponding corners."""
    count = len(first)
    current = np.arange(count)
    following = np.roll(current, -1)
    sides = np.concatenate(
        [
            np.stack([current, following, current + count], axis=1),
            np.stack([following, following + count, current + count], axis=1),
        ]
    )
    cap = np.stack([np.zeros(count - 2, int), current[1:-1], current[2:]], axis=1)
    triangles = np.concatenate([sides, cap[:, ::-1], cap + count])
    vertices = np.concatenate([first, second])
    corners = vertices[triangles] - vertices.mean(axis=0)  # (F, 3, 3)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    return CarPart(vertices, triangles if volume >= 0 else triangles[:, ::-1], colour)


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


def _lamp(x: float, y: float, z: float, colour: Rgba) -> CarPart:
    """Return a lamp: a small block that protrudes from the body."""
    return loft(_level(x - 0.09, x + 0.09, 0.19, z, y), _level(x - 0.09, x + 0.09, 0.19, z + 0.13, y), colour)


def _upright(side: Array, y: float) -> Array:
    """Return corners (N, 3) in the vertical plane at `y` from (x, z) (N, 2) [m]."""
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
