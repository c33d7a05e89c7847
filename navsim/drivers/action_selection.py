"""Modes of a distribution over steering, given as a density over a grid of curvatures. G: points of the grid.

How a learned driver acts: from a distribution over steering to one command, given what it did before.

A distribution at a fork has one mode for each way. The highest one alone is no good to drive by: when two are nearly
equal, noise decides at every step anew, and the car sways until it meets the divider. So the rule `follow_mode` follows
one mode across steps. Everything here is a pure function of plain numbers, without torch, for any distribution that can
be given as a density over a grid. G: points of the grid.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.signal import find_peaks, peak_prominences

from navsim.drivers.protocol import Decision
from navsim.errors import ConfigError
from navsim.geometry import Array
from navsim.seeding import generator


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


Rule = Literal["follow_mode", "mode", "sample_hold", "mean"]
GRID_POINTS = 641
"""Points of the grid on which acting sees a density, evenly over the vehicle's range: four for each scale of the
narrowest component that a policy has by default."""
SHOWN_EVERY = 4
"""A decision carries every so many points of that grid, for whoever watches."""


@dataclass(frozen=True)
class ActingConfig:
    """How one command is taken from a distribution over steering."""

    rule: Rule = "follow_mode"
    """How a command is chosen: `follow_mode` stays with a mode once taken, `mode` takes the highest one of each step,
    `sample_hold` steers by a random quantile for a while, `mean` (a control) drives between two roads."""
    keep: float = 0.5
    """`follow_mode`: a mode is left when it has less than this share of the heaviest one's probability."""
    reach: float = 0.05
    """`follow_mode`: how far a mode may have moved since the last step to be the same one [1/m]."""
    valley: float = 0.8
    """Two maxima are two modes if the density between them falls below this share of the lower one."""
    hold_steps: int = 10
    """`sample_hold`: control steps for which a draw is held."""

    def __post_init__(self) -> None:
        for name in ("keep", "valley"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"acting.{name} must lie within (0, 1], got {getattr(self, name)}")
        if not self.reach > 0:
            raise ConfigError(f"acting.reach must be above 0, got {self.reach}")
        if self.hold_steps < 1:
            raise ConfigError(f"acting.hold_steps must be at least 1, got {self.hold_steps}")


@dataclass(frozen=True, eq=False)
class ActionDistribution:
    """A policy's answer in one situation, as plain numbers; curvatures in [1/m], positive to the left."""

    grid: Array
    """Curvatures (G,) [1/m], evenly spaced from the vehicle's sharpest right turn to its sharpest left one."""
    density: Array
    """Probability density (G,) [m] over `grid`."""
    mode: float
    """The highest mode [1/m]."""
    mean: float
    """The mean [1/m]."""
    command: float | None = None
    """The command of a policy that also answers with a single one, which is then driven by [1/m]."""


@dataclass(frozen=True)
class ActionMemory:
    """What acting remembers of a drive; a new drive begins with a new one."""

    seed: int
    """Decides what is drawn."""
    step: int = 0
    """Decisions taken."""
    followed: float | None = None
    """Where the mode was that was driven by last [1/m]."""


def select_action(
    config: ActingConfig, outlook: ActionDistribution, memory: ActionMemory
) -> tuple[float, ActionMemory]:
    """Choose the command: the policy's own if it has one, else what the rule makes of the distribution.

    Returns:
        The command [1/m], within the vehicle's range, and what to remember for the next step.
    """
    if outlook.command is not None:
        chosen = outlook.command
    elif config.rule == "follow_mode":
        chosen = follow(config, outlook, memory.followed)
    elif config.rule == "sample_hold":
        draws = generator(memory.seed, "acting", memory.step // config.hold_steps)
        chosen = quantile(outlook, float(draws.random()))
    else:
        chosen = outlook.mode if config.rule == "mode" else outlook.mean
    # float32 may round the range's ends outwards, where a command would be refused.
    chosen = float(np.clip(chosen, outlook.grid[0], outlook.grid[-1]))
    return chosen, replace(memory, step=memory.step + 1, followed=chosen)


def decision(outlook: ActionDistribution, curvature: float) -> Decision:
    """The decision to steer at `curvature` [1/m], with the density that it was taken from."""
    return Decision(curvature, outlook.grid[::SHOWN_EVERY], outlook.density[::SHOWN_EVERY])


def follow(config: ActingConfig, outlook: ActionDistribution, followed: float | None) -> float:
    """The rule `follow_mode`: the mode nearest to the one followed so far [1/m].

    It is given up for the highest one when no mode lies within `config.reach` of it, or when it has lost so much of its
    probability that another has more than 1 / `config.keep` times as much. So noise in the weights must exceed that
    factor, to either side, to change the way twice.
    """
    if followed is None:
        return outlook.mode
    modes = find_modes(outlook.grid, outlook.density, config.valley)
    if len(modes) < 2:
        return outlook.mode
    nearest = min(modes, key=lambda mode: abs(mode.curvature - followed))
    highest = min(modes, key=lambda mode: abs(mode.curvature - outlook.mode))
    moved = abs(nearest.curvature - followed) > config.reach
    if nearest is highest or moved or nearest.mass < config.keep * max(mode.mass for mode in modes):
        return outlook.mode
    return nearest.curvature


def quantile(outlook: ActionDistribution, share: float) -> float:
    """The curvature [1/m] below which `share` of the probability within the vehicle's range lies."""
    cells = (outlook.density[1:] + outlook.density[:-1]) / 2 * np.diff(outlook.grid)
    below = np.concatenate([[0.0], np.cumsum(cells)])
    if not below[-1] > 0:
        return outlook.mode
    return float(np.interp(share * below[-1], below, outlook.grid))
