"""One table for the terminal, Markdown, HTML and JSON."""

import pytest
from rich.console import Console

from navsim.tables import Table, TableSection

TABLE = Table(
    headers=["", "length\n[1/m]"],
    rows=[["a | b", "10.5"]],
    sections=[TableSection([["  <i>", "2"]], "more")],
    title="Lengths",
    note="What it means.",
)


def test_the_terminal_shows_everything_and_takes_no_text_for_markup() -> None:
    console = Console(width=40)
    with console.capture() as captured:
        console.print(TABLE.rich())
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines == [
        "Lengths",
        "       length",
        "        [1/m]",
        "─────────────",
        "a | b    10.5",
        "",
        "more",
        "  <i>       2",
        "What it means.",
    ]


def test_a_table_without_headers_begins_with_its_first_row() -> None:
    console = Console(width=40)
    with console.capture() as captured:
        console.print(Table(["", ""], [["a", "b"]], text_columns=2).rich())
    assert captured.get().split() == ["a", "b"]


def test_markdown_is_aligned_and_escaped() -> None:
    assert TABLE.markdown("##").splitlines() == [
        "## Lengths",
        "",
        "|  | length [1/m] |",
        "| --- | ---: |",
        "| a \\| b | 10.5 |",
        "| **more** |  |",
        "| <i> | 2 |",
        "",
        "What it means.",
    ]
    assert TABLE.markdown().startswith("|  | length")


def test_html_is_escaped() -> None:
    html = TABLE.html()
    assert "<caption>Lengths</caption>" in html
    assert '<tr><td class="text">&lt;i&gt;</td><td>2</td></tr>' in html
    assert '<th class="text" colspan="2">more</th>' in html
    assert '<p class="dim">What it means.</p>' in html


def test_records_are_plain_values() -> None:
    assert TABLE.records() == [
        {"": "a | b", "length\n[1/m]": "10.5"},
        {"section": "more", "": "  <i>", "length\n[1/m]": "2"},
    ]


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="a row needs 2 cells, got 1: a"):
        Table(["", "b"], [["a"]])


def test_a_table_without_rows_is_its_headers() -> None:
    assert Table(("", "arrived"), []).markdown() == "|  | arrived |\n| --- | ---: |"


def test_gaps_are_narrow_where_a_table_is_folded_otherwise() -> None:
    table = Table(["", "x"], [["a" * 10, "1"]])
    lines = {}
    for width in (5, 12, 13, 14):
        console = Console(width=width)
        with console.capture() as captured:
            console.print(table.rich())
        lines[width] = captured.get().splitlines()[2].rstrip()
    assert lines[12] == "a" * 10 + " 1"
    assert lines[14] == "a" * 10 + "  1"
    assert lines[5].startswith("a")
