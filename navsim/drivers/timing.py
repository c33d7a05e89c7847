"""How long drives and single decisions take, measured beside driving without changing it."""

import time

from navsim.drivers.protocol import Decision, Driver, Expert
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState


class TimedDriver:
    """A driver whose every decision is timed."""

    def __init__(self, driver: Driver) -> None:
        """Time `driver`."""
        self.name = driver.name
        self.decision_seconds: list[float] = []
        """How long each decision of the last drive took [s]."""
        self._driver = driver

    def begin(self, seed: int) -> None:
        """Begin the driver's next drive."""
        self.decision_seconds = []
        self._driver.begin(seed)

    def drive(self, observation: Observation) -> Decision:
        """Let the driver decide."""
        started = time.perf_counter()
        decision = self._driver.drive(observation)
        self.decision_seconds.append(time.perf_counter() - started)
        return decision


class TimedExpert:
    """An expert whose every decision is timed."""

    def __init__(self, expert: Expert) -> None:
        """Time `expert`."""
        self.name = expert.name
        self.decision_seconds: list[float] = []
        """How long each decision of the last drive took [s]."""
        self._expert = expert

    def follow(self, route: Route) -> None:
        """Begin the expert's next drive."""
        self.decision_seconds = []
        self._expert.follow(route)

    def command(self, state: VehicleState) -> Decision:
        """Let the expert decide."""
        started = time.perf_counter()
        decision = self._expert.command(state)
        self.decision_seconds.append(time.perf_counter() - started)
        return decision


def timed(driver: Driver | Expert) -> TimedDriver | TimedExpert:
    """The same driver, with its decisions timed."""
    return TimedExpert(driver) if isinstance(driver, Expert) else TimedDriver(driver)
