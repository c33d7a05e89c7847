"""A suite's results part by part: as plain values, as a Markdown table and as one for the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from navsim.config import to_mapping
from navsim.evaluation.metrics.drives import Drive, arrivals
from navsim.evaluation.metrics.protocols import protocol_scores, protocols_mapping, recovery, recovery_by_start
from navsim.evaluation.statistics.intervals import Share
from navsim.evaluation.suites import CONDITIONS, SuiteStage


def parts_mapping(drives: Sequence[Drive], stages: Sequence[SuiteStage]) -> dict[str, Any]:
    """Every part's numbers, as plain values.

    Returns:
        By the part's name: `conditions` of the simulation, and `drivers`, each with `arrived` (count, total, interval),
        `errors`, `completion`, `km`, `protocols` as in `protocols_mapping`, and where the part counts recoveries
        `recovered` (count, total, interval) and `recovered_by_start`, a list with `start` beside these.
    """
    names = list(dict.fromkeys(drive.driver for drive in drives))
    parts = {}
    for stage in stages:
        settings = to_mapping(stage.simulation)
        own = {name: [d for d in drives if d.driver == name and d.part == stage.name] for name in names}
        parts[stage.name] = {
            "conditions": {name: settings[name] for name in CONDITIONS},
            "drivers": {name: _numbers(there, stage.recovery) for name, there in own.items()},
        }
    return parts


def part_rows(drives: Sequence[Drive], stages: Sequence[SuiteStage]) -> list[tuple[str, list[str]]]:
    """One row per part and one cell per driver: arrivals, or recoveries where the part counts them."""
    names = list(dict.fromkeys(drive.driver for drive in drives))
    rows = []
    for stage in stages:
        own = [[d for d in drives if d.driver == name and d.part == stage.name] for name in names]
        shares = [recovery(there) if stage.recovery else _arrived(there) for there in own]
        rows.append((f"{stage.name}: {'recovered' if stage.recovery else 'arrived'}", list(map(_words, shares))))
        if stage.recovery:
            by_start = [recovery_by_start(there) for there in own]
            rows += [
                (f"  from {start.lateral:+g} m, {start.heading_deg:+g} deg", [_words(part[start]) for part in by_start])
                for start in dict.fromkeys(scenario.start for scenario in stage.scenarios)
            ]
    return rows


def part_share(drives: Sequence[Drive], stage: SuiteStage) -> Share:
    """Drives of a part that arrived, or recovered where the part counts that, of all of it among `drives`."""
    own = [drive for drive in drives if drive.part == stage.name]
    return recovery(own) if stage.recovery else _arrived(own)


def has_parts(stages: Sequence[SuiteStage]) -> bool:
    """Whether a table by parts says more than the table of all drives."""
    return len(stages) > 1 or any(stage.recovery for stage in stages)


def parts_terminal_table(drives: Sequence[Drive], stages: Sequence[SuiteStage]) -> Table:
    """The table by parts for the terminal: drivers side by side."""
    table = Table(title="by part", title_justify="left")
    table.add_column("")
    for name in dict.fromkeys(drive.driver for drive in drives):
        table.add_column(name, justify="right")
    for words, cells in part_rows(drives, stages):
        table.add_row(words, *cells)
    return table


def parts_markdown_table(drives: Sequence[Drive], stages: Sequence[SuiteStage]) -> str:
    """The same table as Markdown."""
    names = list(dict.fromkeys(drive.driver for drive in drives))
    lines = ["## By part", "", "| | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    lines += [f"| {words.strip()} | " + " | ".join(cells) + " |" for words, cells in part_rows(drives, stages)]
    return "\n".join([*lines, ""])


def _numbers(drives: Sequence[Drive], counts_recovery: bool) -> dict[str, Any]:
    episodes = [drive.episode for drive in drives if drive.episode is not None]
    errors = len(drives) - len(episodes)
    completions = sum(episode.completion for episode in episodes)
    numbers: dict[str, Any] = {
        "arrived": _share(_arrived(drives)),
        "errors": errors,
        "completion": completions / len(drives) if drives else None,
        "km": sum(episode.distance for episode in episodes) / 1000,
        "protocols": protocols_mapping(protocol_scores(episodes, errors)),
    }
    if counts_recovery:
        numbers["recovered"] = _share(recovery(drives))
        numbers["recovered_by_start"] = [
            {"start": to_mapping(start)} | _share(share) for start, share in recovery_by_start(drives).items()
        ]
    return numbers


def _arrived(drives: Sequence[Drive]) -> Share:
    """Drives that arrived, of all asked for."""
    return Share(arrivals([drive.episode for drive in drives if drive.episode is not None]).count, len(drives))


def _share(share: Share) -> dict[str, Any]:
    return {"count": share.count, "total": share.total, "interval": list(share.interval)}


def _words(share: Share) -> str:
    if not share.total:
        return "none"
    low, high = share.interval
    return f"{share.count} of {share.total} ({low:.0%}-{high:.0%})"
