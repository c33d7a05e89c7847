"""Ctrl-C as a request: the step under way is ended and saved first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody has asked to stop."""

    def __init__(self) -> None:
        """Nobody has yet."""
        self.made = False

    def make(self) -> None:
        """Ask to stop after the step under way."""
        self.made = True


@contextmanager
def stop_on_interrupt() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C (SIGINT) inside the block into a `StopRequest`; a second one stops at once.

    Outside the main thread, where signals cannot be caught, nobody asks.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    previous = signal.getsignal(signal.SIGINT)

    def handle(_number: int, _frame: FrameType | None) -> None:
        request.make()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, handle)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, previous)
