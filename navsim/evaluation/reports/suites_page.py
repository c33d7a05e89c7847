"""All suites on one page of Markdown, from the results of each driver on each, and what a repeated run changed.

A results mapping is what `results.json` holds, see `navsim.evaluation.reports.results.results_mapping`; here of one
driver each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from navsim.errors import ConfigError
from navsim.evaluation.metrics.infractions import Infraction
from navsim.evaluation.reports.score_tables import (
    SUMMARY_HEADERS,
    Measures,
    Results,
    Row,
    distinct_rows,
    measured_rows,
    part_rows,
    rate_cell,
    share_cell,
    share_percent,
    summary_rows,
)
from navsim.evaluation.results_store import row_name
from navsim.evaluation.suites import check_same_suite
from navsim.number_formats import MISSING, km, metres, number, percent, share_with_interval
from navsim.simulation.scenario import Outcome
from navsim.tables import Table, TableSection

_TIMES = ("seconds", "decision_ms")  # depends on the machine and not on the drive


@dataclass(frozen=True)
class Repeat:
    """One driver's drives compared with the same drives of another run."""

    drives: int
    """Number of drives in both runs."""
    changed: tuple[str, ...]
    """Names of the drives that ended otherwise, with their part before them where there are parts."""
    differing: int
    """Number of drives that differ in any measure but time, those of `changed` among them."""
    arrived_first: int
    """Number of drives of `changed` that arrived in the first run only."""
    arrived_second: int
    """Number of drives of `changed` that arrived in the second run only."""


def compare_repeat(first: Results, second: Results, junctions_only: bool = False) -> Repeat:
    """Compare two results of one suite drive by drive.

    Args:
        first: Results of the first run.
        second: Results of the second run.
        junctions_only: Whether to leave out the routes along lanes.

    Raises:
        ConfigError: If they are not of the same drives.
    """
    one, other = _drive_rows(first, junctions_only), _drive_rows(second, junctions_only)
    if first.get("fingerprint") != second.get("fingerprint") or one.keys() != other.keys():
        raise ConfigError("the two results are not of the same drives by the same drivers")
    changed = [key for key, row in one.items() if row["outcome"] != other[key]["outcome"]]
    return Repeat(
        drives=len(one),
        changed=tuple("/".join(filter(None, key[1:])) for key in changed),
        differing=sum(_measured(row) != _measured(other[key]) for key, row in one.items()),
        arrived_first=sum(one[key]["outcome"] == Outcome.ARRIVED for key in changed),
        arrived_second=sum(other[key]["outcome"] == Outcome.ARRIVED for key in changed),
    )


def _drive_rows(results: Results, junctions_only: bool) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Return the rows of the drives by driver, part and name."""
    rows = [row for row in results["drives"] if row["scenario"]["junctions"] or not junctions_only]
    return {(row["driver"], row["part"], row_name(row)): row for row in rows}


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measures of a drive without its times."""
    return {key: value for key, value in row.items() if key not in _TIMES}


@dataclass(frozen=True)
class SuiteResults:
    """Results of one suite."""

    name: str
    """Name of the suite."""
    title: str
    """Description of the suite in a few words."""
    results: Mapping[str, Results] = field(default_factory=dict)
    """Results by driver; none if the suite was left out."""
    left_out: str = ""
    """Reason why the suite was not driven."""


@dataclass(frozen=True)
class Repeats:
    """Drives that were repeated, by driver."""

    suite: str
    """Name of the suite."""
    second_run: Mapping[str, Repeat] = field(default_factory=dict)
    """Comparisons with a second run of everything, in another folder."""
    renderers: tuple[str, str] = ("", "")
    """Names of the two renderers of `other_renderer`."""
    other_renderer: Mapping[str, Repeat] = field(default_factory=dict)
    """Comparisons of the routes through junctions, driven with each of `renderers`."""


def suites_page(
    title: str, drivers: Mapping[str, str], suites: Sequence[SuiteResults], repeats: Repeats, about: str
) -> str:
    """Return the whole page.

    Args:
        title: Title of the page.
        drivers: Description of each driver in a few words, by name.
        suites: Results, in the order of the page.
        repeats: Drives that were repeated.
        about: Machine, versions and command, in a sentence.

    Raises:
        ConfigError: If results of different suites would stand in one table.
    """
    blocks = [f"# {title}", about, "\n".join(f"* **{name}**: {label}" for name, label in drivers.items()), _NOTE]
    blocks += [_suite_section(suite) for suite in suites]
    if repeats.second_run:
        blocks.append(_second_run_section(repeats))
    if repeats.other_renderer:
        blocks.append(_renderers_section(repeats))
    return "\n\n".join(filter(None, blocks)) + "\n"


_NOTE = """\
Intervals are of 95%: Wilson's for shares, Garwood's for rates. Arrived: the end reached in time, nothing touched, the
lane's middle never left by more than 2 m. Driving score: CARLA 2.1's; the normalised one cannot be raised by stopping
early. Infractions end a drive; each is counted by its kind. Autonomy: PilotNet's, an intervention at 1 m, 6 s each,
turns included. Comfortable: windows of 20 steps within Bench2Drive's limits. A suite's fingerprint stands for its
routes and conditions. Where a suite has routes through junctions, its numbers are of these, and of the routes along
lanes the arrivals alone. Drives of `recovery` and `lanes` are cut after 5 s and 8 s, so that most end as timed out:
there the recovered starts and the lane offsets count, and arrivals and what follows from them do not."""


