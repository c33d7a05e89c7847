"""README is short, and what the pages show and link to exists."""

import re
from pathlib import Path

import pytest

from tests.docs.documented import ROOT

PAGES = [
    ROOT / "README.md",
    *(
        path
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if not {"_build", "api", "settings"} & set(path.relative_to(ROOT).parts[:-1])
    ),
]
MOST_LINES, MOST_WORDS = 120, 900


def test_the_readme_is_two_screens_long() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert len(text.split()) <= MOST_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pictures_and_pages_that_are_linked_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)", page.read_text()):
        if not re.match(r"https?://", target):
            assert (page.parent / target).resolve().is_file(), target


def test_pictures_are_whole() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())
    }
    assert len(shown) >= 8
    assert all(picture.stat().st_size > 1000 for picture in shown)
