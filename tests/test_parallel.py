"""Units of work over real processes, some of which die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from navsim.errors import TownError
from navsim.parallel import Finished, WorkerError, available_cores, run_units, time_limit

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Trace:
    """A folder in which workers leave marks."""

    folder: str

    def mark(self, word: str) -> int:
        """Leave a mark and count the marks with that word."""
        (Path(self.folder) / f"{word}.{os.getpid()}.{time.monotonic_ns()}").touch()
        return len(list(Path(self.folder).glob(f"{word}.*")))


def make_worker(trace: Trace) -> Callable[[str], str]:
    """A worker that does what the unit says."""
    trace.mark("made")

    def work(unit: str) -> str:
        marks = trace.mark(f"did-{unit}")
        if unit == "die" or (unit == "die once" and marks == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if unit == "hang" or (unit == "hang once" and marks == 1):
            hang()
        if unit == "leave":
            os._exit(3)
        if unit == "slow but free":
            with time_limit(2.0):
                pass
            time.sleep(3)
        if unit == "mistake":
            raise TownError("no such town")
        if unit == "sleep":
            time.sleep(60)
        if unit == "threads":
            return f"{cv2.getNumThreads()} {os.environ['OMP_NUM_THREADS']} {os.environ['OPENBLAS_NUM_THREADS']}"
        return f"{unit} by {os.getpid()}"

    return work


def hang() -> None:
    """Never end, whatever milder signals say."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with time_limit(0.5):
        while True:
            time.sleep(60)


def make_nothing(trace: Trace) -> Callable[[str], str]:
    """A worker that cannot be set up."""
    raise TownError(f"cannot begin in {Path(trace.folder).name}")


def run_all(folder: Path, units: list[str], workers: int) -> dict[str, Finished[str, str]]:
    with run_units(make_worker, Trace(str(folder)), units, workers) as finished:
        return {item.unit: item for item in finished}


def marks(folder: Path, word: str) -> int:
    return len(list(folder.glob(f"{word}.*")))


def test_each_unit_is_done_once_and_each_process_is_set_up_once(tmp_path: Path) -> None:
    units = [f"unit{i}" for i in range(8)]
    done = run_all(tmp_path, units, workers=2)
    assert sorted(done) == units
    assert all(marks(tmp_path, f"did-{unit}") == 1 for unit in units)
    processes = {item.result.split(" by ")[1] for item in done.values()}
    assert len(processes) == marks(tmp_path, "made") == 2
    assert str(os.getpid()) not in processes


def test_no_units_start_no_process(tmp_path: Path) -> None:
    assert run_all(tmp_path, [], workers=3) == {}
    assert marks(tmp_path, "made") == 0


def test_workers_run_one_thread_each_and_the_parent_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert run_all(tmp_path, ["threads"], workers=1)["threads"].result == "1 1 1"
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ


@pytest.mark.linux
def test_unit_whose_process_dies_once_is_done_by_another(tmp_path: Path) -> None:
    done = run_all(tmp_path, ["a", "die once", "b"], workers=1)
    assert sorted(done) == ["a", "b", "die once"]
    assert all(item.failure is None for item in done.values())
    assert marks(tmp_path, "did-die once") == 2
    assert marks(tmp_path, "did-a") == marks(tmp_path, "did-b") == 1


@pytest.mark.linux
def test_unit_whose_process_dies_twice_is_reported_and_harms_no_other(tmp_path: Path) -> None:
    done = run_all(tmp_path, ["a", "die", "b", "c"], workers=2)
    assert isinstance(done["die"].failure, WorkerError)
    words = "working on die was ended by SIGKILL, then another was ended by SIGKILL"
    with pytest.raises(WorkerError, match=words) as raised:
        _ = done["die"].result
    assert raised.value.ends == ("was ended by SIGKILL", "was ended by SIGKILL")
    assert [done[unit].failure for unit in "abc"] == [None, None, None]
    assert all(marks(tmp_path, f"did-{unit}") == 1 for unit in "abc")


