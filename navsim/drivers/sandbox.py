"""External drivers run safely: their mistakes become one clear error, and their decisions are timed.

A driver may be external code. An exception that it raises, an answer that is not a `Decision` and a decision that takes
too long become a `DriverError` that names the method. A decision that never ends is ended with its process, which the
parent kills (`navsim.parallel.time_limit`): nothing else stops code that hangs outside of Python.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import TypeVar

from navsim.drivers.protocol import BatchDriver, Decision, Driver, Expert, Explain, Salience, explanation_of
from navsim.errors import DriverError, ReplacedError
from navsim.parallel import time_limit
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState

DECISION_LIMIT = 30.0
"""Default of the longest time for one decision [s]; long, since a network's first decision may compile it."""
CONSTRUCTION_FACTOR = 10.0
"""Longest time for making a driver, over that for one decision."""
T = TypeVar("T")


class SafeDriver:
    """A driver whose mistakes are `DriverError`s; of the driver's members it has those of `Driver` and `explain`."""

    def __init__(self, driver: Driver, limit: float) -> None:
        """Wrap `driver`.

        Args:
            driver: Driver that may be external code.
            limit: Longest time for one decision [s].
        """
        self.name = driver.name
        self.explain = None if (explain := explanation_of(driver)) is None else guarded_explanation(explain, limit)
        """Returns how much each pixel matters to the driver; None if it cannot."""
        self.decision_seconds: list[float] = []
        """Time that each decision of the last drive took [s]."""
        self._driver = driver
        self._limit = limit

    def begin(self, seed: int) -> None:
        """Begin the driver's next drive.

        Raises:
            DriverError: If it raises an error or takes too long.
        """
        self.decision_seconds = []
        with guard("begin", self._limit):
            self._driver.begin(seed)

    def drive(self, observation: Observation) -> Decision:
        """Let the driver decide.

        Raises:
            DriverError: If it raises an error, answers with anything but a decision or takes too long.
        """
        started = time.perf_counter()
        with guard("drive", self._limit):
            answer = self._driver.drive(observation)
        self.decision_seconds.append(time.perf_counter() - started)
        return checked_decision(answer)


class SafeBatchDriver(SafeDriver):
    """A `BatchDriver` whose mistakes are `DriverError`s; its decisions for several cars have the time of one."""

    def __init__(self, driver: BatchDriver, limit: float) -> None:
        """Wrap `driver`; see `SafeDriver`."""
        super().__init__(driver, limit)
        self._batch_driver = driver

    def begin_car(self, car: int, seed: int) -> None:
        """Begin the next drive of `car`.

        Raises:
            DriverError: If the driver raises an error or takes too long.
        """
        with guard("begin_car", self._limit):
            self._batch_driver.begin_car(car, seed)

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Let the driver decide for each of the cars.

        Raises:
            DriverError: If it raises an error, answers without a decision for each car or takes too long.
        """
        with guard("drive_cars", self._limit):
            answers = self._batch_driver.drive_cars(observations)
        if not isinstance(answers, Mapping) or not answers.keys() >= observations.keys():
            raise DriverError("drive_cars must answer with a decision for each car that it is asked about")
        return {car: checked_decision(answers[car]) for car in observations}


class SafeExpert:
    """An `Expert` whose mistakes are `DriverError`s."""

    def __init__(self, expert: Expert, limit: float) -> None:
        """Wrap `expert`; see `SafeDriver`."""
        self.name = expert.name
        self.decision_seconds: list[float] = []
        """Time that each decision of the last drive took [s]."""
        self._expert = expert
        self._limit = limit

    def follow(self, route: Route) -> None:
        """Begin the expert's next drive.

        Raises:
            DriverError: If it raises an error or takes too long.
        """
        self.decision_seconds = []
        with guard("follow", self._limit):
            self._expert.follow(route)

    def command(self, state: VehicleState) -> Decision:
        """Let the expert decide.

        Raises:
            DriverError: If it raises an error, answers with anything but a decision or takes too long.
        """
        started = time.perf_counter()
        with guard("command", self._limit):
            answer = self._expert.command(state)
        self.decision_seconds.append(time.perf_counter() - started)
        return checked_decision(answer)


def safe_driver(driver: Driver | Expert, limit: float) -> SafeDriver | SafeExpert:
    """Wrap a driver of any kind.

    Args:
        driver: Driver that may be external code.
        limit: Longest time for one decision [s].
    """
    if isinstance(driver, Expert):
        return SafeExpert(driver, limit)
    return SafeBatchDriver(driver, limit) if isinstance(driver, BatchDriver) else SafeDriver(driver, limit)


def guarded_explanation(explain: Explain, limit: float) -> Explain:
    """Wrap an explanation, whose mistakes become `DriverError`s.

    Args:
        explain: Function that may be external code.
        limit: Longest time for one observation [s].
    """

    def guarded_explain(observation: Observation) -> Salience:
        with guard("explain", limit):
            answer = explain(observation)
        if not isinstance(answer, Salience):
            raise DriverError(f"explain must answer with a Salience, got {_short(answer)}")
        return answer

    return guarded_explain


def make_safely(make: Callable[[], T], limit: float) -> T:
    """Make a driver, within `CONSTRUCTION_FACTOR` times `limit` [s].

    Raises:
        DriverError: If that raises an error or takes too long.
        ReplacedError: If a file of the driver was replaced since the run began.
    """
    with guard("making the driver", CONSTRUCTION_FACTOR * limit):
        return make()


@contextmanager
def guard(method: str, limit: float) -> Iterator[None]:
    """Turn exceptions of external code inside the block into a `DriverError`, and limit the block's time.

    Args:
        method: Name of the method that is called, for the error.
        limit: Longest time [s].

    Raises:
        DriverError: If the block raises an error or takes longer.
    """
    started = time.monotonic()
    try:
        with time_limit(limit):
            yield
    except ReplacedError:  # the driver is another one: nobody's mistake in driving
        raise
    except (Exception, SystemExit) as error:  # external code may raise anything
        raise DriverError(f"{method}: {error_text(error)}") from error
    taken = time.monotonic() - started
    if taken > limit:
        raise DriverError(f"{method}: took {taken:.3g} s, the limit is {limit:g} s")


def error_text(error: BaseException) -> str:
    """Return an error of external code in one line: its type, its message, and the place that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {message}' if message else ''}{where}"


def checked_decision(answer: object) -> Decision:
    """Return a driver's answer if it is a decision.

    Raises:
        DriverError: If it is something else, or its curvature is not a number.
    """
    if not isinstance(answer, Decision):
        raise DriverError(f"must answer with a Decision, got {_short(answer)}")
    if not isinstance(answer.curvature, Real):
        raise DriverError(f"a decision's curvature must be a number, got {_short(answer.curvature)}")
    return answer


def _short(value: object) -> str:
    """Return the type of a value, and the value itself if that is short."""
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text}" if len(text) <= 40 else type(value).__name__
