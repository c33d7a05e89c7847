"""Progress on a terminal and in a log file."""

import io

from rich.console import Console

from navsim.progress import PlainProgress, progress


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(total: float, already: float = 0) -> tuple[PlainProgress, Clock, list[str]]:
    clock, lines = Clock(), list[str]()
    return PlainProgress("collecting", total, "drives", already, lines.append, clock=clock), clock, lines


def test_line_tells_share_rate_and_time_left() -> None:
    shown, clock, lines = plain(60)
    clock.now += 20.0
    shown.advance(10, "23 frames/s")
    assert lines == ["collecting: 10/60 drives (17%), 0.5 drives/s, 0:01:40 left, 23 frames/s"]


def test_lines_come_at_most_every_ten_seconds() -> None:
    shown, clock, lines = plain(1000)
    for _ in range(100):  # 25 s
        clock.now += 0.25
        shown.advance()
    assert len(lines) == 2


def test_work_done_before_does_not_count_for_the_rate() -> None:
    shown, clock, lines = plain(100, already=80)
    clock.now += 10.0
    shown.advance(5)
    assert lines == ["collecting: 85/100 drives (85%), 0.5 drives/s, 0:00:30 left"]


def test_last_line_tells_how_long_it_took() -> None:
    shown, clock, lines = plain(300)
    clock.now += 2.0
    shown.advance(300)
    shown.finish()
    assert lines == ["collecting: 300/300 drives (100%), 150 drives/s, took 0:00:02"]


def test_nothing_done_yet_is_no_division_by_zero() -> None:
    shown, _, lines = plain(3)
    shown.finish()
    assert lines == ["collecting: 0/3 drives (0%), 0 drives/s, unknown time left"]
    shown, _, lines = plain(0)
    shown.finish()
    assert lines == ["collecting: 0/0 drives (100%), 0 drives/s, took 0:00:00"]


def test_no_terminal_gets_plain_lines() -> None:
    log = io.StringIO()
    with progress("reading", 3, "files", console=Console(file=log, width=200)) as advance:
        advance()
        advance(2, "all well")
    assert log.getvalue().startswith("reading: 3/3 files (100%), ")
    assert log.getvalue().endswith(", took 0:00:00, all well\n")
    assert "\x1b" not in log.getvalue()


def test_terminal_gets_a_bar_with_count_rate_and_note() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=120, force_terminal=True, color_system=None)
    with progress("reading", 4, "files", already=1, console=console) as advance:
        advance(1, "slow")
        advance(2, "all well")
    last = screen.getvalue().rsplit("\r", 1)[-1]  # each frame of the bar overwrites the one before
    assert "reading" in last
    assert "4/4 files" in last
    assert "files/s" in last
    assert "all well" in last
