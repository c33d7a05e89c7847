"""What drives a car: the `Driver` protocol for those who sense, `Expert` for those who see the truth.

A driver and the expert who take turns at the wheel, so that drives come where the driver's own mistakes lead.

The mixture policy of DAgger (Ross, Gordon, Bagnell: A Reduction of Imitation Learning and Structured Prediction to
No-Regret Online Learning, AISTATS 2011, algorithm 3.1). There a coin is tossed at each step; at ten steps a second
that would only average the two, so here whoever gets the wheel keeps it for a window of time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from navsim.errors import ActionError, ConfigError
from navsim.geometry import Array
from navsim.roads.routing import Route
from navsim.seeding import generator
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState


@dataclass(frozen=True, eq=False)
class Decision:
    """A command and, from drivers that have one, the distribution that it was taken from."""

    curvature: float
    """Commanded path curvature [1/m], positive to the left."""
    grid: Array | None = None
    """Curvatures (B,) [1/m], increasing, at which `density` is given."""
    density: Array | None = None
    """Probability density (B,) [m] of the curvature over `grid`."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.curvature):
            raise ActionError(f"a decision's curvature must be finite, got {self.curvature}")


@dataclass(frozen=True, eq=False)
class Salience:
    """How much each pixel of an observation matters to a driver, at least 0; only ratios within a picture count."""

    images: NDArray[np.floating] | None
    """Of the cameras (C, H, W); None if it does not look at them."""
    maps: NDArray[np.floating] | None
    """Of the map patch (S, S), of road map and route together; None if it does not look at them."""


Explain = Callable[[Observation], Salience]
"""Tells what a driver looks at in an observation."""


def explanation_of(driver: object) -> Explain | None:
    """The method `explain` of a driver that can tell what it looks at; None of one that cannot."""
    return getattr(driver, "explain", None)


@runtime_checkable
class Driver(Protocol):
    """Drives by what a real car would know; anything with these members can be measured."""

    name: str
    """Name in tables and files."""

    def begin(self, seed: int) -> None:
        """Forget the last drive; `seed` decides whatever is random in the next one."""

    def drive(self, observation: Observation) -> Decision:
        """Choose the command for the next control step."""


@runtime_checkable
class BatchDriver(Driver, Protocol):
    """Decides for several cars in one go, which a network does in less time than one after the other.

    Each car has a drive of its own, with nothing carried over from one to another; cars are told apart by their
    numbers. What is decided for a car does not depend on which others are asked about with it. `begin` and `drive` are
    for one more car.
    """

    def begin_car(self, car: int, seed: int) -> None:
        """Forget the last drive of `car`, as `begin` does."""

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Choose the command of each of the cars for its next control step."""


@runtime_checkable
class Expert(Protocol):
    """Drives by the true state and route; reports mark that it saw the truth."""

    name: str
    """Name in tables and files."""

    def follow(self, route: Route) -> None:
        """Forget the last drive and take up `route`."""

    def command(self, state: VehicleState) -> Decision:
        """Choose the command for the next control step."""


class BatchDriverHandle:
    """One car's place with a driver that decides for several; a `Driver` whose answer may be fetched beforehand."""

    def __init__(self, driver: BatchDriver, car: int) -> None:
        """Take the place of `car`."""
        self.name = driver.name
        self.driver = driver
        """Who decides."""
        self.car = car
        """For which of its cars."""
        self._told: tuple[Observation, Decision] | None = None

    def begin(self, seed: int) -> None:
        """Begin a drive of this car."""
        self._told = None
        self.driver.begin_car(self.car, seed)

    def drive(self, observation: Observation) -> Decision:
        """The decision that was fetched for `observation`, or else one for this car alone."""
        if self._told is not None and self._told[0] is observation:
            return self._told[1]
        return self.driver.drive_cars({self.car: observation})[self.car]

    def tell(self, observation: Observation, decision: Decision) -> None:
        """Lay ready the decision for `observation`."""
        self._told = observation, decision


def decide_batch(seats: Sequence[tuple[BatchDriverHandle, Observation]]) -> None:
    """Let each driver decide for all of its cars in one go, and lay the decisions ready in their seats."""
    for driver in {id(seat.driver): seat.driver for seat, _ in seats}.values():
        own = {seat.car: (seat, observation) for seat, observation in seats if seat.driver is driver}
        decisions = driver.drive_cars({car: observation for car, (_, observation) in own.items()})
        for car, (seat, observation) in own.items():
            seat.tell(observation, decisions[car])


class ConstantDriver:
    """Holds one curvature whatever it sees: the floor of every comparison."""

    def __init__(self, curvature: float = 0.0) -> None:
        """Hold `curvature` [1/m], positive to the left."""
        self.name = "constant"
        self._decision = Decision(curvature)

    def begin(self, seed: int) -> None:
        """Nothing to forget."""

    def drive(self, observation: Observation) -> Decision:  # noqa: ARG002 - it does not look
        """Return the constant command."""
        return self._decision


class ExpertMixtureDriver:
    """At the start of each window of steps the expert takes the wheel with a given probability, else the driver."""

    def __init__(self, driver: Driver, share: float, window: int) -> None:
        """Let `driver` and the expert take turns.

        Args:
            driver: Who learns.
            share: Probability of the expert in each window, in [0, 1].
            window: Length of a window [control steps], at least 1.

        Raises:
            ConfigError: If a number is out of range.
        """
        if not 0 <= share <= 1 or window < 1:
            raise ConfigError(f"a mixture needs a share from 0 to 1 and a window of 1 step or more: {share}, {window}")
        self.name = f"{driver.name}+expert"
        self._driver, self._share, self._window = driver, share, window
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Forget the last drive; `seed` decides who drives when."""
        self._driver.begin(seed)
        self._turns = generator(seed, "turns")
        self._step, self._expert_drives = 0, False

    def choose(self, observation: Observation, expert: Decision) -> Decision:
        """Return the decision of whose turn it is.

        Args:
            observation: What the car senses.
            expert: What the expert would do.
        """
        if self._step % self._window == 0:
            self._expert_drives = bool(self._turns.random() < self._share)
        self._step += 1
        own = self._driver.drive(observation)  # asked at every step: it may remember what it has seen
        return expert if self._expert_drives else own


AnyDriver = Driver | Expert | ExpertMixtureDriver
"""Whoever can be at the wheel of a drive."""
