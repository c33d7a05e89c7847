"""Python programs, such as the project's own commands, run as subprocesses; what processes inherit."""

import math
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

_POLL = 0.2  # interval between checks of running programs [s]
_GRACE = 5.0  # time for programs to end after a Ctrl-C, which the terminal sends to all of them [s]

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment in which numeric libraries, which read it when they are loaded, use one thread."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Give numeric libraries that are loaded inside the block, and processes started there, one thread each."""
    saved = {name: os.environ[name] for name in ONE_THREAD if name in os.environ}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name in ONE_THREAD:
            os.environ.pop(name, None)
        os.environ.update(saved)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Have processes that are started inside the block ignore Ctrl-C, before they can do so themselves.

    Ctrl-C reaches every process of the terminal, but here the parent ends the workers. A Ctrl-C during the block is not
    lost: it reaches the parent after the block. Windows has no such mask.
    """
    if sys.platform == "win32":
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a Python script to its end; after Ctrl-C it has time to save its state.

    Args:
        command: The script and its arguments.
        env: Environment variables that differ.

    Raises:
        NavsimError: If the script failed; its own output has the reason.
        KeyboardInterrupt: If it was interrupted.
    """
    process = _start(command, env)
    try:
        process.wait()
    except KeyboardInterrupt as interrupt:
        _end([process], interrupt)
    check(command, process.returncode)


@contextmanager
def run_in_background(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run a Python script during the `with` block and wait for its end; its output goes to `log`.

    Raises:
        NavsimError: If the script failed; its output is shown.
        KeyboardInterrupt: If it was interrupted.
    """
    process = _start(command, env, log)
    try:
        yield
        code = process.wait()
    except BaseException as error:
        _end([process], error)
        raise
    _check_logged(command, code, log)


def run_chains(
    chains: Mapping[Path, Sequence[Sequence[str]]],
    width: int,
    env: Mapping[str, str] | None = None,
    on_end: Callable[[Path], None] | None = None,
) -> None:
    """Run chains of Python scripts: the scripts of a chain one after the other, several chains in parallel.

    Args:
        chains: Scripts with their arguments, by the log for the chain's output.
        width: Number of chains that run in parallel, at least 1.
        env: Environment variables that differ.
        on_end: Called with the log of each chain that has ended.

    Raises:
        NavsimError: If a script failed; its output is shown, and the other scripts save their state and end.
        KeyboardInterrupt: If a script was interrupted.
    """
    waiting = [(log, list(chain)) for log, chain in chains.items()]
    running: dict[Path, tuple[subprocess.Popen[bytes], list[Sequence[str]]]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < width:
                log, chain = waiting.pop(0)
                running[log] = _start(chain[0], env, log), chain
            time.sleep(_POLL)
            for log, (process, chain) in list(running.items()):
                if process.poll() is None:
                    continue
                del running[log]
                _check_logged(chain[0], process.returncode, log)
                if chain[1:]:
                    running[log] = _start(chain[1], env, log), chain[1:]
                elif on_end is not None:
                    on_end(log)
    except BaseException as error:
        _end([process for process, _ in running.values()], error)
        raise


def check(command: Sequence[str], code: int) -> None:
    """Raise the error that a script's exit code stands for.

    Raises:
        NavsimError: If the script failed.
        KeyboardInterrupt: If it was interrupted.
    """
    if code == INTERRUPTED:
        raise KeyboardInterrupt("interrupted; the same command continues from here")
    if code != 0:
        program = " ".join(command[1:3]) if command[0] == "-m" else command[0]
        raise NavsimError(f"{program} ended with code {code}; correct the error above and run the same command again")


def _start(command: Sequence[str], env: Mapping[str, str] | None, log: Path | None = None) -> "subprocess.Popen[bytes]":
    """Start a Python script; its output goes to the end of `log`, or to this program's output."""
    environment = {**os.environ, **(env or {})}
    if log is None:
        return subprocess.Popen([sys.executable, *command], env=environment)
    environment.setdefault("PYTHONIOENCODING", "utf-8")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, *command], env=environment, stdout=file, stderr=file)


def _end(processes: Sequence["subprocess.Popen[bytes]"], error: BaseException) -> None:
    """Have programs save their state and end, because of an error.

    A program that is interrupted twice stops at once. So after a Ctrl-C, which the terminal has sent to all programs,
    only those are interrupted that go on. Windows cannot interrupt one program: it waits, or ends them without a save.
    """
    windows = sys.platform == "win32"
    grace = (math.inf if windows else _GRACE) if isinstance(error, KeyboardInterrupt) else 0.0
    end = time.monotonic() + grace
    while time.monotonic() < end and any(process.poll() is None for process in processes):
        time.sleep(_POLL)
    for process in processes:
        if process.poll() is None:
            process.terminate() if windows else process.send_signal(signal.SIGINT)
    for process in processes:
        process.wait()


def _check_logged(command: Sequence[str], code: int, log: Path) -> None:
    if code not in (0, INTERRUPTED):
        print(log.read_text(encoding="utf-8", errors="replace"), file=sys.stderr)
    check(command, code)
