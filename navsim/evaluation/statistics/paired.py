"""Two drivers over the same routes: differences between pairs, which tell more than two results side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import binomtest

from navsim.evaluation.statistics.intervals import Share, ratio_interval
from navsim.seeding import generator

RESAMPLES = 4000
"""How many times pairs are drawn anew for an interval."""
LEVEL = 0.05
"""A difference whose p is below this is called significant."""


@dataclass(frozen=True)
class PairedShare:
    """How many of the same routes two drivers managed."""

    both: int
    """Routes that both managed."""
    first_only: int
    """Routes that only the first managed."""
    second_only: int
    """Routes that only the second managed."""
    neither: int
    """Routes that none managed."""

    @property
    def total(self) -> int:
        """Number of routes."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def first(self) -> Share:
        """Of the first driver."""
        return Share(self.both + self.first_only, self.total)

    @property
    def second(self) -> Share:
        """Of the second driver."""
        return Share(self.both + self.second_only, self.total)

    @property
    def difference(self) -> float:
        """Second less first, in [-1, 1]; 0 of nothing."""
        return (self.second_only - self.first_only) / self.total if self.total else 0.0

    @property
    def p_value(self) -> float:
        """McNemar's exact test (Psychometrika 12, 1947), two-sided; 1 where no route tells the two apart.

        How likely so unequal a split of the routes that only one managed is, if each falls to either with 1/2.
        """
        apart = self.first_only + self.second_only
        return float(binomtest(self.second_only, apart).pvalue) if apart else 1.0

    @property
    def significant(self) -> bool:
        """Whether the test calls the difference significant."""
        return self.p_value < LEVEL

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the difference, by Newcombe's method 10 (Statistics in Medicine 17, 1998).

        It joins the Wilson intervals of both shares, taking into account how they go together; unlike a bootstrap it
        is no single point where no route tells the two apart. (-1, 1) of nothing.
        """
        if not self.total:
            return -1.0, 1.0
        first, second = self.first.value or 0.0, self.second.value or 0.0
        (low_1, high_1), (low_2, high_2) = self.first.interval, self.second.interval
        together = self._together()

        def joined(one: float, other: float) -> float:
            return sqrt(max(one**2 - 2 * together * one * other + other**2, 0.0))

        low = self.difference - joined(second - low_2, high_1 - first)
        high = self.difference + joined(high_2 - second, first - low_1)
        return max(low, -1.0), min(high, 1.0)

    def _together(self) -> float:
        """Newcombe's coefficient of correlation between the two, with his correction for continuity."""
        margins = self.first.count * self.second.count
        margins *= (self.total - self.first.count) * (self.total - self.second.count)
        excess: float = self.both * self.neither - self.first_only * self.second_only
        if excess > 0:
            excess = max(excess - self.total / 2, 0)
        return float(excess / sqrt(margins)) if margins else 0.0


def paired_share(first: Sequence[bool], second: Sequence[bool]) -> PairedShare:
    """Count pairs: whether each driver managed each of the same routes (N,)."""
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
    """95% interval of the difference, by drawing routes anew; None of fewer than two routes."""

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0."""
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
