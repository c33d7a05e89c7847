"""A comparison as one HTML file: arrivals, paired differences, and correlations of offline with closed-loop scores.

Offline scores of checkpoints come from the folders of their training runs, without torch.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navsim.errors import CheckpointError
from navsim.evaluation.reports.charts import Point, render, scatter_chart, share_bar
from navsim.evaluation.reports.comparison import (
    NOTE,
    Column,
    Comparison,
    arrivals_text,
    differences_table,
    parts_table,
)
from navsim.evaluation.statistics.paired import Correlation, rank_correlation
from navsim.number_formats import number, percent
from navsim.tables import Table
from navsim.visualization.palette import driver_colours


@dataclass(frozen=True)
class OfflineScore:
    """Validation scores of a checkpoint's epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    nll: float
    """Mean negative log-likelihood of the expert's commands [nats]."""
    curvature_error: float
    """Mean absolute error of the mode [1/m]."""


def offline_score(checkpoint: Path) -> OfflineScore | None:
    """Read the scores of `best.safetensors` or `last.safetensors` from the `metrics.json` of the run's folder.

    Returns:
        The scores; None for any other file, and without scores.

    Raises:
        CheckpointError: If `metrics.json` cannot be read.
    """
    path = checkpoint.parent / "metrics.json"
    if checkpoint.name not in ("best.safetensors", "last.safetensors") or not path.is_file():
        return None
    try:
        metrics: dict[str, Any] = json.loads(path.read_bytes())
        epochs = metrics["epochs"]
        if not epochs:
            return None
        number = metrics["best_epoch"] if checkpoint.stem == "best" else len(epochs)
        scores = epochs[number - 1]["validation"]
        return OfflineScore(number, float(scores["nll"]), float(scores["curvature_error"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from None


@dataclass(frozen=True)
class Checkpoint:
    """Offline and closed-loop scores of a learned driver."""

    name: str
    """Name of the driver."""
    nll: float
    """Validation NLL [nats]."""
    curvature_error: float
    """Validation error of the mode [1/m]."""
    arrived: float
    """Share of the routes on which it arrived."""
    interval: tuple[float, float]
    """95% interval of that share."""
    completion: float
    """Mean share of a route that was driven."""


def offline_correlations(checkpoints: Sequence[Checkpoint]) -> dict[str, Correlation]:
    """Correlate each offline score with each closed-loop score; the keys name the pairs."""
    return {
        f"{offline} and {online}": rank_correlation(
            [getattr(one, field) for one in checkpoints], [getattr(one, drive) for one in checkpoints]
        )
        for offline, field in _OFFLINE.items()
        for online, drive in _ONLINE.items()
    }


_OFFLINE = {"validation NLL": "nll", "validation error of the mode": "curvature_error"}
_ONLINE = {"arrivals": "arrived", "route completion": "completion"}


def compare_page(
    title: str,
    fingerprint: str,
    found: Sequence[Column],
    comparisons: Sequence[Comparison],
    checkpoints: Sequence[Checkpoint],
) -> str:
    """Make the page.

    Args:
        title: Title of the page.
        fingerprint: Fingerprint of the suite.
        found: All drivers; the others are compared with the first.
        comparisons: The others compared with it.
        checkpoints: The learned ones among them whose training is known.
    """
    colours = driver_colours([*(column.name for column in found), *(one.name for one in checkpoints)])
    by_part = parts_table(found[0], comparisons)
    return render(
        "compare.html",
        title=title,
        fingerprint=fingerprint,
        first=found[0].name,
        bars=[share_bar(column.name, colours[column.name], column.arrived) for column in found],
        differences=[_difference(one, colours[one.name]) for one in comparisons],
        tables=[table.html() for table in (differences_table(found[0], comparisons), by_part) if table],
        note=NOTE,
        correlations=_charts(checkpoints, colours) if checkpoints else [],
        offline_table=_offline_table(checkpoints).html(),
    )


def _difference(one: Comparison, colour: int) -> dict[str, Any]:
    """Return places on a track from -100% to 100% [% of its width]."""
    low, high = one.arrivals.interval
    return {
        "name": one.name,
        "colour": colour,
        "text": arrivals_text(one.arrivals),
        "left": round(50 * (1 + low), 2),
        "width": round(50 * (high - low), 2),
        "middle": round(50 * (1 + one.arrivals.difference), 2),
    }


def _charts(checkpoints: Sequence[Checkpoint], colours: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return a chart for each pair of an offline and a closed-loop score."""
    correlations, charts = offline_correlations(checkpoints), []
    for offline, field in _OFFLINE.items():
        for online, drive in _ONLINE.items():
            points = [
                Point(
                    one.name,
                    getattr(one, field),
                    getattr(one, drive),
                    one.interval if drive == "arrived" else None,
                )
                for one in checkpoints
            ]
            unit = "nats" if field == "nll" else "1/m"
            pair = f"{offline} and {online}"
            chart = scatter_chart(f"{offline} [{unit}]", online, points, colours)
            charts.append({"title": pair, "chart": chart, "text": correlations[pair].text})
    return charts


def _offline_table(checkpoints: Sequence[Checkpoint]) -> Table:
    rows = [
        (
            one.name,
            number(one.nll, 3),
            number(one.curvature_error, 5, "1/m"),
            percent(one.arrived, 1),
            percent(one.completion, 1),
        )
        for one in checkpoints
    ]
    return Table(("", "NLL", "error of the mode", "arrived", "completion"), rows)
