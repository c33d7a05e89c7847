"""A person at the wheel: arrow keys turn it, and whoever drives otherwise is still asked, and drives on when let."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from navsim.drivers.protocol import Decision, Driver, Expert, explanation_of
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState

STEERING = frozenset({"left", "right", "up"})
"""Keys that take the wheel: to either side, and straight on."""
HAND_BACK = "h"
"""The key that lets go of it."""
LATERAL_ACCELERATION = 4.0
"""Of the sharpest curve within the keys' reach [m/s^2]; a wheel that turns as far at any speed throws the car off."""
TURNING_TIME = 0.45
"""From straight on to the sharpest curve, and back [s]."""


@dataclass(frozen=True)
class Wheel:
    """The steering wheel: whether a person has it, and how it is turned."""

    in_hand: bool = False
    """Whether a person steers."""
    curvature: float = 0.0
    """What the person wants [1/m], positive to the left."""

    def grasped(self, pressed: Iterable[str], curvature: float) -> "Wheel":
        """The wheel after keys: an arrow takes it, turned as it is (`curvature` [1/m]); `HAND_BACK` lets it go."""
        keys = set(pressed)
        if HAND_BACK in keys:
            return Wheel()
        return Wheel(True, curvature) if keys & STEERING and not self.in_hand else self

    def turned(self, held: Iterable[str], seconds: float, speed: float, limit: float) -> "Wheel":
        """The wheel after keys were held for a time; without keys it turns back to straight on.

        Args:
            held: Names of keys.
            seconds: For how long.
            speed: Of the car [m/s].
            limit: The car's largest curvature [1/m].
        """
        keys = set(held)
        reach = min(limit, LATERAL_ACCELERATION / max(speed, 1.0) ** 2)
        target = reach * (("left" in keys) - ("right" in keys))
        if "up" in keys:
            return replace(self, curvature=0.0)
        most = reach * seconds / TURNING_TIME
        change = float(np.clip(target - self.curvature, -most, most))
        return replace(self, curvature=float(np.clip(self.curvature + change, -limit, limit)))


class KeyboardInput:
    """The hands of whoever watches: keys come in at any time, and act at the next decision."""

    def __init__(self, max_curvature: float, control_step: float, at_start: bool = False) -> None:
        """Lie idle.

        Args:
            max_curvature: The car's [1/m].
            control_step: Time between two decisions [s].
            at_start: Whether drives begin with the wheel in hand.
        """
        self._limit = max_curvature
        self._step = control_step
        self._last = 0.0
        self.begin(at_start)

    def begin(self, at_start: bool) -> None:
        """Begin a drive."""
        self.wheel = Wheel(in_hand=at_start)
        """The wheel now."""
        self.used = at_start
        """Whether a person has steered in this drive."""
        self._felt: set[str] = set()
        self._last = 0.0

    def feel(self, pressed: Iterable[str], held: Iterable[str]) -> None:
        """Take keys that were pressed, and those that are held down now."""
        keys = set(pressed)
        self.wheel = self.wheel.grasped(keys, self._last)
        self.used = self.used or self.wheel.in_hand
        self._felt |= STEERING & (keys | set(held))

    def overrule(self, decision: Decision, speed: float) -> Decision:
        """The decision that counts: the person's if they have the wheel, with the distribution of the driver's."""
        if self.wheel.in_hand:
            self.wheel = self.wheel.turned(self._felt, self._step, speed, self._limit)
            decision = replace(decision, curvature=self.wheel.curvature)
        self._felt.clear()
        self._last = decision.curvature
        return decision


class TakeoverDriver:
    """A driver from whom hands may take the wheel; it is asked all the while, for it may remember what it sees."""

    def __init__(self, driver: Driver, hands: KeyboardInput) -> None:
        """Sit beside `driver`."""
        self.name = driver.name
        self.explain = explanation_of(driver)
        """Tells what the driver looks at, whoever steers; None if it cannot."""
        self._driver, self._hands = driver, hands

    def begin(self, seed: int) -> None:
        """Begin the driver's drive."""
        self._driver.begin(seed)

    def drive(self, observation: Observation) -> Decision:
        """The driver's decision, or that of the hands."""
        return self._hands.overrule(self._driver.drive(observation), observation.speed)


class TakeoverExpert:
    """The same for an expert."""

    def __init__(self, expert: Expert, hands: KeyboardInput) -> None:
        """Sit beside `expert`."""
        self.name = expert.name
        self._expert, self._hands = expert, hands

    def follow(self, route: Route) -> None:
        """Let the expert take up a route."""
        self._expert.follow(route)

    def command(self, state: VehicleState) -> Decision:
        """The expert's decision, or that of the hands."""
        return self._hands.overrule(self._expert.command(state), state.speed)


def with_takeover(driver: Driver | Expert, hands: KeyboardInput) -> Driver | Expert:
    """A driver from whom hands may take the wheel."""
    return TakeoverExpert(driver, hands) if isinstance(driver, Expert) else TakeoverDriver(driver, hands)
