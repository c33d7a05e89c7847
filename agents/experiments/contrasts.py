"""Two ways to learn set against each other: their policies in pairs, over the same routes, part by part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.experiments.study_config import StudyConfig, StudyContrast
from navsim.errors import ConfigError, EpisodeError
from navsim.evaluation.reports.comparison import Column, columns, has_arrived, read_results
from navsim.evaluation.reports.markdown import table_lines
from navsim.evaluation.statistics.paired import PairedShare, paired_share
from navsim.evaluation.statistics.resampling import Share

EVERYTHING = "all"
"""Name of the row over all parts."""


@dataclass(frozen=True)
class ContrastRow:
    """Arrivals of both ways in one part."""

    part: str
    """The part of the suite."""
    arrivals: PairedShare
    """On which routes each arrived; a route counts once for each pair of policies."""


def read_contrast(config: StudyConfig, contrast: StudyContrast) -> list[ContrastRow]:
    """Read what the variants of a contrast drove: a row for each part, and where there are several, one for all.

    Raises:
        EpisodeError: If a variant was not run to its end, or did not drive what its partner drove.
    """
    pairs = [
        (_column(config, first), _column(config, second))
        for first, second in zip(contrast.first, contrast.second, strict=True)
    ]
    parts = list(dict.fromkeys(part for first, _ in pairs for part, _ in first.rows))
    rows = [ContrastRow(part or EVERYTHING, _paired(pairs, {part})) for part in parts]
    return rows + ([ContrastRow(EVERYTHING, _paired(pairs, set(parts)))] if len(parts) > 1 else [])


def contrast_table(contrast: StudyContrast, rows: Sequence[ContrastRow]) -> list[str]:
    """The rows as lines of Markdown."""
    heads = ("", *contrast.words, "difference (95% interval)", "p (McNemar)")
    return table_lines(heads, map(_cells, rows))


def _cells(row: ContrastRow) -> tuple[str, ...]:
    found = row.arrivals
    low, high = found.interval
    difference = f"{100 * found.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) points"
    return row.part, _words(found.first), _words(found.second), difference, f"{found.p_value:.2f}"


def _column(config: StudyConfig, key: str) -> Column:
    """What a variant drove."""
    folder = config.evaluation(key).out
    try:
        return columns(read_results([folder]))[0]
    except ConfigError as error:
        raise EpisodeError(f"variants.{key}: was not run to its end: {error}") from None


def _paired(pairs: Sequence[tuple[Column, Column]], parts: set[str]) -> PairedShare:
    """Arrivals of both sides on the routes of some parts, all pairs of policies together."""
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
        raise EpisodeError(f"the variants of a contrast did not drive the same routes: {part} {name} is of one alone")


def _words(share: Share) -> str:
    low, high = share.interval
    return f"{share.count} of {share.total} ({low:.0%}-{high:.0%})"
