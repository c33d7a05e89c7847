"""Scores of localisation methods over drives, their differences, and the tables of both. D: drives."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.localization.config import LocalizationCase, LocalizeConfig, Method
from agents.localization.run import Tracks
from agents.localization.tracking import NEAR, Track
from agents.localization.tuning import Regions, read_regions
from navsim.evaluation.statistics.intervals import Estimate, bootstrap_estimate, estimate_text, share_estimate
from navsim.number_formats import number
from navsim.seeding import generator
from navsim.simulation.scenario import Scenario
from navsim.tables import Table

BASELINES: Mapping[Method, Method] = {
    "odometry": "gps",
    "roads": "odometry",
    "network": "odometry",
    "soft": "odometry",
    "network_roads": "roads",
    "soft_roads": "roads",
}
"""Baseline of each method: the same information without the last likelihood."""


@dataclass(frozen=True)
class PairedScore:
    """A method minus its baseline in one case, over the same drives; intervals of 95% by bootstrap over drives."""

    case: str
    """Name of the case."""
    method: str
    """Name of the method."""
    baseline: str
    """Name of the baseline."""
    drives: int
    """Number of drives, D."""
    error: Estimate
    """Median over drives of the difference of position errors, each a median over the drive's second half [m]."""
    near: Estimate
    """Mean over drives of the difference of the shares of updates with the estimate within `tracking.NEAR`."""
    entropy: Estimate
    """Mean over drives of the difference of the mean entropies [nats]."""


