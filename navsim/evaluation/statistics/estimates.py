"""Means over frames with the interval that so few frames leave open. N: frames."""

import numpy as np

from navsim.evaluation.statistics.intervals import Estimate
from navsim.evaluation.statistics.resampling import ratio, ratio_interval
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
    return Estimate(float(ratio(over.mean(), under.mean())), *ratio_interval(over, under, rng, _DRAWS))


def mean_over_frames(values: Array, rng: np.random.Generator) -> Estimate:
    """Mean of values (N,) with a percentile bootstrap over the frames.

    Raises:
        ValueError: If there is no frame.
    """
    return ratio_estimate(values, np.ones(len(values)), rng)
