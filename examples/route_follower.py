"""A driver of one's own, measured by `python scripts/evaluate.py --driver examples.route_follower:make`.

It does not look at the cameras: it steers towards the route as the map shows it at the noisy pose, by pure pursuit.
Copy it to begin a driver of your own: a name, `begin(seed)` and `drive(observation) -> Decision` are all it takes.
"""

import numpy as np

from navsim.drivers.protocol import Decision
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec

AHEAD = 10.0  # how far ahead it aims [m]
SHARPEST = 0.19  # a car takes commands within -0.2 to 0.2 1/m


class RouteFollower:
    """Steers for the route's pixels some metres ahead."""

    def __init__(self, map_spec: MapSpec) -> None:
        """Follow routes drawn as `map_spec` says."""
        self.name = "route-follower"
        self._scale = map_spec.metres_per_pixel
        self._ego = (map_spec.ego_row, (map_spec.size_px - 1) / 2)

    def begin(self, seed: int) -> None:
        """Nothing is remembered from drive to drive."""

    def drive(self, observation: Observation) -> Decision:
        """Aim at the route's pixels around `AHEAD`; straight on where there are none."""
        rows, columns = np.nonzero(observation.route_map > 127)
        forward, left = (self._ego[0] - rows) * self._scale, (self._ego[1] - columns) * self._scale
        distances = np.hypot(forward, left)
        aimed = (np.abs(distances - AHEAD) < self._scale) & (forward > 0)
        if not aimed.any():
            return Decision(0.0)
        curvature = 2 * float(left[aimed].mean()) / AHEAD**2  # of the circle from here, heading on, to there
        return Decision(float(np.clip(curvature, -SHARPEST, SHARPEST)))


def make(map_spec: MapSpec) -> RouteFollower:
    """What `--driver` names: called once in each process, with the car's `cameras` and `map_spec` if it takes them."""
    return RouteFollower(map_spec)