def paired_scores(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> list[PairedScore]:
    """Compare every method with its baseline, where both were run."""
    pairs = [
        (case, method, BASELINES[method])
        for case in config.cases
        for method in config.methods
        if method in BASELINES and BASELINES[method] in config.methods and config.applies(case, BASELINES[method])
    ]
    return [
        paired_score(case.name, method, baseline, [methods[case.name] for methods in tracks.values()])
        for case, method, baseline in pairs
    ]


def paired_score(case: str, method: str, baseline: str, tracks: Sequence[Mapping[str, Track]]) -> PairedScore:
    """Summarise the tracks of a method and its baseline; `tracks` holds both for each drive, by name."""
    rng = generator(0, "localisation pairs", case, method)

    def difference(value: Callable[[Track], float], statistic: Callable[..., Any]) -> Estimate:
        gaps = [value(drive[method]) - value(drive[baseline]) for drive in tracks]
        return bootstrap_estimate(np.array(gaps), statistic, rng)

    return PairedScore(
        case=case,
        method=method,
        baseline=baseline,
        drives=len(tracks),
        error=difference(lambda track: track.error, np.median),
        near=difference(lambda track: track.near_fraction, np.mean),
        entropy=difference(lambda track: float(track.entropies.mean()), np.mean),
    )


_METHOD_LABELS: dict[str, str] = {
    "uniform": "anywhere on the roads",
    "gps": "GPS only",
    "odometry": "odometry",
    "roads": "odometry, map matching",
    "network": "odometry, network",
    "network_roads": "odometry, map matching, network",
    "soft": "odometry, network without steering",
    "soft_roads": "odometry, map matching, network without steering",
}


@dataclass(frozen=True)
class LocalizationScore:
    """Accuracy of one method in one case; over drives, intervals of 95% by bootstrap over drives."""

    case: str
    """Name of the case."""
    method: str
    """Name of the method."""
    drives: int
    """Number of drives, D."""
    error: Estimate
    """Median over a drive's second half of the position error, median over drives [m]."""
    heading_error_deg: Estimate
    """Median over a drive's second half of the heading error, median over drives [deg]."""
    fix_error: Estimate | None
    """Median over a drive of the fixes' position error, median over drives [m]; None without fixes."""
    fix_heading_error_deg: Estimate | None
    """Median over a drive of the fixes' heading error, median over drives [deg]; None without fixes."""
    start_error: Estimate
    """Position error before any observation, median over drives [m]."""
    found: Estimate
    """Share of drives that end with the estimate within `tracking.NEAR` of the truth."""
    found_after: Estimate | None
    """Distance driven until the estimate stays there, median over the localised drives [m]."""
    junctions: Estimate | None
    """Junctions passed until then, mean over the localised drives."""
    within_50: Estimate
    """Share of updates with the true position in the 50% credible region, mean over drives."""
    within_90: Estimate
    """Share of updates with the true position in the 90% credible region, mean over drives."""
    calibrated_50: Estimate | None
    """Share of updates with the true position in a region that held 50% on validation drives."""
    calibrated_90: Estimate | None
    """Share of updates with the true position in a region that held 90% on validation drives."""
    entropy: Estimate
    """Entropy at the end, mean over drives [nats]."""
    updates_per_second: float
    """Updates per second of computing time."""
    candidates: float
    """Number of particles, mean over updates."""


def summarise_score(
    case: str, method: str, tracks: Sequence[Track], regions: Regions | None = None
) -> LocalizationScore:
    """Summarise the tracks of one method in one case.

    Args:
        case: Name of the case.
        method: Name of the method.
        tracks: Tracks of the drives.
        regions: Calibrated credible regions, if they are known.
    """
    rng = generator(0, "localisation bootstrap", case, method)
    found_tracks = [(track, index) for track in tracks if (index := track.found_at) is not None]
    fix_tracks = [track for track in tracks if np.isfinite(track.fix_errors).any()]

    def median(values: Sequence[float]) -> Estimate:
        return bootstrap_estimate(np.array(values), np.median, rng)

    def mean(values: Sequence[float]) -> Estimate:
        return bootstrap_estimate(np.array(values), np.mean, rng)

    def within(level: float) -> Estimate | None:
        if regions is None:
            return None
        levels = [regions.calibrated(case, method, track.levels) for track in tracks]
        return mean([float(np.mean(values <= level)) for values in levels])

    found_share = share_estimate(np.array([track.found_at is not None for track in tracks], float))
    if found_share is None:
        raise ValueError("a score needs at least one track")
    seconds = sum(float(track.seconds[1:].sum()) for track in tracks)
    return LocalizationScore(
        case=case,
        method=method,
        drives=len(tracks),
        error=median([track.error for track in tracks]),
        heading_error_deg=median([math.degrees(track.heading_error) for track in tracks]),
        fix_error=median([track.fix_error for track in fix_tracks]) if fix_tracks else None,
        fix_heading_error_deg=median([math.degrees(t.fix_heading_error) for t in fix_tracks]) if fix_tracks else None,
        start_error=median([float(track.errors[0]) for track in tracks]),
        found=found_share,
        found_after=median([float(track.distances[index]) for track, index in found_tracks]) if found_tracks else None,
        junctions=mean([float(track.junctions[index]) for track, index in found_tracks]) if found_tracks else None,
        within_50=mean([float(np.mean(track.levels <= 0.5)) for track in tracks]),
        within_90=mean([float(np.mean(track.levels <= 0.9)) for track in tracks]),
        calibrated_50=within(0.5),
        calibrated_90=within(0.9),
        entropy=mean([float(track.entropies[-1]) for track in tracks]),
        updates_per_second=sum(len(track.times) - 1 for track in tracks) / max(seconds, 1e-9),
        candidates=float(np.mean(np.concatenate([track.candidates for track in tracks]))),
    )


def scores(config: LocalizeConfig, tracks: Mapping[Scenario, Tracks]) -> list[LocalizationScore]:
    """Return the scores of all methods in all cases, in the order of the configuration.

    Raises:
        ConfigError: If `config.levels` cannot be read.
    """
    pairs: list[tuple[LocalizationCase, Method]] = [
        (case, method) for case in config.cases for method in config.methods if config.applies(case, method)
    ]
    regions = None if config.levels is None else read_regions(config.levels)
    return [
        summarise_score(case.name, method, [methods[case.name][method] for methods in tracks.values()], regions)
        for case, method in pairs
    ]


def markdown(
    title: str, scores: Sequence[LocalizationScore], pairs: Sequence[PairedScore] = (), credit: str = ""
) -> str:
    """Return the report as Markdown: the scores, the gain of each likelihood, and the attribution of the map.

    Args:
        title: Title of the report.
        scores: Scores of the methods.
        pairs: Scores of methods minus those of their baselines; empty leaves that part out.
        credit: Attribution of the map; empty for generated towns.
    """
    parts = [score_table(title, scores).markdown("#")]
    if pairs:
        parts.append(paired_table(pairs).markdown("##"))
    return "\n\n".join([*parts, *([credit] if credit else [])]) + "\n"


def score_table(title: str, scores: Sequence[LocalizationScore]) -> Table:
    """Build the table of all scores, with a note on its columns."""
    headers = (
        "case",
        "known beside the map",
        "error m",
        "heading deg",
        "fix m",
        "fix deg",
        f"within {NEAR:g} m at the end",
        "after m",
        "junctions",
        "in 50%",
        "in 90%",
        "in fitted 50%",
        "in fitted 90%",
        "updates/s",
    )
    rows = [
        (
            row.case,
            _METHOD_LABELS[row.method],
            estimate_text(row.error, 1),
            estimate_text(row.heading_error_deg, 1),
            estimate_text(row.fix_error, 1),
            estimate_text(row.fix_heading_error_deg, 1),
            estimate_text(row.found, 0, "%", scale=100),
            estimate_text(row.found_after, 0),
            estimate_text(row.junctions, 1),
            estimate_text(row.within_50, 0, "%", scale=100),
            estimate_text(row.within_90, 0, "%", scale=100),
            estimate_text(row.calibrated_50, 0, "%", scale=100),
            estimate_text(row.calibrated_90, 0, "%", scale=100),
            number(row.updates_per_second, 0),
        )
        for row in scores
    ]
    drives = scores[0].drives if scores else 0
    return Table(headers, rows, title=title, note=_score_note(drives), text_columns=len(headers))


def paired_table(pairs: Sequence[PairedScore]) -> Table:
    """Build the table of methods minus their baselines."""
    headers = ("case", "known beside the map", "minus", "error m", f"within {NEAR:g} m, points", "entropy nats")
    rows = [
        (
            row.case,
            _METHOD_LABELS[row.method],
            _METHOD_LABELS[row.baseline],
            estimate_text(row.error, 2, signed=True),
            estimate_text(row.near, 1, scale=100, signed=True),
            estimate_text(row.entropy, 2, signed=True),
        )
        for row in pairs
    ]
    note = (
        "The second column minus the third over the same drives. Error: median of the differences; within "
        f"{NEAR:g} m: mean difference of the shares of updates; entropy: mean difference. "
        "A difference whose interval contains 0 may be chance."
    )
    return Table(headers, rows, title="Gain of each likelihood, drive by drive", note=note, text_columns=len(headers))


def _score_note(drives: int) -> str:
    return (
        f"{drives} drives, 95% intervals by bootstrap over drives (Wilson's for the share at the end). Errors: median "
        "over the second half of a drive, median over drives; of fixes: over the whole drive. After m, junctions: "
        f"distance and junctions until the estimate stays within {NEAR:g} m of the truth, where it does. "
        "In 50%, in 90%: how often the true position lies in that credible region; calibrated is 50% and 90%. In "
        "fitted 50%, 90%: in regions as large as held 50% and 90% on other drives, through validation towns."
    )
