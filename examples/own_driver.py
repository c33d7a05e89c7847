"""Your own driver, measured by `navsim evaluate --driver examples.own_driver:make`.

It ignores the cameras and steers towards the route on the map at the noisy pose, by pure pursuit. Copy it to start your
own driver: it needs a name, `begin(seed)` and `drive(observation) -> Decision`.
"""

import numpy as np

from navsim.drivers.protocol import Decision
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec

LOOK_AHEAD = 10.0  # distance to the point at which it aims [m]
MAX_CURVATURE = 0.19  # a car accepts commands within -0.2 to 0.2 1/m


class RouteFollower:
    """Steers towards the route's pixels some metres ahead."""

    def __init__(self, map_spec: MapSpec) -> None:
        """Read maps of the size and scale in `map_spec`."""
        self.name = "route-follower"
        self._scale = map_spec.metres_per_pixel
        self._ego = (map_spec.ego_row, (map_spec.size_px - 1) / 2)

    def begin(self, seed: int) -> None:
        """Do nothing: this driver keeps no memory between drives."""

    def drive(self, observation: Observation) -> Decision:
        """Aim at the route's pixels around `LOOK_AHEAD`; go straight on where it sees no route."""
        rows, columns = np.nonzero(observation.route_map > 127)
        forward, left = (self._ego[0] - rows) * self._scale, (self._ego[1] - columns) * self._scale
        distances = np.hypot(forward, left)
        aimed = (np.abs(distances - LOOK_AHEAD) < self._scale) & (forward > 0)
        if not aimed.any():
            return Decision(0.0)
        curvature = 2 * float(left[aimed].mean()) / LOOK_AHEAD**2  # circle through both points
        return Decision(float(np.clip(curvature, -MAX_CURVATURE, MAX_CURVATURE)))


def make(map_spec: MapSpec) -> RouteFollower:
    """Return the driver; called once in each process, with the car's `map_spec`."""
    return RouteFollower(map_spec)
