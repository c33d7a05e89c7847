"""Units of work in several processes, with results in the order in which they end.

Each worker is a process with one thread for numerics, so that N workers use N cores. A worker that dies (out of memory,
killed) is replaced and its unit is tried once more; other units are not affected. The same happens to a worker that
exceeds a time limit that it has set itself (`time_limit`), even if it hangs in external code.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import cv2

from navsim.errors import NavsimError
from navsim.subprocesses import ONE_THREAD, interrupts_blocked, one_thread

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Config = TypeVar("Config", bound=Hashable)

_Waiting = deque[tuple[Unit, tuple[str, ...]]]  # units, each with the ends of the processes that tried it
_POLL = 0.25  # interval between checks of the time limits [s]


# In a worker: the time of `time.monotonic` at which its block must be over, and the block's time limit [s]; 0 and 0
# without a limit. The parent reads it.
_DEADLINE: ContextVar["ctypes.Array[ctypes.c_double] | None"] = ContextVar("deadline", default=None)


class WorkerError(NavsimError):
    """A unit of work whose process died at each attempt."""

    def __init__(self, message: str, ends: tuple[str, ...] = ()) -> None:
        """Make an error.

        Args:
            message: Message in one line.
            ends: End of each process, such as "was ended by SIGSEGV".
        """
        super().__init__(message)
        self.ends = ends
        """End of each process in a few words."""


@dataclass(frozen=True, eq=False)
class Finished(Generic[Unit, Result]):
    """A unit of work that has ended, with its result or its error."""

    unit: Unit
    """The unit of work."""
    outcome: Result | BaseException
    """Result, or the error that the unit raised; a `WorkerError` if its process died."""

    @property
    def failure(self) -> BaseException | None:
        """Error of the unit; None if it has a result."""
        return self.outcome if isinstance(self.outcome, BaseException) else None

    @property
    def result(self) -> Result:
        """Result of the unit.

        Raises:
            BaseException: The unit's error, if it failed.
        """
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def available_cores() -> int:
    """Return the number of cores that this process may use; all of them where the system does not limit processes."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Have this process killed if the block takes longer; for workers of `run_units` only.

    Blocks must not be nested. Outside of a worker nothing is limited, because a parent must check the limit.

    Args:
        seconds: Longest wall time of the block [s].
    """
    deadline = _DEADLINE.get()
    if deadline is None:
        yield
        return
    deadline[1] = seconds
    deadline[0] = time.monotonic() + seconds
    try:
        yield
    finally:
        deadline[0] = 0.0


@contextmanager
def run_units(
    make: Callable[[Config], Callable[[Unit], Result]],
    config: Config,
    units: Iterable[Unit],
    workers: int,
    attempts: int = 2,
) -> Iterator[Iterator[Finished[Unit, Result]]]:
    """Do units of work in `workers` processes; leaving the block ends the processes, even if they are busy.

    Each process calls `make(config)` once, which returns the function that does one unit; expensive objects such as a
    simulation or a network live as long as that function. Programs that use this must guard their own start with
    `if __name__ == "__main__"`, because each process imports the main module again.

    Args:
        make: Function of a module, which a new process finds by its name.
        config: Argument of `make`, hashable and picklable, such as a frozen dataclass.
        units: Units of work; units and results must be picklable.
        workers: Number of processes, at least 1.
        attempts: Number of attempts for a unit whose process dies or is killed at its `time_limit`, at least 1.

    Yields:
        An iterator over all units, each with its result or its error, in the order of their ends.

    Raises:
        ValueError: If `workers` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    todo: _Waiting[Unit] = deque((unit, ()) for unit in units)
    pools = [_Pool(make, config) for _ in range(min(workers, len(todo)))]
    try:
        yield _as_finished(todo, pools, attempts)
    finally:
        for pool in pools:
            pool.end()


