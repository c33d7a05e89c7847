"""From a distribution over steering to one command, given the commands before it; and the base of drivers that do so.

A distribution at a fork has one mode for each way. A driver that always takes the highest mode fails there: of two
nearly equal modes noise picks another one at each step, and the car sways until it meets the divider. So the rule
`follow_mode` follows one mode across steps.

All functions take plain numbers, without torch, and serve any distribution with a density over a grid. G: grid points.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import scipy  # loads scipy.signal at its first use: that takes 0.7 s, and the expert needs no modes
from annotated_types import Ge, Gt, Le

from navsim.config import Constrained
from navsim.drivers.protocol import Decision
from navsim.geometry import Array
from navsim.seeding import generator
from navsim.sensing.observation import Observation, right_hand_observation

Rule = Literal["follow_mode", "mode", "sample_hold", "mean"]
GRID_POINTS = 641
"""Number of points of the grid on which a density is given to action selection, evenly over the vehicle's range. It has
four points for each scale of the narrowest component that a policy has by default."""
SHOWN_EVERY = 4
"""Step between the points of that grid that a decision keeps, for displays."""
BATCH_CARS = 8
"""Default number of cars for which a learned driver decides in one pass."""
_SINGLE_CAR = -1  # key of the car of `begin` and `drive`


@dataclass(frozen=True)
class ActingConfig(Constrained):
    """How a command is chosen from a distribution over steering."""

    rule: Rule = "follow_mode"
    """Rule of choice: `follow_mode` stays with a mode once taken, `mode` takes the highest one of each step,
    `sample_hold` steers by a random quantile for a while, `mean` (a control) drives between two roads."""
    keep: Annotated[float, Gt(0), Le(1)] = 0.5
    """`follow_mode`: share of the heaviest mode's probability below which a mode is left."""
    reach: Annotated[float, Gt(0)] = 0.05
    """`follow_mode`: largest change of a mode's place from one step to the next [1/m]."""
    valley: Annotated[float, Gt(0), Le(1)] = 0.8
    """Share of the lower maximum that the density must fall below between two modes."""
    hold_steps: Annotated[int, Ge(1)] = 10
    """`sample_hold`: number of control steps for which a draw is held."""

    def _error_prefix(self) -> str:
        return "acting."


@dataclass(frozen=True, eq=False)
class ActionDistribution:
    """A policy's output in one situation as plain numbers; curvatures in [1/m], positive to the left."""

    grid: Array
    """Curvatures (G,) [1/m], evenly spaced from the vehicle's sharpest right turn to its sharpest left one."""
    density: Array
    """Probability density (G,) [m] over `grid`."""
    mode: float
    """Highest mode [1/m]."""
    mean: float
    """Mean curvature [1/m]."""
    command: float | None = None
    """Command of a policy that also outputs a single one, which is then driven [1/m]."""

    @property
    def mirrored(self) -> "ActionDistribution":
        """Distribution with left and right exchanged."""
        command = None if self.command is None else -self.command
        return ActionDistribution(-self.grid[::-1], self.density[::-1], -self.mode, -self.mean, command)


@dataclass(frozen=True)
class ActionMemory:
    """Memory of action selection within a drive; each drive begins with a new one."""

    seed: int
    """Seed of the random draws."""
    step: int = 0
    """Number of decisions so far."""
    followed: float | None = None
    """Place of the mode that was driven last [1/m]."""


@dataclass(frozen=True)
class Mode:
    """A local maximum of a density, with the probability around it."""

    curvature: float
    """Place of the maximum [1/m]."""
    mass: float
    """Probability between the valleys on either side of it."""


