"""The average precision of a detector under several conditions: as numbers, as a table and as a page."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table

from agents.detection.precision import Precision
from agents.scoring.intervals import Estimate
from agents.segmentation.report import condition_words


@dataclass(frozen=True)
class DetectionScores:
    """How well objects are found in pictures of some towns."""

    pictures: int
    """Number of pictures."""
    towns: int
    """Number of towns; the intervals are of draws of towns."""
    classes: dict[str, Precision]
    """Each class by its name."""
    mean: Precision
    """Mean over the classes that are there."""


def score_rows(scores: Mapping[str, DetectionScores]) -> list[list[str]]:
    """Rows of cells: first the heads, then for each condition one row per class and one for the mean.

    Args:
        scores: By condition.
    """
    rows = [["condition", "class", "objects", "AP50", "AP50:95"]]
    for condition, found in scores.items():
        words = condition_words(condition)
        for name, each in [*found.classes.items(), ("mean", found.mean)]:
            rows.append([words, name, str(each.objects), _shown(each.ap50), _shown(each.ap)])
            words = ""
    return rows


def scores_table(scores: Mapping[str, DetectionScores]) -> Table:
    """The rows for the terminal."""
    heads, *rows = score_rows(scores)
    table = Table(title=title_of(scores), title_justify="left")
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number < 2 else "right")
    for row in rows:
        table.add_row(*row, end_section=row[1] == "mean")
    return table


def scores_page(scores: Mapping[str, DetectionScores], about: str) -> str:
    """The same as Markdown.

    Args:
        scores: By condition.
        about: What was trained on what, in a few sentences.
    """
    heads, *rows = score_rows(scores)
    lines = [f"# {title_of(scores)}", "", about, "", "| " + " | ".join(heads) + " |"]
    lines += ["| --- | --- |" + " ---: |" * (len(heads) - 2)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def title_of(scores: Mapping[str, DetectionScores]) -> str:
    """What was judged, in a few words."""
    first = next(iter(scores.values()))
    return f"Objects found in {first.pictures} pictures of {first.towns} held-out towns"


def _shown(estimate: Estimate | None) -> str:
    """A value and its interval."""
    return "-" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"
