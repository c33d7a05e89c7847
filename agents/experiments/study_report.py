"""Tables of a study, from the files of its runs, and comparisons of two ways to learn.

A comparison takes policies in pairs, over the same routes, by part of the suite.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.experiments.study_config import StudyConfig, StudyContrast, untrained_policy
from agents.policies.description import describe_policy
from navsim.datasets.collection_config import CollectConfig
from navsim.errors import ConfigError, EpisodeError
from navsim.evaluation.reports.comparison import Column, columns, has_arrived, read_results
from navsim.evaluation.statistics.paired import PairedShare, paired_share
from navsim.number_formats import metres, number, percent, percent_interval, share, thousands, with_interval
from navsim.tables import Table

EVERYTHING = "all"
"""Name of the row over all parts."""


@dataclass(frozen=True)
class ContrastRow:
    """Arrivals of both ways in one part."""

    part: str
    """Part of the suite."""
    arrivals: PairedShare
    """Numbers of routes on which each arrived; a route counts once for each pair of policies."""


def read_contrast(config: StudyConfig, contrast: StudyContrast) -> list[ContrastRow]:
    """Read the drives of a contrast's variants: a row for each part, and for several parts one over all.

    Raises:
        EpisodeError: If a variant is not finished, or drove other routes than its partner.
    """
    pairs = [
        (_column(config, first), _column(config, second))
        for first, second in zip(contrast.first, contrast.second, strict=True)
    ]
    parts = list(dict.fromkeys(part for first, _ in pairs for part, _ in first.rows))
    rows = [ContrastRow(part or EVERYTHING, _paired(pairs, {part})) for part in parts]
    return rows + ([ContrastRow(EVERYTHING, _paired(pairs, set(parts)))] if len(parts) > 1 else [])


def contrast_table(contrast: StudyContrast, rows: Sequence[ContrastRow]) -> Table:
    """Return the arrivals of both ways with their difference, one row for each part."""
    headers = ("", *contrast.labels, "difference (95% interval)", "p (McNemar)")
    return Table(headers, [*map(_contrast_cells, rows)], title=contrast.title)


def _contrast_cells(row: ContrastRow) -> tuple[str, ...]:
    pair = row.arrivals
    low, high = pair.interval
    points = with_interval(100 * pair.difference, (100 * low, 100 * high), 1, signed=True)
    return row.part, pair.first.full_text, pair.second.full_text, f"{points} points", number(pair.p_value)


def _column(config: StudyConfig, key: str) -> Column:
    """Return the drives of a variant."""
    folder = config.evaluation(key).out
    try:
        return columns(read_results([folder]))[0]
    except ConfigError as error:
        raise EpisodeError(f"variants.{key}: was not run to its end: {error}") from None


def _paired(pairs: Sequence[tuple[Column, Column]], parts: set[str]) -> PairedShare:
    """Return the arrivals of both ways on the routes of some parts, all pairs of policies together."""
    first, second = list[bool](), list[bool]()
    for one, other in pairs:
        keys = [key for key in one.rows if key[0] in parts]
        _check_same(one.rows, other.rows)
        first += [has_arrived(one.rows[key]) for key in keys]
        second += [has_arrived(other.rows[key]) for key in keys]
    return paired_share(first, second)


def _check_same(one: Mapping[tuple[str, str], object], other: Mapping[tuple[str, str], object]) -> None:
    """Raise EpisodeError if two variants did not drive the same routes."""
    if one.keys() != other.keys():
        part, name = sorted(one.keys() ^ other.keys())[0]
        raise EpisodeError(f"the variants of a contrast did not drive the same routes: only one drove {part} {name}")


_HEADERS = (
    "",
    "arrived",
    "95% interval",
    "completion",
    "failures/km",
    "mean offset",
    "validation NLL",
    "parameters",
    "MFLOPs/decision",
)
_ABOUT_CONTRASTS = (
    "Arrivals on the same routes, policies in pairs; intervals of differences by Newcombe's method for pairs. They say "
    "what other routes would change, not what further seeds of training would."
)


@dataclass(frozen=True)
class Finding:
    """Scores of one variant."""

    label: str
    """Name in the tables."""
    arrived: int
    """Number of routes on which it arrived."""
    routes: int
    """Number of routes."""
    interval: tuple[float, float]
    """95% interval of the share of arrivals (Wilson)."""
    completion: float
    """Mean share of a route that was driven."""
    failures_per_km: float | None
    """Drives that did not arrive, per kilometre driven [1/km]; None if nothing was driven."""
    offset: float | None
    """Mean distance from the lane's middle [m]."""
    nll: float
    """Validation NLL of the checkpoint that drove [nats]; not comparable between inputs or heads."""
    parameters: int
    """Number of trained values."""
    megaflops: float
    """Floating-point operations for one decision, a multiply-add counted as 2 [1e6]."""


