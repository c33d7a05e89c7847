"""Several results side by side over the same routes: who is better, by how much, and whether that can be told."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navsim.errors import ConfigError
from navsim.evaluation.reports.run import RESULTS_NAME
from navsim.evaluation.statistics.intervals import Share
from navsim.evaluation.statistics.paired import SIGNIFICANCE_LEVEL, PairedMean, PairedShare, paired_mean, paired_share
from navsim.evaluation.suites import check_same_suite
from navsim.simulation.scenario import Outcome

Row = Mapping[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True)
class Measure:
    """A number of each drive that is compared."""

    key: str
    """Its name in the rows of `results.json`."""
    words: str
    """Its name for people."""
    form: str
    """How it is written."""
    lost: float | None
    """Its value for a drive that broke off; None leaves such a pair out."""
    more_is_better: bool
    """Whether it is."""


MEASURES = (
    Measure("completion", "route completion", "{:+.1%}", 0.0, True),
    Measure("driving_score", "driving score (CARLA 2.1)", "{:+.1%}", 0.0, True),
    Measure("lane_offset_mean", "mean lane offset", "{:+.3f} m", None, False),
    Measure("lane_offset_max", "largest lane offset", "{:+.2f} m", None, False),
)
"""What is compared beside arrivals."""


@dataclass(frozen=True, eq=False)
class Column:
    """One driver of one result."""

    name: str
    """Its name here."""
    origin: str
    """Where the driver comes from, such as a checkpoint's path."""
    rows: Mapping[Key, Row]
    """Its drives, by part and name."""

    @property
    def arrived(self) -> Share:
        """Drives that arrived."""
        return Share(sum(map(has_arrived, self.rows.values())), len(self.rows))

    def mean(self, measure: Measure) -> float | None:
        """Mean of a measure over the drives that have it."""
        values = [value for value in (value_of(row, measure) for row in self.rows.values()) if value is not None]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """One driver set against the first."""

    name: str
    """The driver."""
    arrivals: PairedShare
    """Which routes each arrived on."""
    means: Mapping[str, PairedMean]
    """Further measures, by key."""
    parts: Mapping[str, PairedShare]
    """Arrivals by part; empty where there is one part."""


