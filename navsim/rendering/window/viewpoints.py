"""Viewpoints of the window's camera: behind the car, on its hood, or above it."""

import math
from enum import StrEnum

from navsim.geometry import Pose

Point = tuple[float, float, float]

SLOPE = 1.0
"""Half the height of the window's image at distance 1: PyBullet has a vertical field of view of 90 degrees."""


class Viewpoint(StrEnum):
    """Viewpoint of the window's camera."""

    CHASE = "chase"
    """From behind and above."""
    HOOD = "hood"
    """From above the hood."""
    TOP = "top"
    """From high above, with the heading upwards."""

    @property
    def following(self) -> "Viewpoint":
        """The next viewpoint, cyclically."""
        views = list(Viewpoint)
        return views[(views.index(self) + 1) % len(views)]


MOUNTS: dict[Viewpoint, tuple[Point, Point]] = {
    Viewpoint.CHASE: ((-6.2, 0.0, 4.3), (4.6, 0.0, 0.0)),
    Viewpoint.HOOD: ((0.55, 0.0, 1.45), (10.0, 0.0, -0.1)),
    Viewpoint.TOP: ((5.98, 0.0, 20.0), (6.0, 0.0, 0.0)),
}
"""Eye and target of each view in the vehicle frame (forward, left, up) [m]."""


def eye_and_target(view: Viewpoint, pose: Pose) -> tuple[Point, Point]:
    """Return the camera's eye and target in the world [m] for a car at `pose`."""
    eye, target = MOUNTS[view]
    return _to_world(pose, eye), _to_world(pose, target)


def heading_and_pitch(eye: Point, target: Point) -> tuple[float, float]:
    """Return the heading and downward pitch [rad] of a camera at `eye` directed at `target`."""
    dx, dy, dz = (b - a for a, b in zip(eye, target, strict=True))
    return math.atan2(dy, dx), math.atan2(-dz, math.hypot(dx, dy))


def _to_world(pose: Pose, point: Point) -> Point:
    x, y = pose.to_world([point[:2]])[0]
    return float(x), float(y), point[2]