def test_unit_that_hangs_once_is_done_by_another_process(tmp_path: Path) -> None:
    done = run_all(tmp_path, ["a", "hang once", "b", "slow but free"], workers=2)
    assert [item.failure for item in done.values()] == [None] * 4
    assert marks(tmp_path, "did-hang once") == 2
    assert all(marks(tmp_path, f"did-{unit}") == 1 for unit in ("a", "b", "slow but free"))


def test_unit_that_hangs_each_time_is_reported_and_harms_no_other(tmp_path: Path) -> None:
    done = run_all(tmp_path, ["hang", "a", "leave"], workers=1)
    assert isinstance(done["hang"].failure, WorkerError)
    assert done["hang"].failure.ends == ("gave no answer within 0.5 s",) * 2
    assert isinstance(done["leave"].failure, WorkerError)
    assert done["leave"].failure.ends == ("ended with code 3",) * 2
    assert done["a"].failure is None


@pytest.mark.linux
def test_a_unit_is_tried_as_often_as_asked_for(tmp_path: Path) -> None:
    with run_units(make_worker, Trace(str(tmp_path)), ["die"], 1, attempts=1) as finished:
        assert [len(item.failure.ends) for item in finished if isinstance(item.failure, WorkerError)] == [1]
    assert marks(tmp_path, "did-die") == 1


def test_a_time_limit_outside_of_a_worker_limits_nothing() -> None:
    with time_limit(0.01):
        time.sleep(0.05)


def test_error_of_a_unit_keeps_its_type_and_words(tmp_path: Path) -> None:
    done = run_all(tmp_path, ["mistake", "a"], workers=1)
    with pytest.raises(TownError, match=r"^no such town$"):
        _ = done["mistake"].result
    assert done["a"].failure is None


def test_error_of_the_set_up_reaches_every_unit(tmp_path: Path) -> None:
    with run_units(make_nothing, Trace(str(tmp_path)), ["a", "b"], 1) as finished:
        failures = [item.failure for item in finished]
    assert [str(failure) for failure in failures] == [f"cannot begin in {tmp_path.name}"] * 2


def test_leaving_early_ends_working_processes_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with run_units(make_worker, Trace(str(tmp_path)), ["a", "sleep", "sleep"], 2) as finished:
        assert next(finished).unit == "a"
    assert time.monotonic() - started < 30


def test_workers_below_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"), run_units(make_worker, Trace(str(tmp_path)), ["a"], 0):
        pass


def test_at_least_one_core_is_there() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def sleeping_program(folder: Path) -> "subprocess.Popen[str]":
    """A program of its own with two sleeping workers."""
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_parallel import Trace, make_worker\n"
        "from navsim.parallel import run_units\n"
        f"with run_units(make_worker, Trace({str(folder)!r}), ['sleep', 'sleep'], 2) as finished:\n"
        "    print([item.failure for item in finished])\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    until = time.monotonic() + 30
    while marks(folder, "did-sleep") < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return program


def worker_ids(folder: Path) -> list[int]:
    return [int(mark.name.split(".")[1]) for mark in folder.glob("did-sleep.*")]


def runs(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def wait_for_end(processes: list[int]) -> None:
    until = time.monotonic() + 20
    while any(map(runs, processes)) and time.monotonic() < until:
        time.sleep(0.05)


@pytest.mark.linux
def test_killed_program_leaves_no_workers(tmp_path: Path) -> None:
    with sleeping_program(tmp_path) as program:
        workers = worker_ids(tmp_path)
        assert len(workers) == 2
        program.kill()
    wait_for_end(workers)
    assert not any(map(runs, workers))


@pytest.mark.linux
def test_interrupt_of_the_whole_group_ends_it_with_one_traceback_of_the_parent(tmp_path: Path) -> None:
    with sleeping_program(tmp_path) as program:
        workers = worker_ids(tmp_path)
        os.killpg(program.pid, signal.SIGINT)  # what Ctrl-C does in a terminal
        _, errors = program.communicate(timeout=30)
    wait_for_end(workers)
    assert not any(map(runs, workers))
    assert errors.count("Traceback") == 1
    assert errors.strip().endswith("KeyboardInterrupt")
