"""Comparison of several results over the same routes: differences between drivers and their significance."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from navsim.errors import ConfigError
from navsim.evaluation.reports.run import RESULTS_NAME
from navsim.evaluation.results_store import row_name
from navsim.evaluation.statistics.intervals import Share
from navsim.evaluation.statistics.paired import SIGNIFICANCE_LEVEL, PairedMean, PairedShare, paired_mean, paired_share
from navsim.evaluation.suites import check_same_suite
from navsim.number_formats import metres, percent, percent_with_interval
from navsim.simulation.scenario import Outcome
from navsim.simulation.town import MapName, is_osm_town, town_by_content
from navsim.tables import Table

Row = Mapping[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Measure:
    """A measure of each drive that is compared."""

    key: str
    """Name in the rows of `results.json`."""
    label: str
    """Name in tables."""
    text: Callable[[float], str]
    """Text of a difference."""
    if_broken: float | None
    """Value of a drive that broke off; None leaves such a pair out."""
    more_is_better: bool
    """Whether larger values are better."""


MEASURES = (
    Measure("completion", "route completion", partial(percent, digits=1, signed=True), 0.0, True),
    Measure("driving_score", "driving score (CARLA 2.1)", partial(percent, digits=1, signed=True), 0.0, True),
    Measure("lane_offset_mean", "mean lane offset", partial(metres, digits=3, signed=True), None, False),
    Measure("lane_offset_max", "largest lane offset", partial(metres, digits=2, signed=True), None, False),
)
"""Measures that are compared beside arrivals."""


@dataclass(frozen=True, eq=False)
class Column:
    """One driver of one result, a column of a comparison."""

    name: str
    """Name in the comparison."""
    origin: str
    """Origin of the driver, such as a checkpoint's path."""
    rows: Mapping[Key, Row]
    """Rows of its drives by part and name."""
    distinct: int | None = None
    """Number of distinct ways among its drives; None in results from before they were counted."""

    @property
    def arrived(self) -> Share:
        """Share of drives that arrived."""
        return Share(sum(map(has_arrived, self.rows.values())), len(self.rows), self.distinct)

    def mean(self, measure: Measure) -> float | None:
        """Return the mean of a measure over the drives that have it."""
        values = [value for value in (value_of(row, measure) for row in self.rows.values()) if value is not None]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """One driver compared with the first."""

    name: str
    """Name of the driver."""
    arrivals: PairedShare
    """Numbers of routes on which each of the two arrived."""
    means: Mapping[str, PairedMean]
    """Differences in further measures, by key."""
    parts: Mapping[str, PairedShare]
    """Arrivals by part; empty for a suite of one part."""


