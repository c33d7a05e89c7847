"""Shares, rates and means with their 95% intervals.

N: independent units, such as drives or frames. A bootstrap draws the units again, with replacement, and takes
percentiles of what the draws give (Efron, Annals of Statistics 7, 1979).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # loads scipy.stats at its first use: workers of an evaluation need none

from navsim.geometry import Array
from navsim.number_formats import number, percent_interval, share, share_with_interval, with_interval

CONFIDENCE = 0.95
"""Confidence of all intervals, as a share."""
ENDS = (2.5, 97.5)
"""Percentiles at the ends of a 95% interval."""
_Z = 1.959963984540054  # the normal distribution's quantile for 97.5%
_DRAWS = 2000


@dataclass(frozen=True)
class Share:
    """A count out of a total, with the interval of the underlying probability."""

    count: int
    """Number of successes."""
    total: int
    """Number of trials."""
    independent: int | None = None
    """Number of independent trials, which sets the width of the interval; None if all are."""

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise ValueError(f"a share needs 0 <= count <= total, got {self.count} of {self.total}")
        if self.independent is not None and not min(self.total, 1) <= self.independent <= self.total:
            raise ValueError(f"of {self.total} trials 1 to {self.total} are independent, got {self.independent}")

    @property
    def value(self) -> float | None:
        """The share in [0, 1]; None of nothing."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the underlying probability, after Wilson (JASA 22, 1927); (0, 1) of nothing."""
        if self.total == 0:
            return 0.0, 1.0
        if self.independent not in (None, self.total):
            return _wilson(self.count / self.total, self.independent or 1)
        interval = scipy.stats.binomtest(self.count, self.total).proportion_ci(CONFIDENCE, method="wilson")
        # Rounding puts the ends a hair outside [0, 1] or past the share itself when that is 0 or 1.
        low = 0.0 if self.count == 0 else float(interval.low)
        return low, 1.0 if self.count == self.total else float(interval.high)

    @property
    def text(self) -> str:
        """The share with its total, such as `38 of 40`."""
        return share(self.count, self.total)

    @property
    def interval_text(self) -> str:
        """The interval, such as `83% to 99%`."""
        return percent_interval(self.interval if self.total else None)

    @property
    def full_text(self) -> str:
        """The share with its interval, such as `38 of 40 (83% to 99%)`."""
        return share_with_interval(self.count, self.total, self.interval)

    def mapping(self) -> dict[str, Any]:
        """Return `count`, `total` and `interval` as plain values, and `independent` if it is known."""
        values = {"count": self.count, "total": self.total, "interval": list(self.interval)}
        return values if self.independent is None else values | {"independent": self.independent}


@dataclass(frozen=True)
class Rate:
    """A number of events over a distance, with the interval of the underlying rate."""

    count: int
    """Number of events."""
    km: float
    """Distance driven [km]."""

    def __post_init__(self) -> None:
        if self.count < 0 or not self.km >= 0:
            raise ValueError(f"a rate needs a count and a distance of at least 0, got {self.count} and {self.km} km")

    @property
    def value(self) -> float | None:
        """Events per kilometre [1/km]; None if nothing was driven."""
        return self.count / self.km if self.km > 0 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Exact 95% interval of the rate of a Poisson process, after Garwood (Biometrika 28, 1936) [1/km].

        Its ends are chi-square quantiles: q(2.5%; 2n) / 2 and q(97.5%; 2n + 2) / 2, over the distance. None if
        nothing was driven.
        """
        if not self.km > 0:
            return None
        low = float(scipy.stats.chi2.ppf(0.025, 2 * self.count)) / 2 if self.count else 0.0
        return low / self.km, float(scipy.stats.chi2.ppf(0.975, 2 * self.count + 2)) / 2 / self.km

    def mapping(self) -> dict[str, Any]:
        """Return `count`, `per_km` and `interval` [1/km] as plain values; the last two are null without a distance."""
        interval = self.interval
        return {"count": self.count, "per_km": self.value, "interval": None if interval is None else list(interval)}


@dataclass(frozen=True)
class Estimate:
    """A mean or another statistic with its 95% interval."""

    value: float
    """Value of the statistic."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""

    def text(self, digits: int, unit: str = "", *, scale: float = 1.0, signed: bool = False) -> str:
        """Return the value times `scale` with its interval, such as `0.12 m (0.10 to 0.14)`."""
        value, low, high = (scale * part for part in (self.value, self.low, self.high))
        return with_interval(value, (low, high), digits, unit, signed=signed)


