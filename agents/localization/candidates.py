"""Weighted candidates for the state of a drive: the pose, and errors of the senses that last. N: candidates."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.localization.likelihoods import Fix
from agents.localization.motion import MotionNoise, drawn_drifts
from agents.localization.posterior import PosePosterior
from navsim.geometry import Array


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a particle filter believes of one moment."""

    poses: Array
    """(N, 3): x, y [m], heading [rad]."""
    drifts: Array
    """Persistent errors of the odometry (N, 2): share of the distance, drift of the heading [rad/s]."""
    fix_errors: Array
    """Errors of the last fix (N, 3), x, y [m] and heading [rad]; NaN where a candidate knows of no fix."""
    logs: Array
    """Logarithms of the weights (N,), up to a constant."""

    @staticmethod
    def at(poses: Array, noise: MotionNoise, rng: np.random.Generator, fix: Fix | None = None) -> "Candidates":
        """Candidates of equal weight at poses (N, 3) that know nothing of what was before, but the fix they are from.

        Args:
            poses: Where they are.
            noise: How large the persistent errors of the odometry may be.
            rng: Draws these.
            fix: What the poses were drawn from, if it counts as seen already.
        """
        errors = np.full((len(poses), 3), np.nan) if fix is None else fix.errors(poses)
        return Candidates(poses, drawn_drifts(len(poses), noise, rng), errors, np.zeros(len(poses)))

    @cached_property
    def weights(self) -> Array:
        """Weights (N,), summing to 1."""
        weights = np.exp(self.logs - self.logs.max())
        return np.asarray(weights / weights.sum())

    @cached_property
    def posterior(self) -> PosePosterior:
        """The distribution over poses alone."""
        return PosePosterior(self.poses, self.weights)

    def chosen(self, index: NDArray[np.int64], shifts: Array) -> "Candidates":
        """Those at `index` (M,) with equal weights, and the whole way of each shifted by `shifts` (M, 3)."""
        poses, errors = self.poses[index] + shifts, self.fix_errors[index] - shifts
        return Candidates(poses, self.drifts[index], errors, np.zeros(len(index)))

    def joined(self, other: "Candidates") -> "Candidates":
        """These and others, with the logarithms that they have."""
        return Candidates(
            np.concatenate([self.poses, other.poses]),
            np.concatenate([self.drifts, other.drifts]),
            np.concatenate([self.fix_errors, other.fix_errors]),
            np.concatenate([self.logs, other.logs]),
        )
