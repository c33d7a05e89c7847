"""Means over frames with the interval that so few frames leave open. N: frames."""

import numpy as np

from agents.scoring.intervals import LEVEL, Estimate
from navsim.geometry import Array

_DRAWS = 2000


def ratio_estimate(over: Array, under: Array, rng: np.random.Generator) -> Estimate:
    """Mean of `over` (N,) divided by the mean of `under` (N,), with a percentile bootstrap over the frames.

    Frames are taken for independent: choose them seconds apart.

    Raises:
        ValueError: If there is no frame.
    """
    if not len(over) or len(over) != len(under):
        raise ValueError(f"a ratio needs as many values above as below, at least one, got {len(over)} and {len(under)}")
    drawn = rng.integers(len(over), size=(_DRAWS, len(over)))
    ratios = _divided(over[drawn].mean(axis=1), under[drawn].mean(axis=1))
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(_divided(over.mean(), under.mean())), float(low), float(high))


def mean_over_frames(values: Array, rng: np.random.Generator) -> Estimate:
    """Mean of values (N,) with a percentile bootstrap over the frames.

    Raises:
        ValueError: If there is no frame.
    """
    return ratio_estimate(values, np.ones(len(values)), rng)


def _divided(over: Array, under: Array) -> Array:
    """A quotient; 0 where there is nothing below, as then there is nothing above."""
    return np.asarray(over / np.where(under > 0, under, 1.0))
