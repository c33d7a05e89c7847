"""Set results side by side over the same routes: `python scripts/compare.py runs/a runs/b`."""

from navsim.cli import check_libraries, run_script

check_libraries()

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from navsim.config import parse_config
from navsim.evaluation.reports.compare_page import Checkpoint, compare_page, offline_correlations, offline_score
from navsim.evaluation.reports.comparison import (
    MEASURES,
    Column,
    columns,
    compare,
    comparison_markdown,
    ordered,
    read_results,
)
from navsim.storage import write_text


@dataclass(frozen=True)
class CompareConfig:
    """What to compare."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Folders of evaluations, or their `results.json` files, all of one suite."""
    baseline: str | None = None
    """Name of the driver that the others are set against; None takes the first."""
    out: Path = Path("runs/comparison")
    """Folder of `comparison.md` and `comparison.html`."""


def main() -> None:
    """Compare, print the Markdown and write it beside the page."""
    config = parse_config(CompareConfig, "Compare results over the same routes, with paired differences.")
    results = read_results(config.results)
    found = ordered(columns(results), config.baseline)
    comparisons = [compare(found[0], other) for other in found[1:]]
    checkpoints = learned(found)
    fingerprint = str(next(iter(results.values()))["fingerprint"])
    title = f"{len(found)} drivers over {found[0].arrived.total} routes"
    text = comparison_markdown(title, found, comparisons, offline_words(checkpoints))
    page = compare_page(title, fingerprint, found, comparisons, checkpoints)
    write_text(config.out / "comparison.md", text)
    write_text(config.out / "comparison.html", page)
    console = Console()
    console.print(text, highlight=False, soft_wrap=True, markup=False)
    console.print(f"written: {config.out}/comparison.md and comparison.html", highlight=False, soft_wrap=True)


def learned(found: Sequence[Column]) -> tuple[Checkpoint, ...]:
    """The drivers whose training run tells how well they predicted.

    Raises:
        CheckpointError: If a run's `metrics.json` cannot be read.
    """
    known = []
    for column in found:
        score, arrived = offline_score(Path(column.origin)), column.arrived
        if score is not None and arrived.value is not None:
            completion = column.mean(MEASURES[0]) or 0.0
            known.append(
                Checkpoint(column.name, score.nll, score.curvature_error, arrived.value, arrived.interval, completion)
            )
    return tuple(known)


def offline_words(checkpoints: Sequence[Checkpoint]) -> str:
    """What predicting says about driving, as Markdown; empty where nothing is known."""
    if not checkpoints:
        return ""
    lines = [f"* {pair}: {found.text}" for pair, found in offline_correlations(checkpoints).items()]
    return "\n".join([f"## Predicting and driving, {len(checkpoints)} checkpoints", "", *lines])


if __name__ == "__main__":
    run_script(main)
