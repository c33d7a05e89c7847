"""Intervals by drawing independent units anew. N: units."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

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
