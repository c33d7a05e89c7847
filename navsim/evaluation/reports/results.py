"""An evaluation's results as plain values for JSON, as a Markdown table and as a table for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.table import Table

from navsim.config import to_mapping
from navsim.evaluation.metrics.calibration import calibration_mapping, calibration_rows
from navsim.evaluation.metrics.drives import (
    CLOSE,
    Drive,
    DriverSummary,
    Latency,
    largest_lane_offset,
    latency,
    mean_lane_offset,
    per_kilometre,
    percentile_lane_offset,
    summarise,
)
from navsim.evaluation.metrics.infractions import drive_score, interventions
from navsim.evaluation.metrics.protocols import ProtocolScores, protocol_rows, protocol_scores, protocols_mapping
from navsim.evaluation.results_store import drive_name
from navsim.evaluation.statistics.intervals import Share
from navsim.simulation.scenario import Outcome

SEES_TRUTH = "expert"
"""The driver that is given the true state; tables mark it."""


@dataclass(frozen=True)
class DriverScores:
    """One driver's numbers: the main score, and the score where there is no junction."""

    routes: DriverSummary
    """Over the routes through junctions."""
    lanes: DriverSummary
    """Over the routes along one lane; no routes if the suite has none."""
    protocols: ProtocolScores
    """By the protocols of the field, over the routes through junctions."""
    lane_protocols: ProtocolScores
    """The same over the routes along one lane."""


def driver_scores(drives: Sequence[Drive]) -> dict[str, DriverScores]:
    """Sum up each driver's drives, in the order in which the drivers first appear."""
    names = dict.fromkeys(drive.driver for drive in drives)
    return {name: _scores([drive for drive in drives if drive.driver == name]) for name in names}


def _scores(drives: Sequence[Drive]) -> DriverScores:
    routes = [drive for drive in drives if drive.scenario.junctions]
    lanes = [drive for drive in drives if not drive.scenario.junctions]
    return DriverScores(_summary(routes), _summary(lanes), _protocols(routes), _protocols(lanes))


def _protocols(drives: Sequence[Drive]) -> ProtocolScores:
    episodes = [drive.episode for drive in drives if drive.episode is not None]
    return protocol_scores(episodes, errors=len(drives) - len(episodes))


def _summary(drives: Sequence[Drive]) -> DriverSummary:
    episodes = [drive.episode for drive in drives if drive.episode is not None]
    return summarise(
        episodes,
        errors=len(drives) - len(episodes),
        seconds=sum(drive.seconds for drive in drives),
        decision_seconds=[taken for drive in drives for taken in drive.decision_seconds],
        transforms=[drive.transforms for drive in drives],
    )


