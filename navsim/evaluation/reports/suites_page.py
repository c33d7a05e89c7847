"""The same drives twice: how many ended otherwise, and how many differ in anything that was measured.

All suites on one page of Markdown, from the results of each driver on each: pure functions over plain values.

A results mapping is what `results.json` holds, see `navsim.evaluation.reports.results.results_mapping`; here of one
driver each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from navsim.errors import ConfigError
from navsim.evaluation.metrics.infractions import Infraction
from navsim.evaluation.suites import check_same_suite
from navsim.simulation.scenario import Outcome

_TIMES = ("seconds", "decision_ms")  # what a drive takes on a machine is no property of the drive


@dataclass(frozen=True)
class Repeat:
    """One driver's drives, set beside the same drives of another run."""

    drives: int
    """How many drives there are in both."""
    changed: tuple[str, ...]
    """Names of those that ended otherwise, with their part before them where there are parts."""
    differing: int
    """How many differ in any measure but time, those that ended otherwise among them."""
    arrived_first: int
    """How many of `changed` arrived in the first run only."""
    arrived_second: int
    """How many of `changed` arrived in the second run only."""


def repeat(first: Mapping[str, Any], second: Mapping[str, Any], junctions_only: bool = False) -> Repeat:
    """Set two results of one suite side by side, drive by drive.

    Args:
        first: What one `results.json` holds (`navsim.evaluation.reports.results.results_mapping`).
        second: What the other one holds.
        junctions_only: Whether to leave out the routes along lanes.

    Raises:
        ConfigError: If they are not of the same drives.
    """
    one, other = _repeat_rows(first, junctions_only), _repeat_rows(second, junctions_only)
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


def _repeat_rows(results: Mapping[str, Any], junctions_only: bool) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Rows of the drives by driver, part and name."""
    rows = [row for row in results["drives"] if row["scenario"]["junctions"] or not junctions_only]
    return {(row["driver"], row["part"], row["name"]): row for row in rows}


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of a drive, without what it took."""
    return {key: value for key, value in row.items() if key not in _TIMES}


Results = Mapping[str, Any]
_Row = tuple[str, list[str]]


@dataclass(frozen=True)
class SuiteResults:
    """What came out of one suite."""

    name: str
    """The suite's name."""
    title: str
    """What is measured, in a few words."""
    results: Mapping[str, Results] = field(default_factory=dict)
    """Results by driver; none if the suite was left out."""
    left_out: str = ""
    """Why it was not driven."""


@dataclass(frozen=True)
class Repeats:
    """Drives done twice, by driver."""

    suite: str
    """Name of the suite that was driven twice."""
    second_run: Mapping[str, Repeat] = field(default_factory=dict)
    """Second run of all drives with the same settings, by driver."""
    renderers: tuple[str, str] = ("", "")
    """The two renderers of `other_renderer`."""
    other_renderer: Mapping[str, Repeat] = field(default_factory=dict)
    """Routes through junctions driven with the other renderer, by driver."""


def suites_page(
    title: str, drivers: Mapping[str, str], suites: Sequence[SuiteResults], repeats: Repeats, about: str
) -> str:
    """The whole page.

    Args:
        title: Over it.
        drivers: What each driver is, in a few words, by name.
        suites: What came out, in the order of the page.
        repeats: What was driven twice.
        about: Machine, versions and command, in a sentence.

    Raises:
        ConfigError: If results of different suites would stand in one table.
    """
    parts = [f"# {title}", about, "\n".join(f"* **{name}**: {words}" for name, words in drivers.items()), _WORDS]
    parts += [_suite_section(suite) for suite in suites]
    if repeats.second_run:
        parts.append(_second_run_section(repeats))
    if repeats.other_renderer:
        parts.append(_renderers_section(repeats))
    return "\n\n".join(filter(None, parts)) + "\n"


_WORDS = """\
Intervals are of 95%: Wilson's for shares, Garwood's for rates. Arrived: the end reached in time, nothing touched, the
lane's middle never left by more than 2 m. Driving score: CARLA 2.1's; the normalised one cannot be raised by stopping
early. Infractions end a drive; each is counted by its kind. Autonomy: PilotNet's, an intervention at 1 m, 6 s each,
turns included. Comfortable: windows of 20 steps within Bench2Drive's limits. A suite's fingerprint stands for its
routes and conditions. Where a suite has routes through junctions, its numbers are of these, and of the routes along
lanes the arrivals alone. Drives of `recovery` and `lanes` are cut after 5 s and 8 s, so that most end as timed out:
there the recovered starts and the lane offsets count, and arrivals and what follows from them do not."""


def _suite_section(suite: SuiteResults) -> str:
    """One suite: its table, and the parts if it has any."""
    heading = f"## {suite.name}: {suite.title}"
    if not suite.results:
        return f"{heading}\n\nNot driven: {suite.left_out}."
    mark = check_same_suite(suite.results)
    renderers = ", ".join(sorted({str(values["renderer"]) for values in suite.results.values()}))
    some = next(iter(suite.results.values()))
    line = f"Fingerprint `{mark}`, {len(some['drives'])} drives for each driver, drawn with {renderers}."
    blocks = [heading, line, _table(list(suite.results), _rows(suite.results))]
    parts = _part_rows(suite.results)
    if parts:
        blocks.append(_table(list(suite.results), parts))
    return "\n\n".join([*blocks, *filter(None, [str(some.get("map_attribution", ""))])])


