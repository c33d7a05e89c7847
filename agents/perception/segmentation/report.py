"""The scores of a segmentation network under several conditions, as a table."""

from collections.abc import Mapping

from agents.perception.report import ScoreTable, condition_words
from agents.perception.segmentation.scores import SegmentationScores


def score_table(scores: Mapping[str, SegmentationScores]) -> ScoreTable:
    """One row per class that is there, then the mean and its interval's ends; a column per condition, at least one."""
    first = next(iter(scores.values()))
    rows = []
    for k, score in enumerate(first.classes):
        cells = [found.classes[k].iou for found in scores.values()]
        if any(cell is not None for cell in cells):
            rows.append([score.name, *("-" if cell is None else f"{cell:.3f}" for cell in cells)])
    for name, words in (("mean_iou", "mean"), ("low", "95% from"), ("high", "to")):
        rows.append([words, *(f"{getattr(found, name):.3f}" for found in scores.values())])
    rows.append(["pixels right", *(f"{found.accuracy:.1%}" for found in scores.values())])
    title = f"Segmentation of {first.pictures} pictures in each look of {first.towns} held-out towns"
    return ScoreTable(title, ["IoU", *map(condition_words, scores)], [rows])
