"""The distribution over the car's pose: weighted particles and their statistics. N: particles."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from navsim.geometry import Array, Pose, wrap_angle

ESTIMATE_RADIUS = 8.0
"""Radius around the densest place within which particles count for the estimate [m]."""
ESTIMATE_TURN = math.radians(60.0)
"""Largest difference of heading of these particles from the likeliest heading [rad]."""
WIDTHS = (0.25, 2.0)
"""Smallest and largest standard deviation of the kernel of the density [m]."""
_CELL = 4.0  # of the grid that measures the area of the particles [m]
_CUT = 3.0  # radius of a kernel, in standard deviations
_MIN_MASS = 1e-200  # probability below which particles of one place count alike
_EMPTY = 1e-12  # density far from all particles [1/m^2]


class PoseMode(NamedTuple):
    """A likely place of the car."""

    pose: Pose
    """Mean pose of the particles there."""
    weight: float
    """Probability of the place, in [0, 1]."""


@dataclass(frozen=True, eq=False)
class PosePosterior:
    """A distribution over poses as weighted particles; immutable."""

    poses: Array
    """Poses of the particles (N, 3): x, y [m], heading [rad]; read-only."""
    weights: Array
    """Probabilities of the particles (N,), summing to 1; read-only."""
    width: float = field(init=False)
    """Standard deviation of the kernel of the density [m]: about the distance of neighbours, see `_kernel_width`."""
    densities: Array = field(init=False, repr=False)
    """Density of the position at each particle (N,) [1/m^2], by a Gaussian kernel over all other particles."""
    _tree: cKDTree = field(init=False, repr=False)

    def __post_init__(self) -> None:
        poses, weights = np.array(self.poses, dtype=float), np.array(self.weights, dtype=float)
        if poses.ndim != 2 or poses.shape[1] != 3 or len(poses) < 1 or weights.shape != (len(poses),):
            raise ValueError(f"a posterior needs poses (N, 3) and weights (N,), got {poses.shape} and {weights.shape}")
        if not (np.isfinite(poses).all() and np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("a posterior's poses and weights must be finite, and its weights at least 0")
        if not math.isclose(weights.sum(), 1.0, rel_tol=1e-6):
            raise ValueError(f"a posterior's weights must sum to 1, got {weights.sum():g}")
        width = _kernel_width(poses[:, :2], weights)
        tree = cKDTree(poses[:, :2])
        densities = _densities(tree, poses[:, :2], weights, width)
        for values in (poses, weights, densities):
            values.flags.writeable = False
        values_by_name = {"poses": poses, "weights": weights, "width": width, "densities": densities, "_tree": tree}
        for name, value in values_by_name.items():
            object.__setattr__(self, name, value)

    @property
    def mean(self) -> Array:
        """Mean pose (3,): x, y [m] and the circular mean of the heading [rad]; between two places it is in neither."""
        return _mean(self.poses, self.weights)

    @property
    def covariance(self) -> Array:
        """Covariance (3, 3) about the mean, of x, y [m] and the wrapped difference of the heading [rad]."""
        differences = self.poses - self.mean
        differences[:, 2] = wrap_angle(differences[:, 2])
        return np.asarray((differences * self.weights[:, None]).T @ differences)

    @property
    def entropy(self) -> float:
        """Entropy of the position [nats], against a density of 1 per m^2: log(2 pi e s^2) for a Gaussian of sigma s.

        The density at an isolated particle is that of its own kernel.
        """
        minimum = np.maximum(self.weights * _kernel(np.zeros(1), self.width), _EMPTY)
        return float(-(self.weights * np.log(np.maximum(self.densities, minimum))).sum())

    @property
    def effective_size(self) -> float:
        """Number of equally weighted particles with the same information."""
        return effective_size(self.weights)

    @property
    def spacing(self) -> float:
        """Distance between neighbouring particles [m]: root of the position's area for each effective particle.

        The area is exp(entropy); the distance is at most `width`.
        """
        return min(math.sqrt(math.exp(self.entropy) / self.effective_size), self.width)

    @property
    def estimate(self) -> Pose:
        """Mean of the particles in the likeliest place, which suits a belief of several places."""
        return self.modes(1, 0.0)[0].pose

    @property
    def sigma(self) -> float:
        """Standard deviation of the position, east and north each on average [m]."""
        return math.sqrt(float(np.trace(self.covariance[:2, :2])) / 2)

    def modes(self, count: int, min_weight: float) -> "tuple[PoseMode, ...]":
        """Return the likeliest places, the densest first, with weights that sum to 1.

        Args:
            count: Largest number of places.
            min_weight: Smallest probability of a place beside the densest one.
        """
        rest, found = np.ones(len(self.poses), bool), list[PoseMode]()
        order = self.densities + self.weights / self.weights.max() * _EMPTY
        while len(found) < count and rest.any():
            centre = self.poses[int(np.argmax(np.where(rest, order, -1.0))), :2]
            selected = rest & (np.hypot(*(self.poses[:, :2] - centre).T) <= ESTIMATE_RADIUS)
            heading_mode = _likeliest_heading(self.poses[selected, 2], self.weights[selected])
            selected &= np.abs(wrap_angle(self.poses[:, 2] - heading_mode)) <= ESTIMATE_TURN
            total = float(self.weights[selected].sum())
            if found and total <= _MIN_MASS:
                break
            share = self.weights[selected] / total if total > _MIN_MASS else np.full(selected.sum(), 1 / selected.sum())
            found.append(PoseMode(Pose(*_mean(self.poses[selected], share).tolist()), total))
            rest &= ~selected
        kept = found[:1] + [mode for mode in found[1:] if mode.weight >= min_weight]
        total = max(sum(mode.weight for mode in kept), _MIN_MASS)
        return tuple(PoseMode(mode.pose, mode.weight / total) for mode in kept)

    def mass_within(self, position: ArrayLike, radius: float) -> float:
        """Probability of a position within `radius` [m] of `position` (2,) [m]."""
        near = np.hypot(*(self.poses[:, :2] - np.asarray(position, dtype=float)).T) <= radius
        return float(self.weights[near].sum())

    def density_at(self, position: ArrayLike) -> float:
        """Return the density of the position at `position` (2,) [m], in 1/m^2."""
        place = np.asarray(position, dtype=float)
        near = self._tree.query_ball_point(place, _CUT * self.width)
        gaps = np.square(self.poses[near, :2] - place).sum(axis=1)
        return float((self.weights[near] * _kernel(gaps, self.width)).sum())

    def credible_region(self, level: float) -> NDArray[np.bool_]:
        """Return which particles (N,) form the densest region that holds the position with probability `level`.

        Raises:
            ValueError: If `level` is not in (0, 1].
        """
        if not 0 < level <= 1:
            raise ValueError(f"a credible level must lie in (0, 1], got {level}")
        order = np.argsort(-self.densities, kind="stable")
        before = np.cumsum(self.weights[order]) - self.weights[order]
        inside = np.zeros(len(order), bool)
        inside[order] = before < level * (1 - 1e-9)
        return inside

    def credible_level(self, position: ArrayLike) -> float:
        """Probability of the densest region that just reaches `position` (2,) [m]: uniform for a calibrated belief.

        From the densities at the particles (Hyndman, "Computing and graphing highest density regions", 1996).
        """
        own = self.density_at(position)
        return float(min(self.weights[self.densities > own].sum(), 1.0)) if own > 0 else 1.0


def effective_size(weights: Array) -> float:
    """Return the effective number of weights (N,) that sum to 1: 1 / sum of squares, in [1, N]."""
    return float(1.0 / np.square(weights).sum())


def _mean(poses: Array, weights: Array) -> Array:
    """Return the weighted mean of poses, with the circular mean of the headings."""
    x, y = weights @ poses[:, :2]
    heading = math.atan2(weights @ np.sin(poses[:, 2]), weights @ np.cos(poses[:, 2]))
    return np.array([x, y, heading])


def _likeliest_heading(headings: Array, weights: Array, sectors: int = 24) -> float:
    """Return the middle of the heaviest three neighbouring sectors [rad].

    A road has two directions, whose mean is across it.
    """
    index = np.floor((headings + np.pi) / (2 * np.pi) * sectors).astype(int) % sectors
    mass = np.bincount(index, weights, minlength=sectors)
    best = int((mass + np.roll(mass, 1) + np.roll(mass, -1)).argmax())
    return float((best + 0.5) / sectors * 2 * np.pi - np.pi)


def _kernel_width(positions: Array, weights: Array) -> float:
    """Return the standard deviation of the kernel [m]: about the distance between neighbours, within `WIDTHS`.

    The root of the occupied area for each effective particle: about ten particles lie within a kernel.
    """
    column, row = np.floor(positions / _CELL).astype(np.int64).T
    _, index = np.unique((column << 32) + row, return_inverse=True)  # six times as fast as unique rows
    mass = np.bincount(index, weights)
    occupied = math.exp(-float((mass[mass > 0] * np.log(mass[mass > 0])).sum()))  # effective number of cells
    return float(np.clip(math.sqrt(occupied * _CELL**2 / effective_size(weights)), *WIDTHS))


def _kernel(squared_gaps: Array, width: float) -> Array:
    """Return the density of a round Gaussian at squared distances [m^2]."""
    return np.asarray(np.exp(-squared_gaps / (2 * width**2)) / (2 * np.pi * width**2))


def _densities(tree: cKDTree, positions: Array, weights: Array, width: float) -> Array:
    """Return the leave-one-out density at each particle."""
    first, second = np.ascontiguousarray(tree.query_pairs(_CUT * width, output_type="ndarray").T)
    x, y = np.ascontiguousarray(positions.T)  # to gather single numbers is three times as fast as to gather rows
    kernel = _kernel(np.square(x[first] - x[second]) + np.square(y[first] - y[second]), width)
    count = len(positions)
    found = np.bincount(first, weights[second] * kernel, count) + np.bincount(second, weights[first] * kernel, count)
    return np.asarray(found / np.maximum(1 - weights, _EMPTY))