def read_results(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read results and check that they are of one suite.

    Args:
        paths: Files, or folders with a `results.json`.

    Returns:
        Contents by the path that was given.

    Raises:
        ConfigError: If one cannot be read or holds no results, one is given twice, or they are of different suites.
    """
    found = dict[str, dict[str, Any]]()
    for path in paths:
        file = path / RESULTS_NAME if path.is_dir() else path
        try:
            values = json.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: cannot be read: {error}") from None
        if not isinstance(values, dict) or not {"drives", "drivers"} <= values.keys():
            raise ConfigError(f"{file}: holds no results of an evaluation")
        if str(path) in found:
            raise ConfigError(f"{path} is given twice")
        found[str(path)] = values
    check_same_suite(found)
    return found


def columns(results: Mapping[str, Mapping[str, Any]]) -> tuple[Column, ...]:
    """Return all drivers of all results; drivers of the same name have that of their result added.

    The routes through junctions are compared, or those along lanes in suites of lanes alone.
    """
    names = [driver for values in results.values() for driver in values["drivers"]]
    found = []
    for source, values in results.items():
        for driver in values["drivers"]:
            name = driver if names.count(driver) == 1 else f"{driver} ({source})"
            rows = [row for row in values["drives"] if row["driver"] == driver]
            through = [row for row in rows if row["scenario"]["junctions"]]
            kept = {(str(row["part"]), row_name(row)): row for row in through or rows}
            numbers = values["drivers"][driver] if through else values["drivers"][driver].get("lane_following", {})
            origin = str(values.get("origins", {}).get(driver, ""))
            found.append(Column(name, origin, kept, numbers.get("distinct")))
    return tuple(found)


def ordered(found: Sequence[Column], baseline: str | None) -> tuple[Column, ...]:
    """Return the columns with the baseline first.

    Args:
        found: All columns.
        baseline: Name of the column with which the others are compared; None leaves the order.

    Raises:
        ConfigError: If no column has that name, or there are fewer than two.
    """
    names = [column.name for column in found]
    if len(found) < 2:
        raise ConfigError(f"a comparison needs at least two drivers, got {', '.join(names) or 'none'}")
    if baseline is not None and baseline not in names:
        raise ConfigError(f"baseline {baseline!r} is none of {', '.join(names)}")
    return tuple(sorted(found, key=lambda column: column.name != (baseline or names[0])))


def compare(first: Column, second: Column) -> Comparison:
    """Compare a driver with another, route by route.

    Raises:
        ConfigError: If they did not drive the same routes.
    """
    if first.rows.keys() != second.rows.keys():
        _check_maps((first, second))
        raise ConfigError(f"{first.name} and {second.name} did not drive the same routes")
    pairs = [(row, second.rows[key]) for key, row in first.rows.items()]
    parts = dict.fromkeys(part for part, _ in first.rows)
    return Comparison(
        name=second.name,
        arrivals=_arrivals(pairs),
        means={
            measure.key: paired_mean([value_of(a, measure) for a, _ in pairs], [value_of(b, measure) for _, b in pairs])
            for measure in MEASURES
        },
        parts={part: _arrivals([pair for pair in pairs if pair[0]["part"] == part]) for part in parts}
        if len(parts) > 1
        else {},
    )


def _check_maps(found: Sequence[Column]) -> None:
    """Raise ConfigError for drives of earlier versions, which name their map by its path, if it is not there."""
    for column in found:
        for row in column.rows.values():
            town = str(row["scenario"].get("town", ""))
            if is_osm_town(town) and not isinstance(town_by_content(town), MapName):
                raise ConfigError(
                    f"{column.name}: its results are of an earlier version and name their map by its path, {town}, "
                    "where no file is; put the map there to compare by its content"
                )


def has_arrived(row: Row) -> bool:
    """Return whether a drive arrived."""
    return bool(row["outcome"] == Outcome.ARRIVED)


def value_of(row: Row, measure: Measure) -> float | None:
    """Return a drive's value of a measure."""
    value = row.get(measure.key, measure.if_broken)
    return None if value is None else float(value)


def arrivals_text(pair: PairedShare) -> str:
    """Return the difference in arrivals with its interval, p and verdict."""
    difference = percent_with_interval(pair.difference, pair.interval, 1, signed=True)
    return f"{difference}, p = {pair.p_value:.2g}: {'significant' if pair.significant else 'not significant'}"


def mean_text(pair: PairedMean, measure: Measure) -> str:
    """Return the difference in a measure with its interval and verdict."""
    if pair.difference is None or pair.interval is None:
        return f"too few routes ({pair.total})"
    low, high = (measure.text(end) for end in pair.interval)
    verdict = "not significant"
    if pair.significant:
        verdict = "better" if (pair.difference > 0) == measure.more_is_better else "worse"
    return f"{measure.text(pair.difference)} ({low} to {high}): {verdict}"


def _arrivals(pairs: Sequence[tuple[Row, Row]]) -> PairedShare:
    return paired_share([has_arrived(a) for a, _ in pairs], [has_arrived(b) for _, b in pairs])


NOTE = (
    f"Significant: p below {SIGNIFICANCE_LEVEL:g} by McNemar's exact test for arrivals (interval by Newcombe), 0 "
    "outside the 95% interval by a bootstrap over routes for the rest. Each comparison stands by itself: of twenty "
    "drivers that are no better, one seems so. Drives are taken as independent, those of one town too; only the "
    "interval of a driver's own arrivals counts distinct ways. A drive that broke off has not arrived and scores 0; it "
    "has no lane offset."
)
"""Meaning of the tables' words."""


def arrivals_table(found: Sequence[Column]) -> Table:
    """Return the arrivals of all drivers."""
    rows = [(column.name, column.arrived.text, column.arrived.interval_text) for column in found]
    return Table(("", "arrived", "95% interval"), rows)


def summary_table(title: str, found: Sequence[Column], comparisons: Sequence[Comparison]) -> Table:
    """Return arrivals and their differences to the first driver, one row per driver, that fit 80 columns."""
    pairs = {one.name: one.arrivals for one in comparisons}
    rows = [
        (
            column.name,
            column.arrived.text,
            column.arrived.interval_text,
            *(_difference_cells(pairs[column.name]) if column.name in pairs else ("", "")),
        )
        for column in found
    ]
    return Table(("driver", "arrived", "95% interval", f"less {found[0].name}", "p"), rows, title=title)


def _difference_cells(pair: PairedShare) -> tuple[str, str]:
    return percent_with_interval(pair.difference, pair.interval, signed=True), f"{pair.p_value:.2g}"


def differences_table(first: Column, comparisons: Sequence[Comparison]) -> Table:
    """Return the differences to the first driver, one column for each of the others."""
    rows = [
        ("arrived: difference", *(arrivals_text(one.arrivals) for one in comparisons)),
        ("only the first arrived", *(str(one.arrivals.first_only) for one in comparisons)),
        ("only this one arrived", *(str(one.arrivals.second_only) for one in comparisons)),
    ]
    rows += [(each.label, *(mean_text(one.means[each.key], each) for one in comparisons)) for each in MEASURES]
    return Table((f"compared with {first.name}", *(one.name for one in comparisons)), rows)


def parts_table(first: Column, comparisons: Sequence[Comparison]) -> Table | None:
    """Return the differences in arrivals by part; None where there is one part."""
    rows = [(part, *(arrivals_text(one.parts[part]) for one in comparisons)) for part in comparisons[0].parts]
    headers = (f"compared with {first.name}", *(one.name for one in comparisons))
    return Table(headers, rows, title="Arrivals by part") if rows else None


def comparison_markdown(title: str, found: Sequence[Column], comparisons: Sequence[Comparison], end: str = "") -> str:
    """Return the comparison as Markdown.

    Args:
        title: Title of the page.
        found: All drivers, the first one first.
        comparisons: The others compared with it.
        end: Further text at the end of the page.
    """
    by_part = parts_table(found[0], comparisons)
    blocks = [f"# {title}", arrivals_table(found).markdown(), differences_table(found[0], comparisons).markdown()]
    blocks += [by_part.markdown("##")] if by_part else []
    return "\n\n".join(filter(None, [*blocks, NOTE, end])) + "\n"
