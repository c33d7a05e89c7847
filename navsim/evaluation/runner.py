"""Closed-loop drives of several drivers over the same scenarios, in parallel processes, resumable drive by drive.

A process drives one scenario after the other, or several at a time where the driver can, and keeps each drive.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from navsim.config import to_mapping
from navsim.drivers.protocol import BatchDriver, BatchDriverHandle, Driver, DriverSpec, Expert
from navsim.drivers.sandbox import DECISION_LIMIT, SafeBatchDriver, make_safely, safe_driver
from navsim.errors import ActionError, DriverError, NavsimError
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
"""Control steps of cars driven together between two decisions that are timed for one car alone."""
_DRIVER_FAILURES = (DriverError, ActionError, WorkerError)  # others, such as a full disk, are not the driver's
_TimedDrive = tuple[Episode, float, Sequence[float]]  # a drive, its wall time and those of single decisions [s]


@dataclass(frozen=True)
class EvaluationJob:
    """Drivers, simulation and folder that all processes share."""

    simulation: SimulationConfig
    """The car, its sensors and the rules."""
    driver_specs: tuple[DriverSpec, ...]
    """The drivers, with different names."""
    folder: Path
    """Folder of the finished drives."""
    decision_limit: float = DECISION_LIMIT
    """Longest time that a driver may take for one decision [s]."""

    def __post_init__(self) -> None:
        names = [driver_spec.name for driver_spec in self.driver_specs]
        if len(set(names)) != len(names):
            raise ValueError(f"drivers need different names, got {', '.join(names)}")


@dataclass(frozen=True)
class DriveUnit:
    """One driver and scenarios that it may drive at the same time."""

    driver: str
    """Name of the driver."""
    scenarios: tuple[Scenario, ...]
    """Scenarios to drive."""

    def __str__(self) -> str:
        """Return driver and scenarios in a few words."""
        return f"{self.driver} on {self.scenarios[0].name}" + (", ..." if self.scenarios[1:] else "")

    @property
    def singles(self) -> tuple["DriveUnit", ...]:
        """One unit for each scenario."""
        return tuple(DriveUnit(self.driver, (scenario,)) for scenario in self.scenarios)


def missing(job: EvaluationJob, unit: DriveUnit) -> tuple[Scenario, ...]:
    """Return the scenarios of a unit whose drives are not kept yet."""
    return tuple(s for s in unit.scenarios if not drive_path(job.folder, unit.driver, s).exists())


def make_worker(job: EvaluationJob) -> Callable[[DriveUnit], tuple[Outcome, ...]]:
    """Set up one process: simulations that share a renderer, and each driver when it is first needed."""
    return _Worker(job).drive


class _Worker:
    """Driver of units, one after the other, in one process."""

    def __init__(self, job: EvaluationJob) -> None:
        self._job = job
        self._driver_specs = {driver_spec.name: driver_spec for driver_spec in job.driver_specs}
        self._drivers: dict[str, Driver | Expert] = {}
        self._open = ExitStack()  # closed by the end of the process
        count = max(driver_spec.cars for driver_spec in job.driver_specs)
        self._simulations = self._open.enter_context(simulations(job.simulation, count))

    def drive(self, unit: DriveUnit) -> tuple[Outcome, ...]:
        """Drive the missing scenarios of a unit, keep each drive when it ends, and return the outcomes.

        Raises:
            DriverError: If the driver fails; the next unit gets a new one.
            ActionError: If it commands something that the car cannot do; likewise.
        """
        limit = self._job.decision_limit
        driver = self._drivers.pop(unit.driver, None) or make_safely(self._driver_specs[unit.driver].driver, limit)
        outcomes = self._drive(unit, driver)
        self._drivers[unit.driver] = driver  # a driver that has failed may be in any state and is not kept
        return outcomes

    def _drive(self, unit: DriveUnit, driver: Driver | Expert) -> tuple[Outcome, ...]:
        """Drive the missing scenarios of a unit."""
        scenarios = missing(self._job, unit)
        if self._driver_specs[unit.driver].cars > 1 and isinstance(driver, BatchDriver):
            drives = self._at_the_same_time(unit.driver, driver, scenarios)
        else:
            drives = self._one_by_one(unit.driver, driver, scenarios)
        outcomes = []
        for episode, seconds, decisions in drives:
            # The drive has the name that the evaluation gave: two checkpoints may have the same own name.
            kept = replace(episode, driver=unit.driver)
            save_drive(
                self._job.folder,
                Drive(unit.driver, episode.scenario, kept, seconds, decision_seconds=tuple(decisions)),
                {"simulation": to_mapping(self._job.simulation), "renderer": self._simulations[0].renderer_name},
            )
            outcomes.append(episode.outcome)
        return tuple(outcomes)

    def _one_by_one(self, name: str, driver: Driver | Expert, scenarios: Sequence[Scenario]) -> Iterator[_TimedDrive]:
        """Drive scenarios one after the other."""
        safe, senses = safe_driver(driver, self._job.decision_limit), self._driver_specs[name].senses
        for scenario in scenarios:
            started = time.perf_counter()
            episode = drive(self._simulations[0], safe, scenario, sense=senses, record_images=False)
            yield episode, time.perf_counter() - started, safe.decision_seconds

    def _at_the_same_time(self, name: str, driver: BatchDriver, scenarios: Sequence[Scenario]) -> Iterator[_TimedDrive]:
        """Drive scenarios together, as many at a time as the driver can."""
        cars = self._simulations[: self._driver_specs[name].cars]
        safe = SafeBatchDriver(driver, self._job.decision_limit)
        slots = [RolloutSlot(simulation, BatchDriverHandle(safe, car)) for car, simulation in enumerate(cars)]
        timer = BatchDriverTimer(safe)
        for episode in drive_batch(slots, scenarios, record_images=False, on_step=timer.step):
            scenario = episode.scenario
            yield episode, timer.seconds[scenario], timer.decision_seconds[scenario]


class BatchDriverTimer:
    """Timer of drives that happen at the same time.

    The time of a step is divided among the cars. It does not tell how long a decision for one car takes. So now and
    then the driver decides for one car alone again, which is timed, and the decision is discarded.
    """

    def __init__(self, driver: BatchDriver) -> None:
        """Start timing cars of `driver`."""
        self.seconds: dict[Scenario, float] = defaultdict(float)
        """Wall time of each drive [s]: an equal share of each step in which it took part."""
        self.decision_seconds: dict[Scenario, list[float]] = defaultdict(list)
        """Times of the single decisions that were timed in each drive [s]."""
        self._driver = driver
        self._driver.begin(0)
        self._steps = 0
        self._last = time.perf_counter()

    def step(self, cars: Sequence[tuple[RolloutSlot, TimeStep]]) -> None:
        """Take the time of a control step, before the cars decide; see `navsim.simulation.rollout.drive_batch`."""
        now = time.perf_counter()
        for slot, _ in cars:
            self.seconds[slot.simulation.scenario] += (now - self._last) / len(cars)
        self._last = now
        if self._steps % PROBE_EVERY == 0:
            self._probe(*cars[self._steps // PROBE_EVERY % len(cars)])
        self._steps += 1

    def _probe(self, slot: RolloutSlot, step: TimeStep) -> None:
        """Time a decision for one car."""
        if step.observation is not None:
            started = time.perf_counter()
            self._driver.drive(step.observation)
            self.decision_seconds[slot.simulation.scenario].append(time.perf_counter() - started)


def evaluate(
    job: EvaluationJob, scenarios: Sequence[Scenario], workers: int, file: IO[str] | None = None
) -> tuple[Drive, ...]:
    """Drive every scenario with every driver; finished drives in the folder are not driven again.

    A drive in which the driver fails is reported in its place, and the next call tries it again. A drive whose process
    dies, or is killed because the driver gives no answer, is driven once more before it counts as broken off. An error
    that is not the driver's, such as a full disk or a map that was replaced, ends the evaluation.

    Args:
        job: Drivers, simulation and folder of the drives.
        scenarios: Scenarios to drive.
        workers: Number of processes.
        file: Stream for progress; None is standard output.

    Returns:
        One entry per driver and scenario, drivers in the job's order.

    Raises:
        EpisodeError: If a kept drive is damaged.
        NavsimError: If a drive cannot be driven or kept, whatever the driver does; finished drives are kept.
        KeyboardInterrupt: On Ctrl-C, with the number of drives that are kept.
    """
    failures = _drive_all(job, scenarios, workers, file) if pending(job, scenarios) else {}
    drives = []
    for driver, scenario in (
        (driver_spec.name, scenario) for driver_spec in job.driver_specs for scenario in scenarios
    ):
        failure = failures.get((driver, scenario))
        kept = load_drive(job.folder, driver, scenario) if failure is None else None
        drives.append(kept or Drive(driver, scenario, None, 0.0, failure or ""))
    return tuple(drives)


def pending(job: EvaluationJob, scenarios: Sequence[Scenario]) -> int:
    """Return the number of drives that are still missing."""
    return sum(len(missing(job, DriveUnit(driver_spec.name, tuple(scenarios)))) for driver_spec in job.driver_specs)


def planned_units(job: EvaluationJob, scenarios: Sequence[Scenario], workers: int) -> list[DriveUnit]:
    """Return the missing drives in units for `workers` processes.

    Units of one town follow each other, since a process builds a town whenever the town changes.
    """
    towns = list(dict.fromkeys(scenario.town for scenario in scenarios))
    units = []
    for driver_spec in job.driver_specs:
        left = missing(job, DriveUnit(driver_spec.name, tuple(scenarios)))
        ordered = sorted(left, key=lambda scenario: towns.index(scenario.town))
        rounds = -(-len(ordered) // (driver_spec.cars * workers))
        size = -(-len(ordered) // max(rounds * workers, 1))  # all processes have the same amount of work
        units += [DriveUnit(driver_spec.name, tuple(ordered[i : i + size])) for i in range(0, len(ordered), size or 1)]
    return sorted(units, key=lambda unit: towns.index(unit.scenarios[0].town))


def _drive_all(
    job: EvaluationJob, scenarios: Sequence[Scenario], workers: int, file: IO[str] | None
) -> dict[tuple[str, Scenario], str]:
    """Drive the missing drives; return those that broke off, each with the reason."""
    failures: dict[tuple[str, Scenario], str] = {}
    tally: dict[str, list[bool]] = {driver_spec.name: [] for driver_spec in job.driver_specs}
    total = len(job.driver_specs) * len(scenarios)
    try:
        with progress("evaluating", total, "drives", total - pending(job, scenarios), file) as advance:
            for unit, outcomes in _drive_units(job, planned_units(job, scenarios, workers), workers):
                if isinstance(outcomes, BaseException):
                    failures[unit.driver, unit.scenarios[0]] = _reason(outcomes)
                arrived = (
                    [False]
                    if isinstance(outcomes, BaseException)
                    else [outcome is Outcome.ARRIVED for outcome in outcomes]
                )
                tally[unit.driver] += arrived
                advance(len(unit.scenarios), note=_arrivals_so_far(tally))
    except KeyboardInterrupt:
        kept = total - pending(job, scenarios)
        raise KeyboardInterrupt(
            f"interrupted: {kept} of {total} drives are kept in {job.folder}; the same command continues"
        ) from None
    return failures


def _drive_units(
    job: EvaluationJob, units: Sequence[DriveUnit], workers: int, last: bool = False
) -> Iterator[tuple[DriveUnit, tuple[Outcome, ...] | BaseException]]:
    """Drive units; yield each with the outcomes of its drives, or a single drive with the error that ended it.

    After an error in a unit of several drives, they are driven again one by one; so is a single drive whose process
    has died. With `last` nothing is driven again.
    """
    repeated: list[DriveUnit] = []
    with run_units(make_worker, job, units, workers, attempts=1) as finished:
        for item in finished:
            if isinstance(item.failure, NavsimError) and not isinstance(item.failure, _DRIVER_FAILURES):
                raise item.failure
            several = len(item.unit.scenarios) > 1
            if not last and (isinstance(item.failure, WorkerError) or (item.failure is not None and several)):
                repeated += item.unit.singles
            else:
                yield item.unit, item.outcome
    if repeated:
        yield from _drive_units(job, repeated, workers, last=True)


def _arrivals_so_far(tally: dict[str, list[bool]]) -> str:
    """Return the arrivals so far, such as `policy 3/4, expert 5/5`."""
    return ", ".join(f"{name} {sum(arrived)}/{len(arrived)}" for name, arrived in tally.items() if arrived)


def _reason(failure: BaseException) -> str:
    """Return in one line why a drive broke off."""
    if isinstance(failure, WorkerError):
        return f"its process {failure.ends[-1]}; driven once more with the same result"
    text = " ".join(str(failure).split())
    return text if isinstance(failure, NavsimError) else f"{type(failure).__name__}: {text}"
