"""Protocols of drivers: `Driver` decides by observations, `Expert` by the true state; `DriverSpec` describes one."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

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
    """A command and, from drivers that have one, the distribution that it was chosen from."""

    curvature: float
    """Commanded path curvature [1/m], positive to the left."""
    grid: Array | None = None
    """Curvatures (B,) [1/m], increasing, of the values of `density`."""
    density: Array | None = None
    """Probability density (B,) [m] of the curvature over `grid`."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.curvature):
            raise ActionError(f"a decision's curvature must be finite, got {self.curvature}")


@dataclass(frozen=True, eq=False)
class Salience:
    """Importance of each pixel of an observation to a driver, at least 0; only ratios within an image count."""

    images: NDArray[np.floating] | None
    """Importance of the camera images' pixels (C, H, W); None if the driver does not use them."""
    maps: NDArray[np.floating] | None
    """Importance of the map patch's pixels (S, S), of road map and route; None if the driver does not use them."""


Explain = Callable[[Observation], Salience]
"""Function that returns the importance of an observation's pixels."""


def explanation_of(driver: object) -> Explain | None:
    """Return the method `explain` of a driver; None if it has none."""
    return getattr(driver, "explain", None)


@runtime_checkable
class Driver(Protocol):
    """Drives by observations, as a real car would; any object with these members can be measured."""

    name: str
    """Name in tables and files."""

    def begin(self, seed: int) -> None:
        """Forget the last drive; `seed` decides whatever is random in the next one."""

    def drive(self, observation: Observation) -> Decision:
        """Choose the command for the next control step."""


@runtime_checkable
class BatchDriver(Driver, Protocol):
    """Decides for several cars in one call, which takes a network less time than one call for each.

    Each car has a number and a drive of its own. The decision for a car does not depend on the other cars in the call.
    `begin` and `drive` are for one more car.
    """

    def begin_car(self, car: int, seed: int) -> None:
        """Forget the last drive of `car`, as `begin` does."""

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Choose the command of each of the cars for its next control step."""


@runtime_checkable
class Expert(Protocol):
    """Drives by the true state and the route; reports mark drivers that know them."""

    name: str
    """Name in tables and files."""

    def follow(self, route: Route) -> None:
        """Forget the last drive and start following `route`."""

    def command(self, state: VehicleState) -> Decision:
        """Choose the command for the next control step."""


class BatchDriverHandle:
    """One car of a `BatchDriver`, as a `Driver` whose decision may be prefetched."""

    def __init__(self, driver: BatchDriver, car: int) -> None:
        """Drive `car` by `driver`."""
        self.name = driver.name
        self.driver = driver
        """Driver that decides."""
        self.car = car
        """Number of the car."""
        self._prefetched: tuple[Observation, Decision] | None = None

    def begin(self, seed: int) -> None:
        """Begin a drive of this car."""
        self._prefetched = None
        self.driver.begin_car(self.car, seed)

    def drive(self, observation: Observation) -> Decision:
        """Return the decision that was prefetched for `observation`, or decide for this car alone."""
        if self._prefetched is not None and self._prefetched[0] is observation:
            return self._prefetched[1]
        return self.driver.drive_cars({self.car: observation})[self.car]

    def store(self, observation: Observation, decision: Decision) -> None:
        """Store the prefetched decision for `observation`."""
        self._prefetched = observation, decision


def decide_batch(observations: Sequence[tuple[BatchDriverHandle, Observation]]) -> None:
    """Let each driver decide for all of its cars in one call, and store the decisions in the cars' handles."""
    for driver in {id(handle.driver): handle.driver for handle, _ in observations}.values():
        own = {handle.car: (handle, observation) for handle, observation in observations if handle.driver is driver}
        decisions = driver.drive_cars({car: observation for car, (_, observation) in own.items()})
        for car, (handle, observation) in own.items():
            handle.store(observation, decisions[car])