def estimate_text(
    estimate: Estimate | None, digits: int, unit: str = "", *, scale: float = 1.0, signed: bool = False
) -> str:
    """Return `Estimate.text`, or the text of a missing value."""
    return number(None) if estimate is None else estimate.text(digits, unit, scale=scale, signed=signed)


def share_estimate(shares: Array) -> Estimate | None:
    """Return the mean of shares (N,) in [0, 1] of N independent units; None of nothing.

    The interval is that of Wilson (JASA 22, 1927) for N draws of yes or no. Shares in between vary less than those
    (Bhatia and Davis, 2000: the variance is at most m (1 - m)), so it is too wide rather than too narrow. Unlike a
    bootstrap it does not shrink to a point where all shares are 1.
    """
    if not len(shares):
        return None
    mean = float(np.mean(shares))
    return Estimate(mean, *_wilson(mean, len(shares)))


def _wilson(mean: float, count: int) -> tuple[float, float]:
    """Return Wilson's interval of a mean of `count` shares, by the formula itself: scipy's takes whole counts."""
    centre = (mean + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(mean * (1 - mean) / count + _Z**2 / (4 * count**2))
    return min(max(centre - half, 0.0), mean), max(min(centre + half, 1.0), mean)


def mean_estimate(values: Array, rng: np.random.Generator) -> Estimate | None:
    """Return the mean of probabilities (N,) of N independent units with a bootstrap; None of nothing.

    Args:
        values: One probability for each unit; the interval of a single one is [0, 1].
        rng: Draws the samples.
    """
    if not len(values):
        return None
    if len(values) == 1:
        return Estimate(float(values[0]), 0.0, 1.0)
    return bootstrap_estimate(values, np.mean, rng)


def bootstrap_estimate(values: Array, statistic: Callable[..., Any], rng: np.random.Generator) -> Estimate:
    """Return a statistic of values (N,), at least one, with a bootstrap; the interval of equal values is a point.

    Args:
        values: One value for each of N independent units.
        statistic: Function such as `numpy.median` that takes an `axis`.
        rng: Draws the samples.
    """
    value = float(statistic(values))
    if np.ptp(values) == 0:
        return Estimate(value, value, value)
    drawn = scipy.stats.bootstrap(
        (values,), statistic, n_resamples=_DRAWS, confidence_level=CONFIDENCE, method="percentile", rng=rng
    )
    return Estimate(value, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def ratio_interval(over: Array, under: Array, rng: np.random.Generator, draws: int) -> tuple[float, float]:
    """Return the 95% interval of the mean of `over` (N,) divided by the mean of `under` (N,), by a bootstrap.

    It is not scipy's bootstrap, which takes other draws from the same seed: stored results hold these.

    Args:
        over: One number for each unit, at least one unit.
        under: Likewise; 1 throughout gives the interval of a mean. Nothing divided by nothing is 0.
        rng: Draws the units.
        draws: Number of draws.
    """
    drawn = rng.integers(len(over), size=(draws, len(over)))
    low, high = np.percentile(_ratio(over[drawn].mean(axis=1), under[drawn].mean(axis=1)), ENDS)
    return float(low), float(high)


def ratio_estimate(over: Array, under: Array, rng: np.random.Generator) -> Estimate:
    """Return the mean of `over` (N,) divided by the mean of `under` (N,), with a bootstrap over the frames.

    Frames are taken for independent: choose them seconds apart.

    Raises:
        ValueError: If the number of frames is 0.
    """
    if not len(over) or len(over) != len(under):
        raise ValueError(f"a ratio needs as many values above as below, at least one, got {len(over)} and {len(under)}")
    return Estimate(float(_ratio(over.mean(), under.mean())), *ratio_interval(over, under, rng, _DRAWS))


def mean_over_frames(values: Array, rng: np.random.Generator) -> Estimate:
    """Return the mean of values (N,) with a bootstrap over the frames.

    Raises:
        ValueError: If the number of frames is 0.
    """
    return ratio_estimate(values, np.ones(len(values)), rng)


def _ratio(over: Array, under: Array) -> Array:
    """Return a quotient; 0 where the divisor is 0, as then the dividend is 0, too."""
    return np.asarray(over / np.where(under > 0, under, 1.0))
