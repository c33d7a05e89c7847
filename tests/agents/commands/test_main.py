"""The program `navsim`: its table of commands, its help, and what it says of mistakes."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from agents.commands import main
from agents.commands.main import COMMANDS, MODULES, command_line, overview
from tests.commands import torch_marks

ROOT = Path(__file__).parents[3]
SUMMARIES = {name: text for commands in COMMANDS.values() for name, text in commands.items()}


def navsim(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the program as from a shell."""
    command = [sys.executable, "-m", "agents.commands.main", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_overview_names_every_command_with_its_purpose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["navsim"], ["navsim", "--help"], ["navsim", "-h"]):
        monkeypatch.setattr(sys, "argv", words)
        main.main()
        assert capsys.readouterr().out == f"{overview()}\n"
    for name, text in SUMMARIES.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", overview(), flags=re.MULTILINE)
    assert all(len(line) <= 100 for line in overview().splitlines())


def test_the_overview_imports_no_heavy_package() -> None:
    program = "import sys; from agents.commands.main import overview; overview(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "cv2", "scipy", "pybullet", "tyro", "pydantic"} & set(done.stdout.split())


@pytest.mark.parametrize("name", [pytest.param(name, marks=torch_marks(name)) for name in SUMMARIES])
def test_every_command_has_a_script_and_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ROOT / "scripts" / f"{name.replace('-', '_')}.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(script), run_name="__main__")
    assert SUMMARIES[name] in " ".join(capsys.readouterr().out.split())


def test_there_is_no_script_without_a_command() -> None:
    scripts = {path.stem.replace("_", "-") for path in (ROOT / "scripts").glob("*.py")}
    assert scripts == set(MODULES)


def test_a_commands_help_shows_its_own_name() -> None:
    done = navsim("dataset", "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: navsim dataset")


@pytest.mark.parametrize(
    ("name", "words"),
    [("colect", "perhaps you meant 'collect'"), ("xyz", "commands are demo, collect, "), ("--halp", "commands are")],
)
def test_an_unknown_command_is_one_line(name: str, words: str) -> None:
    done = navsim(name)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: unknown command '{name}'; ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    words = command_line("dataset", "info", str(tmp_path))
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"error: {tmp_path}: is not a data folder" in done.stderr
