"""Pairs of numbers: differences between two drivers over the same routes, and rank correlations over several drivers.

Differences route by route tell more than two results side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Any

import numpy as np
import scipy

from navsim.evaluation.statistics.intervals import Share, ratio_interval
from navsim.seeding import generator

RESAMPLES = 4000
"""Number of draws of pairs for an interval."""
SIGNIFICANCE_LEVEL = 0.05
"""Value of p below which a difference is called significant."""


@dataclass(frozen=True)
class PairedShare:
    """Numbers of the same routes on which two drivers succeeded."""

    both: int
    """Number of routes on which both succeeded."""
    first_only: int
    """Number of routes on which only the first succeeded."""
    second_only: int
    """Number of routes on which only the second succeeded."""
    neither: int
    """Number of routes on which neither succeeded."""

    @property
    def total(self) -> int:
        """Number of routes."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def first(self) -> Share:
        """Share of the first driver."""
        return Share(self.both + self.first_only, self.total)

    @property
    def second(self) -> Share:
        """Share of the second driver."""
        return Share(self.both + self.second_only, self.total)

    @property
    def difference(self) -> float:
        """Second less first, in [-1, 1]; 0 of nothing."""
        return (self.second_only - self.first_only) / self.total if self.total else 0.0

    @property
    def p_value(self) -> float:
        """Value p of McNemar's exact two-sided test (Psychometrika 12, 1947); 1 if the drivers differ on no route.

        It is the probability of a split at least as unequal of the routes on which only one succeeded, if each falls
        to either with 1/2.
        """
        different = self.first_only + self.second_only
        return float(scipy.stats.binomtest(self.second_only, different).pvalue) if different else 1.0

    @property
    def significant(self) -> bool:
        """Whether the test calls the difference significant."""
        return self.p_value < SIGNIFICANCE_LEVEL

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the difference, by Newcombe's method 10 (Statistics in Medicine 17, 1998).

        It joins the Wilson intervals of both shares and takes their correlation into account. Unlike a bootstrap it is
        no single point where the drivers differ on no route. (-1, 1) of nothing.
        """
        if not self.total:
            return -1.0, 1.0
        first, second = self.first.value or 0.0, self.second.value or 0.0
        (low_1, high_1), (low_2, high_2) = self.first.interval, self.second.interval
        correlation = self._correlation()

        def joined(one: float, other: float) -> float:
            return sqrt(max(one**2 - 2 * correlation * one * other + other**2, 0.0))

        low = self.difference - joined(second - low_2, high_1 - first)
        high = self.difference + joined(high_2 - second, first - low_1)
        return max(low, -1.0), min(high, 1.0)

    def mapping(self) -> dict[str, Any]:
        """Return difference, interval and p as plain values."""
        return {"difference": self.difference, "interval": list(self.interval), "p_value": self.p_value}

    def _correlation(self) -> float:
        """Return Newcombe's coefficient of correlation between the two, with his correction for continuity."""
        margins = self.first.count * self.second.count
        margins *= (self.total - self.first.count) * (self.total - self.second.count)
        excess: float = self.both * self.neither - self.first_only * self.second_only
        if excess > 0:
            excess = max(excess - self.total / 2, 0)
        return float(excess / sqrt(margins)) if margins else 0.0


def paired_share(first: Sequence[bool], second: Sequence[bool]) -> PairedShare:
    """Count pairs, given whether each driver succeeded on each of the same routes (N,)."""
    pairs = list(zip(first, second, strict=True))
    return PairedShare(
        both=pairs.count((True, True)),
        first_only=pairs.count((True, False)),
        second_only=pairs.count((False, True)),
        neither=pairs.count((False, False)),
    )


@dataclass(frozen=True)
class PairedMean:
    """A measure of two drivers over the same routes."""

    total: int
    """Number of routes with a value of both."""
    first: float | None
    """Mean of the first driver; None of no route."""
    second: float | None
    """Mean of the second driver."""
    difference: float | None
    """Mean of second less first."""
    interval: tuple[float, float] | None
    """95% interval of the difference, by a bootstrap over routes; None of fewer than two routes."""

    @property
    def significant(self) -> bool:
        """Whether 0 is outside the interval."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def paired_mean(first: Sequence[float | None], second: Sequence[float | None]) -> PairedMean:
    """Compare a measure route by route; routes where either has no value are left out.

    Args:
        first: The first driver's values (N,).
        second: The second driver's values on the same routes (N,).
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if not pairs:
        return PairedMean(0, None, None, None, None)
    values = np.array(pairs)
    differences = values[:, 1] - values[:, 0]
    interval = None
    if len(pairs) > 1:
        interval = ratio_interval(differences, np.ones(len(pairs)), generator(0, "paired"), RESAMPLES)
    return PairedMean(
        len(pairs), float(values[:, 0].mean()), float(values[:, 1].mean()), float(differences.mean()), interval
    )


MIN_POINTS = 5
"""Smallest number of points for which a correlation is given: an interval over four still holds nearly everything."""
_MAX_TRANSFORMED = 0.99  # Fisher's transformation of 1 is infinite; the interval is that of this value


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
    def text(self) -> str:
        """The coefficient with its interval and a verdict, or why there is none."""
        if self.count < MIN_POINTS:
            return f"{self.count} points are too few for a correlation; {MIN_POINTS} are needed"
        if self.value is None or self.interval is None:
            return f"{self.count} points, one number the same for all: no correlation can be given"
        low, high = self.interval
        verdict = "not significant" if low <= 0 <= high else "significant"
        return f"rank correlation {self.value:+.2f} ({low:+.2f} to {high:+.2f}) over {self.count} points: {verdict}"


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Correlate the ranks of two numbers (N,) each."""
    count = len(first)
    if count < MIN_POINTS or len(set(first)) == 1 or len(set(second)) == 1:
        return Correlation(count, None, None)
    value = float(scipy.stats.spearmanr(first, second).statistic)
    spread = 1.96 * sqrt((1 + value**2 / 2) / (count - 3))
    transformed = atanh(min(max(value, -_MAX_TRANSFORMED), _MAX_TRANSFORMED))
    return Correlation(count, value, (min(tanh(transformed - spread), value), max(tanh(transformed + spread), value)))
