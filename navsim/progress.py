"""Progress of long work: how much is done, how fast, how long it still takes.

A terminal shows a bar in one line. A log file or a pipe gets a plain line every ten seconds.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from tqdm import tqdm

LINE_INTERVAL = 10.0
"""Shortest time between two plain lines [s]."""
_NUMBERS = "{n:.0f}/{total:.0f}{unit}"
_UNDER_WAY = "{remaining} left, {rate_noinv_fmt}{postfix}"
_DONE = "took {elapsed}, {rate_noinv_fmt}{postfix}"
# Every update reads the clock itself, so that tqdm's own thread would have nothing to do.
tqdm.monitor_interval = 0


class Advance(Protocol):
    """Reports that work was done."""

    def __call__(self, count: float = 1, note: str = "") -> None:
        """Add `count` units and show `note`, a few words of what else is worth knowing."""


@contextmanager
def progress(
    description: str, total: float, unit: str, already: float = 0, file: IO[str] | None = None
) -> Iterator[Advance]:
    """Show the progress of the work inside the block.

    Args:
        description: What is being done, such as "collecting".
        total: Units of work in all.
        unit: Name of the units, such as "drives".
        already: Units that were done before; they do not count for the rate.
        file: Where to write; None is standard output.

    Yields:
        The function to call as `advance(count, note)` whenever units are done.
    """
    file = sys.stdout if file is None else file
    terminal = file.isatty()
    shown = "{desc}: {bar:10} " + _NUMBERS if terminal else "{desc}: " + _NUMBERS + " ({percentage:.0f}%)"
    bar = tqdm(
        desc=description,
        total=total,
        initial=already,
        unit=f" {unit}",
        file=file if terminal else _LineFile(file),
        dynamic_ncols=terminal,  # a bar is cut to the terminal's width, a line of a log is not
        leave=terminal,
        mininterval=0.1 if terminal else LINE_INTERVAL,
        miniters=0,
        smoothing=0,
        delay=0 if terminal else LINE_INTERVAL,
        bar_format=f"{shown}, {_UNDER_WAY}",
    )

    def advance(count: float = 1, note: str = "") -> None:
        bar.set_postfix_str(note, refresh=False)
        bar.update(count)

    try:
        yield advance
        if bar.n >= total:
            bar.bar_format = f"{shown}, {_DONE}"
        bar.refresh()
    finally:
        bar.close()


class _LineFile:
    """Turns states of a bar, which overwrite each other on a terminal, into lines of a file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a state as a line; what clears a line is left out."""
        if line := " ".join(text.split()):
            print(line, file=self._file, flush=True)

    def flush(self) -> None:
        """Nothing waits: lines are flushed as they are written."""
