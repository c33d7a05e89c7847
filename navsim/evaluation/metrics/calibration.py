"""Calibration in closed loop: whether distributions are right in the situations that a driver reaches.

The offline measure (`navsim evaluate-offline`) is over recorded drives. Here the driver drives, so that its mistakes
lead to situations that recorded drives do not contain.

T: commands of a drive, B: points of a grid, N: commands of all drives.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, sqrt
from typing import Any

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from navsim.evaluation.statistics.intervals import ratio_interval
from navsim.geometry import Array
from navsim.seeding import generator
from navsim.simulation.episode import Episode

COVERAGE_Z = (0.5, 1.0, 1.5, 2.0)
"""The z-scores at which coverage is measured."""
NOMINAL_COVERAGE = tuple(erf(z / sqrt(2)) for z in COVERAGE_Z)
"""Nominal coverage at these z-scores: 38%, 68%, 87% and 95%."""
RESAMPLES = 1000
"""Number of bootstrap draws of drives for an interval."""


@dataclass(frozen=True)
class Calibration:
    """Coverage of the expert's commands by a driver's distributions."""

    drives: int
    """Number of drives with distributions."""
    steps: int
    """Number of commands in these drives, N."""
    coverage: tuple[float, ...]
    """Share of the expert's commands inside the central interval, for each of `COVERAGE_Z`."""
    intervals: tuple[tuple[float, float], ...]
    """95% interval of each share, by a bootstrap over whole drives: commands of one drive are alike."""
    gap: float
    """Largest distance between the coverage and its nominal value over all z, in [0, 1]; 0 is perfect."""


def label_transforms(episode: Episode) -> Array:
    """Return the probability below the expert's command, by the distribution that the driver used, at each step.

    The expert's command is that for the true state, recorded with the one driven. Between the grid's points the
    density is a cubic with slopes from the neighbouring points; for a Gaussian whose scale is the grid's spacing
    this errs by less than 0.01.
    A density that is 0 everywhere gives 0.

    Args:
        episode: The drive.

    Returns:
        Transforms (T,) in [0, 1], uniform if the distributions are right; (0,) if the episode has no distributions.
    """
    if not len(episode.densities):
        return np.zeros(0)
    grid, densities = episode.grid, np.asarray(episode.densities, float)
    labels = np.clip(episode.labels, grid[0], grid[-1])
    below = CubicHermiteSpline(grid, densities, np.gradient(densities, grid, axis=1), axis=1).antiderivative()
    cells = np.clip(np.searchsorted(grid, labels, side="right") - 1, 0, len(grid) - 2)
    steps = np.arange(len(labels))
    depth, order = labels - grid[cells], below.c.shape[0] - 1
    inside = sum(below.c[i, cells, steps] * depth ** (order - i) for i in range(order + 1))
    total = np.asarray(below(grid[-1]), float)
    return np.asarray(np.clip(np.where(total > 0, inside / np.maximum(total, 1e-300), 0.0), 0.0, 1.0))


def coverage(transforms: Array, z: float) -> float:
    """Return the share of expert's commands inside the central interval with a Gaussian's probability within z sigma.

    The source's measure (Amini et al., ICRA 2019: "the share of test samples whose true command falls within the
    predicted range" over z), by quantiles for distributions of other shapes: a command lies inside exactly if its
    transform is within half of that probability about 1/2.

    Args:
        transforms: Probabilities below the expert's commands (N,), at least one.
        z: z-score.
    """
    return float(np.mean(_inside(transforms, z)))


def coverage_gap(transforms: Array) -> float:
    """Return the largest distance between `coverage` and its nominal value over all z, of transforms (N,)."""
    return uniform_distance(np.abs(2 * transforms - 1))


def uniform_distance(values: Array) -> float:
    """Return the largest distance of the empirical cdf of values (N,) from the uniform distribution's (Kolmogorov)."""
    ordered = np.sort(values)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


def calibration(drives: Sequence[Array]) -> Calibration | None:
    """Measure calibration over the transforms of several drives, each (T,); None if no drive has a distribution."""
    known = [transforms for transforms in drives if len(transforms)]
    if not known:
        return None
    together = np.concatenate(known)
    return Calibration(
        drives=len(known),
        steps=len(together),
        coverage=tuple(coverage(together, z) for z in COVERAGE_Z),
        intervals=tuple(_interval(known, z) for z in COVERAGE_Z),
        gap=coverage_gap(together),
    )


def calibration_mapping(found: Calibration | None) -> dict[str, Any] | None:
    """Return the numbers as plain values; null without a calibration."""
    if found is None:
        return None
    points = zip(COVERAGE_Z, NOMINAL_COVERAGE, found.coverage, found.intervals, strict=True)
    return {
        "drives": found.drives,
        "steps": found.steps,
        "coverage": [
            {"z": z, "nominal": nominal, "value": value, "interval": list(interval)}
            for z, nominal, value, interval in points
        ],
        "gap": found.gap,
    }


def _inside(transforms: Array, z: float) -> Array:
    return np.asarray(np.abs(transforms - 0.5) <= erf(z / sqrt(2)) / 2 + 1e-12, float)


def _interval(drives: Sequence[Array], z: float) -> tuple[float, float]:
    """Return the 95% interval of the coverage by a bootstrap over drives."""
    hits = np.array([_inside(transforms, z).sum() for transforms in drives])
    sizes = np.array([len(transforms) for transforms in drives])
    return ratio_interval(hits, sizes, generator(0, "calibration"), RESAMPLES)
