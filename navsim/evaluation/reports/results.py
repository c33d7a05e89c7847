"""An evaluation's results as plain values: what `results.json` holds. Tables, plots and the report read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from navsim.config import to_mapping
from navsim.evaluation.metrics.calibration import calibration_mapping
from navsim.evaluation.metrics.drives import (
    Drive,
    DriverSummary,
    Latency,
    arrivals,
    distinct_ways,
    largest_lane_offset,
    latency,
    mean_lane_offset,
    percentile_lane_offset,
    summarise,
)
from navsim.evaluation.metrics.infractions import drive_score, interventions
from navsim.evaluation.metrics.protocols import (
    ProtocolScores,
    protocol_scores,
    protocols_mapping,
    recovery,
    recovery_by_start,
)
from navsim.evaluation.results_store import drive_name
from navsim.evaluation.statistics.intervals import Share
from navsim.evaluation.statistics.paired import PairedShare, paired_share
from navsim.evaluation.suites import CONDITIONS, SuiteStage
from navsim.simulation.scenario import Outcome, Scenario


@dataclass(frozen=True)
class DriverScores:
    """One driver's scores, on routes through junctions and on routes along one lane."""

    routes: DriverSummary
    """Scores over the routes through junctions."""
    lanes: DriverSummary
    """Scores over the routes along one lane; no routes if the suite has none."""
    protocols: ProtocolScores
    """Scores by the protocols of the field, over the routes through junctions."""
    lane_protocols: ProtocolScores
    """Scores by the protocols of the field, over the routes along one lane."""


def driver_scores(drives: Sequence[Drive]) -> dict[str, DriverScores]:
    """Score each driver's drives, in the order in which the drivers first appear."""
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
        distinct=distinct_ways(drives),
    )


