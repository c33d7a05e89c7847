"""Likelihoods of candidate poses: lanes, map matching and position fixes.

N: poses, C: cameras, H and W: height and width [px].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Gt, Le, Lt
from scipy.spatial import cKDTree

from navsim.config import Constrained
from navsim.errors import TownError
from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.network import RoadNetwork
from navsim.sensing.observation import Image
from navsim.world.vehicle import VehicleSpec

SPACING = 1.0
"""Distance between neighbouring lane points [m]."""
_METRES_PER_RADIAN = 4.0  # weight of the heading in the search for the nearest point


@dataclass(frozen=True, eq=False)
class LanePoints:
    """Points on the centre lines of all lanes and of all paths through junctions, with a car's heading at each."""

    poses: Array
    """Poses of a car at the points (M, 3): x, y [m], heading [rad]; read-only."""
    curvatures: Array
    """Curvatures of the lane at the points (M,) [1/m]; read-only."""
    _tree: cKDTree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.poses.flags.writeable = False
        self.curvatures.flags.writeable = False
        object.__setattr__(self, "_tree", cKDTree(_embedded(self.poses)))

    @staticmethod
    def of(network: RoadNetwork, vehicle: VehicleSpec | None = None) -> "LanePoints":
        """Sample the lanes of a town, as `along` does.

        Raises:
            TownError: If the town has no junction: all places on its map would look alike.
        """
        if not network.connectors:
            raise TownError("this town has no junction, so that all places on its map look alike")
        return LanePoints.along(network.driven_paths, vehicle)

    @staticmethod
    def along(paths: Sequence[Polyline], vehicle: VehicleSpec | None = None) -> "LanePoints":
        """Sample the paths of cars.

        Args:
            paths: Centre lines of lanes and paths through junctions, at least one.
            vehicle: Vehicle whose heading counts; None takes the defaults. Its middle follows the lane, so that in a
                bend its heading differs from the lane's by the sideslip.
        """
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
        """Length of all lanes and paths [m]."""
        return len(self.poses) * SPACING

    def lane_errors(self, poses: Array) -> tuple[Array, Array]:
        """Return the distance across (N,) [m] and the turn (N,) [rad] of poses (N, 3) from the nearest lane in pose."""
        index = self._tree.query(_embedded(poses))[1]
        nearest = self.poses[index]
        gap = poses - nearest
        across = np.cos(nearest[:, 2]) * gap[:, 1] - np.sin(nearest[:, 2]) * gap[:, 0]
        along = np.cos(nearest[:, 2]) * gap[:, 0] + np.sin(nearest[:, 2]) * gap[:, 1]
        beyond = np.maximum(np.abs(along) - SPACING, 0.0)  # past the end of a lane
        bent = self.curvatures[index] * np.clip(along, -SPACING, SPACING)
        return np.hypot(across, beyond), wrap_angle(gap[:, 2] - bent)

    def distance(self, position: Array) -> float:
        """Return the distance of a position (2,) [m] from the nearest point [m], whatever the heading."""
        return float(np.hypot(*(self.poses[:, :2] - position).T).min())

    def sample_poses(self, count: int, rng: np.random.Generator, across: float = 0.5, turn_deg: float = 3.0) -> Array:
        """Sample poses (count, 3) evenly over all lanes.

        Args:
            count: Number of poses.
            rng: Generator for the place of the first pose and for the errors.
            across: Standard deviation from the lane's centre line [m].
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
    """Return poses (N, 3) as points (N, 4) whose distance counts the heading, too."""
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    return np.column_stack([poses[:, :2], _METRES_PER_RADIAN * c, _METRES_PER_RADIAN * s])


@dataclass(frozen=True, eq=False)
class ObservedFrame:
    """Observations of one control step, without odometry and position fix."""

    images: Image
    """Camera images (C, H, W, 3) uint8."""
    speed: float
    """Speed of the car [m/s]."""
    steering: float | None
    """Curvature that the car drives [1/m]; None if it is unknown."""


class Likelihood(Protocol):
    """Likelihood of candidate poses given an observation."""

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Return the log likelihood (N,) [nats], up to a constant, of candidate poses (N, 3)."""
        ...


@dataclass(frozen=True)
class RoadLikelihoodConfig(Constrained):
    """How closely cars follow their lanes."""

    offset_sigma: Annotated[float, Gt(0)] = 0.25
    """Standard deviation from the lane's centre line [m]."""
    turn_sigma_deg: Annotated[float, Gt(0)] = 3.0
    """Standard deviation of the heading from the lane's [deg]."""
    elsewhere: Annotated[float, Gt(0), Lt(1)] = 0.01
    """Lower bound of the likelihood, as a share of its peak."""


