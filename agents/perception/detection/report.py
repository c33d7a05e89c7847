"""The average precision of a detector under several conditions: as numbers, as a table and as a page."""

from collections.abc import Mapping

from agents.perception.detection.precision import DetectionScores
from agents.perception.report import ScoreTable, condition_words
from navsim.evaluation.statistics.intervals import Estimate


def score_table(scores: Mapping[str, DetectionScores]) -> ScoreTable:
    """For each condition, of which there is one at least, one row per class and one for the mean."""
    first = next(iter(scores.values()))
    groups = []
    for condition, found in scores.items():
        rows = [*found.classes.items(), ("mean", found.mean)]
        cells = [[name, str(each.objects), _shown(each.ap50), _shown(each.ap)] for name, each in rows]
        groups.append([["" if number else condition_words(condition), *row] for number, row in enumerate(cells)])
    title = f"Objects found in {first.pictures} pictures of {first.towns} held-out towns"
    return ScoreTable(title, ["condition", "class", "objects", "AP50", "AP50:95"], groups, words=2)


def _shown(estimate: Estimate | None) -> str:
    """A value and its interval."""
    return "-" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"
