"""Closed-loop drives of several drivers over the same scenarios, in parallel processes, resumable drive by drive."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from navsim.errors import NavsimError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.results_store import load_drive
from navsim.evaluation.worker import Contest, DriveUnit, make_worker, missing
from navsim.parallel import WorkerError, run_units
from navsim.progress import progress
from navsim.simulation.scenario import Outcome, Scenario


def evaluate(
    contest: Contest, scenarios: Sequence[Scenario], workers: int, console: Console | None = None
) -> tuple[Drive, ...]:
    """Drive every scenario with every driver; finished drives found in the folder are not driven again.

    A drive that breaks off with an error is reported in its place and tried again by the next call. One whose process
    dies, or is killed since the driver gives no answer, is driven again once before that.

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
    failures = _drive_all(contest, scenarios, workers, console) if pending(contest, scenarios) else {}
    drives = []
    for driver, scenario in ((entrant.name, scenario) for entrant in contest.entrants for scenario in scenarios):
        failure = failures.get((driver, scenario))
        kept = load_drive(contest.folder, driver, scenario) if failure is None else None
        drives.append(kept or Drive(driver, scenario, None, 0.0, failure or ""))
    return tuple(drives)


def pending(contest: Contest, scenarios: Sequence[Scenario]) -> int:
    """How many drives are still to be driven."""
    return sum(len(missing(contest, DriveUnit(entrant.name, tuple(scenarios)))) for entrant in contest.entrants)


def planned_units(contest: Contest, scenarios: Sequence[Scenario], workers: int) -> list[DriveUnit]:
    """What is still to be driven, in units for `workers` processes.

    Units of one town stand together, since a process builds a town whenever it comes to another one.
    """
    towns = list(dict.fromkeys(scenario.town for scenario in scenarios))
    units = []
    for entrant in contest.entrants:
        left = missing(contest, DriveUnit(entrant.name, tuple(scenarios)))
        ordered = sorted(left, key=lambda scenario: towns.index(scenario.town))
        rounds = -(-len(ordered) // (entrant.cars * workers))
        size = -(-len(ordered) // max(rounds * workers, 1))  # all processes have as much to do
        units += [DriveUnit(entrant.name, tuple(ordered[i : i + size])) for i in range(0, len(ordered), size or 1)]
    return sorted(units, key=lambda unit: towns.index(unit.scenarios[0].town))


def _drive_all(
    contest: Contest, scenarios: Sequence[Scenario], workers: int, console: Console | None
) -> dict[tuple[str, Scenario], str]:
    """Drive what is left to drive; returns the drives that broke off, each with the reason."""
    failures: dict[tuple[str, Scenario], str] = {}
    tally: dict[str, list[bool]] = {entrant.name: [] for entrant in contest.entrants}
    total = len(contest.entrants) * len(scenarios)
    try:
        with progress("evaluating", total, "drives", total - pending(contest, scenarios), console) as advance:
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
    contest: Contest, units: Sequence[DriveUnit], workers: int, last: bool = False
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
