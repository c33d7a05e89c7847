"""Driving by keyboard: arrow keys take over the steering from another driver, until a key returns it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from navsim.drivers.protocol import Decision, Driver, Expert, explanation_of
from navsim.roads.routing import Route
from navsim.sensing.observation import Observation
from navsim.world.vehicle import VehicleState

STEERING = frozenset({"left", "right", "up"})
"""Keys that steer: to either side, and straight on."""
RELEASE_KEY = "h"
"""Key that returns the steering to the driver."""
LATERAL_ACCELERATION = 4.0
"""Largest lateral acceleration that keys can command [m/s^2]; one curvature for all speeds would throw the car off."""
TURNING_TIME = 0.45
"""Time from straight on to the sharpest curve, and back [s]."""


@dataclass(frozen=True)
class SteeringWheel:
    """Steering by a person: whether it is active, and its curvature."""

    active: bool = False
    """Whether a person steers."""
    curvature: float = 0.0
    """Curvature that the person commands [1/m], positive to the left."""

    def after_press(self, pressed: Iterable[str], curvature: float) -> "SteeringWheel":
        """Return the wheel after key presses: an arrow takes over at `curvature` [1/m], `RELEASE_KEY` releases."""
        keys = set(pressed)
        if RELEASE_KEY in keys:
            return SteeringWheel()
        return SteeringWheel(True, curvature) if keys & STEERING and not self.active else self

    def after_hold(self, held: Iterable[str], seconds: float, speed: float, limit: float) -> "SteeringWheel":
        """Return the wheel after keys were held for a time; without keys it turns back to straight on.

        Args:
            held: Names of keys.
            seconds: Time for which the keys were held [s].
            speed: Speed of the car [m/s].
            limit: The car's largest curvature [1/m].
        """
        keys = set(held)
        reach = min(limit, LATERAL_ACCELERATION / max(speed, 1.0) ** 2)
        target = reach * (("left" in keys) - ("right" in keys))
        if "up" in keys:
            return replace(self, curvature=0.0)
        max_change = reach * seconds / TURNING_TIME
        change = float(np.clip(target - self.curvature, -max_change, max_change))
        return replace(self, curvature=float(np.clip(self.curvature + change, -limit, limit)))


class KeyboardInput:
    """Keys pressed by a person at any time, which act at the next decision."""

    def __init__(self, max_curvature: float, control_step: float, at_start: bool = False) -> None:
        """Wait for keys.

        Args:
            max_curvature: Largest curvature of the car [1/m].
            control_step: Time between two decisions [s].
            at_start: Whether the person steers from the start.
        """
        self._limit = max_curvature
        self._step = control_step
        self._last = 0.0
        self.begin(at_start)

    def begin(self, at_start: bool) -> None:
        """Begin a drive."""
        self.wheel = SteeringWheel(active=at_start)
        """State of the steering wheel."""
        self.used = at_start
        """Whether a person has steered in this drive."""
        self._held: set[str] = set()
        self._last = 0.0

    def update(self, pressed: Iterable[str], held: Iterable[str]) -> None:
        """Process the keys that were pressed since the last call and those that are held down now."""
        keys = set(pressed)
        self.wheel = self.wheel.after_press(keys, self._last)
        self.used = self.used or self.wheel.active
        self._held |= STEERING & (keys | set(held))

    def override(self, decision: Decision, speed: float) -> Decision:
        """Return the decision to drive: with the person's curvature if a person steers, else the driver's own."""
        if self.wheel.active:
            self.wheel = self.wheel.after_hold(self._held, self._step, speed, self._limit)
            decision = replace(decision, curvature=self.wheel.curvature)
        self._held.clear()
        self._last = decision.curvature
        return decision


class TakeoverDriver:
    """A driver whose steering a person may take over; it decides at every step, because it may have a memory."""

    def __init__(self, driver: Driver, keyboard: KeyboardInput) -> None:
        """Wrap `driver`."""
        self.name = driver.name
        self.explain = explanation_of(driver)
        """Returns how much each pixel matters to the driver; None if it cannot."""
        self._driver, self._keyboard = driver, keyboard

    def begin(self, seed: int) -> None:
        """Begin the driver's drive."""
        self._driver.begin(seed)

    def drive(self, observation: Observation) -> Decision:
        """Return the decision of the driver or of the person."""
        return self._keyboard.override(self._driver.drive(observation), observation.speed)


class TakeoverExpert:
    """An expert whose steering a person may take over."""

    def __init__(self, expert: Expert, keyboard: KeyboardInput) -> None:
        """Wrap `expert`."""
        self.name = expert.name
        self._expert, self._keyboard = expert, keyboard

    def follow(self, route: Route) -> None:
        """Let the expert start following a route."""
        self._expert.follow(route)

    def command(self, state: VehicleState) -> Decision:
        """Return the decision of the expert or of the person."""
        return self._keyboard.override(self._expert.command(state), state.speed)


def with_takeover(driver: Driver | Expert, keyboard: KeyboardInput) -> Driver | Expert:
    """Return a driver whose steering a person may take over."""
    return TakeoverExpert(driver, keyboard) if isinstance(driver, Expert) else TakeoverDriver(driver, keyboard)
