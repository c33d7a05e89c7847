"""Commands of the program, run inside the process of the test.

A process of its own takes seconds to import what the command needs; each command has one test that starts one.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from agents.commands.main import MODULES, run_named

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Finished:
    """A command that has ended, as `subprocess.CompletedProcess` tells it."""

    returncode: int
    """Exit code of the command."""
    stdout: str
    """Everything that it printed."""
    stderr: str
    """Everything that it printed as an error."""


def run_command(name: str, *options: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    Args:
        name: The command, such as `evaluate`.
        options: The rest of the command line.
        folder: Working directory; None keeps the one of the tests.
        env: Environment variables that differ.
    """
    out, errors = io.StringIO(), io.StringIO()
    log = logging.StreamHandler(out)
    root = logging.getLogger()
    level = root.level
    modules = set(sys.modules)
    with (
        contextlib.chdir(folder or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", [name, *options]),
        mock.patch.object(sys, "path", [*sys.path]),
        mock.patch.dict(os.environ, env or {}),
    ):
        root.addHandler(log)
        root.setLevel(logging.INFO)  # pytest's own handlers keep the command from setting the log up
        try:
            run_named(name)
            code: object = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            root.removeHandler(log)
            root.setLevel(level)
            for module in set(sys.modules) - modules:
                if _lies_in(sys.modules[module], Path.cwd()):  # a driver of the user, of which another test has its own
                    del sys.modules[module]
    if isinstance(code, str):
        errors.write(f"{code}\n")
    return Finished(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), errors.getvalue())


def torch_marks(name: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a test that imports a command's module, which are those of torch if the module imports it."""
    return [pytest.mark.torch] if MODULES.get(name) in ("train", "analyse", "experiments") else []


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder) and not Path(file).is_relative_to(ROOT)
