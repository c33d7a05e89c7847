"""Sessions of `make test-all`: the tests with each Python of 3.11 to 3.13 that this machine has.

`light` installs navsim without torch and leaves out the tests that need it; `full` installs everything, a download of
several GB on Linux. Arguments after `--` go to pytest.
"""

import os
import shutil
import subprocess

import nox

PYTHONS = ("3.11", "3.12", "3.13")
nox.options.sessions = ("light",)
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
if pyenv := shutil.which("pyenv"):  # its programs start only the versions that this variable names
    versions = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=True).stdout
    os.environ["PYENV_VERSION"] = ":".join(versions.split())


@nox.session(python=PYTHONS)
def light(session: nox.Session) -> None:
    """Test navsim without torch."""
    run_tests(session, "test")


@nox.session(python=PYTHONS)
def full(session: nox.Session) -> None:
    """Test everything."""
    run_tests(session, "dev")


def run_tests(session: nox.Session, extra: str) -> None:
    """Install the project with an extra at the tested versions, and run its tests.

    Args:
        session: Environment of one Python.
        extra: Optional dependencies that the tests need.
    """
    session.install("-c", "constraints.txt", "-e", f".[{extra}]")
    session.run("pytest", "--numprocesses", "auto", "--maxprocesses", "8", "--dist", "loadfile", *session.posargs)
