"""Weighted candidates for the state of a drive: the pose, and errors of the senses that last. N: candidates.

A particle filter over poses: Monte Carlo localisation (Dellaert, Fox, Burgard, Thrun, ICRA 1999). N: candidates.

Their number follows the doubt (Fox, "Adapting the sample size in particle filters through KLD-sampling", IJRR 2003),
and a small probability of being anywhere keeps a wrong belief from being final, as augmented Monte Carlo localisation
does (Thrun, Burgard, Fox, "Probabilistic Robotics", section 8.3.5). Errors of the senses that last are part of each
candidate's state, and resampled candidates scatter a little, so that copies of one do not stand for many: a regularised
particle filter (Musso, Oudjane, Le Gland, "Improving regularised particle filters", 2001).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from agents.localization.likelihoods import Fix, LanePoints, Likelihood, ObservedFrame
from agents.localization.motion import MotionNoise, OdometryStep, drawn_drifts, drifted, moved
from agents.localization.posterior import PosePosterior, effective_size
from navsim.errors import ConfigError
from navsim.geometry import Array


@dataclass(frozen=True, eq=False)
class Particles:
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
    def at(poses: Array, noise: MotionNoise, rng: np.random.Generator, fix: Fix | None = None) -> "Particles":
        """Candidates of equal weight at poses (N, 3) that know nothing of what was before, but the fix they are from.

        Args:
            poses: Where they are.
            noise: How large the persistent errors of the odometry may be.
            rng: Draws these.
            fix: What the poses were drawn from, if it counts as seen already.
        """
        errors = np.full((len(poses), 3), np.nan) if fix is None else fix.errors(poses)
        return Particles(poses, drawn_drifts(len(poses), noise, rng), errors, np.zeros(len(poses)))

    @cached_property
    def weights(self) -> Array:
        """Weights (N,), summing to 1."""
        weights = np.exp(self.logs - self.logs.max())
        return np.asarray(weights / weights.sum())

    @cached_property
    def posterior(self) -> PosePosterior:
        """The distribution over poses alone."""
        return PosePosterior(self.poses, self.weights)

    def chosen(self, index: NDArray[np.int64], shifts: Array) -> "Particles":
        """Those at `index` (M,) with equal weights, and the whole way of each shifted by `shifts` (M, 3)."""
        poses, errors = self.poses[index] + shifts, self.fix_errors[index] - shifts
        return Particles(poses, self.drifts[index], errors, np.zeros(len(index)))

    def joined(self, other: "Particles") -> "Particles":
        """These and others, with the logarithms that they have."""
        return Particles(
            np.concatenate([self.poses, other.poses]),
            np.concatenate([self.drifts, other.drifts]),
            np.concatenate([self.fix_errors, other.fix_errors]),
            np.concatenate([self.logs, other.logs]),
        )


_BIN, _SECTORS = 2.0, 24  # by which the doubt is measured: positions [m], headings in a turn
_KLD_ERROR, _KLD_QUANTILE = 0.05, 2.326  # the belief is off by at most 0.05 nats with 99%


@dataclass(frozen=True)
class FilterConfig:
    """How a particle filter works."""

    min_particles: int = 500
    """Fewest candidates."""
    max_particles: int = 4000
    """Most candidates."""
    particles_per_metre: float = 0.5
    """Candidates for a metre of lane where nothing is known of the place, within these bounds."""
    resample_below: float = 0.5
    """Resample when the effective size falls below this share of the candidates."""
    kidnap_probability: float = 1e-3
    """Probability at each update that the belief so far is wrong: then the car may be anywhere."""
    injected_fraction: float = 0.03
    """Share of the candidates that look anywhere else; together they weigh `kidnap_probability`."""
    jitter: float = 0.8
    """How far resampled candidates scatter, in distances between neighbours (`PosePosterior.spacing`)."""
    motion: MotionNoise = field(default_factory=MotionNoise)
    """How far candidates scatter as they move."""

    def __post_init__(self) -> None:
        if not 10 <= self.min_particles <= self.max_particles <= 200_000:
            raise ConfigError(
                "filter needs 10 <= min_particles <= max_particles <= 200000, "
                f"got {self.min_particles} and {self.max_particles}"
            )
        if not (self.particles_per_metre > 0 and 0 < self.resample_below <= 1):
            raise ConfigError(
                "filter needs particles_per_metre above 0 and resample_below within (0, 1], "
                f"got {self.particles_per_metre} and {self.resample_below}"
            )
        if not self.jitter >= 0:
            raise ConfigError(f"filter.jitter must be at least 0, got {self.jitter}")
        if not (0 <= self.kidnap_probability < 0.5 and 0 <= self.injected_fraction < 0.5):
            raise ConfigError(
                "filter needs kidnap_probability and injected_fraction within [0, 0.5), "
                f"got {self.kidnap_probability} and {self.injected_fraction}"
            )


class ParticleFilter:
    """The belief of one drive, step by step: `begin`, then `move` and `observe` in turn."""

    def __init__(
        self, spec: FilterConfig, lanes: LanePoints, sources: Sequence[Likelihood], rng: np.random.Generator
    ) -> None:
        """Make a filter; it may be anywhere until `begin` is called.

        Args:
            spec: How it works.
            lanes: Where cars can be.
            sources: Evidence beside position fixes.
            rng: Source of all draws; owned by the filter from here on.
        """
        self._spec, self._lanes, self._sources, self._rng = spec, lanes, tuple(sources), rng
        self.begin(None)

    @property
    def posterior(self) -> PosePosterior:
        """The belief."""
        return self._candidates.posterior

    def begin(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""
        spec = self._spec
        if fix is None:
            count = int(np.clip(spec.particles_per_metre * self._lanes.length, spec.min_particles, spec.max_particles))
            poses = self._lanes.spread(count, self._rng)
        else:
            poses = fix.draw(spec.max_particles, self._rng)
        self._candidates = Particles.at(poses, spec.motion, self._rng, fix)

    def move(self, motion: OdometryStep) -> None:
        """Move all candidates as the odometry says, after resampling if few of them have the weight.

        Resampled only here, the belief between is never one of many equal candidates.
        """
        weights, noise = self._candidates.weights, self._spec.motion
        few = effective_size(weights) < self._spec.resample_below * len(weights)
        if few or len(weights) > self._spec.max_particles:
            self._candidates = self._resampled(self._candidates)
        drifts = drifted(self._candidates.drifts, motion.distance, noise, self._rng)
        poses = moved(self._candidates.poses, drifts, motion, noise, self._rng)
        self._candidates = replace(self._candidates, poses=poses, drifts=drifts)

    def observe(self, frame: ObservedFrame, fix: Fix | None) -> None:
        """Weigh the candidates by all evidence."""
        candidates = self._with_jumps(self._candidates, fix)
        logs, poses, errors = candidates.logs, candidates.poses, candidates.fix_errors
        for source in self._sources:
            logs = logs + source(frame, poses)
        if fix is not None:
            logs, errors = logs + fix.log_likelihood(poses, errors), fix.errors(poses)
        self._candidates = replace(candidates, logs=logs, fix_errors=errors)

    def _with_jumps(self, candidates: Particles, fix: Fix | None) -> Particles:
        """With others that know nothing of the belief so far: about the fix, or anywhere on the roads."""
        spec, count = self._spec, int(self._spec.injected_fraction * len(candidates.poses))
        if not count or not spec.kidnap_probability:
            return candidates
        poses = self._lanes.spread(count, self._rng) if fix is None else fix.draw(count, self._rng)
        new = replace(
            Particles.at(poses, spec.motion, self._rng), logs=np.full(count, math.log(spec.kidnap_probability / count))
        )
        logs = candidates.logs - logsumexp(candidates.logs) + math.log1p(-spec.kidnap_probability)
        return replace(candidates, logs=logs).joined(new)

    def _resampled(self, candidates: Particles) -> Particles:
        """As many candidates of equal weight as the doubt needs."""
        spec, weights = self._spec, candidates.weights
        # Each occupied bin needs about ten particles, so a tenth of `max_particles` shows how many are needed.
        few = systematic(weights, max(spec.min_particles, spec.max_particles // 10), self._rng)
        count = int(np.clip(needed(candidates.poses[few]), spec.min_particles, spec.max_particles))
        shifts = np.zeros((count, 3))
        shifts[:, :2] = spec.jitter * candidates.posterior.spacing * self._rng.normal(size=(count, 2))
        return candidates.chosen(systematic(weights, count, self._rng), shifts)


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