def _as_finished(
    todo: _Waiting[Unit], pools: list["_Pool[Unit, Result]"], attempts: int
) -> Iterator[Finished[Unit, Result]]:
    """Keep every pool busy until all units of `todo` have ended."""
    running: dict[Future[Result], tuple[_Pool[Unit, Result], Unit, tuple[str, ...]]] = {}
    idle = list(pools)
    while todo or running:
        while idle and todo:
            pool, (unit, ends) = idle.pop(), todo.popleft()
            running[pool.submit(unit)] = pool, unit, ends
        done = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED).done
        for pool, _, _ in running.values():
            pool.end_if_overdue()
        for future in done:
            pool, unit, ends = running.pop(future)
            idle.append(pool)
            failure = future.exception()
            if not isinstance(failure, BrokenProcessPool):
                yield Finished(unit, future.result() if failure is None else failure)
                continue
            ends = (*ends, pool.end_text())
            if len(ends) < attempts:
                todo.appendleft((unit, ends))
            else:
                message = f"the process working on {unit} {', then another '.join(ends)}"
                yield Finished(unit, WorkerError(message, ends))


class _Pool(Generic[Unit, Result]):
    """One process that does one unit at a time, so that its death affects one unit only."""

    def __init__(self, make: Callable[[Any], Callable[[Unit], Result]], config: Hashable) -> None:
        self._make, self._config = make, config
        self._process: BaseProcess | None = None
        self._future: Future[Result] | None = None
        self._hung = False
        self._deadline, self._executor = self._new_executor()

    def submit(self, unit: Unit) -> Future[Result]:
        """Submit a unit; the process starts with the first unit, and again after a death."""
        try:
            self._future = self._submit(unit)
        except BrokenProcessPool:
            self._executor.shutdown()
            self._process = None
            self._deadline, self._executor = self._new_executor()
            self._future = self._submit(unit)
        return self._future

    def end_if_overdue(self) -> None:
        """Kill the process if it exceeds the time limit that it has set itself."""
        if self._process is not None and 0.0 < self._deadline[0] < time.monotonic():
            self._hung = True
            self._process.kill()  # code that hangs may handle milder signals, or be stopped

    def end_text(self) -> str:
        """Return the end of the process, which has died, in a few words."""
        self._executor.shutdown()  # its thread reads the exit code; a second reader at the same time would get 255
        code = None if self._process is None else self._process.exitcode
        if self._hung:
            return f"gave no answer within {self._deadline[1]:g} s"
        if code is None:
            return "died"
        names = {number.value: number.name for number in signal.Signals}
        return f"ended with code {code}" if code >= 0 else f"was ended by {names.get(-code, f'signal {-code}')}"

    def end(self) -> None:
        """End the process, even if it is busy."""
        if self._process is not None and self._future is not None and not self._future.done():
            self._process.kill()
        self._executor.shutdown(cancel_futures=True)

    def _submit(self, unit: Unit) -> Future[Result]:
        self._hung = False
        if self._process is not None:
            return self._executor.submit(_do_unit, self._make, self._config, unit)
        before = set(multiprocessing.active_children())
        with one_thread(), interrupts_blocked():
            future = self._executor.submit(_do_unit, self._make, self._config, unit)
        started = set(multiprocessing.active_children()) - before
        self._process = next(iter(started), None)
        return future

    @staticmethod
    def _new_executor() -> tuple["ctypes.Array[ctypes.c_double]", ProcessPoolExecutor]:
        context = _context()
        deadline = context.RawArray(ctypes.c_double, 2)
        arguments = (deadline, dict(os.environ) | ONE_THREAD)
        return deadline, ProcessPoolExecutor(1, context, initializer=_prepare_worker, initargs=arguments)


def _context() -> BaseContext:
    """Return how workers start.

    On Linux they are forks of a server process that has imported what this process has of the project: imports take
    1 to 3 s and up to 300 MB, once and not in each worker. The server starts no threads and opens no devices.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in sys.modules if name.startswith(("navsim.", "agents."))])
    return context


def _prepare_worker(deadline: "ctypes.Array[ctypes.c_double]", environment: Mapping[str, str]) -> None:
    """Set up a new process: no Ctrl-C, its time limit, the parent's environment, one thread in OpenCV, its end.

    The server from which it was forked may have started under an earlier environment.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _DEADLINE.set(deadline)
    os.environ.clear()
    os.environ.update(environment)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end and exit; without this a killed parent leaves its workers behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do_unit(make: Callable[[Any], Callable[[Unit], Result]], config: Hashable, unit: Unit) -> Result:
    """Do one unit in the worker process."""
    result: Result = _made(make, config)(unit)
    return result


@lru_cache(maxsize=1)
def _made(make: Callable[[Any], Callable[[Any], Any]], config: Hashable) -> Callable[[Any], Any]:
    """Return the function that does units in this process, made once."""
    return make(config)
