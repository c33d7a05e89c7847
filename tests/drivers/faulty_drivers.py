"""Drivers that go wrong, in a module of their own so that worker processes find them."""

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from navsim.drivers.protocol import ConstantDriver, Decision, Driver
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


class FailingDriver(ConstantDriver):
    """Drives straight on, but does `deed` in the drive with the seed `when`, or in every one if that is -1."""

    def __init__(self, deed: str, when: int = -1) -> None:
        super().__init__()
        self.name = "failing"
        self._deed, self._when = deed, when
        self._seed = -1

    def begin(self, seed: int) -> None:
        self._seed = seed

    def drive(self, observation: Observation) -> Decision:
        if self._when in (-1, self._seed):
            self._fail()
            if self._deed == "nothing":
                return None  # type: ignore[return-value]
        return Decision(0.0)

    def _fail(self) -> None:
        match self._deed:
            case "raise":
                raise ZeroDivisionError("nothing to\nshare out")
            case "exit":
                raise SystemExit(3)
            case "text":
                Decision("left")  # type: ignore[arg-type]
            case "nan":
                Decision(float("nan"))
            case "hang":
                while True:
                    time.sleep(60)
            case "linger":
                time.sleep(0.2)
            case "segfault":
                ctypes.string_at(0)


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


class FleetDriver(ConstantDriver):
    """Drives several cars, each on a curve that its drive's seed decides, tighter with each step.

    The car whose drive has the seed `flaw` commands what no car can do; if `deadly`, its process dies instead, each
    time.
    """

    def __init__(self, flaw: int = -1, deadly: bool = False) -> None:
        super().__init__()
        self.name = "fleet"
        self.passes: list[int] = []
        self._flaw, self._deadly = flaw, deadly
        self._seeds: dict[int, int] = {}
        self._steps: dict[int, int] = {}

    def begin(self, seed: int) -> None:
        self.begin_car(-1, seed)

    def drive(self, observation: Observation) -> Decision:
        return self._decide(-1)

    def begin_car(self, car: int, seed: int) -> None:
        self._seeds[car], self._steps[car] = seed, 0

    def drive_cars(self, observations: Mapping[int, Observation]) -> dict[int, Decision]:
        self.passes.append(len(observations))
        return {car: self._decide(car) for car in observations}

    def _decide(self, car: int) -> Decision:
        self._steps[car] += 1
        if self._seeds[car] == self._flaw and self._deadly:
            os._exit(9)
        curvature = (self._seeds[car] % 100 - 50) * 2e-6 * self._steps[car]
        return Decision(99.0 if self._seeds[car] == self._flaw else curvature)


class HangingFleet(FleetDriver):
    """Never answers once the car with the flaw is among those it is asked about."""

    def _decide(self, car: int) -> Decision:
        while self._seeds[car] == self._flaw:
            time.sleep(60)
        return super()._decide(car)


def make_fleet(flaw: int) -> Driver:
    return FleetDriver(flaw)


def make_deadly_fleet(flaw: int) -> Driver:
    return FleetDriver(flaw, deadly=True)


def make_constant(curvature: float) -> Driver:
    return ConstantDriver(curvature)


def make_flaky(last: float) -> Driver:
    return FlakyDriver(last)


def make_failing(source: tuple[str, int]) -> Driver:
    return FailingDriver(*source)


def make_hanging_fleet(flaw: int) -> Driver:
    return HangingFleet(flaw)


def make_dying(marker: str) -> Driver:
    return DyingDriver(marker)


def make_nothing(_: None) -> Driver:
    raise KeyError("no such weights")


def make_healing(flaw: str) -> Driver:
    """Wrong as long as the file `flaw` is there."""
    return FlakyDriver(float("nan") if Path(flaw).exists() else 0.0)


class SureDriver(ConstantDriver):
    """Drives straight on, by an even distribution over a part of the range around it."""

    def __init__(self, reach: float) -> None:
        super().__init__()
        self.name = "sure"
        grid = np.linspace(-0.2, 0.2, 81)
        self._sure = Decision(0.0, grid, (np.abs(grid) <= reach).astype(float))

    def drive(self, observation: Observation) -> Decision:
        return self._sure


def make_sure(reach: float) -> Driver:
    return SureDriver(reach)
