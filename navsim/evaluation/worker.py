"""What one process of an evaluation does: drive, one after the other or side by side, and keep each drive."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from navsim.config import to_mapping
from navsim.drivers.drivers import BatchDriver, Driver, Expert, Seat
from navsim.drivers.sandbox import DECISION_LIMIT, GuardedFleet, guarded, made
from navsim.drivers.spec import Entrant
from navsim.drivers.timing import timed
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.results_store import drive_path, save_drive
from navsim.simulation.batched_rollout import Crew, drive_together, simulations
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import SimulationConfig, Step

PROBE_EVERY = 10
"""Control steps of cars driven together from one decision taken alone, for its time, to the next."""
_Driven = tuple[Episode, float, Sequence[float]]  # a drive, its wall time and those of single decisions [s]


@dataclass(frozen=True)
class Contest:
    """What the processes share."""

    simulation: SimulationConfig
    """The car, its senses and the rules."""
    entrants: tuple[Entrant, ...]
    """The drivers, under different names."""
    folder: Path
    """Where finished drives are kept."""
    decision_limit: float = DECISION_LIMIT
    """Longest time that a driver may take for one decision [s]."""

    def __post_init__(self) -> None:
        names = [entrant.name for entrant in self.entrants]
        if len(set(names)) != len(names):
            raise ValueError(f"drivers need different names, got {', '.join(names)}")


@dataclass(frozen=True)
class DriveUnit:
    """One driver on scenarios that it drives side by side."""

    driver: str
    """Name of the entrant."""
    scenarios: tuple[Scenario, ...]
    """What it drives."""

    def __str__(self) -> str:
        """Who drives what, in a few words."""
        return f"{self.driver} on {self.scenarios[0].name}" + (", ..." if self.scenarios[1:] else "")

    @property
    def singles(self) -> tuple["DriveUnit", ...]:
        """The same, scenario by scenario."""
        return tuple(DriveUnit(self.driver, (scenario,)) for scenario in self.scenarios)


def missing(contest: Contest, unit: DriveUnit) -> tuple[Scenario, ...]:
    """The scenarios of a unit whose drives are not kept yet."""
    return tuple(s for s in unit.scenarios if not drive_path(contest.folder, unit.driver, s).exists())


def make_worker(contest: Contest) -> Callable[[DriveUnit], tuple[Outcome, ...]]:
    """Set up one process: simulations that share a renderer, and each driver when it is first needed."""
    return _Worker(contest).drive


class _Worker:
    """Drives units one after the other in one process."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._entrants = {entrant.name: entrant for entrant in contest.entrants}
        self._drivers: dict[str, Driver | Expert] = {}
        self._open = ExitStack()  # closed by the end of the process
        count = max(entrant.cars for entrant in contest.entrants)
        self._simulations = self._open.enter_context(simulations(contest.simulation, count))

    def drive(self, unit: DriveUnit) -> tuple[Outcome, ...]:
        """Drive what is missing of a unit, keep each drive when it ends, and say how these ended.

        Raises:
            DriverError: If the driver fails; the next unit gets it newly made.
            ActionError: If it commands what the car cannot do; likewise.
        """
        limit = self._contest.decision_limit
        driver = self._drivers.pop(unit.driver, None) or made(self._entrants[unit.driver].driver, limit)
        ends = self._drive(unit, driver)
        self._drivers[unit.driver] = driver  # what has failed may be in any state, and is not kept
        return ends

    def _drive(self, unit: DriveUnit, driver: Driver | Expert) -> tuple[Outcome, ...]:
        """Drive what is missing of a unit."""
        scenarios = missing(self._contest, unit)
        if self._entrants[unit.driver].cars > 1 and isinstance(driver, BatchDriver):
            drives = self._side_by_side(unit.driver, driver, scenarios)
        else:
            drives = self._one_by_one(unit.driver, driver, scenarios)
        ends = []
        for episode, seconds, decisions in drives:
            # The drive bears the entrant's name: two checkpoints may call themselves the same.
            kept = replace(episode, driver=unit.driver)
            save_drive(
                self._contest.folder,
                Drive(unit.driver, episode.scenario, kept, seconds, decision_seconds=tuple(decisions)),
                {"simulation": to_mapping(self._contest.simulation), "renderer": self._simulations[0].renderer_name},
            )
            ends.append(episode.outcome)
        return tuple(ends)

    def _one_by_one(self, name: str, driver: Driver | Expert, scenarios: Sequence[Scenario]) -> Iterator[_Driven]:
        """Drive scenarios one after the other."""
        watched, looks = timed(driver), self._entrants[name].looks
        pilot = guarded(watched, self._contest.decision_limit)
        for scenario in scenarios:
            started = time.perf_counter()
            episode = drive(self._simulations[0], pilot, scenario, sense=looks, record_images=False)
            yield episode, time.perf_counter() - started, watched.decision_seconds

    def _side_by_side(self, name: str, driver: BatchDriver, scenarios: Sequence[Scenario]) -> Iterator[_Driven]:
        """Drive scenarios together, as many at a time as the entrant can."""
        cars = self._simulations[: self._entrants[name].cars]
        fleet = GuardedFleet(driver, self._contest.decision_limit)
        crews = [Crew(simulation, Seat(fleet, car)) for car, simulation in enumerate(cars)]
        clock = FleetClock(fleet)
        for episode in drive_together(crews, scenarios, record_images=False, on_step=clock.step):
            scenario = episode.scenario
            yield episode, clock.seconds[scenario], clock.decision_seconds[scenario]


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
        """Note a control step, before the cars decide; see `navsim.simulation.batched_rollout.drive_together`."""
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
