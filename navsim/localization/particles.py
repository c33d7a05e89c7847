"""A particle filter over poses: Monte Carlo localisation (Dellaert, Fox, Burgard, Thrun, ICRA 1999). N: particles.

The number of particles follows the uncertainty (Fox, "Adapting the sample size in particle filters through
KLD-sampling", IJRR 2003). Injected random particles let it recover from a wrong belief, as in augmented Monte Carlo
localisation (Thrun, Burgard, Fox, "Probabilistic Robotics", section 8.3.5).

Persistent sensor errors are part of each particle's state. Resampled particles scatter a little, so that copies of one
do not stand for many: a regularised particle filter (Musso, Oudjane, Le Gland, "Improving regularised particle
filters", 2001).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from scipy.special import logsumexp

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.localization.likelihoods import Fix, LanePoints, Likelihood, ObservedFrame
from navsim.localization.motion import (
    MotionNoiseConfig,
    compose_motions,
    propagate_drifts,
    propagate_poses,
    sample_drifts,
)
from navsim.localization.posterior import PosePosterior, effective_size
from navsim.sensing.observation import OdometryStep


@dataclass(frozen=True, eq=False)
class Particles:
    """Weighted particles of one moment: the pose with persistent sensor errors."""

    poses: Array
    """Poses (N, 3): x, y [m], heading [rad]."""
    drifts: Array
    """Persistent errors of the odometry (N, 2): relative distance, drift of the heading [rad/s]."""
    fix_errors: Array
    """Errors of the last fix (N, 3), x, y [m] and heading [rad]; NaN for a particle without a fix."""
    log_weights: Array
    """Logarithms of the weights (N,), up to a constant."""

    @staticmethod
    def at_poses(
        poses: Array, noise: MotionNoiseConfig, rng: np.random.Generator, fix: Fix | None = None
    ) -> "Particles":
        """Create particles of equal weight at poses (N, 3), without history.

        Args:
            poses: Poses of the particles.
            noise: Size of the persistent errors of the odometry.
            rng: Generator of these errors.
            fix: Fix from which the poses were sampled, if it is used up by that.
        """
        errors = np.full((len(poses), 3), np.nan) if fix is None else fix.errors(poses)
        return Particles(poses, sample_drifts(len(poses), noise, rng), errors, np.zeros(len(poses)))

    @cached_property
    def weights(self) -> Array:
        """Weights (N,), summing to 1."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return np.asarray(weights / weights.sum())

    @cached_property
    def posterior(self) -> PosePosterior:
        """Distribution over poses alone."""
        return PosePosterior(self.poses, self.weights)

    def select(self, index: NDArray[np.int64], shifts: Array) -> "Particles":
        """Return the particles at `index` (M,) with equal weights; `shifts` (M, 3) move their past and present."""
        poses, errors = self.poses[index] + shifts, self.fix_errors[index] - shifts
        return Particles(poses, self.drifts[index], errors, np.zeros(len(index)))

    def concatenate(self, other: "Particles") -> "Particles":
        """Return these and other particles, with their log weights."""
        return Particles(
            np.concatenate([self.poses, other.poses]),
            np.concatenate([self.drifts, other.drifts]),
            np.concatenate([self.fix_errors, other.fix_errors]),
            np.concatenate([self.log_weights, other.log_weights]),
        )


_BIN_SIZE, _SECTORS = 2.0, 24  # bins that measure the uncertainty: side [m], number of headings
_KLD_ERROR, _KLD_QUANTILE = 0.05, 2.326  # error of at most 0.05 nats with probability 99%


