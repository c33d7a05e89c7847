"""An evaluation's results as tables: all scores, scores by part, and a summary for the terminal.

A results mapping is what `results.json` holds, see `navsim.evaluation.reports.results.results_mapping`. The numbers
of a driver on one kind of routes are what `summary_mapping` returns, with `protocols`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from navsim.evaluation.metrics.drives import CLOSE
from navsim.number_formats import (
    MISSING,
    interval,
    km,
    metres,
    number,
    per_km,
    percent,
    percent_interval,
    percent_with_interval,
    share,
    share_with_interval,
)
from navsim.simulation.scenario import Outcome
from navsim.tables import Table, TableSection

Results = Mapping[str, Any]
Numbers = Mapping[str, Any]
Measures = Mapping[str, Callable[[Any], str]]
Row = tuple[str, ...]

SEES_TRUTH = "expert"
"""Name of the driver that is given the true state; tables mark it."""
_FAILURES = {
    "off the road": (Outcome.LEFT_ROAD,),
    "collisions": (Outcome.COLLIDED,),
    "wrong turns": (Outcome.WRONG_TURN,),
    "wrong lane at a junction": (Outcome.WRONG_LANE,),
    "stuck, too late": (Outcome.STUCK, Outcome.TIMED_OUT),
}


def driver_label(name: str) -> str:
    """Return a driver's name, marked if it sees the true state."""
    return f"{name} *" if name == SEES_TRUTH else name


def _kept_route_lane(numbers: Numbers) -> str:
    """Return the drives that kept to the route's own lane; missing in results from before it was measured."""
    return share(numbers["kept_route_lane"], numbers["routes"]) if "kept_route_lane" in numbers else MISSING


def footnote(results: Results) -> str:
    """Return the meaning of the tables' words."""
    text = (
        "Arrived: the end reached in time, nothing touched, never more than 2 m from the middle of a lane that leads "
        "on along the route."
    )
    return f"{text} * sees the true state." if SEES_TRUTH in results["drivers"] else text


def measured_rows(measures: Measures, columns: Sequence[Any]) -> list[Row]:
    """Return one row per measure, with a cell for each column."""
    return [(label, *(cell(column) for column in columns)) for label, cell in measures.items()]


def share_cell(found: Mapping[str, Any]) -> str:
    """Return the text of a share given as `count`, `total` and `interval`."""
    return share_with_interval(found["count"], found["total"], found["interval"])


def share_percent(found: Mapping[str, Any]) -> str:
    """Return a share given as `count` and `total` in percent."""
    return percent(found["count"] / found["total"] if found["total"] else None, 1)


def rate_cell(rate: Mapping[str, Any]) -> str:
    """Return the text of a rate given as `count`, `per_km` and `interval` [1/km]."""
    if rate["per_km"] is None:
        return f"{rate['count']} in 0 km" if rate["count"] else MISSING
    return f"{number(rate['per_km'])} ({interval(rate['interval'])})"


_SCORES: Measures = {
    "arrived": lambda n: share(n["arrived"], n["routes"]),
    "95% interval": lambda n: percent_interval(n["interval"] if n["routes"] else None),
    "route completion": lambda n: percent(n["completion"], 1),
    "mean lane offset": lambda n: metres(n["lane_offset_mean"]),
    "95% of offsets below": lambda n: metres(n["lane_offset_p95"]),
    "largest lane offset": lambda n: metres(n["lane_offset_max"]),
    "arrived, always in the route's own lane": _kept_route_lane,
    f"arrived, always within {CLOSE} m": lambda n: share(n["kept_to_lane"], n["routes"]),
}
_JUNCTIONS: Measures = {
    "passed of entered": lambda n: share(n["junctions"]["passed"], n["junctions"]["entered"]),
    "95% interval": lambda n: percent_interval(n["junctions"]["interval"] if n["junctions"]["entered"] else None),
}
_PROTOCOLS: Measures = {
    "driving score (CARLA 2.1)": lambda n: percent(n["protocols"]["driving_score"], 1),
    "normalised driving score": lambda n: percent(n["protocols"]["normalised_score"], 1),
    "failures per km (95%)": lambda n: rate_cell(n["protocols"]["failures"]),
    "autonomy (PilotNet)": lambda n: percent(n["protocols"]["autonomy"], 1),
    "over 1 m off, of the way": lambda n: percent(n["protocols"]["beyond_metre"], 1),
    "comfortable (Bench2Drive)": lambda n: share_percent(n["protocols"]["comfort"]),
    "steering turns back": lambda n: number(n["protocols"]["steering_reversals"], 2, "/s"),
}
_COST: Measures = {
    "steps/s and process": lambda n: number(n["steps_per_second"], 0),
    "one decision, median": lambda n: _decision(n, "median"),
    "95% of decisions within": lambda n: _decision(n, "p95"),
    "the longest decision": lambda n: _decision(n, "max"),
}


