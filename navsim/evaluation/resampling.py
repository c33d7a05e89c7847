"""Intervals by drawing independent units anew. N: units."""

import numpy as np

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
