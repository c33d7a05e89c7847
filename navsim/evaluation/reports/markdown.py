"""Tables as Markdown."""

from collections.abc import Iterable, Sequence


def table_lines(heads: Sequence[str], rows: Iterable[Sequence[object]], words: int = 1) -> list[str]:
    """The lines of a table.

    Args:
        heads: Over the columns.
        rows: A cell for each of the columns.
        words: How many of the first columns hold words; the others hold numbers, which stand on the right.
    """
    rule = "|" + " --- |" * words + " ---: |" * (len(heads) - words)
    return [_line(heads), rule, *map(_line, rows)]


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