def _decision(numbers: Numbers, part: str) -> str:
    taken = numbers["decision_ms"]
    return number(None if taken is None else taken[part], 2, "ms")


def scores_table(results: Results, title: str) -> Table:
    """Return all scores, one column per driver."""
    drivers = results["drivers"]
    routes, lanes = list(drivers.values()), [numbers["lane_following"] for numbers in drivers.values()]
    through, along = any(n["routes"] for n in routes), any(n["routes"] for n in lanes)
    main = routes if through or not along else lanes
    sections = []
    if main is routes:
        sections.append(TableSection(_main_rows(routes), "routes through junctions"))
        sections.append(TableSection(_junction_rows(routes), "the junctions on them"))
    if through or along:
        sections.append(TableSection(measured_rows(_PROTOCOLS, main), "by the field's protocols"))
    if along:
        rows = _score_rows(lanes) if through else _main_rows(lanes)
        sections.append(TableSection(rows, "lane following, no junction"))
    calibrated = calibration_rows([numbers["calibration"] for numbers in main])
    sections.append(TableSection(calibrated, "its distribution, while driving"))
    sections.append(TableSection(measured_rows(_COST, main), "cost"))
    headers = ("", *map(driver_label, drivers))
    return Table(headers, sections=sections, title=title, note=footnote(results))


def _score_rows(columns: Sequence[Numbers]) -> list[Row]:
    """Return arrivals, completion and offsets."""
    rows = distinct_rows(columns) + measured_rows(_SCORES, columns)
    if any(numbers["errors"] for numbers in columns):
        rows.append(("broke off (error)", *(str(numbers["errors"]) for numbers in columns)))
    return rows


def distinct_rows(columns: Sequence[Numbers]) -> list[Row]:
    """Return a row with the number of distinct ways, if any driver drove some way twice."""
    counts = [numbers.get("distinct") for numbers in columns]  # None in results from before they were counted
    if all(count in (None, numbers["routes"]) for count, numbers in zip(counts, columns, strict=True)):
        return []
    return [("distinct ways", *(MISSING if count is None else str(count) for count in counts))]


def _main_rows(columns: Sequence[Numbers]) -> list[Row]:
    """Return the scores and how drives failed, as counts and per kilometre."""
    rows = _score_rows(columns)
    for label, outcomes in _FAILURES.items():
        counts = [sum(numbers["outcomes"].get(outcome, 0) for outcome in outcomes) for numbers in columns]
        cells = (_counted(count, numbers["km"]) for count, numbers in zip(counts, columns, strict=True))
        rows.append((label, *cells))
    return [*rows, ("driven", *(km(numbers["km"]) for numbers in columns))]


def _counted(count: int, distance: float) -> str:
    """Return a count with its rate over a distance [km]."""
    return f"{count} ({per_km(count / distance if distance else None)})" if count else "0"