class ConstantDriver:
    """Holds one curvature whatever it senses: the baseline of every comparison."""

    def __init__(self, curvature: float = 0.0) -> None:
        """Hold `curvature` [1/m], positive to the left."""
        self.name = "constant"
        self._decision = Decision(curvature)

    def begin(self, seed: int) -> None:
        """Nothing to forget."""

    def drive(self, observation: Observation) -> Decision:  # noqa: ARG002 - the observation is ignored
        """Return the constant decision."""
        return self._decision


class ExpertMixtureDriver:
    """A driver and the expert in turns, so that drives reach states to which the driver's own mistakes lead.

    This is the mixture policy of DAgger (Ross, Gordon, Bagnell: A Reduction of Imitation Learning and Structured
    Prediction to No-Regret Online Learning, AISTATS 2011, algorithm 3.1). There a coin is tossed at each step. At ten
    steps a second that would only average the two, so here it is tossed once for a window of steps.
    """

    def __init__(self, driver: Driver, share: float, window: int) -> None:
        """Let `driver` and the expert take turns.

        Args:
            driver: Driver that learns.
            share: Probability of the expert in each window, in [0, 1].
            window: Length of a window [control steps], at least 1.

        Raises:
            ConfigError: If a number is out of range.
        """
        if not 0 <= share <= 1 or window < 1:
            raise ConfigError(
                f"a mixture needs a share of 0 to 1 and a window of 1 step or more, got {share}, {window}"
            )
        self.name = f"{driver.name}+expert"
        self._driver, self._share, self._window = driver, share, window
        self.begin(0)

    def begin(self, seed: int) -> None:
        """Forget the last drive; `seed` decides the turns."""
        self._driver.begin(seed)
        self._turns = generator(seed, "turns")
        self._step, self._expert_drives = 0, False

    def choose(self, observation: Observation, expert: Decision) -> Decision:
        """Return the decision of the driver or of the expert, in turns.

        Args:
            observation: What the car senses.
            expert: Decision of the expert.
        """
        if self._step % self._window == 0:
            self._expert_drives = bool(self._turns.random() < self._share)
        self._step += 1
        own = self._driver.drive(observation)  # called at every step, because it may have a memory
        return expert if self._expert_drives else own


AnyDriver = Driver | Expert | ExpertMixtureDriver
"""All kinds of drivers that a rollout accepts."""


@dataclass(frozen=True)
class DriverSpec:
    """A driver to be measured, not yet made."""

    name: str
    """Name in tables and folders."""
    make: Callable[[Any], Driver | Expert]
    """Function that makes the driver from `source`; of a module, so that other processes find it."""
    source: Hashable = None
    """Argument of `make`: plain values, such as a path."""
    senses: bool = True
    """Whether the driver needs observations; nothing is rendered for a driver that does not."""
    origin: str = ""
    """Origin for the results: a path, or a few words."""
    digest: str = ""
    """Text that distinguishes drivers of one name, such as a checksum of the file."""
    cars: int = 1
    """Number of cars that it drives side by side; above 1, `make` makes a `BatchDriver`."""
    renderer: str = ""
    """Renderer of the images that it learned from; empty if it did not learn or this is unknown."""

    def driver(self) -> Driver | Expert:
        """Make the driver."""
        return self.make(self.source)


class FixedDecision:
    """A driver with one decision, called as an expert so that nothing needs to be sensed; it ignores the true state."""

    def __init__(self, decision: Decision, name: str) -> None:
        """Always answer with `decision`."""
        self.name = name
        self._decision = decision

    def follow(self, route: Route) -> None:
        """Nothing depends on the route."""

    def command(self, state: VehicleState) -> Decision:  # noqa: ARG002 - the state is ignored
        """Return the one decision."""
        return self._decision


def constant_driver_spec(curvature: float = 0.0) -> DriverSpec:
    """Return a driver that holds one curvature [1/m]."""
    origin = f"curvature {curvature:g} 1/m"
    return DriverSpec("constant", _make_constant, curvature, senses=False, origin=origin, digest=origin)


def _make_constant(curvature: float) -> Expert:
    return FixedDecision(Decision(curvature), ConstantDriver(curvature).name)