def results_mapping(drives: Sequence[Drive], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything measured as plain values.

    Args:
        drives: All drives of all drivers.
        about: Conditions of the evaluation: configuration, versions, machine.

    Returns:
        `drivers` with the numbers of each over the routes through junctions of all parts together (`summary_mapping`,
        with `protocols` as in `protocols_mapping`) and the same over those along lanes under `lane_following`.
        Then `about`'s values, among them the suite's `fingerprint` and, where a suite has parts, `parts`
        (`parts_mapping`). Then `drives` with one row per drive (`drive_mapping`). Driver, `part` and `name` together
        identify a drive; its file is `drives/PART/DRIVER/NAME.parquet`.
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
    """Return one summary as plain values; missing numbers are null."""
    return {
        "routes": summary.arrivals.total,
        "distinct": summary.arrivals.independent,
        "arrived": summary.arrivals.count,
        "interval": list(summary.arrivals.interval),
        "errors": summary.errors,
        "completion": summary.completion,
        "lane_offset_mean": summary.lane_offset_mean,
        "lane_offset_p95": summary.lane_offset_p95,
        "lane_offset_max": summary.lane_offset_max,
        "kept_to_lane": summary.kept_to_lane.count,
        "kept_route_lane": summary.kept_route_lane.count,
        "km": summary.km,
        "outcomes": {outcome.value: count for outcome, count in summary.outcomes.items()},
        "per_km": {outcome.value: summary.rate(outcome) for outcome in Outcome if outcome is not Outcome.ARRIVED},
        "failures_per_km": summary.failures_per_km,
        "junctions": _junctions_mapping(summary.junctions)
        | {"by_manoeuvre": {kind.value: _junctions_mapping(share) for kind, share in summary.manoeuvres.items()}},
        "steps": summary.steps,
        "steps_per_second": summary.steps_per_second,
        "decision_ms": _latency_mapping(summary.latency),
        "calibration": calibration_mapping(summary.calibration),
    }


def _latency_mapping(taken: Latency | None) -> dict[str, float] | None:
    if taken is None:
        return None
    return {"median": 1e3 * taken.median, "p95": 1e3 * taken.p95, "max": 1e3 * taken.longest}


def _junctions_mapping(share: Share) -> dict[str, Any]:
    return {"entered": share.total, "passed": share.count, "interval": list(share.interval)}


def drive_mapping(drive: Drive) -> dict[str, Any]:
    """Return one drive as plain values."""
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


def has_parts(stages: Sequence[SuiteStage]) -> bool:
    """Whether a table by parts says more than the table of all drives."""
    return len(stages) > 1 or any(stage.recovery for stage in stages)


def parts_mapping(drives: Sequence[Drive], stages: Sequence[SuiteStage]) -> dict[str, Any]:
    """Return every part's numbers as plain values.

    Returns:
        By the part's name: `conditions` of the simulation, and `drivers`, each with `arrived` (count, total, interval,
        independent), `errors`, `completion`, `km`, `protocols` as in `protocols_mapping`, and where the part counts
        recoveries `recovered` (count, total, interval) and `recovered_by_start`, a list with `start` beside these. A
        part that drives the routes of the first one has `less_first` (part, difference, interval, p_value): its
        arrivals compared with those of the first part, route by route.
    """
    names = list(dict.fromkeys(drive.driver for drive in drives))
    parts: dict[str, Any] = {}
    first = stages[0]
    for stage in stages:
        settings = to_mapping(stage.simulation)
        own = {name: [d for d in drives if d.driver == name and d.part == stage.name] for name in names}
        parts[stage.name] = {
            "conditions": {name: settings[name] for name in CONDITIONS},
            "drivers": {name: _part_numbers(there, stage.recovery) for name, there in own.items()},
        }
        if stage is first or stage.recovery or _routes(stage) != _routes(first):
            continue
        for name, there in own.items():
            baseline = [d for d in drives if d.driver == name and d.part == first.name]
            less = {"part": first.name} | _paired_arrivals(baseline, there).mapping()
            parts[stage.name]["drivers"][name]["less_first"] = less
    return parts


def _routes(stage: SuiteStage) -> set[Scenario]:
    """Return the scenarios of a part without their conditions."""
    return set(map(_route_of, stage.scenarios))


def _route_of(scenario: Scenario) -> Scenario:
    """Return a scenario without its conditions."""
    return replace(scenario, appearance="")


def _paired_arrivals(first: Sequence[Drive], second: Sequence[Drive]) -> PairedShare:
    """Compare the arrivals of two parts over the same routes."""
    one, other = ({_route_of(d.scenario): d.outcome is Outcome.ARRIVED for d in part} for part in (first, second))
    return paired_share(list(one.values()), [other[route] for route in one])


def _part_numbers(drives: Sequence[Drive], counts_recovery: bool) -> dict[str, Any]:
    episodes = [drive.episode for drive in drives if drive.episode is not None]
    errors = len(drives) - len(episodes)
    completions = sum(episode.completion for episode in episodes)
    numbers: dict[str, Any] = {
        "arrived": Share(arrivals(episodes).count, len(drives), distinct_ways(drives)).mapping(),
        "errors": errors,
        "completion": completions / len(drives) if drives else None,
        "km": sum(episode.distance for episode in episodes) / 1000,
        "protocols": protocols_mapping(protocol_scores(episodes, errors)),
    }
    if counts_recovery:
        numbers["recovered"] = recovery(drives).mapping()
        numbers["recovered_by_start"] = [
            {"start": to_mapping(start)} | share.mapping() for start, share in recovery_by_start(drives).items()
        ]
    return numbers


def broken_drives(results: Mapping[str, Any]) -> list[str]:
    """Return one line per driver and reason for the drives that broke off with an error."""
    broken = sorted((row["driver"], row["error"], row["name"]) for row in results["drives"] if "error" in row)
    lines = []
    for (driver, error), group in groupby(broken, key=lambda item: item[:2]):
        names = [name for _, _, name in group]
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        lines.append(f"{driver}: {len(names)} drives broke off ({shown}): {error}")
    return lines
