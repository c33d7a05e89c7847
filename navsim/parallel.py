"""Units of work over several processes, in whatever order they end.

Each worker is a process of its own with one thread for numerics, so that N workers use N cores. A worker that dies
(out of memory, killed) takes no one else's work with it: it is replaced and its unit tried once more.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import cv2

from navsim.errors import NavsimError

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Config = TypeVar("Config", bound=Hashable)

_ATTEMPTS = 2
# Read by the numeric libraries when they are loaded, so a worker must be started with them.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerError(NavsimError):
    """A unit of work whose process died each time it was tried."""


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
def run_units(
    make: Callable[[Config], Callable[[Unit], Result]], config: Config, units: Iterable[Unit], workers: int
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

    Yields:
        An iterator over all units, each with its result or its failure, in the order of ending.

    Raises:
        ValueError: If `workers` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    todo = deque((unit, 1) for unit in units)
    pools = [_Pool(make, config) for _ in range(min(workers, len(todo)))]
    try:
        yield _as_finished(todo, pools)
    finally:
        for pool in pools:
            pool.end()


def _as_finished(todo: deque[tuple[Unit, int]], pools: list["_Pool[Unit, Result]"]) -> Iterator[Finished[Unit, Result]]:
    """Keep every pool busy until nothing of `todo`, units with the number of the attempt, is left."""
    running: dict[Future[Result], tuple[_Pool[Unit, Result], Unit, int]] = {}
    idle = list(pools)
    while todo or running:
        while idle and todo:
            pool, (unit, attempt) = idle.pop(), todo.popleft()
            running[pool.submit(unit)] = pool, unit, attempt
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            pool, unit, attempt = running.pop(future)
            idle.append(pool)
            failure = future.exception()
            if not isinstance(failure, BrokenProcessPool):
                yield Finished(unit, future.result() if failure is None else failure)
            elif attempt < _ATTEMPTS:
                todo.appendleft((unit, attempt + 1))
            else:
                yield Finished(unit, WorkerError(f"the process working on {unit} died {attempt} times"))


class _Pool(Generic[Unit, Result]):
    """One process that does one unit at a time, so that a death is that unit's alone."""

    def __init__(self, make: Callable[[Any], Callable[[Unit], Result]], config: Hashable) -> None:
        self._make, self._config = make, config
        self._process: BaseProcess | None = None
        self._future: Future[Result] | None = None
        self._executor = self._new_executor()

    def submit(self, unit: Unit) -> Future[Result]:
        """Hand over a unit; the process starts with the first one and anew after a death."""
        try:
            self._future = self._submit(unit)
        except BrokenProcessPool:
            self._executor.shutdown()
            self._executor = self._new_executor()
            self._future = self._submit(unit)
        return self._future

    def end(self) -> None:
        """End the process, whether it is working or not."""
        if self._process is not None and self._future is not None and not self._future.done():
            self._process.terminate()
        self._executor.shutdown(cancel_futures=True)

    def _submit(self, unit: Unit) -> Future[Result]:
        before = set(multiprocessing.active_children())
        with _worker_surroundings():
            future = self._executor.submit(_do_unit, self._make, self._config, unit)
        started = set(multiprocessing.active_children()) - before
        self._process = next(iter(started), self._process)
        return future

    @staticmethod
    def _new_executor() -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_prepare_worker)


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


def _prepare_worker() -> None:
    """Set up a new process: one thread in OpenCV, and an end to it when the parent is gone."""
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
