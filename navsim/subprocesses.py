"""Other programs, such as the project's own scripts, run from this one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from navsim.cli import INTERRUPTED
from navsim.errors import NavsimError

_POLL = 0.2  # how often running programs are asked whether they have ended [s]


def run(words: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a Python script to its end; after Ctrl-C it is given the time to save.

    Args:
        words: The script and its arguments.
        env: Environment variables that differ.

    Raises:
        NavsimError: If it failed; it has said why.
        KeyboardInterrupt: If it was interrupted.
    """
    process = _started(words, env)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        try:
            code = process.wait(timeout=5)  # the terminal sent it the same Ctrl-C
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            code = process.wait()
    check(words, code)


@contextmanager
def run_in_background(words: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a Python script beside what the `with` block does, and wait for it at the end; its words go to `log`.

    Raises:
        NavsimError: If it failed; what it wrote is shown.
        KeyboardInterrupt: If it was interrupted.
    """
    process = _started(words, env, log)
    try:
        yield
        code = process.wait()
    except BaseException:
        _interrupt([process])
        raise
    _check_logged(words, code, log)


def run_chains(
    chains: Mapping[Path, Sequence[Sequence[str]]],
    width: int,
    env: Mapping[str, str] | None = None,
    on_end: Callable[[Path], None] | None = None,
) -> None:
    """Run chains of Python scripts, the scripts of each one after the other, several chains at a time.

    Args:
        chains: Scripts with their arguments, by the log that their words go to.
        width: How many chains run at a time, at least 1.
        env: Environment variables that differ.
        on_end: Called with the log of each chain that has come to its end.

    Raises:
        NavsimError: If a script failed; what it wrote is shown, and those beside it save their state and end.
        KeyboardInterrupt: If one was interrupted.
    """
    waiting = [(log, list(chain)) for log, chain in chains.items()]
    running: dict[Path, tuple[subprocess.Popen[bytes], list[Sequence[str]]]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < width:
                log, chain = waiting.pop(0)
                running[log] = _started(chain[0], env, log), chain
            time.sleep(_POLL)
            for log, (process, chain) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[log]
                _check_logged(chain[0], process.returncode, log)
                if chain[1:]:
                    running[log] = _started(chain[1], env, log), chain[1:]
                elif on_end is not None:
                    on_end(log)
    except BaseException:
        _interrupt([process for process, _ in running.values()])
        raise


def check(words: Sequence[str], code: int) -> None:
    """Turn a script's exit code into an error.

    Raises:
        NavsimError: If it failed.
        KeyboardInterrupt: If it was interrupted.
    """
    if code == INTERRUPTED:
        raise KeyboardInterrupt("interrupted; the same command goes on from here")
    if code != 0:
        program = " ".join(words[1:3]) if words[0] == "-m" else words[0]
        raise NavsimError(f"{program} ended with code {code}; mend what it says above and run the same command again")


def _started(words: Sequence[str], env: Mapping[str, str] | None, log: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start a Python script; its words go to the end of `log`, or where this program's go."""
    environment = {**os.environ, **(env or {})}
    if log is None:
        return subprocess.Popen([sys.executable, *words], env=environment)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        return subprocess.Popen([sys.executable, *words], env=environment, stdout=file, stderr=file)


def _interrupt(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Stop programs as Ctrl-C does and wait until they have saved their state."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    for process in processes:
        process.wait()


def _check_logged(words: Sequence[str], code: int, log: Path) -> None:
    if code not in (0, INTERRUPTED):
        print(log.read_text(), file=sys.stderr)
    check(words, code)
