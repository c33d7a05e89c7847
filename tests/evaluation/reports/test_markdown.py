"""Tables as Markdown, against what they must look like."""

from navsim.evaluation.reports.page import table_lines


def test_words_stand_on_the_left_and_numbers_on_the_right() -> None:
    assert table_lines(("town", "kind", "arrived"), [("test-0", "grid", 3), ("test-1", "", "-")], words=2) == [
        "| town | kind | arrived |",
        "| --- | --- | ---: |",
        "| test-0 | grid | 3 |",
        "| test-1 |  | - |",
    ]


def test_a_table_may_be_empty() -> None:
    assert table_lines(("", "arrived"), []) == ["|  | arrived |", "| --- | ---: |"]
