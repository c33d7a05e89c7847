"""One table of text cells for all outputs: the terminal, Markdown, HTML pages and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

_HEADER_CELLS = Markup('<th class="text">{}</th>'), Markup("<th>{}</th>")
_CELLS = Markup('<td class="text">{}</td>'), Markup("<td>{}</td>")


@dataclass(frozen=True)
class TableSection:
    """Rows of a table that belong together."""

    rows: Sequence[Sequence[str]]
    """One cell for each column."""
    title: str = ""
    """Line above the rows; empty leaves only a gap."""


@dataclass(frozen=True)
class Table:
    """A table of text cells."""

    headers: Sequence[str]
    """Names of the columns; a line break may divide one."""
    rows: Sequence[Sequence[str]] = ()
    """Rows above the first section, with one cell for each column; leading spaces indent a row in a terminal."""
    sections: Sequence[TableSection] = ()
    """Rows that belong together, below `rows`."""
    title: str = ""
    """Line above the table."""
    note: str = ""
    """Lines below the table: what its words mean."""
    text_columns: int = 1
    """Number of leading columns that hold text and are aligned to the left; the others hold numbers."""

    def __post_init__(self) -> None:
        for row in (row for group in self.groups for row in group.rows):
            if len(row) != len(self.headers):
                raise ValueError(f"a row needs {len(self.headers)} cells, got {len(row)}: {', '.join(row)}")

    @property
    def groups(self) -> list[TableSection]:
        """Sections that have rows; `rows` come first, as one without a title."""
        return [group for group in (TableSection(self.rows), *self.sections) if group.rows]

    def rich(self) -> RenderableType:
        """Return the table for a terminal; without headers if all of them are empty."""
        return _TerminalTable(self)

    def markdown(self, heading: str = "") -> str:
        """Return the table as Markdown, without a line break at its end.

        Args:
            heading: Marks before the title, such as `##`; empty leaves the title out.
        """
        rule = ["---"] * self.text_columns + ["---:"] * (len(self.headers) - self.text_columns)
        lines = [_markdown_row(self.headers), _markdown_row(rule)]
        for group in self.groups:
            if group.title:
                lines.append(_markdown_row([f"**{group.title}**", *[""] * (len(self.headers) - 1)]))
            lines += map(_markdown_row, group.rows)
        title = [f"{heading} {self.title}", ""] if heading else []
        return "\n".join([*title, *lines, *(["", self.note] if self.note else [])])

    def html(self) -> Markup:
        """Return the table as a fragment of HTML that scrolls sideways where it is too wide."""
        parts = [Markup("<caption>{}</caption>\n").format(self.title)] if self.title else []
        if any(self.headers):
            parts.append(Markup("<thead>{}</thead>\n").format(self._html_row(self.headers, *_HEADER_CELLS)))
        parts.append(Markup("<tbody>\n"))
        for group in self.groups:
            if group.title:
                line = Markup('<tr class="section"><th class="text" colspan="{}">{}</th></tr>\n')
                parts.append(line.format(len(self.headers), group.title))
            parts += [self._html_row(row, *_CELLS) + Markup("\n") for row in group.rows]
        parts.append(Markup("</tbody>\n"))
        table = Markup('<div class="scroll"><table>\n{}</table></div>\n').format(Markup().join(parts))
        return table + (Markup('<p class="dim">{}</p>\n').format(self.note) if self.note else Markup())

    def _html_row(self, cells: Sequence[str], text: Markup, number: Markup) -> Markup:
        templates = [text] * self.text_columns + [number] * (len(cells) - self.text_columns)
        parts = [template.format(cell.strip()) for template, cell in zip(templates, cells, strict=True)]
        return Markup("<tr>{}</tr>").format(Markup().join(parts))

    def records(self) -> list[dict[str, str]]:
        """Return the rows as plain values for JSON: cells by header, with the `section` where it has a title."""
        return [
            ({"section": group.title} if group.title else {}) | dict(zip(self.headers, row, strict=True))
            for group in self.groups
            for row in group.rows
        ]


@dataclass(frozen=True)
class _TerminalTable:
    """A table as rich draws it, with narrow gaps where that saves it from being folded."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Title and note stand outside of rich's table, at whose width they would wrap.
        yield from [Text(self.table.title)] if self.table.title else []
        wide, narrow = self._drawn(padding=1), self._drawn(padding=0)
        measured = (Measurement.get(console, options.update(max_width=1000), each).maximum for each in (wide, narrow))
        fits, fits_narrow = (width <= options.max_width for width in measured)
        yield narrow if fits_narrow and not fits else wide
        yield from [Text(self.table.note)] if self.table.note else []

    def _drawn(self, padding: int) -> RichTable:
        headers = self.table.headers
        drawn = RichTable(
            box=SIMPLE_HEAD,
            show_header=any(headers),
            show_edge=False,
            pad_edge=False,
            padding=(0, padding, 0, 0),
        )
        for index, header in enumerate(headers):
            drawn.add_column(Text(header), justify="left" if index < self.table.text_columns else "right")
        for index, group in enumerate(self.table.groups):
            if index:
                drawn.add_row()
            if group.title:
                drawn.add_row(Text(group.title), style="bold")
            for row in group.rows:
                drawn.add_row(*map(Text, row))
        return drawn


def show(table: Table, min_width: int = 0) -> None:
    """Print a table, as if the terminal had at least `min_width` columns."""
    console = Console()
    console.width = max(console.width, min_width)
    console.print(table.rich())


def _markdown_row(cells: Sequence[str]) -> str:
    texts = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(texts) + " |"