def read_finding(config: StudyConfig, key: str) -> Finding:
    """Read the scores of a variant that was trained and driven.

    Raises:
        EpisodeError: If the variant is not finished.
    """
    metrics = _read(config.training(key).run_dir / "metrics.json")
    driver = _read(config.evaluation(key).out / "results.json")["drivers"]["policy"]
    best = metrics["epochs"][metrics["best_epoch"] - 1]
    low, high = driver["interval"]
    return Finding(
        label=config.variants[key].label,
        arrived=driver["arrived"],
        routes=driver["routes"],
        interval=(low, high),
        completion=driver["completion"],
        failures_per_km=driver["failures_per_km"],
        offset=driver["lane_offset_mean"],
        nll=best["validation"]["nll"],
        parameters=metrics["parameters"],
        megaflops=describe_policy(untrained_policy(config, key)).flops / 1e6,
    )


def page(
    config: StudyConfig,
    findings: dict[str, Finding],
    about: str,
    contrasts: Sequence[tuple[StudyContrast, Sequence[ContrastRow]]] = (),
) -> str:
    """Return the study as Markdown: a description, then each table.

    Args:
        config: The study.
        findings: Scores by variant.
        about: Machine and versions in a sentence.
        contrasts: Comparisons of two ways to learn.
    """
    first = config.evaluation(next(iter(config.variants)))
    lines = [f"# {config.title}", ""]
    lines += [f"Each policy was trained once (one seed) and then drove {first.title}.", about, ""]
    lines += ["Learned from:", "", *(_data(name, config.collection(name)) for name in config.data), ""]
    for table in config.tables:
        cells = [_cells(findings[key]) for key in table.variants]
        lines += [Table(_HEADERS, cells, title=table.title).markdown("##"), ""]
    for contrast, rows in contrasts:
        lines += [f"## {contrast.title}", "", _ABOUT_CONTRASTS, "", contrast_table(contrast, rows).markdown(), ""]
    return "\n".join(lines)


def _data(name: str, collection: CollectConfig) -> str:
    """Return the content of a data set as a line of a list."""
    cameras, routes = collection.simulation.cameras, collection.routes_per_town
    drives = f"{collection.train_towns * routes} drives in {collection.train_towns} towns to learn from"
    size = f"{len(cameras)} camera{'s' * (len(cameras) > 1)} of {cameras[0].width}x{cameras[0].height}"
    return f"* `{name}`: {drives}, {collection.validation_towns * routes} to validate on; {size}"


def _cells(found: Finding) -> tuple[str, ...]:
    return (
        found.label,
        share(found.arrived, found.routes),
        percent_interval(found.interval),
        percent(found.completion, 1),
        number(found.failures_per_km),
        metres(found.offset),
        number(found.nll),
        thousands(found.parameters),
        number(found.megaflops, 1),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise EpisodeError(f"{path}: missing; the variant was not run to its end") from None
    return values


def study_summary(config: StudyConfig, findings: Mapping[str, Finding]) -> Table:
    """Return the main scores that fit 80 columns, one row per variant."""
    rows = [
        (
            found.label,
            share(found.arrived, found.routes),
            percent_interval(found.interval),
            metres(found.offset),
            number(found.failures_per_km),
        )
        for found in findings.values()
    ]
    return Table(("variant", "arrived", "95% interval", "offset", "failures/km"), rows, title=config.title)
