"""The scores of a network under several conditions, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from navsim.evaluation.reports.markdown import table_lines

TRAINING = "training looks"
"""What the empty condition is called: that of training, drawn for each town."""


def condition_words(condition: str) -> str:
    """A condition's name in tables and files."""
    return condition or TRAINING


@dataclass(frozen=True)
class ScoreTable:
    """Rows of cells under heads."""

    title: str
    """What was judged, in a few words."""
    heads: Sequence[str]
    """Over the columns."""
    groups: Sequence[Sequence[Sequence[str]]]
    """The rows, those together that belong together."""
    words: int = 1
    """How many of the first columns hold words; the others hold numbers."""

    def terminal(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, head in enumerate(self.heads):
            table.add_column(head, justify="left" if number < self.words else "right")
        for rows in self.groups:
            for row in rows:
                table.add_row(*row)
            table.add_section()
        return table

    def page(self, about: str) -> str:
        """As Markdown, under its title and a few sentences."""
        lines = table_lines(self.heads, (row for rows in self.groups for row in rows), self.words)
        return "\n".join([f"# {self.title}", "", about, "", *lines, ""])
