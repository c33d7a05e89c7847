"""The prose of the project keeps the rules of `tests.prose`."""

from pathlib import Path

import pytest

from tests.prose import MAX_SENTENCE_WORDS, ROOT, prose_files, violations

FOLDERS = ("navsim", "agents", "scripts", "tests", "examples", "configs", "docs")
FILES = [*prose_files([ROOT / name for name in FOLDERS]), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_keeps_the_rules(path: Path) -> None:
    assert violations(path) == []


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.py", '"""It is drawn anew."""\n', "'anew'"),
        ("b.py", f'"""One {"word " * MAX_SENTENCE_WORDS}too many."""\n', "words in one sentence"),
        ("c.py", '@dataclass\nclass A:\n    x: int\n    """Whose."""\n', "says too little of the field x"),
        ("d.py", 'raise ValueError("this is no number")\n', "'is no number'"),
        ("e.py", "x = 1  # whoever reads this\n", "'whoever'"),
        ("f.yaml", "a: 1  # besides\n", "'besides'"),
        ("g.md", "# Title\n\nIt comes along.\n\n| besides |\n", "'comes along'"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, content: str, found: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    (line,) = violations(path)
    assert found in line


def test_code_in_backticks_and_blocks_is_not_prose(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("The key `besides` is old.\n\n```text\nanew\n```\n")
    assert violations(path) == []
