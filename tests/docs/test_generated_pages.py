"""Pages written from the code name what exists."""

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from generated_pages import COMMANDS, api_pages, convert_docstring, name_bases
from sphinx.application import Sphinx

from agents.commands.main import MODULES
from tests.docs.documented import ROOT

APP = cast(Sphinx, SimpleNamespace())  # the handlers do not use it


def converted(text: str, what: str = "function") -> str:
    lines = text.split("\n")
    convert_docstring(APP, what, "", None, None, lines)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("Return `x`.", "Return ``x``."),
        ("Errors as `DriverError`s.", "Errors as ``DriverError``\\ s."),
        ("The norm |x| of *args and name_.", "The norm \\|x| of \\*args and name\\_."),
        ("* one\n* two * three", "* one\n* two * three"),
    ],
)
def test_docstrings_in_markdown_become_restructured_text(markdown: str, text: str) -> None:
    assert converted(markdown) == text


def test_a_colon_in_a_field_names_no_type() -> None:
    assert converted("Rows: unit vectors.", "property").split("\n")[0] == "\\ "


def test_a_class_says_which_of_ours_it_extends() -> None:
    class Base:
        pass

    class Other(Base, dict[str, Any]):
        pass

    Base.__module__ = "navsim.config"
    lines = ["Text."]
    name_bases(APP, "class", "", Other, None, lines)
    assert "Base`" in lines[1]
    assert "dict" not in lines[1]


def test_every_module_is_in_the_api() -> None:
    pages = api_pages()
    found = {name for page in pages.values() for name in re.findall(r"^## (\S+)$", page, re.MULTILINE)}
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for top in ("navsim", "agents")
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert found == modules


def test_todays_names_in_the_glossary_exist() -> None:
    text = (ROOT / "docs" / "concepts" / "glossary.md").read_text().split("## Names that changed")[1]
    source = "\n".join(path.read_text() for top in ("navsim", "agents") for path in (ROOT / top).rglob("*.py"))
    first_column = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `") and "navsim" not in line]
    names = re.findall(r"`(\w+)`", " ".join(first_column))
    assert len(names) > 60
    assert [name for name in names if not re.search(rf"\b{name}\b", source)] == []


def test_todays_modules_in_the_glossary_exist() -> None:
    text = (ROOT / "docs" / "concepts" / "glossary.md").read_text()
    modules = re.findall(r"^\| `(navsim\.[\w.]+)`", text, re.MULTILINE)
    assert modules
    assert all((ROOT / module.replace(".", "/")).with_suffix(".py").is_file() for module in modules)


def test_every_command_has_a_page_of_settings() -> None:
    assert {name.split()[0] for name in COMMANDS} == set(MODULES) - {"dataset"}  # which takes a folder alone