def _junction_rows(columns: Sequence[Numbers]) -> list[Row]:
    """Return junctions passed of those entered, all together and by manoeuvre."""
    found = [numbers["junctions"]["by_manoeuvre"] for numbers in columns]
    kinds = found[0] if found else ()
    rows = [(kind, *(share(each[kind]["passed"], each[kind]["entered"]) for each in found)) for kind in kinds]
    return measured_rows(_JUNCTIONS, columns) + rows


def calibration_rows(columns: Sequence[Mapping[str, Any] | None]) -> list[Row]:
    """Return coverage of the expert's commands, with one cell for each calibration as in `calibration_mapping`.

    The list is empty if no driver has a distribution.
    """
    known = next((found for found in columns if found is not None), None)
    if known is None:
        return []
    rows = [
        (
            f"expert's command within z = {point['z']:g} ({percent(point['nominal'])})",
            *(MISSING if found is None else _coverage(found["coverage"][index]) for found in columns),
        )
        for index, point in enumerate(known["coverage"])
    ]
    gaps = (percent(None if found is None else found["gap"], 1) for found in columns)
    return [*rows, ("largest gap over all z", *gaps)]


def _coverage(point: Mapping[str, Any]) -> str:
    return f"{percent(point['value'])} ({percent_interval(point['interval'])})"


def parts_table(results: Results) -> Table | None:
    """Return arrivals by part, or recoveries by part and start where the part counts them; None without parts."""
    if not results.get("parts"):
        return None
    rows = part_rows(
        [{part: found["drivers"][name] for part, found in results["parts"].items()} for name in results["drivers"]]
    )
    return Table(("", *map(driver_label, results["drivers"])), rows, title="By part")


def part_rows(columns: Sequence[Mapping[str, Numbers]]) -> list[Row]:
    """Return one row per part with its difference to the first part, and per start where it counts recoveries.

    Args:
        columns: One driver's numbers by part for each column.
    """
    rows: list[Row] = []
    for part, first in columns[0].items():
        own = [column[part] for column in columns]
        counted = "recovered" if "recovered" in first else "arrived"
        rows.append((f"{part}: {counted}", *(share_cell(numbers[counted]) for numbers in own)))
        if "less_first" in first:
            less = [numbers["less_first"] for numbers in own]
            cells = (percent_with_interval(each["difference"], each["interval"], signed=True) for each in less)
            rows.append((f"  less {first['less_first']['part']}", *cells))
        for index, recovered in enumerate(first.get("recovered_by_start", ())):
            start = recovered["start"]
            label = f"  from {start['lateral']:+g} m, {start['heading_deg']:+g} deg"
            rows.append((label, *(share_cell(numbers["recovered_by_start"][index]) for numbers in own)))
    return rows


def summary_table(results: Results, title: str) -> Table:
    """Return the main scores, one row per driver, that fit 80 columns."""
    return Table(SUMMARY_HEADERS, summary_rows(results), title=title)


SUMMARY_HEADERS = ("driver", "arrived", "95% interval", "offset", "failures/km", "driven")


def summary_rows(results: Results) -> list[Row]:
    """Return the rows of `summary_table`: over routes through junctions, or along lanes in suites of lanes alone."""
    every = results["drivers"]
    through = any(numbers["routes"] for numbers in every.values())
    main = {name: numbers if through else numbers["lane_following"] for name, numbers in every.items()}
    return [
        (
            driver_label(name),
            share(numbers["arrived"], numbers["routes"]),
            percent_interval(numbers["interval"] if numbers["routes"] else None),
            metres(numbers["lane_offset_mean"]),
            number(numbers["failures_per_km"]),
            km(numbers["km"], 1),
        )
        for name, numbers in main.items()
    ]


def results_markdown(results: Results, title: str) -> str:
    """Return all tables as Markdown, with the credit due to the makers of the map."""
    by_part = parts_table(results)
    blocks = [scores_table(results, title).markdown("#"), str(results.get("map_attribution", ""))]
    blocks += [by_part.markdown("##")] if by_part else []
    return "\n\n".join(filter(None, blocks)) + "\n"
