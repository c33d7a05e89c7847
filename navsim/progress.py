"""Progress of long work: how much is done, how fast, how long it still takes.

On a terminal a bar that moves; elsewhere (a log file, CI) a plain line every ten seconds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Advance(Protocol):
    """Reports that work was done."""

    def __call__(self, count: float = 1, note: str = "") -> None:
        """Add `count` units and show `note`, a few words of what else is worth knowing."""


@contextmanager
def progress(
    description: str, total: float, unit: str, already: float = 0, console: Console | None = None
) -> Iterator[Advance]:
    """Show the progress of the work inside the block.

    Args:
        description: What is being done, such as "collecting".
        total: Units of work in all.
        unit: Name of the units, such as "drives".
        already: Units that were done before; they do not count for the rate.
        console: Where to write; None is standard output.

    Yields:
        The function to call as `advance(count, note)` whenever units are done.
    """
    console = Console() if console is None else console
    if not console.is_terminal:
        lines = PlainProgress(description, total, unit, already, lambda text: console.print(text, highlight=False))
        yield lines.advance
        lines.finish()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        _RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total, completed=int(already), note="")
        yield lambda count=1, note="": bar.update(task, advance=count, note=note)


class PlainProgress:
    """Progress as lines of text, at most one every `interval` seconds and one at the end."""

    def __init__(
        self,
        description: str,
        total: float,
        unit: str,
        already: float,
        write: Callable[[str], None],
        *,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            description: What is being done.
            total: Units of work in all.
            unit: Name of the units.
            already: Units that were done before.
            write: Takes a line.
            interval: Shortest time between two lines [s].
            clock: Tells the time [s].
        """
        self._description, self._total, self._unit = description, total, unit
        self._already = self._done = already
        self._write, self._interval, self._clock = write, interval, clock
        self._started = self._written = clock()
        self._note = ""

    def advance(self, count: float = 1, note: str = "") -> None:
        """Add `count` units; writes a line when the last one is old enough."""
        self._done += count
        self._note = note
        if self._clock() - self._written >= self._interval:
            self._written = self._clock()
            self._write(self.line())

    def finish(self) -> None:
        """Write the last line."""
        self._write(self.line())

    def line(self) -> str:
        """The state of the work in one line."""
        elapsed = self._clock() - self._started
        rate = (self._done - self._already) / elapsed if elapsed > 0 else 0.0
        share = self._done / self._total if self._total else 1.0
        parts = [
            f"{self._description}: {self._done:g}/{self._total:g} {self._unit} ({share:.0%})",
            f"{_rate(rate)} {self._unit}/s",
        ]
        if self._done < self._total:
            left = timedelta(seconds=round((self._total - self._done) / rate)) if rate > 0 else "unknown time"
            parts.append(f"{left} left")
        else:
            parts.append(f"took {timedelta(seconds=round(elapsed))}")
        return ", ".join([*parts, self._note] if self._note else parts)


class _RateColumn(ProgressColumn):
    """Units per second over the last moments."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Show the rate, or nothing before it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{_rate(speed)} {self._unit}/s")


def _rate(rate: float) -> str:
    """A rate with three digits, without an exponent."""
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"