@dataclass(frozen=True)
class FilterConfig(Constrained):
    """Settings of the particle filter."""

    min_particles: Annotated[int, Ge(10)] = 500
    """Smallest number of particles."""
    max_particles: Annotated[int, Le(200_000)] = 4000
    """Largest number of particles."""
    particles_per_metre: Annotated[float, Gt(0)] = 0.5
    """Number of particles per metre of lane when the place is unknown, within these bounds."""
    resample_below: Annotated[float, Gt(0), Le(1)] = 0.5
    """Effective size below which the filter resamples, as a share of the particles."""
    kidnap_probability: Annotated[float, Ge(0), Lt(0.5)] = 1e-3
    """Probability at each update that the belief is wrong: then the car may be anywhere."""
    injected_fraction: Annotated[float, Ge(0), Lt(0.5)] = 0.03
    """Share of particles injected at random places; their total weight is `kidnap_probability`."""
    jitter: Annotated[float, Ge(0)] = 0.8
    """Scatter of resampled particles, in distances between neighbours (`PosePosterior.spacing`)."""
    motion: MotionNoiseConfig = field(default_factory=MotionNoiseConfig)
    """Errors that the filter assumes for the odometry."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_particles > self.max_particles:
            raise ConfigError(
                f"min_particles must be at most max_particles = {self.max_particles}, got {self.min_particles}"
            )


class ParticleFilter:
    """The belief over one drive: `reset`, then `predict` and `update` in turn."""

    def __init__(
        self, config: FilterConfig, lanes: LanePoints, sources: Sequence[Likelihood], rng: np.random.Generator
    ) -> None:
        """Create a filter; the car may be anywhere until `reset` is called.

        Args:
            config: Settings of the filter.
            lanes: Lanes of the town.
            sources: Likelihoods in addition to position fixes.
            rng: Generator of all draws; owned by the filter from here on.
        """
        self._config, self._lanes, self._sources, self._rng = config, lanes, tuple(sources), rng
        self.reset(None)

    @property
    def posterior(self) -> PosePosterior:
        """Current distribution over poses."""
        return self._particles.posterior

    def reset(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""
        config = self._config
        if fix is None:
            count = self._bounded(config.particles_per_metre * self._lanes.length)
            poses = self._lanes.sample_poses(count, self._rng)
        else:
            poses = fix.sample(config.max_particles, self._rng)
        self._particles = Particles.at_poses(poses, config.motion, self._rng, fix)

    def predict(self, motion: OdometryStep) -> None:
        """Move all particles by the odometry, after resampling if few of them hold most weight.

        Resampling only here keeps the weights between updates: the belief is never one of equal particles.
        """
        weights, noise = self._particles.weights, self._config.motion
        few = effective_size(weights) < self._config.resample_below * len(weights)
        if few or len(weights) > self._config.max_particles:
            self._particles = self._resample(self._particles)
        drifts = propagate_drifts(self._particles.drifts, motion.distance, noise, self._rng)
        poses = propagate_poses(self._particles.poses, drifts, motion, noise, self._rng)
        self._particles = replace(self._particles, poses=poses, drifts=drifts)

    def update(self, frame: ObservedFrame, fix: Fix | None) -> None:
        """Weight the particles by all likelihoods."""
        particles = self._inject_particles(self._particles, fix)
        log_weights, poses, errors = particles.log_weights, particles.poses, particles.fix_errors
        for source in self._sources:
            log_weights = log_weights + source(frame, poses)
        if fix is not None:
            log_weights, errors = log_weights + fix.log_likelihood(poses, errors), fix.errors(poses)
        self._particles = replace(particles, log_weights=log_weights, fix_errors=errors)

    def _inject_particles(self, particles: Particles, fix: Fix | None) -> Particles:
        """Add particles without history: around the fix, or anywhere on the roads."""
        config, count = self._config, int(self._config.injected_fraction * len(particles.poses))
        if not count or not config.kidnap_probability:
            return particles
        poses = self._lanes.sample_poses(count, self._rng) if fix is None else fix.sample(count, self._rng)
        new = Particles.at_poses(poses, config.motion, self._rng)
        new = replace(new, log_weights=np.full(count, math.log(config.kidnap_probability / count)))
        log_weights = particles.log_weights - logsumexp(particles.log_weights) + math.log1p(-config.kidnap_probability)
        return replace(particles, log_weights=log_weights).concatenate(new)

    def _resample(self, particles: Particles) -> Particles:
        """Return particles of equal weight, their number given by the uncertainty."""
        config, weights = self._config, particles.weights
        # Each occupied bin needs about ten particles, so a tenth of `max_particles` shows how many are needed.
        few = systematic_resampling(weights, max(config.min_particles, config.max_particles // 10), self._rng)
        count = self._bounded(required_particles(particles.poses[few]))
        shifts = np.zeros((count, 3))
        shifts[:, :2] = config.jitter * particles.posterior.spacing * self._rng.normal(size=(count, 2))
        return particles.select(systematic_resampling(weights, count, self._rng), shifts)

    def _bounded(self, count: float) -> int:
        """Return a number of particles within the bounds of the settings."""
        return int(np.clip(count, self._config.min_particles, self._config.max_particles))


def systematic_resampling(weights: Array, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return indices (count,) of a sample whose counts differ from `count` times the weight by less than one.

    Unbiased (Kitagawa, "Monte Carlo filter and smoother", 1996).

    Args:
        weights: Weights (N,), summing to 1.
        count: Number of draws.
        rng: Generator of the single random number.
    """
    places = (np.arange(count) + rng.random()) / count
    return np.minimum(np.cumsum(weights).searchsorted(places, side="right"), len(weights) - 1)


