"""The README's commands are those that exist; the two that set everything up are what CI and users run."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [
    line.split(" #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.split(" #")[0].strip()
]
SCRIPTS = [command for command in COMMANDS if "python scripts/" in command]


@functools.cache
def help_of(script: str) -> str:
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_shows_the_two_commands_that_do_everything() -> None:
    assert "make demo" in COMMANDS
    assert "make test" in COMMANDS


@pytest.mark.parametrize("target", sorted({c.split()[1] for c in COMMANDS if c.startswith("make ")}))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("command", SCRIPTS)
def test_every_script_and_config_exists(command: str) -> None:
    words = shlex.split(command.replace("[", "").replace("]", ""))
    script = words[1] if words[0].endswith("python") else words[0]
    assert (ROOT / script).exists()
    for word in words:
        if word.startswith("configs/"):
            assert (ROOT / word).exists(), word


@pytest.mark.parametrize("script", sorted({re.findall(r"scripts/\w+\.py", command)[0] for command in SCRIPTS}))
def test_every_script_that_is_shown_explains_its_options(script: str) -> None:
    assert len(help_of(script)) > 200


@pytest.mark.parametrize("option", sorted(set(re.findall(r"(?<=\s)--[a-z][a-z.-]+", "\n".join(SCRIPTS)))))
def test_every_option_that_is_shown_exists(option: str) -> None:
    users = [re.findall(r"scripts/\w+\.py", command)[0] for command in SCRIPTS if option in command.split()]
    for script in sorted(set(users)):
        assert option in help_of(script), f"{script} has no {option}"


def test_pictures_that_are_shown_exist() -> None:
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size > 1000
