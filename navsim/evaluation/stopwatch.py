"""How long drives and single decisions take, measured beside driving without changing it."""

import time
from collections import defaultdict
from collections.abc import Sequence

from navsim.driving.drivers import BatchDriver, Decision, Driver, Expert
from navsim.driving.scenario import Scenario
from navsim.driving.simulation import Step
from navsim.driving.together import Crew
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState

PROBE_EVERY = 10
"""Control steps of cars driven together from one decision taken alone, for its time, to the next."""


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


class FleetClock:
    """Shares out the time of drives side by side, and times a decision taken for one car alone now and then.

    What several cars take together says nothing about how soon one car is answered, so a car is asked once more by
    itself; its answer is thrown away.
    """

    def __init__(self, driver: BatchDriver) -> None:
        """Start the clock for cars of `driver`."""
        self.seconds: dict[Scenario, float] = defaultdict(float)
        """Wall time of each drive [s]: an equal share of each step that it was under way in."""
        self.decision_seconds: dict[Scenario, list[float]] = defaultdict(list)
        """How long the single decisions took that were timed in each drive [s]."""
        self._driver = driver
        self._driver.begin(0)
        self._steps = 0
        self._last = time.perf_counter()

    def step(self, cars: Sequence[tuple[Crew, Step]]) -> None:
        """Note a control step, before the cars decide; see `navsim.driving.together.drive_together`."""
        now = time.perf_counter()
        for crew, _ in cars:
            self.seconds[crew.simulation.scenario] += (now - self._last) / len(cars)
        self._last = now
        if self._steps % PROBE_EVERY == 0:
            self._probe(*cars[self._steps // PROBE_EVERY % len(cars)])
        self._steps += 1

    def _probe(self, crew: Crew, step: Step) -> None:
        """Time a decision for one car."""
        if step.observation is not None:
            started = time.perf_counter()
            self._driver.drive(step.observation)
            self.decision_seconds[crew.simulation.scenario].append(time.perf_counter() - started)
