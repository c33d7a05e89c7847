"""Every command in README and guide is one that the program understands; the Python there runs."""

import functools
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tyro
import yaml

from agents.commands.main import MODULES
from navsim.config import parse_config
from navsim.datasets.collection import prepare_folder
from navsim.datasets.collection_config import CollectConfig
from navsim.drivers.plugin import plugin_driver_spec
from navsim.evaluation.suites import load_suite
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.commands import torch_marks
from tests.docs.documented import PAGES, ROOT, blocks, commands, program_words, workflow_commands

SHOWN = [(page.name, command) for page in PAGES for command in commands(page)]
SHOWN += [("tests.yml", command) for command in workflow_commands() if command.split()[0] in ("make", "navsim")]
OURS = [
    pytest.param(page, command, marks=torch_marks(" ".join(words[:1])))
    for page, command in SHOWN
    if (words := program_words(command)) is not None
]
OTHERS = sorted({command.split()[0] for _, command in SHOWN} - {"navsim", "torchrun"})
KNOWN_PROGRAMS = {"make", "source", "pip", "apt-get", "tensorboard", "python3", "uv", "(echo"}


class Understood(Exception):  # noqa: N818 - it is no error
    """A command's options were parsed; nothing else of the command shall run."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], None]:
    """What runs a command up to the point where its options are understood, in a folder like a checkout."""
    for name in ("configs", "examples", "policies", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "wrong-map.yaml").write_text(blocks(ROOT / "docs" / "guide" / "own_suite.md", "yaml")[0])
    prepare_folder(CollectConfig(tmp_path / "runs" / "demo" / "data"))
    monkeypatch.chdir(tmp_path)

    def parse(*arguments: Any, **options: Any) -> None:
        parse_config(*arguments, **options)
        raise Understood

    def stop(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def stopped(**_: Any) -> None:
            raise Understood

        return stopped

    def subcommands(functions: dict[str, Callable[..., None]], **options: Any) -> None:
        choose({name: stop(function) for name, function in functions.items()}, **options)

    choose = tyro.extras.subcommand_cli_from_dict
    monkeypatch.setattr(tyro.extras, "subcommand_cli_from_dict", subcommands)

    def run(words: list[str]) -> None:
        module = importlib.import_module(f"agents.commands.{MODULES[words[0]]}")
        if hasattr(module, "parse_config"):
            monkeypatch.setattr(module, "parse_config", parse)
        monkeypatch.setattr(sys, "argv", [f"navsim {words[0]}", *words[1:]])
        getattr(module, words[0].replace("-", "_"))()

    return run


@pytest.mark.parametrize(("page", "command"), OURS)
def test_a_command_is_understood(page: str, command: str, parse_only: Callable[[list[str]], None]) -> None:
    words = program_words(command)
    assert words, page
    if words == ["--help"]:
        return
    if words[-1] == "--help":
        with pytest.raises(SystemExit, match="0"):
            parse_only(words)
        return
    with pytest.raises(Understood):
        parse_only(words)


def test_a_command_with_an_unknown_option_is_not_understood(parse_only: Callable[[list[str]], None]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_only(["collect", "--no-such-option", "3"])


def test_other_programs_are_known_ones() -> None:
    assert set(OTHERS) <= KNOWN_PROGRAMS


@pytest.mark.parametrize("target", sorted({c.split()[1] for _, c in SHOWN if c.startswith("make ")}))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_ci_runs_the_tests_and_builds_the_docs() -> None:
    assert {"make test", "make docs"} <= set((ROOT / ".ci" / "run").read_text().splitlines())


def test_the_workflow_lints_tests_and_demonstrates_on_three_systems_and_all_pythons() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert [system.split("-")[0] for system in matrix["system"]] == ["ubuntu", "macos", "windows"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    words = [(program_words(command) or [command])[0] for command in workflow_commands()]
    assert {"watch", "collect", "train", "evaluate"} <= set(words)
    assert any(word.startswith("python -m pytest") for word in words)
    assert "make lint PYTHON=python" in words


def test_every_command_of_the_program_is_in_the_guide() -> None:
    listed = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs" / "guide" / "command_line.md").read_text(), re.MULTILINE)
    assert set(listed) == set(MODULES)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), namespace)  # noqa: S102 - the project's own pages


@pytest.mark.parametrize("name", ["README.md", "docs/guide/own_driver.md"])
def test_the_driver_that_is_shown_is_accepted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = next(block for block in blocks(ROOT / name, "python") if "class Cautious" in block)
    (tmp_path / "mine.py").write_text(shown)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "mine", ModuleType("mine"))  # so that what is imported now does not stay
    del sys.modules["mine"]
    assert plugin_driver_spec("mine:Cautious", (Camera(),), MapSpec()).name == "cautious"


def test_the_suite_that_is_shown_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "wrong-map.yaml"
    path.write_text(blocks(ROOT / "docs" / "guide" / "own_suite.md", "yaml")[0])
    assert [part.name for part in load_suite(str(path)).parts] == ["clean", "map-shifted-5m"]
