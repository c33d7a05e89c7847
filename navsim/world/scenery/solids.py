"""The simple solids that cars, signs and people are made of."""

import numpy as np
from numpy.typing import ArrayLike

from navsim.geometry import Array
from navsim.world.scenery.meshes import Surface, quads

Rectangle = tuple[float, float, float, float, float]
"""Least and greatest x, half width in y, shift in y, height z [m]."""


def rectangle(rect: Rectangle) -> Array:
    """Corners (4, 3) [m], counter-clockwise from above."""
    x0, x1, half, y, z = rect
    return np.array([[x0, y - half, z], [x1, y - half, z], [x1, y + half, z], [x0, y + half, z]])


def block(lower: Rectangle, upper: Rectangle, paint: int, lid: int | None = None) -> list[Surface]:
    """Four sides from one rectangle up to another, and a lid in a colour of its own if wanted."""
    below, above = rectangle(lower), rectangle(upper)
    ahead, raised = np.roll(below, -1, axis=0), np.roll(above, -1, axis=0)
    sides = quads(np.stack([below, ahead, raised, above], axis=1), paint)
    return [sides] if lid is None else [sides, quads(above[None], lid)]


def panel(corners: ArrayLike, paint: int) -> Surface:
    """One flat convex face (K, 3) [m], counter-clockwise from outside."""
    points = np.asarray(corners, dtype=float)
    fan = np.array([[0, i, i + 1] for i in range(1, len(points) - 1)])
    uv = quads(np.zeros((1, 4, 3)), paint).uv[:1]
    return Surface(points, fan, np.repeat(uv, len(points), axis=0))
