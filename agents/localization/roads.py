"""Where cars can be: the lanes of a town as oriented points. N: poses."""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from navsim.errors import TownError
from navsim.geometry import Array, wrap_angle
from navsim.roads.network import RoadNetwork
from navsim.world.vehicle import VehicleSpec

SPACING = 1.0
"""Between the points [m]."""
_METRES_PER_RADIAN = 4.0  # what a wrong heading weighs against a wrong position in the search for the nearest point


@dataclass(frozen=True, eq=False)
class LanePoints:
    """Points in the middle of all lanes and of all ways through junctions, with the heading of a car on its way."""

    poses: Array
    """(M, 3): x, y [m], heading of a car there [rad]; read-only."""
    curvatures: Array
    """Of the lane (M,) [1/m]; read-only."""
    _tree: cKDTree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.poses.flags.writeable = False
        self.curvatures.flags.writeable = False
        object.__setattr__(self, "_tree", cKDTree(_embedded(self.poses)))

    @staticmethod
    def of(network: RoadNetwork, vehicle: VehicleSpec | None = None) -> "LanePoints":
        """The points of a town.

        Args:
            network: Its roads.
            vehicle: Whose heading; None takes the defaults. Its middle follows the lane, so that in a bend it heads
                out of it by its sideslip.

        Raises:
            TownError: If the town has no junction: without one, nothing on its map tells one place from another.
        """
        if not network.connectors:
            raise TownError("this town has no junction, so that nothing on its map tells one place from another")
        paths = [lane.path for lane in network.lanes] + [connector.path for connector in network.connectors]
        driven = vehicle or VehicleSpec()
        poses, curvatures = [], []
        for path in paths:
            at = np.arange(SPACING / 2, path.length, SPACING)
            curvature = path.curvature(at)
            heading = path.heading(at) - [driven.sideslip(value) for value in curvature.tolist()]
            poses.append(np.column_stack([path.position(at), wrap_angle(heading)]))
            curvatures.append(curvature)
        return LanePoints(np.concatenate(poses), np.concatenate(curvatures))

    @property
    def length(self) -> float:
        """Length of all lanes and ways [m]."""
        return len(self.poses) * SPACING

    def apart(self, poses: Array) -> tuple[Array, Array]:
        """How far poses (N, 3) are from the lane that suits them best: distance across it (N,) [m], turn (N,) [rad]."""
        index = self._tree.query(_embedded(poses))[1]
        nearest = self.poses[index]
        gap = poses - nearest
        across = np.cos(nearest[:, 2]) * gap[:, 1] - np.sin(nearest[:, 2]) * gap[:, 0]
        along = np.cos(nearest[:, 2]) * gap[:, 0] + np.sin(nearest[:, 2]) * gap[:, 1]
        beyond = np.maximum(np.abs(along) - SPACING, 0.0)  # past the end of a lane
        bent = self.curvatures[index] * np.clip(along, -SPACING, SPACING)
        return np.hypot(across, beyond), wrap_angle(gap[:, 2] - bent)

    def distance(self, position: Array) -> float:
        """Distance of a position (2,) [m] from the nearest point [m], whatever the direction."""
        return float(np.hypot(*(self.poses[:, :2] - position).T).min())

    def spread(self, count: int, rng: np.random.Generator, across: float = 0.5, turn_deg: float = 3.0) -> Array:
        """Poses (count, 3) evenly over all lanes.

        Args:
            count: How many.
            rng: Draws the first one's place, and the errors.
            across: Standard deviation from the lane's middle [m].
            turn_deg: Standard deviation of the heading [deg].
        """
        index = (np.arange(count) + rng.random()) * len(self.poses) / count
        poses = self.poses[index.astype(int) % len(self.poses)]
        along, left = (index % 1 - 0.5) * SPACING, across * rng.normal(size=count)
        c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
        turn = np.radians(turn_deg) * rng.normal(size=count)
        x, y = poses[:, 0] + c * along - s * left, poses[:, 1] + s * along + c * left
        return np.stack([x, y, wrap_angle(poses[:, 2] + turn)], axis=1)


def _embedded(poses: Array) -> Array:
    """Poses (N, 3) as points (N, 4) between which distance counts heading, too."""
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    return np.column_stack([poses[:, :2], _METRES_PER_RADIAN * c, _METRES_PER_RADIAN * s])
