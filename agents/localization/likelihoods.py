"""Where cars can be: the lanes of a town as oriented points. N: poses.

What an observation says of candidate poses. N: candidates, C: cameras, H and W: height and width [px].
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree

from navsim.errors import ConfigError, TownError
from navsim.geometry import Array, wrap_angle
from navsim.roads.network import RoadNetwork
from navsim.sensing.observation import Image
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


@dataclass(frozen=True, eq=False)
class ObservedFrame:
    """What the car knows at one moment beside its odometry and its position fix."""

    images: Image
    """Camera images (C, H, W, 3) uint8."""
    speed: float
    """[m/s]."""
    steering: float | None
    """Curvature that is really driven [1/m]; None if nobody tells."""


class Likelihood(Protocol):
    """One source of evidence."""

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Logarithm of the likelihood (N,) [nats], up to a constant, of candidate poses (N, 3)."""
        ...


@dataclass(frozen=True)
class RoadLikelihoodConfig:
    """How strictly cars keep to their lanes."""

    offset_sigma: float = 0.25
    """Standard deviation from the lane's middle [m]."""
    turn_sigma_deg: float = 3.0
    """Standard deviation of the heading from the lane's [deg]."""
    elsewhere: float = 0.01
    """What the likelihood never falls below, as a share of its peak."""

    def __post_init__(self) -> None:
        if not (self.offset_sigma > 0 and self.turn_sigma_deg > 0 and 0 < self.elsewhere < 1):
            raise ConfigError(
                "roads needs offset_sigma and turn_sigma_deg above 0 and elsewhere within (0, 1), "
                f"got {self.offset_sigma}, {self.turn_sigma_deg} and {self.elsewhere}"
            )


class RoadLikelihood:
    """Map matching without any network: cars are on lanes, in their direction."""

    def __init__(self, spec: RoadLikelihoodConfig, lanes: LanePoints) -> None:
        """Judge by the lanes of a town."""
        self._spec = spec
        self._lanes = lanes

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:  # noqa: ARG002 - it does not look
        """Logarithm of the likelihood (N,) of candidate poses (N, 3)."""
        offset, turn = self._lanes.apart(poses)
        apart = np.square(offset / self._spec.offset_sigma) + np.square(turn / np.radians(self._spec.turn_sigma_deg))
        floor = self._spec.elsewhere
        return np.asarray(np.log((1 - floor) * np.exp(-apart / 2) + floor))


class PoweredLikelihood:
    """A likelihood to a power below 1: moments that follow each other err alike and say less than as many others."""

    def __init__(self, likelihood: Likelihood, exponent: float) -> None:
        """Take `likelihood` to the power `exponent`."""
        self._likelihood = likelihood
        self._exponent = exponent

    def __call__(self, frame: ObservedFrame, poses: Array) -> Array:
        """Logarithm of the tempered likelihood (N,) of candidate poses (N, 3)."""
        return self._exponent * self._likelihood(frame, poses)


@dataclass(frozen=True, eq=False)
class Fix:
    """A position fix with heading."""

    pose: Array
    """(3,): x, y [m], heading [rad]."""
    sigma: float
    """Standard deviation east and north, each [m]."""
    heading_sigma: float
    """Standard deviation of the heading [rad]."""
    correlation: float = 0.0
    """Of its error with that of the last fix that was believed, in [0, 1); 0 if there was none."""

    @property
    def sigmas(self) -> Array:
        """Standard deviations (3,) of x, y [m] and the heading [rad]."""
        return np.array([self.sigma, self.sigma, self.heading_sigma])

    def errors(self, poses: Array) -> Array:
        """Its errors (N, 3), x, y [m] and heading [rad], were the car at candidate poses (N, 3)."""
        apart = self.pose - poses
        apart[:, 2] = wrap_angle(apart[:, 2])
        return np.asarray(apart)

    def log_likelihood(self, poses: Array, before: Array | None = None) -> Array:
        """Logarithm of the density (N,) of this fix for candidate poses (N, 3).

        Errors are first-order Gauss-Markov: given the last one, `correlation` of it is left, and only the rest is new.

        Args:
            poses: Candidates.
            before: Errors (N, 3) of the last fix for each candidate, NaN where they are not known; None: nowhere.
        """
        known = np.zeros(len(poses), bool) if before is None else ~np.isnan(before[:, 0])
        expected = np.zeros((len(poses), 3)) if before is None else self.correlation * np.nan_to_num(before)
        new = np.where(known, math.sqrt(1 - self.correlation**2), 1.0)[:, None] * self.sigmas
        gap = self.errors(poses) - expected
        gap[:, 2] = wrap_angle(gap[:, 2])
        return np.asarray(-(np.square(gap / new) / 2 + np.log(new)).sum(axis=1))

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Poses (count, 3) that the car may have."""
        drawn = self.pose + rng.normal(size=(count, 3)) * self.sigmas
        drawn[:, 2] = wrap_angle(drawn[:, 2])
        return np.asarray(drawn)
