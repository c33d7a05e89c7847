"""Closed-loop drives of several drivers over the same scenarios, in parallel processes, resumable drive by drive."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from navsim.driving.drivers import Driver, Expert
from navsim.driving.rollout import drive
from navsim.driving.scenario import Outcome, Scenario
from navsim.driving.simulation import Simulation, SimulationConfig
from navsim.errors import NavsimError
from navsim.evaluation.archive import Drive, drive_path, load_drive, save_drive
from navsim.evaluation.entrants import Entrant
from navsim.parallel import run_units
from navsim.progress import progress


@dataclass(frozen=True)
class Contest:
    """What the processes share."""

    simulation: SimulationConfig
    """The car, its senses and the rules."""
    entrants: tuple[Entrant, ...]
    """The drivers, under different names."""
    folder: Path
    """Where finished drives are kept."""

    def __post_init__(self) -> None:
        names = [entrant.name for entrant in self.entrants]
        if len(set(names)) != len(names):
            raise ValueError(f"drivers need different names, got {', '.join(names)}")


@dataclass(frozen=True)
class DriveUnit:
    """One driver on one scenario."""

    driver: str
    """Name of the entrant."""
    scenario: Scenario
    """What it drives."""


def evaluate(
    contest: Contest, scenarios: Sequence[Scenario], workers: int, console: Console | None = None
) -> tuple[Drive, ...]:
    """Drive every scenario with every driver; finished drives found in the folder are not driven again.

    A drive that breaks off with an error is reported in its place and tried again by the next call.

    Args:
        contest: Who drives, in what, and where the drives are kept.
        scenarios: What to drive.
        workers: Number of processes.
        console: Where progress is shown; None is standard output.

    Returns:
        One entry per driver and scenario, drivers in the contest's order.

    Raises:
        EpisodeError: If a kept drive is damaged.
        KeyboardInterrupt: On Ctrl-C, saying what is kept.
    """
    units = [DriveUnit(entrant.name, scenario) for entrant in contest.entrants for scenario in scenarios]
    todo = [unit for unit in units if not drive_path(contest.folder, unit.driver, unit.scenario).exists()]
    failures = _drive_all(contest, _by_town(todo), len(units), workers, console) if todo else {}
    return tuple(
        Drive(unit.driver, unit.scenario, None, 0.0, failures[unit])
        if unit in failures
        else load_drive(contest.folder, unit.driver, unit.scenario)
        for unit in units
    )


def pending(contest: Contest, scenarios: Sequence[Scenario]) -> int:
    """How many drives are still to be driven."""
    return sum(
        not drive_path(contest.folder, entrant.name, scenario).exists()
        for entrant in contest.entrants
        for scenario in scenarios
    )


def _by_town(units: Sequence[DriveUnit]) -> list[DriveUnit]:
    """Units of one town together, since a process builds a town whenever it comes to another one."""
    towns = list(dict.fromkeys(unit.scenario.town for unit in units))
    return sorted(units, key=lambda unit: towns.index(unit.scenario.town))


def _drive_all(
    contest: Contest, todo: Sequence[DriveUnit], total: int, workers: int, console: Console | None
) -> dict[DriveUnit, str]:
    """Drive what is left to drive; returns the units that broke off, each with the reason."""
    failures: dict[DriveUnit, str] = {}
    tally: dict[str, list[bool]] = {entrant.name: [] for entrant in contest.entrants}
    done = total - len(todo)
    try:
        with (
            progress("evaluating", total, "drives", already=done, console=console) as advance,
            run_units(_make_worker, contest, todo, workers) as finished,
        ):
            for item in finished:
                if item.failure is not None:
                    failures[item.unit] = _reason(item.failure)
                tally[item.unit.driver].append(item.failure is None and item.result is Outcome.ARRIVED)
                done += 1
                advance(note=_standings(tally))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: {done - len(failures)} of {total} drives are kept in {contest.folder}; "
            "the same command continues"
        ) from None
    return failures


def _standings(tally: dict[str, list[bool]]) -> str:
    """Arrivals so far, such as `policy 3/4, expert 5/5`."""
    return ", ".join(f"{name} {sum(arrived)}/{len(arrived)}" for name, arrived in tally.items() if arrived)


def _reason(failure: BaseException) -> str:
    """One line saying why a drive broke off."""
    words = " ".join(str(failure).split())
    return words if isinstance(failure, NavsimError) else f"{type(failure).__name__}: {words}"


def _make_worker(contest: Contest) -> Callable[[DriveUnit], Outcome]:
    """Set up one process: a simulation, and each driver when it is first needed."""
    return _Worker(contest).drive


class _Worker:
    """Drives units one after the other in one process."""

    def __init__(self, contest: Contest) -> None:
        self._contest = contest
        self._simulation = Simulation(contest.simulation)
        self._drivers: dict[str, Driver | Expert] = {}

    def drive(self, unit: DriveUnit) -> Outcome:
        """Drive one unit and keep it."""
        entrant = next(entrant for entrant in self._contest.entrants if entrant.name == unit.driver)
        if unit.driver not in self._drivers:
            self._drivers[unit.driver] = entrant.driver()
        driver = self._drivers[unit.driver]
        started = time.perf_counter()
        episode = drive(self._simulation, driver, unit.scenario, sense=entrant.looks, record_images=False)
        episode = replace(episode, driver=unit.driver)  # two checkpoints may call themselves the same
        seconds = time.perf_counter() - started
        save_drive(self._contest.folder, Drive(unit.driver, unit.scenario, episode, seconds))
        return episode.outcome