def suites_summary(suites: Sequence[SuiteResults]) -> Table:
    """Return the main scores that fit 80 columns, one section per suite and one row per driver."""
    sections = [
        TableSection([row for results in suite.results.values() for row in summary_rows(results)], suite.name)
        for suite in suites
    ]
    return Table(SUMMARY_HEADERS, sections=sections)


def _suite_section(suite: SuiteResults) -> str:
    """Return one suite: its table, and that of its parts if it has any."""
    heading = f"## {suite.name}: {suite.title}"
    if not suite.results:
        return f"{heading}\n\nNot driven: {suite.left_out}."
    fingerprint = check_same_suite(suite.results)
    renderers = ", ".join(sorted({str(values["renderer"]) for values in suite.results.values()}))
    some = next(iter(suite.results.values()))
    line = f"Fingerprint `{fingerprint}`, {len(some['drives'])} drives for each driver, drawn with {renderers}."
    headers = ("", *suite.results)
    blocks = [heading, line, Table(headers, _rows(suite.results)).markdown()]
    parts = [
        {part: found["drivers"][name] for part, found in values.get("parts", {}).items()}
        for name, values in suite.results.items()
    ]
    if parts[0]:
        blocks.append(Table(headers, part_rows(parts)).markdown())
    return "\n\n".join([*blocks, *filter(None, [str(some.get("map_attribution", ""))])])


def _arrived(numbers: Mapping[str, Any]) -> str:
    return share_with_interval(numbers["arrived"], numbers["routes"], numbers["interval"])


def _latency(numbers: Mapping[str, Any]) -> str:
    taken = numbers["decision_ms"]
    return MISSING if taken is None else f"{number(taken['median'], 2, 'ms')} ({number(taken['p95'], 2, 'ms')})"


_PROGRESS: Measures = {
    "route completion": lambda n: percent(n["completion"], 1),
    "driving score": lambda n: percent(n["protocols"]["driving_score"], 1),
    "normalised driving score": lambda n: percent(n["protocols"]["normalised_score"], 1),
    "infractions per km": lambda n: rate_cell(n["protocols"]["failures"]),
}
_QUALITY: Measures = {
    "autonomy": lambda n: percent(n["protocols"]["autonomy"], 1),
    "lane offset, mean": lambda n: metres(n["lane_offset_mean"]),
    "lane offset, 95% below": lambda n: metres(n["lane_offset_p95"]),
    "over 1 m off, of the way": lambda n: percent(n["protocols"]["beyond_metre"], 1),
    "ever over 1 m off": lambda n: share_cell(n["protocols"]["ever_beyond_metre"]),
    "comfortable": lambda n: share_percent(n["protocols"]["comfort"]),
    "steering turns back": lambda n: number(n["protocols"]["steering_reversals"], 2, "/s"),
    "one decision, median (95%)": _latency,
    "driven": lambda n: km(n["km"], 1),
}


def _rows(results: Mapping[str, Results]) -> list[Row]:
    """Return the measures of a suite, each with a cell per driver."""
    every = [values["drivers"][name] for name, values in results.items()]
    lanes = [numbers["lane_following"] for numbers in every]
    through, along = any(n["routes"] for n in every), any(n["routes"] for n in lanes)
    main = every if through else lanes
    rows = measured_rows({"arrived": _arrived}, main) + distinct_rows(main)
    if through and along:
        rows += measured_rows({"along lanes: arrived": _arrived}, lanes)
    return [*rows, *measured_rows(_PROGRESS, main), *_infraction_rows(main), *measured_rows(_QUALITY, main)]


def _infraction_rows(columns: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return infractions by kind, those that any driver has."""
    found = [numbers["protocols"]["infractions"] for numbers in columns]
    kinds = [kind.value for kind in Infraction if any(kind in each and each[kind]["count"] for each in found)]
    return [
        (f"... {kind.replace('_', ' ')}", *(rate_cell(each[kind]) if kind in each else MISSING for each in found))
        for kind in kinds
    ]


def _second_run_section(repeats: Repeats) -> str:
    """Return what a second run of everything changed."""
    headers = ("", "drives", "changed outcome", "differ in any measure but time")
    rows = [
        (name, str(found.drives), str(len(found.changed)), str(found.differing))
        for name, found in repeats.second_run.items()
    ]
    text = f"All of `{repeats.suite}` driven a second time, in another folder."
    return "\n\n".join(["## Same seed, same outcomes", text, Table(headers, rows).markdown()])


def _renderers_section(repeats: Repeats) -> str:
    """Return what another renderer changed."""
    first, second = repeats.renderers
    headers = ("", "routes", "changed outcome", f"arrived with {first} only", f"arrived with {second} only")
    rows = [
        (name, *map(str, (found.drives, len(found.changed), found.arrived_first, found.arrived_second)))
        for name, found in repeats.other_renderer.items()
    ]
    text = f"The routes through junctions of `{repeats.suite}`, drawn with {first} and with {second}."
    return "\n\n".join(["## Two renderers", text, Table(headers, rows).markdown()])