def required_particles(poses: Array) -> float:
    """Return the number of particles for a belief spread like poses (N, 3), by Fox's bound (2003, equation 10)."""
    sector = np.floor((poses[:, 2] + np.pi) / (2 * np.pi) * _SECTORS)
    occupied = len(np.unique(np.column_stack([np.floor(poses[:, :2] / _BIN_SIZE), sector]), axis=0)) - 1
    if occupied < 1:
        return 1.0
    part = 2 / (9 * occupied)
    return float(occupied / (2 * _KLD_ERROR) * (1 - part + math.sqrt(part) * _KLD_QUANTILE) ** 3)


class Localiser(Protocol):
    """Estimates the pose over one drive, step by step."""

    @property
    def posterior(self) -> PosePosterior:
        """Current distribution over poses."""

    def reset(self, fix: Fix | None) -> None:
        """Start from a fix, or anywhere on the roads."""

    def predict(self, motion: OdometryStep) -> None:
        """Apply the odometry."""

    def update(self, frame: ObservedFrame, fix: Fix | None) -> None:
        """Apply all other observations."""


_MAX_CORRELATION = 1 - 1e-6  # correlation of two fixes: each has some new information


class PoseTracker:
    """Gives the observations of one drive to a localiser, after each `every` metres."""

    def __init__(self, localiser: Localiser, every: float, gps_time: float) -> None:
        """Begin a drive.

        Args:
            localiser: Localiser of the pose; it is reset by the first observation.
            every: Distance between updates [m]; a standing car gains no information.
            gps_time: Correlation time of the fixes' errors [s].
        """
        self.localiser = localiser
        self._every, self._gps_time = every, gps_time
        self._steps: list[OdometryStep] | None = None
        self._last_fix: float | None = None  # time of the last fix used

    @property
    def motion(self) -> OdometryStep:
        """Movement since the last update."""
        return compose_motions(self._steps or [])

    def advance(self, motion: OdometryStep, frame: ObservedFrame, fix: Fix | None, time: float) -> bool:
        """Process one control step; returns whether the belief was updated.

        Args:
            motion: Movement since the last control step.
            frame: What else is observed.
            fix: Position fix, if there is one.
            time: Time since the start [s].
        """
        if self._steps is None:
            self.localiser.reset(self._with_correlation(fix, time))
            self._steps = []
            return True
        self._steps.append(motion)
        if sum(step.distance for step in self._steps) < self._every:
            return False
        self.localiser.predict(self.motion)
        self.localiser.update(frame, self._with_correlation(fix, time))
        self._steps = []
        return True

    def _with_correlation(self, fix: Fix | None, now: float) -> Fix | None:
        """Return a fix with the correlation of its error with that of the last fix used."""
        if fix is None:
            return None
        last, self._last_fix = self._last_fix, now
        correlation = 0.0 if last is None else min(math.exp((last - now) / self._gps_time), _MAX_CORRELATION)
        return replace(fix, correlation=correlation)
