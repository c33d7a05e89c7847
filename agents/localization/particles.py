"""A particle filter over poses: Monte Carlo localisation (Dellaert, Fox, Burgard, Thrun, ICRA 1999). N: candidates.

Their number follows the doubt (Fox, "Adapting the sample size in particle filters through KLD-sampling", IJRR 2003),
and a small probability of being anywhere keeps a wrong belief from being final, as augmented Monte Carlo localisation
does (Thrun, Burgard, Fox, "Probabilistic Robotics", section 8.3.5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from agents.localization.likelihoods import Fix, Frame, Likelihood
from agents.localization.motion import Motion, MotionNoise, moved
from agents.localization.posterior import PosePosterior, effective_size
from agents.localization.roads import LanePoints
from navsim.errors import ConfigError
from navsim.geometry import Array

_BIN, _SECTORS = 2.0, 24  # by which the doubt is measured: positions [m], headings in a turn
_KLD_ERROR, _KLD_QUANTILE = 0.05, 2.326  # the belief is off by at most 0.05 nats with 99%


@dataclass(frozen=True)
class FilterSpec:
    """How a particle filter works."""

    least: int = 500
    """Fewest candidates."""
    most: int = 4000
    """Most candidates."""
    per_metre: float = 0.5
    """Candidates for a metre of lane where nothing is known of the place, within these bounds."""
    resample_below: float = 0.5
    """Resample when the effective size falls below this share of the candidates."""
    jump: float = 1e-3
    """Probability at each update that the belief so far is wrong: then the car may be anywhere."""
    jumping: float = 0.03
    """Share of the candidates that look anywhere else; together they weigh `jump`."""
    motion: MotionNoise = field(default_factory=MotionNoise)
    """How far candidates scatter as they move."""

    def __post_init__(self) -> None:
        if not 10 <= self.least <= self.most <= 200_000:
            raise ConfigError(f"filter needs 10 <= least <= most <= 200000, got {self.least} and {self.most}")
        if not (self.per_metre > 0 and 0 < self.resample_below <= 1):
            raise ConfigError(
                "filter needs per_metre above 0 and resample_below within (0, 1], "
                f"got {self.per_metre} and {self.resample_below}"
            )
        if not (0 <= self.jump < 0.5 and 0 <= self.jumping < 0.5):
            raise ConfigError(f"filter needs jump and jumping within [0, 0.5), got {self.jump} and {self.jumping}")


class ParticleFilter:
    """The belief of one drive, step by step: `begin`, then `move` and `observe` in turn."""

    def __init__(
        self, spec: FilterSpec, lanes: LanePoints, sources: Sequence[Likelihood], rng: np.random.Generator
    ) -> None:
        """Make a filter; `begin` must be called before anything else.

        Args:
            spec: How it works.
            lanes: Where cars can be.
            sources: Evidence beside position fixes.
            rng: Source of all draws; owned by the filter from here on.
        """
        self._spec, self._lanes, self._sources, self._rng = spec, lanes, tuple(sources), rng
        self._poses: Array = np.zeros((0, 3))
        self._logs: Array = np.zeros(0)  # unnormalised logarithms of the weights

    @property
    def posterior(self) -> PosePosterior:
        """The belief."""
        return PosePosterior(self._poses, self._weights)

    def begin(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""
        if fix is None:
            spec = self._spec
            count = int(np.clip(spec.per_metre * self._lanes.length, spec.least, spec.most))
            self._poses = self._lanes.spread(count, self._rng)
        else:
            self._poses = fix.draw(self._spec.most, self._rng)
        self._logs = np.zeros(len(self._poses))

    def move(self, motion: Motion) -> None:
        """Move all candidates as the odometry says, after resampling if few of them have the weight.

        Resampled only here, the belief between is never one of many equal candidates.
        """
        weights = self._weights
        few = effective_size(weights) < self._spec.resample_below * len(weights)
        if few or len(weights) > self._spec.most:
            self._resample(weights)
        self._poses = moved(self._poses, motion, self._spec.motion, self._rng)

    def observe(self, frame: Frame, fix: Fix | None) -> None:
        """Weigh the candidates by all evidence."""
        self._add_jumps(fix)
        for source in self._sources:
            self._logs = self._logs + source(frame, self._poses)
        if fix is not None:
            self._logs = self._logs + fix.log_likelihood(self._poses)

    @property
    def _weights(self) -> Array:
        """Weights (N,), summing to 1."""
        weights = np.exp(self._logs - self._logs.max())
        return np.asarray(weights / weights.sum())

    def _add_jumps(self, fix: Fix | None) -> None:
        """Add candidates that know nothing of the belief so far: about the fix, or anywhere on the roads."""
        count = int(self._spec.jumping * len(self._poses))
        if not count or not self._spec.jump:
            return
        new = self._lanes.spread(count, self._rng) if fix is None else fix.draw(count, self._rng)
        old = self._logs - logsumexp(self._logs) + math.log1p(-self._spec.jump)
        self._logs = np.concatenate([old, np.full(count, math.log(self._spec.jump / count))])
        self._poses = np.concatenate([self._poses, new])

    def _resample(self, weights: Array) -> None:
        """Draw as many candidates of equal weight as the doubt needs."""
        drawn = systematic(weights, self._spec.least, self._rng)
        count = int(np.clip(needed(self._poses[drawn]), self._spec.least, self._spec.most))
        self._poses = self._poses[systematic(weights, count, self._rng)]
        self._logs = np.zeros(count)


def systematic(weights: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices (count,) of a sample, each drawn `count` times its weight on average, and never off by one or more.

    Systematic resampling (Kitagawa, "Monte Carlo filter and smoother", 1996).

    Args:
        weights: (N,), summing to 1.
        count: How many to draw.
        rng: Draws one number.
    """
    at = (np.arange(count) + rng.random()) / count
    return np.minimum(np.cumsum(weights).searchsorted(at, side="right"), len(weights) - 1)


def needed(poses: Array) -> float:
    """How many candidates a belief spread like poses (N, 3) needs, by Fox's bound (2003, equation 10)."""
    sector = np.floor((poses[:, 2] + np.pi) / (2 * np.pi) * _SECTORS)
    occupied = len(np.unique(np.column_stack([np.floor(poses[:, :2] / _BIN), sector]), axis=0)) - 1
    if occupied < 1:
        return 1.0
    part = 2 / (9 * occupied)
    return float(occupied / (2 * _KLD_ERROR) * (1 - part + math.sqrt(part) * _KLD_QUANTILE) ** 3)