def results_mapping(drives: Sequence[Drive], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything measured, as plain values.

    Args:
        drives: All drives of all drivers.
        about: What else is to be said: configuration, versions, machine.

    Returns:
        `drivers` with the numbers of each over the routes through junctions of all parts together (`summary_mapping`,
        with `protocols` as in `protocols_mapping`) and the same over those along lanes under `lane_following`;
        `about`'s values, among them the suite's `fingerprint` and, where a suite has parts, `parts` (see
        `navsim.evaluation.reports.parts.parts_mapping`); and `drives` with one row per drive (`drive_mapping`). Driver,
        `part` and `name` together tell one drive from all others; its file is `drives/PART/DRIVER/NAME.parquet`.
    """
    scores = driver_scores(drives)
    drivers = {
        name: summary_mapping(score.routes)
        | {"protocols": protocols_mapping(score.protocols)}
        | {"lane_following": summary_mapping(score.lanes) | {"protocols": protocols_mapping(score.lane_protocols)}}
        for name, score in scores.items()
    }
    return {"drivers": drivers, **about, "drives": [drive_mapping(drive) for drive in drives]}


def summary_mapping(summary: DriverSummary) -> dict[str, Any]:
    """One summary as plain values; numbers that nothing tells are null."""
    return {
        "routes": summary.arrivals.total,
        "arrived": summary.arrivals.count,
        "interval": list(summary.arrivals.interval),
        "errors": summary.errors,
        "completion": summary.completion,
        "lane_offset_mean": summary.lane_offset_mean,
        "lane_offset_p95": summary.lane_offset_p95,
        "lane_offset_max": summary.lane_offset_max,
        "kept_to_lane": summary.kept_to_lane.count,
        "km": summary.km,
        "outcomes": {outcome.value: count for outcome, count in summary.outcomes.items()},
        "per_km": {outcome.value: summary.rate(outcome) for outcome in Outcome if outcome is not Outcome.ARRIVED},
        "failures_per_km": summary.failures_per_km,
        "junctions": _share_mapping(summary.junctions)
        | {"by_manoeuvre": {kind.value: _share_mapping(share) for kind, share in summary.manoeuvres.items()}},
        "steps": summary.steps,
        "steps_per_second": summary.steps_per_second,
        "decision_ms": _latency_mapping(summary.latency),
        "calibration": calibration_mapping(summary.calibration),
    }


def _latency_mapping(taken: Latency | None) -> dict[str, float] | None:
    if taken is None:
        return None
    return {"median": 1e3 * taken.median, "p95": 1e3 * taken.p95, "max": 1e3 * taken.longest}


def _share_mapping(share: Share) -> dict[str, Any]:
    return {"entered": share.total, "passed": share.count, "interval": list(share.interval)}


def drive_mapping(drive: Drive) -> dict[str, Any]:
    """One drive as plain values."""
    row: dict[str, Any] = {
        "driver": drive.driver,
        "name": drive_name(drive.scenario),
        "part": drive.part,
        "scenario": to_mapping(drive.scenario),
    }
    episode = drive.episode
    if episode is None:
        return row | {"outcome": drive.outcome.value, "error": drive.error}
    return row | {
        "outcome": episode.outcome.value,
        "completion": episode.completion,
        "route_length": episode.route_length,
        "km": episode.distance / 1000,
        "lane_offset_mean": mean_lane_offset([episode]),
        "lane_offset_p95": percentile_lane_offset([episode]),
        "lane_offset_max": largest_lane_offset(episode),
        "driving_score": drive_score(episode),
        "interventions": interventions(episode),
        "struck": None if episode.struck is None else episode.struck.value,
        "time": float(episode.times[-1]),
        "steps": len(episode),
        "seconds": drive.seconds,
        "decision_ms": _latency_mapping(latency(drive.decision_seconds)),
    }


def table_rows(scores: Mapping[str, DriverScores]) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """The table as text: sections of rows, each row a measure with one cell per driver."""
    routes = [score.routes for score in scores.values()]
    lanes = [score.lanes for score in scores.values()]
    sections: list[tuple[str, list[tuple[str, list[str]]]]] = []
    through, along = any(s.arrivals.total for s in routes), any(s.arrivals.total for s in lanes)
    protocols = [s.protocols if through else s.lane_protocols for s in scores.values()]
    if through or not along:
        sections += [
            ("routes through junctions", _main_rows(routes)),
            ("the junctions on them", _junction_rows(routes)),
        ]
    if through or along:
        sections.append(("by the field's protocols", protocol_rows(protocols)))
    if along:
        sections.append(("lane following, no junction", _score_rows(lanes) if through else _main_rows(lanes)))
    calibrated = calibration_rows([s.calibration for s in (routes if through else lanes)])
    if calibrated:
        sections.append(("its distribution, while driving", calibrated))
    return [*sections, ("cost", _cost_rows(routes if through else lanes))]


def _cost_rows(summaries: Sequence[DriverSummary]) -> list[tuple[str, list[str]]]:
    """What driving takes: steps of the whole simulation, and decisions of the driver alone."""
    rows = [("steps/s and process", [_number(s.steps_per_second, "{:.0f}") for s in summaries])]
    parts = {"one decision, median": "median", "95% of decisions within": "p95", "the longest decision": "longest"}
    return rows + [
        (words, ["-" if s.latency is None else f"{1e3 * getattr(s.latency, part):.2f} ms" for s in summaries])
        for words, part in parts.items()
    ]


def _score_rows(summaries: Sequence[DriverSummary]) -> list[tuple[str, list[str]]]:
    """Arrivals, completion and offsets."""
    rows = [
        ("arrived", [_share(s.arrivals) for s in summaries]),
        ("95% interval", [_interval(s.arrivals) for s in summaries]),
        ("route completion", [_number(s.completion, "{:.1%}") for s in summaries]),
        ("mean lane offset", [_number(s.lane_offset_mean, "{:.2f} m") for s in summaries]),
        ("95% of offsets below", [_number(s.lane_offset_p95, "{:.2f} m") for s in summaries]),
        ("largest lane offset", [_number(s.lane_offset_max, "{:.2f} m") for s in summaries]),
        (f"arrived, always within {CLOSE} m", [_share(s.kept_to_lane) for s in summaries]),
    ]
    if any(summary.errors for summary in summaries):
        rows.append(("broke off (error)", [str(s.errors) for s in summaries]))
    return rows


def _main_rows(summaries: Sequence[DriverSummary]) -> list[tuple[str, list[str]]]:
    """The scores and how drives failed, in numbers and per kilometre."""
    kinds = {
        "off the road": (Outcome.LEFT_ROAD,),
        "collisions": (Outcome.COLLIDED,),
        "wrong turns": (Outcome.WRONG_TURN,),
        "stuck, too late": (Outcome.STUCK, Outcome.TIMED_OUT),
    }
    rows = _score_rows(summaries)
    for words, outcomes in kinds.items():
        counts = [sum(s.outcomes[outcome] for outcome in outcomes) for s in summaries]
        cells = [
            f"{count} ({_number(per_kilometre(count, s.km), '{:.2f}')}/km)" if count else "0"
            for count, s in zip(counts, summaries, strict=True)
        ]
        rows.append((words, cells))
    return [*rows, ("driven", [f"{s.km:.2f} km" for s in summaries])]


def _junction_rows(summaries: Sequence[DriverSummary]) -> list[tuple[str, list[str]]]:
    """Junctions passed of those entered."""
    rows = [
        ("passed of entered", [_share(s.junctions) for s in summaries]),
        ("95% interval", [_interval(s.junctions) for s in summaries]),
    ]
    kinds = list(dict.fromkeys(kind for s in summaries for kind in s.manoeuvres))
    return rows + [(kind.value, [_share(s.manoeuvres[kind]) for s in summaries]) for kind in kinds]


def _share(share: Share) -> str:
    return f"{share.count} of {share.total}" if share.total else "none"


def _interval(share: Share) -> str:
    low, high = share.interval
    return f"{low:.0%} to {high:.0%}" if share.total else "-"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def terminal_table(scores: Mapping[str, DriverScores], title: str) -> Table:
    """The table for the terminal: drivers side by side."""
    table = Table(title=title, title_justify="left", caption=footnote(scores), caption_justify="left")
    table.add_column("")
    for name in scores:
        table.add_column(_heading(name), justify="right")
    for section, rows in table_rows(scores):
        table.add_section()
        table.add_row(f"[bold]{section}[/bold]")
        for name, cells in rows:
            table.add_row(f"  {name}", *cells)
    return table


def markdown_table(scores: Mapping[str, DriverScores], title: str, credit: str = "") -> str:
    """The same table as Markdown, with the credit that is due to the makers of the map."""
    lines = [f"# {title}", "", "| | " + " | ".join(map(_heading, scores)) + " |", "| --- |" + " ---: |" * len(scores)]
    for section, rows in table_rows(scores):
        lines.append(f"| **{section}** |" + " |" * len(scores))
        lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join([*lines, "", footnote(scores), *([credit] if credit else []), ""])


def _heading(name: str) -> str:
    return f"{name} *" if name == SEES_TRUTH else name


def footnote(scores: Mapping[str, DriverScores]) -> str:
    """What the table's words mean."""
    words = "Arrived: the end reached in time, nothing touched, the lane's middle never left by more than 2 m."
    return f"{words} * sees the true state." if SEES_TRUTH in scores else words


def failures(drives: Sequence[Drive]) -> list[str]:
    """One line per driver and reason for the drives that broke off with an error."""
    broken = sorted((drive.driver, drive.error, drive.scenario.name) for drive in drives if drive.episode is None)
    lines = []
    for (driver, error), group in groupby(broken, key=lambda item: item[:2]):
        names = [name for _, _, name in group]
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        lines.append(f"{driver}: {len(names)} drives broke off ({shown}): {error}")
    return lines