def read_results(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Read results, and see to it that they are of one suite.

    Args:
        paths: Files, or folders with a `results.json`.

    Returns:
        What they hold, by the path that was given.

    Raises:
        ConfigError: If one cannot be read or holds no results, one is given twice, or they are of different suites.
    """
    found = dict[str, dict[str, Any]]()
    for path in paths:
        file = path / RESULTS_NAME if path.is_dir() else path
        try:
            values = json.loads(file.read_text())
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
    """All drivers of all results; those of one name bear that of their result besides.

    The routes through junctions are compared, or those along lanes where there are no others.
    """
    names = [driver for values in results.values() for driver in values["drivers"]]
    found = []
    for source, values in results.items():
        for driver in values["drivers"]:
            name = driver if names.count(driver) == 1 else f"{driver} ({source})"
            rows = [row for row in values["drives"] if row["driver"] == driver]
            rows = [row for row in rows if row["scenario"]["junctions"]] or rows
            kept = {(str(row["part"]), str(row["name"])): row for row in rows}
            found.append(Column(name, str(values.get("origins", {}).get(driver, "")), kept))
    return tuple(found)


def ordered(found: Sequence[Column], baseline: str | None) -> tuple[Column, ...]:
    """The columns with the one that the others are set against first.

    Args:
        found: All columns.
        baseline: Its name; None leaves the order.

    Raises:
        ConfigError: If there is no such column, or fewer than two.
    """
    names = [column.name for column in found]
    if len(found) < 2:
        raise ConfigError(f"a comparison needs at least two drivers, got {', '.join(names) or 'none'}")
    if baseline is not None and baseline not in names:
        raise ConfigError(f"baseline {baseline!r} is none of {', '.join(names)}")
    return tuple(sorted(found, key=lambda column: column.name != (baseline or names[0])))


def compare(first: Column, second: Column) -> Comparison:
    """Set a driver against another, route by route.

    Raises:
        ConfigError: If they did not drive the same routes.
    """
    if first.rows.keys() != second.rows.keys():
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


def has_arrived(row: Row) -> bool:
    """Whether a drive arrived."""
    return bool(row["outcome"] == Outcome.ARRIVED)


def value_of(row: Row, measure: Measure) -> float | None:
    """A drive's value of a measure."""
    value = row.get(measure.key, measure.lost)
    return None if value is None else float(value)


def arrivals_words(pair: PairedShare) -> str:
    """The difference in arrivals, with what can be said of it."""
    low, high = pair.interval
    verdict = "significant" if pair.significant else "not significant"
    return f"{pair.difference:+.1%} ({low:+.1%} to {high:+.1%}), p = {pair.p_value:.2g}: {verdict}"


def mean_words(pair: PairedMean, measure: Measure) -> str:
    """The difference in a measure, with what can be said of it."""
    if pair.difference is None or pair.interval is None:
        return f"too few routes ({pair.total})"
    low, high = (measure.form.format(end) for end in pair.interval)
    verdict = "not significant"
    if pair.significant:
        verdict = "better" if (pair.difference > 0) == measure.more_is_better else "worse"
    return f"{measure.form.format(pair.difference)} ({low} to {high}): {verdict}"


def _arrivals(pairs: Sequence[tuple[Row, Row]]) -> PairedShare:
    return paired_share([has_arrived(a) for a, _ in pairs], [has_arrived(b) for _, b in pairs])


def comparison_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    """The differences as rows of a table, one cell for each driver that is set against the first."""
    rows = [
        ("arrived: difference", [arrivals_words(one.arrivals) for one in comparisons]),
        ("only the first arrived", [str(one.arrivals.first_only) for one in comparisons]),
        ("only this one arrived", [str(one.arrivals.second_only) for one in comparisons]),
    ]
    return rows + [
        (measure.words, [mean_words(one.means[measure.key], measure) for one in comparisons]) for measure in MEASURES
    ]


def part_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    """The differences in arrivals by part."""
    return [(part, [arrivals_words(one.parts[part]) for one in comparisons]) for part in comparisons[0].parts]


NOTE = (
    f"Significant: p below {SIGNIFICANCE_LEVEL:g} by McNemar's exact test for arrivals (interval by Newcombe), 0 "
    "outside the 95% interval by a bootstrap over routes for the rest. Each comparison stands by itself: of twenty "
    "drivers that are no better, one seems so. Drives are taken as independent, those of one town too. A drive that "
    "broke off has not arrived and scores 0; it has no lane offset."
)
"""What the words of the tables mean."""


def comparison_markdown(title: str, found: Sequence[Column], comparisons: Sequence[Comparison], ends: str = "") -> str:
    """The comparison as Markdown.

    Args:
        title: Over it.
        found: All drivers, the first one first.
        comparisons: The others against it.
        ends: What else is to be said.
    """
    lines = [f"# {title}", "", "| | arrived | 95% interval |", "| --- | ---: | ---: |"]
    for column in found:
        low, high = column.arrived.interval
        lines.append(f"| {column.name} | {column.arrived.count} of {column.arrived.total} | {low:.0%} to {high:.0%} |")
    heads = ["| against " + found[0].name + " | " + " | ".join(one.name for one in comparisons) + " |"]
    heads.append("| --- |" + " ---: |" * len(comparisons))
    lines += [
        "",
        *heads,
        *(f"| {words} | " + " | ".join(cells) + " |" for words, cells in comparison_rows(comparisons)),
    ]
    by_part = part_rows(comparisons)
    if by_part:
        lines += ["", "## Arrivals by part", "", *heads]
        lines += [f"| {words} | " + " | ".join(cells) + " |" for words, cells in by_part]
    return "\n".join([*lines, "", NOTE, *(["", ends] if ends else []), ""])