class LearnedDriver(ABC):
    """Drives by a network's distribution over steering; a `navsim.drivers.protocol.BatchDriver`."""

    def __init__(self, name: str, acting: ActingConfig, cars: int = BATCH_CARS) -> None:
        """Begin a drive of seed 0.

        Args:
            name: Name in tables and files.
            acting: How commands are chosen from distributions.
            cars: Number of cars for which the driver decides in one pass.
        """
        self.name = name
        self.cars = cars
        """Number of cars for which the driver decides in one pass."""
        self.acting = acting
        """How commands are chosen from distributions."""
        self._memories = {_SINGLE_CAR: ActionMemory(0)}

    @abstractmethod
    def predict(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """Return the network's distribution for each observation."""

    def begin(self, seed: int) -> None:
        """Forget the last drive."""
        self.begin_car(_SINGLE_CAR, seed)

    def drive(self, observation: Observation) -> Decision:
        """Choose the command; the decision includes the density."""
        return self._decide(_SINGLE_CAR, self.distributions({_SINGLE_CAR: observation})[_SINGLE_CAR])

    def begin_car(self, car: int, seed: int) -> None:
        """Forget the last drive of `car`."""
        self._memories[car] = ActionMemory(seed)

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Choose the commands of several cars, in passes of a fixed number of cars."""
        return {
            car: self._decide(car, distribution) for car, distribution in self.distributions(observations, True).items()
        }

    def distributions(
        self, observations: Mapping[int, Observation], in_passes: bool = False
    ) -> dict[int, ActionDistribution]:
        """Return the distribution of each car.

        Networks learn from traffic that keeps right. Where it keeps left, they are shown the mirror image.

        Args:
            observations: What each car senses.
            in_passes: Whether to predict in passes of a fixed number of cars, see `predict_in_passes`.
        """
        seen = [right_hand_observation(observation) for observation in observations.values()]
        found = self.predict_in_passes(seen) if in_passes else self.predict(seen)
        return {
            car: distribution if observation is shown else distribution.mirrored
            for (car, observation), shown, distribution in zip(observations.items(), seen, found, strict=True)
        }

    def predict_in_passes(self, observations: Sequence[Observation]) -> list[ActionDistribution]:
        """Return the network's distribution for each observation, in passes of `cars` observations.

        Passes that are not full are padded with copies. Numeric libraries round differently for batches of different
        sizes, and a drive must not depend on the drives in the same batch.
        """
        found: list[ActionDistribution] = []
        for first in range(0, len(observations), self.cars):
            part = list(observations[first : first + self.cars])
            found += self.predict(part + part[:1] * (self.cars - len(part)))[: len(part)]
        return found

    def _decide(self, car: int, distribution: ActionDistribution) -> Decision:
        """Choose a command and update the car's memory."""
        chosen, self._memories[car] = select_action(self.acting, distribution, self._memories[car])
        return decision(distribution, chosen)


def select_action(
    config: ActingConfig, distribution: ActionDistribution, memory: ActionMemory
) -> tuple[float, ActionMemory]:
    """Choose the command: the policy's own if it has one, else that of the rule.

    Returns:
        The command [1/m], within the vehicle's range, and the memory for the next step.
    """
    if distribution.command is not None:
        chosen = distribution.command
    elif config.rule == "follow_mode":
        chosen = follow(config, distribution, memory.followed)
    elif config.rule == "sample_hold":
        draws = generator(memory.seed, "acting", memory.step // config.hold_steps)
        chosen = quantile(distribution, float(draws.random()))
    else:
        chosen = distribution.mode if config.rule == "mode" else distribution.mean
    # float32 may round the range's ends outwards, where a command would be refused.
    chosen = float(np.clip(chosen, distribution.grid[0], distribution.grid[-1]))
    return chosen, replace(memory, step=memory.step + 1, followed=chosen)


def decision(distribution: ActionDistribution, curvature: float) -> Decision:
    """Return the decision to steer at `curvature` [1/m], with the density that it was chosen from."""
    return Decision(curvature, distribution.grid[::SHOWN_EVERY], distribution.density[::SHOWN_EVERY])


def follow(config: ActingConfig, distribution: ActionDistribution, followed: float | None) -> float:
    """Return the mode nearest to the one followed so far [1/m]: the rule `follow_mode`.

    The highest mode replaces it if no mode lies within `config.reach` of it, or if another mode has more than
    1 / `config.keep` times its probability. So noise in the probabilities must exceed that factor, to either side, to
    change the way twice.
    """
    if followed is None:
        return distribution.mode
    modes = find_modes(distribution.grid, distribution.density, config.valley)
    if len(modes) < 2:
        return distribution.mode
    nearest = min(modes, key=lambda mode: abs(mode.curvature - followed))
    highest = min(modes, key=lambda mode: abs(mode.curvature - distribution.mode))
    moved = abs(nearest.curvature - followed) > config.reach
    if nearest is highest or moved or nearest.mass < config.keep * max(mode.mass for mode in modes):
        return distribution.mode
    return nearest.curvature


def quantile(distribution: ActionDistribution, share: float) -> float:
    """Return the curvature [1/m] below which `share` of the probability within the vehicle's range lies."""
    cells = (distribution.density[1:] + distribution.density[:-1]) / 2 * np.diff(distribution.grid)
    below = np.concatenate([[0.0], np.cumsum(cells)])
    if not below[-1] > 0:
        return distribution.mode
    return float(np.interp(share * below[-1], below, distribution.grid))


def find_modes(grid: Array, density: Array, valley: float) -> tuple[Mode, ...]:
    """Find the modes of a density (G,) over an even grid (G,), from right to left; none if it is 0 everywhere.

    A maximum between two points of the grid is placed by the parabola through the logarithms at the three points
    around it, which is exact for a Gaussian.

    Args:
        grid: Curvatures (G,) [1/m], increasing.
        density: Densities (G,) [m].
        valley: Share of the lower maximum that the density must fall below between two modes.
    """
    edged = np.pad(density, 1)  # a maximum may stand at an end of the range
    peaks, _ = scipy.signal.find_peaks(edged)
    prominent = scipy.signal.peak_prominences(edged, peaks)[0] >= (1 - valley) * edged[peaks]
    tops = peaks[prominent] - 1
    if not len(tops):
        return ()
    bottoms = [low + int(density[low:high].argmin()) for low, high in pairwise(tops)]
    parts = np.concatenate([[0.0], (density[1:] + density[:-1]) / 2 * np.diff(grid)])
    masses = np.add.reduceat(parts, [0, *(bottom + 1 for bottom in bottoms)])
    return tuple(Mode(_summit(grid, density, int(top)), float(mass)) for top, mass in zip(tops, masses, strict=True))


def _summit(grid: Array, density: Array, top: int) -> float:
    """Return the place of the maximum near the grid's point `top` [1/m]."""
    if not 0 < top < len(grid) - 1 or not density[top - 1 : top + 2].min() > 0:
        return float(grid[top])
    before, here, after = np.log(density[top - 1 : top + 2])
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    return float(grid[top] + np.clip(shift, -0.5, 0.5) * (grid[1] - grid[0]))
