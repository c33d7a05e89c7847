"""Progress on a terminal and in a log file."""

import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from navsim.progress import Advance, progress

Log = tuple[Advance, Callable[[], list[str]]]


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that progress goes by."""
    by_hand = Clock()
    monkeypatch.setattr("tqdm.std.time", by_hand)
    return by_hand


@contextmanager
def logged(total: float, already: float = 0) -> Iterator[Log]:
    """Progress in a log file, with a function that returns the lines written so far."""
    log = io.StringIO()
    with progress("collecting", total, "drives", already, file=log) as advance:
        yield advance, lambda: log.getvalue().splitlines()


def test_line_tells_share_rate_and_time_left(clock: Clock) -> None:
    with logged(60) as (advance, lines):
        clock.now += 20.0
        advance(10, "23 frames/s")
        assert lines() == ["collecting: 10/60 drives (17%), 01:40 left, 0.50 drives/s, 23 frames/s"]


def test_lines_come_at_most_every_ten_seconds(clock: Clock) -> None:
    with logged(1000) as (advance, lines):
        for _ in range(100):  # 25 s
            clock.now += 0.25
            advance()
        assert len(lines()) == 2


def test_work_done_before_does_not_count_for_the_rate(clock: Clock) -> None:
    with logged(100, already=80) as (advance, lines):
        clock.now += 10.0
        advance(5)
        assert lines() == ["collecting: 85/100 drives (85%), 00:30 left, 0.50 drives/s"]


def test_last_line_tells_how_long_it_took(clock: Clock) -> None:
    with logged(2_000_000) as (advance, lines):
        clock.now += 2.0
        advance(2_000_000)
        assert lines() == []
    assert lines() == ["collecting: 2000000/2000000 drives (100%), took 00:02, 1000000.00 drives/s"]


def test_nothing_done_yet_is_no_division_by_zero(clock: Clock) -> None:
    with logged(3) as (_, lines):
        pass
    assert lines() == ["collecting: 0/3 drives (0%), ? left, ? drives/s"]
    with logged(0) as (_, lines):
        pass
    assert lines() == ["collecting: 0/0 drives (0%), took 00:00, ? drives/s"]


def test_no_terminal_gets_plain_lines() -> None:
    log = io.StringIO()
    with progress("reading", 3, "files", file=log) as advance:
        advance()
        advance(2, "all well")
    assert log.getvalue().startswith("reading: 3/3 files (100%), took 00:00, ")
    assert log.getvalue().endswith("files/s, all well\n")
    assert log.getvalue().count("\n") == 1
    assert "\x1b" not in log.getvalue()
    assert "\r" not in log.getvalue()


def frames(columns: int, work: Callable[[TextIO], None]) -> list[str]:
    """What work writes to a terminal of some width: the texts that overwrite each other in its line."""
    import fcntl
    import termios

    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(follower, "w", encoding="utf-8") as terminal:
        work(terminal)
    shown = b"".join(iter(lambda: next_bytes(leader), b""))
    os.close(leader)
    return shown.decode().removesuffix("\r\n").removeprefix("\r").split("\r")


def next_bytes(descriptor: int) -> bytes:
    """Next bytes of a terminal whose writer has gone; none at their end, where Linux reports an error."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def short_work(terminal: TextIO) -> None:
    with progress("reading", 4, "files", already=1, file=terminal) as advance:
        advance(1, "slow")
        advance(2, "all well")


@pytest.mark.linux
def test_terminal_gets_a_bar_with_count_rate_and_note() -> None:
    last = frames(120, short_work)[-1]  # each frame of the bar overwrites the one before
    assert last.startswith("reading: ██████████ 4/4 files, took 00:00, ")
    assert "files/s" in last
    assert "all well" in last


@pytest.mark.linux
@pytest.mark.parametrize("columns", [60, 80])
def test_a_long_note_is_cut_to_the_width_of_the_terminal(columns: int, clock: Clock) -> None:
    def work(terminal: TextIO) -> None:
        with progress("evaluating", 1200, "drives", file=terminal) as advance:
            for _ in range(12):
                clock.now += 60.0
                advance(100, ", ".join(f"driver-{i} 10/12" for i in range(9)))

    shown = frames(columns, work)
    assert len(shown) > 12
    assert max(map(len, shown)) == columns - 1
    whole = "evaluating: █████      600/1200 drives, 06:00 left,  1.67 drives/s, driver-0 10/12, driver-1 10/12"
    assert shown[6] == whole[: columns - 1]
