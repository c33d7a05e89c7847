"""Means over independent units with the interval that such a sample leaves open."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from navsim.geometry import Array

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
