"""Modes of a distribution over steering, given as a density over a grid of curvatures. G: points of the grid."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.signal import find_peaks, peak_prominences

from navsim.geometry import Array


@dataclass(frozen=True)
class Mode:
    """A local maximum of a density, with the probability around it."""

    curvature: float
    """Where it is [1/m]."""
    mass: float
    """Probability between the valleys on either side of it."""


def find_modes(grid: Array, density: Array, valley: float) -> tuple[Mode, ...]:
    """Find the modes of a density (G,) over an even grid (G,), from right to left; none if it is 0 everywhere.

    A maximum between two points of the grid is placed by the parabola through the logarithms at the three points
    around it, which is exact for a Gaussian.

    Args:
        grid: Curvatures (G,) [1/m], increasing.
        density: Densities (G,) [m].
        valley: How deep the density must fall between two modes, as a share of the lower one.
    """
    edged = np.pad(density, 1)  # a maximum may stand at an end of the range
    peaks, _ = find_peaks(edged)
    prominent = peak_prominences(edged, peaks)[0] >= (1 - valley) * edged[peaks]
    tops = peaks[prominent] - 1
    if not len(tops):
        return ()
    bottoms = [low + int(density[low:high].argmin()) for low, high in pairwise(tops)]
    parts = np.concatenate([[0.0], (density[1:] + density[:-1]) / 2 * np.diff(grid)])
    masses = np.add.reduceat(parts, [0, *(bottom + 1 for bottom in bottoms)])
    return tuple(Mode(_summit(grid, density, int(top)), float(mass)) for top, mass in zip(tops, masses, strict=True))


def _summit(grid: Array, density: Array, top: int) -> float:
    """Where the maximum near the grid's point `top` is [1/m]."""
    if not 0 < top < len(grid) - 1 or not density[top - 1 : top + 2].min() > 0:
        return float(grid[top])
    before, here, after = np.log(density[top - 1 : top + 2])
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(grid[top] + np.clip(shift, -0.5, 0.5) * (grid[1] - grid[0]))
