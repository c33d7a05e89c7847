"""Drivers kept to their word: what they do wrong becomes one clear error, and what they do not end is ended.

A driver may be anyone's code. Whatever it raises, and an answer that is no `Decision`, becomes a `DriverError` that
says where; a decision that takes too long becomes one too, when it comes at all. One that never comes ends with the
process, which the parent kills (`navsim.parallel.time_limit`): nothing else stops code that hangs outside of Python.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import TypeVar

from navsim.drivers.protocol import BatchDriver, Decision, Driver, Expert, Explain, Salience, explanation_of
from navsim.errors import DriverError
from navsim.parallel import time_limit
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState

DECISION_LIMIT = 30.0
"""Longest time for one decision unless said otherwise [s]: generous, for a network's first one may compile it."""
MAKING = 10.0
"""A driver may take so many times longer to be made than to decide."""
T = TypeVar("T")


class SafeDriver:
    """A driver whose mistakes are `DriverError`s; it shows nothing of the driver but `Driver` and what it looks at."""

    def __init__(self, driver: Driver, limit: float) -> None:
        """Guard `driver`.

        Args:
            driver: Anyone's.
            limit: Longest time for one decision [s].
        """
        self.name = driver.name
        self.explain = None if (explain := explanation_of(driver)) is None else guarded_explanation(explain, limit)
        """Tells what the driver looks at; None if it cannot."""
        self._driver = driver
        self._limit = limit

    def begin(self, seed: int) -> None:
        """Begin the driver's next drive.

        Raises:
            DriverError: If it raises an error or takes too long.
        """
        with guard("begin", self._limit):
            self._driver.begin(seed)

    def drive(self, observation: Observation) -> Decision:
        """Let the driver decide.

        Raises:
            DriverError: If it raises an error, answers with no decision or takes too long.
        """
        with guard("drive", self._limit):
            answer = self._driver.drive(observation)
        return checked_decision(answer)


class SafeBatchDriver(SafeDriver):
    """The same of a `BatchDriver`; a decision for several cars in one go has the time of one."""

    def __init__(self, driver: BatchDriver, limit: float) -> None:
        """Guard `driver`; see `SafeDriver`."""
        super().__init__(driver, limit)
        self._fleet = driver

    def begin_car(self, car: int, seed: int) -> None:
        """Begin the next drive of `car`.

        Raises:
            DriverError: If the driver raises an error or takes too long.
        """
        with guard("begin_car", self._limit):
            self._fleet.begin_car(car, seed)

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        """Let the driver decide for each of the cars.

        Raises:
            DriverError: If it raises an error, answers with no decision for a car or takes too long.
        """
        with guard("drive_cars", self._limit):
            answers = self._fleet.drive_cars(observations)
        if not isinstance(answers, Mapping) or not answers.keys() >= observations.keys():
            raise DriverError("drive_cars must answer with a decision for each car that it is asked about")
        return {car: checked_decision(answers[car]) for car in observations}


class SafeExpert:
    """The same of an `Expert`."""

    def __init__(self, expert: Expert, limit: float) -> None:
        """Guard `expert`; see `SafeDriver`."""
        self.name = expert.name
        self._expert = expert
        self._limit = limit

    def follow(self, route: Route) -> None:
        """Begin the expert's next drive.

        Raises:
            DriverError: If it raises an error or takes too long.
        """
        with guard("follow", self._limit):
            self._expert.follow(route)

    def command(self, state: VehicleState) -> Decision:
        """Let the expert decide.

        Raises:
            DriverError: If it raises an error, answers with no decision or takes too long.
        """
        with guard("command", self._limit):
            answer = self._expert.command(state)
        return checked_decision(answer)


def guarded(driver: Driver | Expert, limit: float) -> SafeDriver | SafeExpert:
    """The same driver, kept to its word.

    Args:
        driver: Anyone's.
        limit: Longest time for one decision [s].
    """
    if isinstance(driver, Expert):
        return SafeExpert(driver, limit)
    return SafeBatchDriver(driver, limit) if isinstance(driver, BatchDriver) else SafeDriver(driver, limit)


def guarded_explanation(explain: Explain, limit: float) -> Explain:
    """The same way of telling what a driver looks at, with its mistakes as `DriverError`s.

    Args:
        explain: Anyone's.
        limit: Longest time for one observation [s].
    """

    def guarded_explain(observation: Observation) -> Salience:
        with guard("explain", limit):
            answer = explain(observation)
        if not isinstance(answer, Salience):
            raise DriverError(f"explain must answer with a Salience, got {_short(answer)}")
        return answer

    return guarded_explain


def made(make: Callable[[], T], limit: float) -> T:
    """Make a driver; it may take `MAKING` times `limit` [s].

    Raises:
        DriverError: If that raises an error or takes too long.
    """
    with guard("making the driver", MAKING * limit):
        return make()


@contextmanager
def guard(doing: str, limit: float) -> Iterator[None]:
    """Turn whatever a driver's code inside the block raises into a `DriverError`, and limit its time.

    Args:
        doing: The method that is called, for the error.
        limit: Longest time [s].

    Raises:
        DriverError: If the block raises an error or takes longer.
    """
    started = time.monotonic()
    try:
        with time_limit(limit):
            yield
    except (Exception, SystemExit) as error:  # the code is anyone's
        raise DriverError(f"{doing}: {explained(error)}") from error
    taken = time.monotonic() - started
    if taken > limit:
        raise DriverError(f"{doing}: took {taken:.3g} s, the limit is {limit:g} s")


def explained(error: BaseException) -> str:
    """An error of someone else's code in one line: its kind, its words, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {words}' if words else ''}{where}"


def checked_decision(answer: object) -> Decision:
    """Refuse an answer that is no decision.

    Raises:
        DriverError: If it is something else, or its curvature is no number.
    """
    if not isinstance(answer, Decision):
        raise DriverError(f"must answer with a Decision, got {_short(answer)}")
    if not isinstance(answer.curvature, Real):
        raise DriverError(f"a decision's curvature must be a number, got {_short(answer.curvature)}")
    return answer


def _short(value: object) -> str:
    """A value's kind, and the value itself where that is short."""
    words = " ".join(repr(value).split())
    return f"{type(value).__name__} {words}" if len(words) <= 40 else type(value).__name__
