"""Intervals by drawing independent units anew. N: units.

Means over independent units with the interval that such a sample leaves open.

Means over frames with the interval that so few frames leave open. N: frames.

Do two numbers of several drivers go together? For example how well they predict and how well they drive.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap, spearmanr

from navsim.geometry import Array

_ENDS = (2.5, 97.5)  # percentiles of a 95% interval


def ratio_interval(over: Array, under: Array, rng: np.random.Generator, draws: int) -> tuple[float, float]:
    """95% interval of the mean of `over` (N,) by the mean of `under` (N,), as percentiles of a bootstrap (Efron).

    Args:
        over: One number for each unit, at least one unit.
        under: Likewise; 1 throughout makes it the interval of a mean. Nothing divided by nothing is 0.
        rng: Draws the units.
        draws: How many times.
    """
    drawn = rng.integers(len(over), size=(draws, len(over)))
    low, high = np.percentile(ratio(over[drawn].mean(axis=1), under[drawn].mean(axis=1)), _ENDS)
    return float(low), float(high)


def ratio(over: Array, under: Array) -> Array:
    """A quotient; 0 where there is nothing below, as then there is nothing above."""
    return np.asarray(over / np.where(under > 0, under, 1.0))


@dataclass(frozen=True)
class Share:
    """So many out of so many, with the interval that such a sample leaves open."""

    count: int
    """How many did."""
    total: int
    """Out of how many."""

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise ValueError(f"a share needs 0 <= count <= total, got {self.count} of {self.total}")

    @property
    def value(self) -> float | None:
        """The share in [0, 1]; None of nothing."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the underlying probability, after Wilson (JASA 22, 1927); (0, 1) of nothing."""
        if self.total == 0:
            return 0.0, 1.0
        interval = binomtest(self.count, self.total).proportion_ci(0.95, method="wilson")
        # Rounding puts the ends a hair outside [0, 1] or past the share itself when that is 0 or 1.
        low = 0.0 if self.count == 0 else float(interval.low)
        return low, 1.0 if self.count == self.total else float(interval.high)


LEVEL = 0.95
"""Confidence of all intervals."""
_Z = 1.959963984540054
_DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95% interval."""

    value: float
    """The mean."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""


def share_estimate(shares: Array) -> Estimate | None:
    """Mean of shares (N,) in [0, 1] of N independent units; None of nothing.

    The interval is that of Wilson (JASA 22, 1927) for N draws of yes or no. Shares in between vary less than those
    (Bhatia and Davis, 2000: the variance is at most m (1 - m)), so it is too wide rather than too narrow, and unlike a
    bootstrap it does not shrink to a point where all shares are 1.
    """
    if not len(shares):
        return None
    count, mean = len(shares), float(np.mean(shares))
    centre = (mean + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(mean * (1 - mean) / count + _Z**2 / (4 * count**2))
    return Estimate(mean, min(max(centre - half, 0.0), mean), max(min(centre + half, 1.0), mean))


def mean_estimate(values: Array, rng: np.random.Generator) -> Estimate | None:
    """Mean of probabilities (N,) of N independent units, with a percentile bootstrap; None of nothing.

    Args:
        values: One for each unit; a single one leaves everything in [0, 1] open.
        rng: Draws the samples.
    """
    if not len(values):
        return None
    if len(values) == 1:
        return Estimate(float(values[0]), 0.0, 1.0)
    return bootstrap_estimate(values, np.mean, rng)


def bootstrap_estimate(values: Array, statistic: Callable[..., Any], rng: np.random.Generator) -> Estimate:
    """A statistic of values (N,), at least one, with a percentile bootstrap; equal values leave its interval a point.

    Args:
        values: One for each of N independent units.
        statistic: Such as `numpy.median`; takes an `axis`.
        rng: Draws the samples.
    """
    value = float(statistic(values))
    if np.ptp(values) == 0:
        return Estimate(value, value, value)
    drawn = bootstrap((values,), statistic, n_resamples=_DRAWS, confidence_level=LEVEL, method="percentile", rng=rng)
    return Estimate(value, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def ratio_estimate(over: Array, under: Array, rng: np.random.Generator) -> Estimate:
    """Mean of `over` (N,) divided by the mean of `under` (N,), with a percentile bootstrap over the frames.

    Frames are taken for independent: choose them seconds apart.

    Raises:
        ValueError: If there is no frame.
    """
    if not len(over) or len(over) != len(under):
        raise ValueError(f"a ratio needs as many values above as below, at least one, got {len(over)} and {len(under)}")
    return Estimate(float(ratio(over.mean(), under.mean())), *ratio_interval(over, under, rng, _DRAWS))


def mean_over_frames(values: Array, rng: np.random.Generator) -> Estimate:
    """Mean of values (N,) with a percentile bootstrap over the frames.

    Raises:
        ValueError: If there is no frame.
    """
    return ratio_estimate(values, np.ones(len(values)), rng)


FEWEST = 5
"""Below so many points nothing is said: an interval over four still holds nearly everything."""
_SURE = 0.99  # ranks that agree throughout are beyond the transformation; their interval is that of this value


@dataclass(frozen=True)
class Correlation:
    """A rank correlation."""

    count: int
    """Number of points."""
    value: float | None
    """Spearman's coefficient in [-1, 1]; None of too few points, or if one number is the same for all."""
    interval: tuple[float, float] | None
    """95% interval, by Fisher's transformation with the variance of Bonett and Wright (Psychometrika 65, 2000)."""

    @property
    def words(self) -> str:
        """What can be said."""
        if self.count < FEWEST:
            return f"{self.count} points are too few to tell a correlation; {FEWEST} are needed"
        if self.value is None or self.interval is None:
            return f"{self.count} points, one number the same for all: no correlation can be told"
        low, high = self.interval
        verdict = "may as well be none" if low <= 0 <= high else "significant"
        return f"rank correlation {self.value:+.2f} ({low:+.2f} to {high:+.2f}) over {self.count} points: {verdict}"


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Correlate the ranks of two numbers (N,) each."""
    count = len(first)
    if count < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return Correlation(count, None, None)
    value = float(spearmanr(first, second).statistic)
    spread = 1.96 * sqrt((1 + value**2 / 2) / (count - 3))
    inner = atanh(min(max(value, -_SURE), _SURE))
    return Correlation(count, value, (min(tanh(inner - spread), value), max(tanh(inner + spread), value)))
