"""Units of work over several processes, in whatever order they end.

Each worker is a process of its own with one thread for numerics, so that N workers use N cores. A worker that dies
(out of memory, killed) takes no one else's work with it: it is replaced and its unit tried once more. So is one that
hangs in what it has itself set a time limit (`time_limit`), wherever it hangs, in foreign code too.
"""

import ctypes
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import cv2

from navsim.errors import NavsimError

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Config = TypeVar("Config", bound=Hashable)

_Waiting = deque[tuple[Unit, tuple[str, ...]]]  # units, each with how the processes ended that tried it
_POLL = 0.25  # how often workers are asked whether they are over their time [s]
# Read by the numeric libraries when they are loaded, so a worker must be started with them.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


# In a worker: when what it does must be over, in `time.monotonic`'s time, and how long it may take [s]; 0 and 0 for no
# limit. The parent reads it.
_DEADLINE: ContextVar["ctypes.Array[ctypes.c_double] | None"] = ContextVar("deadline", default=None)


class WorkerError(NavsimError):
    """A unit of work whose process died each time it was tried."""

    def __init__(self, message: str, ends: tuple[str, ...] = ()) -> None:
        """Say `message`.

        Args:
            message: One line.
            ends: How each process ended, such as "was ended by SIGSEGV".
        """
        super().__init__(message)
        self.ends = ends
        """How each process ended."""


@dataclass(frozen=True, eq=False)
class Finished(Generic[Unit, Result]):
    """A unit of work that has ended, well or badly."""

    unit: Unit
    """What was to be done."""
    outcome: Result | BaseException
    """What came of it: the result, or the error that it raised; a `WorkerError` if its process died."""

    @property
    def failure(self) -> BaseException | None:
        """The error, None if all went well."""
        return self.outcome if isinstance(self.outcome, BaseException) else None

    @property
    def result(self) -> Result:
        """The result.

        Raises:
            BaseException: The unit's own error, if it failed.
        """
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Have this process killed if what is inside the block takes longer; for workers of `run_units` only.

    Blocks do not stand within each other. Outside of a worker nothing is limited, for there is nobody who watches.

    Args:
        seconds: Wall time [s].
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
    """Do units of work in `workers` processes; leaving the block ends the processes, working or not.

    `make(config)` is called once per process and returns the function that does one unit; what is dear to set up
    (a simulation, a network) lives as long as that function. Programs that use this must guard their own start with
    `if __name__ == "__main__"`, since each process imports the main module anew.

    Args:
        make: A function of a module, found by its name in the new process.
        config: Its argument, hashable and picklable, such as a frozen dataclass.
        units: What to do; each picklable, as are the results.
        workers: Number of processes, at least 1.
        attempts: How often a unit is tried whose process dies or is killed at its `time_limit`, at least 1.

    Yields:
        An iterator over all units, each with its result or its failure, in the order of ending.

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
    """Keep every pool busy until nothing of `todo` is left."""
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
            ends = (*ends, pool.last_words())
            if len(ends) < attempts:
                todo.appendleft((unit, ends))
            else:
                words = f"the process working on {unit} {', then another '.join(ends)}"
                yield Finished(unit, WorkerError(words, ends))


class _Pool(Generic[Unit, Result]):
    """One process that does one unit at a time, so that a death is that unit's alone."""

    def __init__(self, make: Callable[[Any], Callable[[Unit], Result]], config: Hashable) -> None:
        self._make, self._config = make, config
        self._process: BaseProcess | None = None
        self._future: Future[Result] | None = None
        self._hung = False
        self._deadline, self._executor = self._new_executor()

    def submit(self, unit: Unit) -> Future[Result]:
        """Hand over a unit; the process starts with the first one and anew after a death."""
        try:
            self._future = self._submit(unit)
        except BrokenProcessPool:
            self._executor.shutdown()
            self._deadline, self._executor = self._new_executor()
            self._future = self._submit(unit)
        return self._future

    def end_if_overdue(self) -> None:
        """Kill the process if it is over the time limit that it has set itself."""
        if self._process is not None and 0.0 < self._deadline[0] < time.monotonic():
            self._hung = True
            self._process.kill()  # code that hangs may have a handler for milder signals, or be stopped

    def last_words(self) -> str:
        """How the process ended that has died."""
        code = None if self._process is None else _exit_code(self._process)
        if self._hung:
            return f"gave no answer within {self._deadline[1]:g} s"
        if code is None:
            return "died"
        return f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    def end(self) -> None:
        """End the process, whether it is working or not."""
        if self._process is not None and self._future is not None and not self._future.done():
            self._process.kill()
        self._executor.shutdown(cancel_futures=True)

    def _submit(self, unit: Unit) -> Future[Result]:
        self._hung = False
        before = set(multiprocessing.active_children())
        with _worker_surroundings():
            future = self._executor.submit(_do_unit, self._make, self._config, unit)
        started = set(multiprocessing.active_children()) - before
        self._process = next(iter(started), self._process)
        return future

    @staticmethod
    def _new_executor() -> tuple["ctypes.Array[ctypes.c_double]", ProcessPoolExecutor]:
        context = multiprocessing.get_context("spawn")
        deadline = context.RawArray(ctypes.c_double, 2)
        return deadline, ProcessPoolExecutor(1, context, initializer=_prepare_worker, initargs=(deadline,))


def _exit_code(process: BaseProcess) -> int | None:
    """The exit code of a process that has died; the executor may be just reaping it."""
    until = time.monotonic() + 2
    while process.exitcode is None and time.monotonic() < until:
        time.sleep(0.01)
    return process.exitcode


@contextmanager
def _worker_surroundings() -> Iterator[None]:
    """What a process started inside the block inherits: one thread for numerics, and no Ctrl-C.

    Ctrl-C reaches every process of the terminal; here it is the parent's business to end the workers. Blocked is not
    lost: a Ctrl-C during the block reaches the parent after it.
    """
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _prepare_worker(deadline: "ctypes.Array[ctypes.c_double]") -> None:
    """Set up a new process: its time limit, one thread in OpenCV, and an end to it when the parent is gone."""
    _DEADLINE.set(deadline)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's death, however it comes; without this a killed parent leaves its workers behind."""
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
    """The function that does units in this process, made once."""
    return make(config)
