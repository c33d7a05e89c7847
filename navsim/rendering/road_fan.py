"""Steering distribution as a fan on the road, with one cell for each small range of curvatures.

Vehicle frame: x forward, y left [m]. A path of curvature k leaves the car's centre along its heading; a cell is the
area between two such paths. The cells are fixed to the car, so that only their colours change.
"""

from dataclasses import dataclass

import numpy as np

from navsim.geometry import Array

REACH = 15.0
"""Length of the fan's paths from the car's centre [m]."""
START = 2.3
"""Distance from the car's centre at which the fan begins [m]."""
MAX_TURN = 1.5
"""Largest turn of a path, at which strongly curved paths end [rad]."""
CELL_EDGES: Array = np.linspace(-0.205, 0.205, 42)
"""Curvatures between the cells (CELLS + 1,) [1/m]."""
COMMANDS: Array = np.linspace(-0.2, 0.2, 101)
"""Curvatures of the commands that can be shown [1/m], less than 0.3 m apart at the fan's end."""
COMMAND_WIDTH = 0.18
"""Width of the band that shows the command [m]."""
STEPS = 10
"""Number of straight pieces of a path."""

_LOW = np.array([0.93, 0.20, 0.10])
_HIGH = np.array([1.0, 0.90, 0.15])
_LEVELS = 12


@dataclass(frozen=True, eq=False)
class Fan:
    """A driver's command and its distribution over curvatures."""

    curvature: float
    """Commanded curvature [1/m], positive to the left."""
    grid: Array | None = None
    """Increasing curvatures of `density` (B,) [1/m]."""
    density: Array | None = None
    """Probability density (B,) [m] over `grid`."""
    modes: tuple[float, ...] = ()
    """Curvatures of the distribution's modes [1/m]."""


def path_points(curvature: float, distances: Array) -> Array:
    """Return points (N, 2) [m] at `distances` (N,) [m] along the path of a curvature [1/m], in the vehicle frame."""
    half_turns = np.clip(distances * curvature, -MAX_TURN, MAX_TURN) / 2
    # A chord is the arc times sin(x) / x, which is np.sinc(x / pi), also at zero.
    chords = _lengths(curvature, distances) * np.sinc(half_turns / np.pi)
    return np.stack([chords * np.cos(half_turns), chords * np.sin(half_turns)], axis=-1)


def command_index(curvature: float) -> int:
    """Return the index of the closest of COMMANDS to a curvature [1/m]."""
    return int(np.abs(COMMANDS - curvature).argmin())


def command_outline(index: int) -> tuple[Array, Array]:
    """Return the left and right border (STEPS + 1, 2) [m] of the band along one of COMMANDS, in the vehicle frame."""
    curvature = float(COMMANDS[index])
    distances = np.linspace(START, REACH, STEPS + 1)
    middle = path_points(curvature, distances)
    headings = np.clip(distances * curvature, -MAX_TURN, MAX_TURN)
    across = COMMAND_WIDTH / 2 * np.stack([-np.sin(headings), np.cos(headings)], axis=-1)
    return middle + across, middle - across


def cell_outline(cell: int) -> tuple[Array, Array]:
    """Return the left and right border (STEPS + 1, 2) [m] of a cell, in the vehicle frame."""
    distances = np.linspace(START, REACH, STEPS + 1)
    return path_points(float(CELL_EDGES[cell + 1]), distances), path_points(float(CELL_EDGES[cell]), distances)


def cell_colours(fan: Fan) -> Array:
    """Return red, green, blue and opacity (CELLS, 4) in [0, 1] by each cell's share of the highest density.

    Shares are rounded to `_LEVELS` levels, so that few cells change between time steps.
    """
    shares = np.round(cell_shares(fan)[:, None] * _LEVELS) / _LEVELS  # (CELLS, 1)
    opacity = np.where(shares == 0, 0.0, 0.25 + 0.6 * np.sqrt(shares))
    return np.concatenate([_LOW + (_HIGH - _LOW) * shares, opacity], axis=1)


def cell_shares(fan: Fan) -> Array:
    """Return the mean density of each cell over the largest one (CELLS,); zeros without a distribution."""
    if fan.grid is None or fan.density is None:
        return np.zeros(len(CELL_EDGES) - 1)
    # Exact integrals of the piecewise linear density, so that a peak narrower than a cell is not missed.
    knots = np.union1d(fan.grid, np.clip(CELL_EDGES, fan.grid[0], fan.grid[-1]))
    values = np.interp(knots, fan.grid, fan.density)
    integral = np.concatenate([[0.0], np.cumsum(np.diff(knots) * (values[1:] + values[:-1]) / 2)])
    masses = np.diff(np.interp(CELL_EDGES, knots, integral))
    return np.asarray(masses / max(float(masses.max()), 1e-12))


def _lengths(curvature: float, distances: Array) -> Array:
    """Return distances [m], limited by the path's largest turn."""
    return np.minimum(distances, MAX_TURN / max(abs(curvature), 1e-9))
