"""Drivers that go wrong, in a module of their own so that worker processes find them."""

import os
from pathlib import Path

from navsim.driving.drivers import ConstantDriver, Decision, Driver
from navsim.sensing.observation import Observation


class FlakyDriver(ConstantDriver):
    """Drives straight on for a while, then commands `last`."""

    def __init__(self, last: float) -> None:
        super().__init__()
        self.name = "flaky"
        self._last = last
        self._steps = 0

    def begin(self, seed: int) -> None:
        self._steps = 0

    def drive(self, observation: Observation) -> Decision:
        self._steps += 1
        return Decision(0.0 if self._steps < 4 else self._last)


class DyingDriver(ConstantDriver):
    """Ends its process the first time, which it remembers in a file."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self._marker = Path(marker)

    def drive(self, observation: Observation) -> Decision:
        if not self._marker.exists():
            self._marker.touch()
            os._exit(9)
        return super().drive(observation)


def make_constant(curvature: float) -> Driver:
    return ConstantDriver(curvature)


def make_flaky(last: float) -> Driver:
    return FlakyDriver(last)


def make_dying(marker: str) -> Driver:
    return DyingDriver(marker)


def make_nothing(_: None) -> Driver:
    raise KeyError("no such weights")


def make_healing(flaw: str) -> Driver:
    """Wrong as long as the file `flaw` is there."""
    return FlakyDriver(float("nan") if Path(flaw).exists() else 0.0)
