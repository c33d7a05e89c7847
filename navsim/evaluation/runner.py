"""What one process of an evaluation does: drive, one after the other or side by side, and keep each drive.

Closed-loop drives of several drivers over the same scenarios, in parallel processes, resumable drive by drive.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from navsim.config import to_mapping
from navsim.drivers.protocol import BatchDriver, BatchDriverHandle, Driver, Expert
from navsim.drivers.sandbox import DECISION_LIMIT, SafeBatchDriver, make_safely, safe_driver
from navsim.drivers.spec import DriverSpec
from navsim.errors import NavsimError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.results_store import drive_path, load_drive, save_drive
from navsim.parallel import WorkerError, run_units
from navsim.progress import progress
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.rollout import RolloutSlot, drive, drive_batch
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.simulation import TimeStep, simulations

PROBE_EVERY = 10
"""Control steps of cars driven together from one decision taken alone, for its time, to the next."""
_Driven = tuple[Episode, float, Sequence[float]]  # a drive, its wall time and those of single decisions [s]


@dataclass(frozen=True)
class EvaluationJob:
    """What the processes share."""

    simulation: SimulationConfig
    """The car, its senses and the rules."""
    driver_specs: tuple[DriverSpec, ...]
    """The drivers, under different names."""
    folder: Path
    """Where finished drives are kept."""
    decision_limit: float = DECISION_LIMIT
    """Longest time that a driver may take for one decision [s]."""

    def __post_init__(self) -> None:
        names = [driver_spec.name for driver_spec in self.driver_specs]
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


def missing(contest: EvaluationJob, unit: DriveUnit) -> tuple[Scenario, ...]:
    """The scenarios of a unit whose drives are not kept yet."""
    return tuple(s for s in unit.scenarios if not drive_path(contest.folder, unit.driver, s).exists())


def make_worker(contest: EvaluationJob) -> Callable[[DriveUnit], tuple[Outcome, ...]]:
    """Set up one process: simulations that share a renderer, and each driver when it is first needed."""
    return _Worker(contest).drive


class _Worker:
    """Drives units one after the other in one process."""

    def __init__(self, contest: EvaluationJob) -> None:
        self._contest = contest
        self._entrants = {driver_spec.name: driver_spec for driver_spec in contest.driver_specs}
        self._drivers: dict[str, Driver | Expert] = {}
        self._open = ExitStack()  # closed by the end of the process
        count = max(driver_spec.cars for driver_spec in contest.driver_specs)
        self._simulations = self._open.enter_context(simulations(contest.simulation, count))

    def drive(self, unit: DriveUnit) -> tuple[Outcome, ...]:
        """Drive what is missing of a unit, keep each drive when it ends, and say how these ended.

        Raises:
            DriverError: If the driver fails; the next unit gets it newly made.
            ActionError: If it commands what the car cannot do; likewise.
        """
        limit = self._contest.decision_limit
        driver = self._drivers.pop(unit.driver, None) or make_safely(self._entrants[unit.driver].driver, limit)
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
        pilot, senses = safe_driver(driver, self._contest.decision_limit), self._entrants[name].senses
        for scenario in scenarios:
            started = time.perf_counter()
            episode = drive(self._simulations[0], pilot, scenario, sense=senses, record_images=False)
            yield episode, time.perf_counter() - started, pilot.decision_seconds

    def _side_by_side(self, name: str, driver: BatchDriver, scenarios: Sequence[Scenario]) -> Iterator[_Driven]:
        """Drive scenarios together, as many at a time as the entrant can."""
        cars = self._simulations[: self._entrants[name].cars]
        fleet = SafeBatchDriver(driver, self._contest.decision_limit)
        crews = [RolloutSlot(simulation, BatchDriverHandle(fleet, car)) for car, simulation in enumerate(cars)]
        clock = BatchDriverTimer(fleet)
        for episode in drive_batch(crews, scenarios, record_images=False, on_step=clock.step):
            scenario = episode.scenario
            yield episode, clock.seconds[scenario], clock.decision_seconds[scenario]


class BatchDriverTimer:
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

    def step(self, cars: Sequence[tuple[RolloutSlot, TimeStep]]) -> None:
        """Note a control step, before the cars decide; see `navsim.simulation.rollout.drive_batch`."""
        now = time.perf_counter()
        for crew, _ in cars:
            self.seconds[crew.simulation.scenario] += (now - self._last) / len(cars)
        self._last = now
        if self._steps % PROBE_EVERY == 0:
            self._probe(*cars[self._steps // PROBE_EVERY % len(cars)])
        self._steps += 1

    def _probe(self, crew: RolloutSlot, step: TimeStep) -> None:
        """Time a decision for one car."""
        if step.observation is not None:
            started = time.perf_counter()
            self._driver.drive(step.observation)
            self.decision_seconds[crew.simulation.scenario].append(time.perf_counter() - started)


def evaluate(
    contest: EvaluationJob, scenarios: Sequence[Scenario], workers: int, file: IO[str] | None = None
) -> tuple[Drive, ...]:
    """Drive every scenario with every driver; finished drives found in the folder are not driven again.

    A drive that breaks off with an error is reported in its place and tried again by the next call. One whose process
    dies, or is killed since the driver gives no answer, is driven again once before that.

    Args:
        contest: Who drives, in what, and where the drives are kept.
        scenarios: What to drive.
        workers: Number of processes.
        file: Where progress is shown; None is standard output.

    Returns:
        One entry per driver and scenario, drivers in the contest's order.

    Raises:
        EpisodeError: If a kept drive is damaged.
        KeyboardInterrupt: On Ctrl-C, saying what is kept.
    """
    failures = _drive_all(contest, scenarios, workers, file) if pending(contest, scenarios) else {}
    drives = []
    for driver, scenario in (
        (driver_spec.name, scenario) for driver_spec in contest.driver_specs for scenario in scenarios
    ):
        failure = failures.get((driver, scenario))
        kept = load_drive(contest.folder, driver, scenario) if failure is None else None
        drives.append(kept or Drive(driver, scenario, None, 0.0, failure or ""))
    return tuple(drives)


def pending(contest: EvaluationJob, scenarios: Sequence[Scenario]) -> int:
    """How many drives are still to be driven."""
    return sum(
        len(missing(contest, DriveUnit(driver_spec.name, tuple(scenarios)))) for driver_spec in contest.driver_specs
    )


def planned_units(contest: EvaluationJob, scenarios: Sequence[Scenario], workers: int) -> list[DriveUnit]:
    """What is still to be driven, in units for `workers` processes.

    Units of one town stand together, since a process builds a town whenever it comes to another one.
    """
    towns = list(dict.fromkeys(scenario.town for scenario in scenarios))
    units = []
    for driver_spec in contest.driver_specs:
        left = missing(contest, DriveUnit(driver_spec.name, tuple(scenarios)))
        ordered = sorted(left, key=lambda scenario: towns.index(scenario.town))
        rounds = -(-len(ordered) // (driver_spec.cars * workers))
        size = -(-len(ordered) // max(rounds * workers, 1))  # all processes have as much to do
        units += [DriveUnit(driver_spec.name, tuple(ordered[i : i + size])) for i in range(0, len(ordered), size or 1)]
    return sorted(units, key=lambda unit: towns.index(unit.scenarios[0].town))


def _drive_all(
    contest: EvaluationJob, scenarios: Sequence[Scenario], workers: int, file: IO[str] | None
) -> dict[tuple[str, Scenario], str]:
    """Drive what is left to drive; returns the drives that broke off, each with the reason."""
    failures: dict[tuple[str, Scenario], str] = {}
    tally: dict[str, list[bool]] = {driver_spec.name: [] for driver_spec in contest.driver_specs}
    total = len(contest.driver_specs) * len(scenarios)
    try:
        with progress("evaluating", total, "drives", total - pending(contest, scenarios), file) as advance:
            for unit, ends in _driven(contest, planned_units(contest, scenarios, workers), workers):
                if isinstance(ends, BaseException):
                    failures[unit.driver, unit.scenarios[0]] = _reason(ends)
                arrived = [False] if isinstance(ends, BaseException) else [end is Outcome.ARRIVED for end in ends]
                tally[unit.driver] += arrived
                advance(len(unit.scenarios), note=_standings(tally))
    except KeyboardInterrupt:
        kept = total - pending(contest, scenarios)
        raise KeyboardInterrupt(
            f"interrupted: {kept} of {total} drives are kept in {contest.folder}; the same command continues"
        ) from None
    return failures


def _driven(
    contest: EvaluationJob, units: Sequence[DriveUnit], workers: int, last: bool = False
) -> Iterator[tuple[DriveUnit, tuple[Outcome, ...] | BaseException]]:
    """Drive units; yields each with how its drives ended, or a single drive with why it broke off.

    When something goes wrong in a unit of several drives, they are driven again one by one; so is a single drive whose
    process has died. What dies then is reported: with `last` nothing is driven again.
    """
    again: list[DriveUnit] = []
    with run_units(make_worker, contest, units, workers, attempts=1) as finished:
        for item in finished:
            several = len(item.unit.scenarios) > 1
            if not last and (isinstance(item.failure, WorkerError) or (item.failure is not None and several)):
                again += item.unit.singles
            else:
                yield item.unit, item.outcome
    if again:
        yield from _driven(contest, again, workers, last=True)


def _standings(tally: dict[str, list[bool]]) -> str:
    """Arrivals so far, such as `policy 3/4, expert 5/5`."""
    return ", ".join(f"{name} {sum(arrived)}/{len(arrived)}" for name, arrived in tally.items() if arrived)


def _reason(failure: BaseException) -> str:
    """One line saying why a drive broke off."""
    if isinstance(failure, WorkerError):
        return f"its process {failure.ends[-1]}; driven again once, to no avail"
    words = " ".join(str(failure).split())
    return words if isinstance(failure, NavsimError) else f"{type(failure).__name__}: {words}"
