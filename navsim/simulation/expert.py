"""The expert that labels the data: it follows the middle of the route's lane by the true state.

Feedforward of the path's curvature a little ahead, for the steering takes time, plus the feedback of pure pursuit
(Coulter, CMU-RI-TR-92-01) linearised about the path: the circle through a point at the lookahead distance has
curvature -2 (offset + lookahead sin(heading error)) / lookahead^2 relative to the path, a damping ratio of 0.71. Pure
pursuit of the path itself would cut corners by the square of the lookahead; this may look far ahead, so that commands
are smooth and depend little on small errors of whoever learns them.
"""

import math
from dataclasses import dataclass

import numpy as np

from navsim.drivers.drivers import Decision
from navsim.errors import ConfigError
from navsim.geometry import Polyline
from navsim.roads.routing import Progress, Route
from navsim.world.vehicle import VehicleSpec, VehicleState


@dataclass(frozen=True)
class ExpertSpec:
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

    def __init__(self, spec: ExpertSpec, vehicle: VehicleSpec) -> None:
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


def lane_curvature(spec: ExpertSpec, vehicle: VehicleSpec, path: Polyline, progress: Progress, speed: float) -> float:
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
