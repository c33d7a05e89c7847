"""Where the window's camera stands: behind the car, on its hood, or above it."""

import math
from enum import StrEnum

from navsim.geometry import Pose

Point = tuple[float, float, float]

SLOPE = 1.0
"""Half the height of the window's picture over the distance to it: PyBullet shows 90 degrees from bottom to top."""


class Viewpoint(StrEnum):
    """Which camera the window shows."""

    CHASE = "chase"
    """From behind and above."""
    HOOD = "hood"
    """From above the hood."""
    TOP = "top"
    """From high above, the heading upwards."""

    @property
    def following(self) -> "Viewpoint":
        """The next one, in a circle."""
        views = list(Viewpoint)
        return views[(views.index(self) + 1) % len(views)]


MOUNTS: dict[Viewpoint, tuple[Point, Point]] = {
    Viewpoint.CHASE: ((-6.2, 0.0, 4.3), (4.6, 0.0, 0.0)),
    Viewpoint.HOOD: ((0.55, 0.0, 1.45), (10.0, 0.0, -0.1)),
    Viewpoint.TOP: ((5.98, 0.0, 20.0), (6.0, 0.0, 0.0)),
}
"""Eye and target of each view in the vehicle frame (forward, left, up) [m]."""


def viewpoint(view: Viewpoint, pose: Pose) -> tuple[Point, Point]:
    """Return eye and target [m] in the world for a car at `pose`."""
    eye, target = MOUNTS[view]
    return _to_world(pose, eye), _to_world(pose, target)


def facing(eye: Point, target: Point) -> tuple[float, float]:
    """Return heading and downward pitch [rad] of a look from `eye` to `target`."""
    dx, dy, dz = (b - a for a, b in zip(eye, target, strict=True))
    return math.atan2(dy, dx), math.atan2(-dz, math.hypot(dx, dy))


def _to_world(pose: Pose, point: Point) -> Point:
    x, y = pose.to_world([point[:2]])[0]
    return float(x), float(y), point[2]