def _rows(results: Mapping[str, Results]) -> list[_Row]:
    """The measures of a suite, each with a cell per driver."""
    both = [values["drivers"][name] for name, values in results.items()]
    lanes = [numbers["lane_following"] for numbers in both]
    main = both if any(numbers["routes"] for numbers in both) else lanes
    protocols = [numbers["protocols"] for numbers in main]
    rows = [
        ("arrived", [_share(n["arrived"], n["routes"], n["interval"]) for n in main]),
        ("route completion", [_percent(n["completion"]) for n in main]),
        ("driving score", [_percent(p["driving_score"]) for p in protocols]),
        ("normalised driving score", [_percent(p["normalised_score"]) for p in protocols]),
        ("infractions per km", [_rate(p["failures"]) for p in protocols]),
        *_infraction_rows(protocols),
        ("autonomy", [_percent(p["autonomy"]) for p in protocols]),
        ("lane offset, mean", [_metres(n["lane_offset_mean"]) for n in main]),
        ("lane offset, 95% below", [_metres(n["lane_offset_p95"]) for n in main]),
        ("over 1 m off, of the way", [_percent(p["beyond_metre"]) for p in protocols]),
        ("ever over 1 m off", [_counted(p["ever_beyond_metre"]) for p in protocols]),
        ("comfortable", [_percent(_value(p["comfort"])) for p in protocols]),
        ("steering turns back", [_number(p["steering_reversals"], "{:.2f}/s") for p in protocols]),
        ("one decision, median (95%)", [_latency(n["decision_ms"]) for n in main]),
        ("driven", [f"{n['km']:.1f} km" for n in main]),
    ]
    if main is both and any(numbers["routes"] for numbers in lanes):
        rows.insert(2, ("along lanes: arrived", [_share(n["arrived"], n["routes"], n["interval"]) for n in lanes]))
    return rows


def _infraction_rows(protocols: Sequence[Mapping[str, Any]]) -> list[_Row]:
    """Infractions by kind, those that any driver has."""
    kinds = [kind for kind in Infraction if any(_of_kind(p, kind)["count"] for p in protocols)]
    return [(f"... {kind.value.replace('_', ' ')}", [_rate(_of_kind(p, kind)) for p in protocols]) for kind in kinds]


def _of_kind(protocols: Mapping[str, Any], kind: Infraction) -> Mapping[str, Any]:
    found: Mapping[str, Any] = protocols["infractions"][kind.value]
    return found


def _part_rows(results: Mapping[str, Results]) -> list[_Row]:
    """Arrivals by part, or recoveries by part and start where the part counts them."""
    parts = {name: values.get("parts", {}) for name, values in results.items()}
    rows: list[_Row] = []
    for part in next(iter(parts.values())):
        own = [parts[name][part]["drivers"][name] for name in parts]
        if "recovered" not in own[0]:
            rows.append((f"{part}: arrived", [_counted(numbers["arrived"]) for numbers in own]))
            continue
        rows.append((f"{part}: recovered", [_counted(numbers["recovered"]) for numbers in own]))
        for index, from_start in enumerate(own[0]["recovered_by_start"]):
            start = from_start["start"]
            words = f"... from {start['lateral']:+g} m, {start['heading_deg']:+g} deg"
            rows.append((words, [_counted(numbers["recovered_by_start"][index]) for numbers in own]))
    return rows


def _second_run_section(repeats: Repeats) -> str:
    """What a second run of everything changed."""
    rows = [
        (name, [str(found.drives), str(len(found.changed)), str(found.differing)])
        for name, found in repeats.second_run.items()
    ]
    return "\n\n".join(
        [
            "## Same seed, same outcomes",
            f"All of `{repeats.suite}` driven a second time, in another folder.",
            _table(["drives", "changed outcome", "differ in any measure but time"], rows),
        ]
    )


def _renderers_section(repeats: Repeats) -> str:
    """What another renderer changed."""
    first, second = repeats.renderers
    heads = ["routes", "changed outcome", f"arrived with {first} only", f"arrived with {second} only"]
    rows = [
        (name, [str(n) for n in (found.drives, len(found.changed), found.arrived_first, found.arrived_second)])
        for name, found in repeats.other_renderer.items()
    ]
    words = f"The routes through junctions of `{repeats.suite}`, drawn with {first} and with {second}."
    return "\n\n".join(["## Two renderers", words, _table(heads, rows)])


def _table(heads: Sequence[str], rows: Sequence[_Row]) -> str:
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
    return "\n".join(lines + [f"| {words} | " + " | ".join(cells) + " |" for words, cells in rows])


def _share(count: int, total: int, interval: Sequence[float]) -> str:
    return f"{count} of {total} ({interval[0]:.0%}-{interval[1]:.0%})" if total else "-"


def _counted(share: Mapping[str, Any]) -> str:
    return _share(share["count"], share["total"], share["interval"])


def _value(share: Mapping[str, Any]) -> float | None:
    return share["count"] / share["total"] if share["total"] else None


def _rate(rate: Mapping[str, Any]) -> str:
    if rate["per_km"] is None:
        return f"{rate['count']} in 0 km" if rate["count"] else "-"
    low, high = rate["interval"]
    return f"{rate['per_km']:.2f} ({low:.2g}-{high:.2g})"


def _latency(taken: Mapping[str, float] | None) -> str:
    return "-" if taken is None else f"{taken['median']:.2f} ms ({taken['p95']:.2f} ms)"


def _percent(value: float | None) -> str:
    return _number(value, "{:.1%}")


def _metres(value: float | None) -> str:
    return _number(value, "{:.2f} m")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