class RoadLikelihood:
    """Map matching without a network: cars follow lanes, in their direction."""

    def __init__(self, config: RoadLikelihoodConfig, lanes: LanePoints) -> None:
        """Match to the lanes of a town."""
        self._config = config
        self._lanes = lanes

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:  # noqa: ARG002 - needs no images
        """Return the log likelihood (N,) of candidate poses (N, 3)."""
        offset, turn = self._lanes.lane_errors(poses)
        config = self._config
        squared_errors = np.square(offset / config.offset_sigma) + np.square(turn / np.radians(config.turn_sigma_deg))
        floor = config.elsewhere
        return np.asarray(np.log((1 - floor) * np.exp(-squared_errors / 2) + floor))


class PoweredLikelihood:
    """A likelihood to a power below 1, since the errors of consecutive frames are correlated."""

    def __init__(self, likelihood: Likelihood, exponent: float) -> None:
        """Raise `likelihood` to the power `exponent`."""
        self._likelihood = likelihood
        self._exponent = exponent

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Return the log likelihood to the power (N,) of candidate poses (N, 3)."""
        return self._exponent * self._likelihood(frame, poses)


@dataclass(frozen=True, eq=False)
class Fix:
    """A position fix with heading."""

    pose: Array
    """Measured pose (3,): x, y [m], heading [rad]."""
    sigma: float
    """Standard deviation of the position, east and north each [m]."""
    heading_sigma: float
    """Standard deviation of the heading [rad]."""
    correlation: float = 0.0
    """Correlation of the error with that of the last fix used, in [0, 1); 0 without such a fix."""

    @property
    def sigmas(self) -> Array:
        """Standard deviations (3,) of x, y [m] and the heading [rad]."""
        return np.array([self.sigma, self.sigma, self.heading_sigma])

    def errors(self, poses: Array) -> Array:
        """Return the errors of the fix (N, 3), x, y [m] and heading [rad], for candidate poses (N, 3)."""
        errors = self.pose - poses
        errors[:, 2] = wrap_angle(errors[:, 2])
        return np.asarray(errors)

    def log_likelihood(self, poses: Array, last_errors: Array | None = None) -> Array:
        """Return the log density (N,) of this fix for candidate poses (N, 3).

        Errors are first-order Gauss-Markov: a share `correlation` of the last error remains, and only the rest is new.

        Args:
            poses: Candidate poses.
            last_errors: Errors (N, 3) of the last fix for each candidate, NaN where unknown; None: unknown everywhere.
        """
        known = np.zeros(len(poses), bool) if last_errors is None else ~np.isnan(last_errors[:, 0])
        expected = np.zeros((len(poses), 3)) if last_errors is None else self.correlation * np.nan_to_num(last_errors)
        new = np.where(known, math.sqrt(1 - self.correlation**2), 1.0)[:, None] * self.sigmas
        gap = self.errors(poses) - expected
        gap[:, 2] = wrap_angle(gap[:, 2])
        return np.asarray(-(np.square(gap / new) / 2 + np.log(new)).sum(axis=1))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Sample poses (count, 3) of the car given the fix."""
        poses = self.pose + rng.normal(size=(count, 3)) * self.sigmas
        poses[:, 2] = wrap_angle(poses[:, 2])
        return np.asarray(poses)


class WithoutSteering:
    """A likelihood that ignores the steering."""

    def __init__(self, likelihood: Likelihood) -> None:
        """Hide the steering from `likelihood`."""
        self._likelihood = likelihood

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Return the log likelihood (N,) of candidate poses (N, 3)."""
        return self._likelihood(ObservedFrame(frame.images, frame.speed, None), poses)


@dataclass(frozen=True)
class ExponentConfig(Constrained):
    """Powers of the likelihoods, chosen on validation towns by `scripts/localize.py --action tune`."""

    steering: Annotated[float, Gt(0), Le(1)] = 0.3
    """Power of the network's likelihood of the driven steering."""
    soft: Annotated[float, Gt(0), Le(1)] = 0.1
    """Power of the network's likelihood without the steering."""
    roads: Annotated[float, Gt(0), Le(1)] = 0.3
    """Power of the likelihood of map matching."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Lanes and likelihoods of one town."""

    lanes: LanePoints
    """Lanes of the town."""
    steering: Likelihood
    """Likelihood by the network."""
    roads: Likelihood
    """Likelihood by map matching."""
