"""The scores of a segmentation network under several conditions, as tables."""

from collections.abc import Mapping

from rich.table import Table

from agents.segmentation.scores import SegmentationScores

TRAINING = "training looks"
"""What the empty condition is called: that of training, drawn for each town."""


def condition_words(condition: str) -> str:
    """A condition's name in tables and files."""
    return condition or TRAINING


def score_rows(scores: Mapping[str, SegmentationScores]) -> list[list[str]]:
    """Rows of cells: first the heads, then one row per class that is there, then the mean and its interval's ends.

    Args:
        scores: By condition, at least one.
    """
    first = next(iter(scores.values()))
    rows = [["IoU", *(condition_words(condition) for condition in scores)]]
    for k, score in enumerate(first.classes):
        cells = [found.classes[k].iou for found in scores.values()]
        if any(cell is not None for cell in cells):
            rows.append([score.name, *("-" if cell is None else f"{cell:.3f}" for cell in cells)])
    for name, words in (("mean_iou", "mean"), ("low", "95% from"), ("high", "to")):
        rows.append([words, *(f"{getattr(found, name):.3f}" for found in scores.values())])
    rows.append(["pixels right", *(f"{found.accuracy:.1%}" for found in scores.values())])
    return rows


def scores_table(scores: Mapping[str, SegmentationScores]) -> Table:
    """The rows for the terminal."""
    rows = score_rows(scores)
    table = Table(title=title_of(scores), title_justify="left")
    for number, head in enumerate(rows[0]):
        table.add_column(head, justify="left" if number == 0 else "right")
    for row in rows[1:]:
        table.add_row(*row)
    return table


def scores_page(scores: Mapping[str, SegmentationScores], about: str) -> str:
    """The same as Markdown.

    Args:
        scores: By condition.
        about: What was trained on what, in a sentence.
    """
    heads, *rows = score_rows(scores)
    lines = [f"# {title_of(scores)}", "", about, ""]
    lines += ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, ""])


def title_of(scores: Mapping[str, SegmentationScores]) -> str:
    """What was judged, in a few words."""
    first = next(iter(scores.values()))
    return f"Segmentation of {first.pictures} pictures in each look of {first.towns} held-out towns"
