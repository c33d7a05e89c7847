"""What is known of the car's pose: weighted candidates and what follows from them. N: candidates."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from navsim.geometry import Array, Pose, wrap_angle

REACH = 8.0
"""Which candidates count as those of one place: so far from its centre [m]."""
ABOUT = math.radians(60.0)
"""And so far from its heading [rad]."""
WIDTHS = (0.25, 2.0)
"""Least and largest standard deviation of the kernel behind densities [m]."""
_CELL = 4.0  # of the count that tells how much room the candidates take [m]
_CUT = 3.0  # where a kernel ends, in standard deviations
_EMPTY = 1e-12  # density where there is no candidate [1/m^2]


@dataclass(frozen=True, eq=False)
class PosePosterior:
    """A distribution over poses as weighted candidates; immutable."""

    poses: Array
    """Candidates (N, 3): x, y [m], heading [rad]; read-only."""
    weights: Array
    """Their probabilities (N,), summing to 1; read-only."""
    width: float = field(init=False)
    """Standard deviation of the kernel behind densities [m]: as wide as candidates are apart, see `_kernel_width`."""
    densities: Array = field(init=False, repr=False)
    """Density of the position at each candidate (N,) [1/m^2], by a Gaussian kernel about all other candidates."""
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
        """Mean pose (3,): x, y [m] and the circular mean of the heading [rad]. Between two places it is in neither."""
        return _mean(self.poses, self.weights)

    @property
    def covariance(self) -> Array:
        """Covariance (3, 3) about the mean, of x, y [m] and the wrapped difference of the heading [rad]."""
        apart = self.poses - self.mean
        apart[:, 2] = wrap_angle(apart[:, 2])
        return np.asarray((apart * self.weights[:, None]).T @ apart)

    @property
    def entropy(self) -> float:
        """Entropy of the position [nats], against a density of 1 per m^2: log(2 pi e s^2) for a Gaussian of sigma s.

        A candidate that stands alone counts with its own kernel.
        """
        least = np.maximum(self.weights * _kernel(np.zeros(1), self.width), _EMPTY)
        return float(-(self.weights * np.log(np.maximum(self.densities, least))).sum())

    @property
    def effective_size(self) -> float:
        """How many candidates of equal weight would say as much."""
        return effective_size(self.weights)

    @property
    def spacing(self) -> float:
        """Distance between neighbouring candidates [m]: root of the room that the position has, for each that counts.

        The room is exp(entropy); no more than `width`.
        """
        return min(math.sqrt(math.exp(self.entropy) / self.effective_size), self.width)

    @property
    def estimate(self) -> Pose:
        """The mean of the candidates in the likeliest place: what to believe when there are several."""
        centre = self.poses[int(np.argmax(self.densities + self.weights / self.weights.max() * _EMPTY)), :2]
        there = np.hypot(*(self.poses[:, :2] - centre).T) <= REACH
        way = _likeliest_heading(self.poses[there, 2], self.weights[there])
        there &= np.abs(wrap_angle(self.poses[:, 2] - way)) <= ABOUT
        total = self.weights[there].sum()
        share = self.weights[there] / total if total > 0 else np.full(there.sum(), 1 / there.sum())
        x, y, heading = _mean(self.poses[there], share)
        return Pose(float(x), float(y), float(heading))

    def mass_within(self, position: ArrayLike, radius: float) -> float:
        """Probability of a position within `radius` [m] of `position` (2,) [m]."""
        near = np.hypot(*(self.poses[:, :2] - np.asarray(position, dtype=float)).T) <= radius
        return float(self.weights[near].sum())

    def density_at(self, position: ArrayLike) -> float:
        """Density of the position at `position` (2,) [m], in 1/m^2."""
        place = np.asarray(position, dtype=float)
        near = self._tree.query_ball_point(place, _CUT * self.width)
        gaps = np.square(self.poses[near, :2] - place).sum(axis=1)
        return float((self.weights[near] * _kernel(gaps, self.width)).sum())

    def credible_region(self, level: float) -> NDArray[np.bool_]:
        """Which candidates (N,) make up the densest region that holds the position with probability `level`.

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
        """Probability of the densest region that just reaches `position` (2,) [m]: uniform if all is calibrated.

        From the densities at the candidates (Hyndman, "Computing and graphing highest density regions", 1996).
        """
        own = self.density_at(position)
        return float(min(self.weights[self.densities > own].sum(), 1.0)) if own > 0 else 1.0


def effective_size(weights: Array) -> float:
    """How many equal weights would say as much as weights (N,) that sum to 1: 1 / sum of squares, in [1, N]."""
    return float(1.0 / np.square(weights).sum())


def _mean(poses: Array, weights: Array) -> Array:
    """Weighted mean of poses, headings on the circle."""
    x, y = weights @ poses[:, :2]
    heading = math.atan2(weights @ np.sin(poses[:, 2]), weights @ np.cos(poses[:, 2]))
    return np.array([x, y, heading])


def _likeliest_heading(headings: Array, weights: Array, sectors: int = 24) -> float:
    """The middle of the heaviest three of neighbouring sectors [rad]: a road has two ways, whose mean is across it."""
    index = np.floor((headings + np.pi) / (2 * np.pi) * sectors).astype(int) % sectors
    mass = np.bincount(index, weights, minlength=sectors)
    best = int((mass + np.roll(mass, 1) + np.roll(mass, -1)).argmax())
    return float((best + 0.5) / sectors * 2 * np.pi - np.pi)


def _kernel_width(positions: Array, weights: Array) -> float:
    """Standard deviation of the kernel [m]: about the distance between neighbours, within `WIDTHS`.

    The root of the room that the weight takes, over how many candidates share it: some ten of them lie within a kernel.
    """
    cells, index = np.unique(np.floor(positions / _CELL), axis=0, return_inverse=True)
    mass = np.bincount(index.ravel(), weights, minlength=len(cells))
    occupied = math.exp(-float((mass[mass > 0] * np.log(mass[mass > 0])).sum()))  # cells, as the entropy counts them
    return float(np.clip(math.sqrt(occupied * _CELL**2 / effective_size(weights)), *WIDTHS))


def _kernel(squared_gaps: Array, width: float) -> Array:
    """Density of a round Gaussian at squared distances [m^2]."""
    return np.asarray(np.exp(-squared_gaps / (2 * width**2)) / (2 * np.pi * width**2))


def _densities(tree: cKDTree, positions: Array, weights: Array, width: float) -> Array:
    """Density at each candidate by all others, weighed up for the one that is left out."""
    first, second = tree.query_pairs(_CUT * width, output_type="ndarray").T
    kernel = _kernel(np.square(positions[first] - positions[second]).sum(axis=1), width)
    count = len(positions)
    found = np.bincount(first, weights[second] * kernel, count) + np.bincount(second, weights[first] * kernel, count)
    return np.asarray(found / np.maximum(1 - weights, _EMPTY))
