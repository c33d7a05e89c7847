"""The keys of the viewer, as pure functions: from one state of the playback, or of the choices, to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from navsim.drivers.keyboard import RELEASE_KEY
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.simulation.scenario import Scenario

SPEEDS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 0.0)
"""Real-time factors in the order of + and -; the last one, 0, is as fast as possible."""
SALIENCY = "v"
"""Key that shows and hides the driver's saliency."""

TOUR_TOWNS = ("test-3", "village-test-0", "grid-test-0", "suburb-test-0", "test-7", "village-test-5")
"""Towns that follow the requested ones."""
TOUR_WEATHERS = ("", "noon+clear+summer", "dusk+rain", "morning+fog+autumn", "winter+overcast", "night+clear")
"""Conditions that follow the requested ones; the first, empty, stands for those of each town."""


class Choice(StrEnum):
    """Part of a drive that keys can change."""

    ROUTE = "route"
    DRIVER = "driver"
    TOWN = "town"
    WEATHER = "weather"


@dataclass(frozen=True)
class ViewerCommand:
    """Command to show another drive."""

    choice: Choice
    """Part of the drive that changes."""
    step: int
    """1 for the next, -1 for the previous, 0 for the same again."""


NEXT = ViewerCommand(Choice.ROUTE, 1)
"""Command that follows the end of a drive."""
COMMANDS: dict[str, ViewerCommand] = {
    "r": ViewerCommand(Choice.ROUTE, 0),
    "n": NEXT,
    "enter": NEXT,
    "p": ViewerCommand(Choice.ROUTE, -1),
    "1": ViewerCommand(Choice.DRIVER, -1),
    "2": ViewerCommand(Choice.DRIVER, 1),
    "3": ViewerCommand(Choice.TOWN, -1),
    "4": ViewerCommand(Choice.TOWN, 1),
    "5": ViewerCommand(Choice.WEATHER, -1),
    "6": ViewerCommand(Choice.WEATHER, 1),
}
"""Command of each key."""


@dataclass(frozen=True)
class Capabilities:
    """Keys that have an effect in a window."""

    choices: tuple[Choice, ...] = (Choice.ROUTE,)
    """Parts of a drive that keys can change."""
    steering: bool = False
    """Whether a person can steer."""
    filming: bool = False
    """Whether films can be made."""
    saliency: bool = True
    """Whether the dashboard can show saliency."""


@dataclass(frozen=True)
class Playback:
    """State of the viewer: pace, camera, and the next command."""

    speed: float = 1.0
    """Ratio of simulated time to real time; 0 for as fast as possible."""
    view: Viewpoint = Viewpoint.CHASE
    """Viewpoint of the window."""
    paused: bool = False
    """Whether the drive is paused."""
    stepping: bool = False
    """Whether a paused drive advances by one control step."""
    command: ViewerCommand | None = None
    """Command to show another drive, if any."""
    filming: bool = False
    """Whether the drive is recorded in a film."""
    show_saliency: bool = False
    """Whether the dashboard shows the driver's saliency."""
    ended: bool = False
    """Whether the user has quit."""
    capabilities: Capabilities = Capabilities()
    """Keys that have an effect."""

    def after(self, key: str) -> "Playback":
        """Return the playback after a key, named as by `Window.keys`; other keys change nothing."""
        command = COMMANDS.get(key)
        if command is not None and command.choice in self.capabilities.choices:
            return replace(self, command=command)
        if key == "m" and self.capabilities.filming:
            return replace(self, filming=not self.filming)
        if key == SALIENCY and self.capabilities.saliency:
            return replace(self, show_saliency=not self.show_saliency)
        if key == "space":
            return replace(self, paused=not self.paused, stepping=False)
        if key == "s":
            return replace(self, paused=True, stepping=True)
        if key == "c":
            return replace(self, view=self.view.following)
        if key in ("q", "escape"):
            return replace(self, ended=True)
        if key in ("+", "="):
            return replace(self, speed=_next_speed(self.speed, 1))
        if key in ("-", "_"):
            return replace(self, speed=_next_speed(self.speed, -1))
        return self

    @property
    def text(self) -> str:
        """Pace of the drive, for the screen."""
        pace = "as fast as possible" if self.speed == 0 else f"{self.speed:g}x"
        return f"paused ({pace})" if self.paused else pace

    def status(self, *others: str) -> str:
        """Return the pace, the other texts that are not empty, and whether a film is recorded, in one line."""
        return "   ".join(filter(None, (self.text, *others, "filming" if self.filming else "")))


def key_help(capabilities: Capabilities) -> tuple[tuple[str, str], ...]:
    """Return all keys that have an effect, each with a short description."""
    pairs = [("space", "pause"), ("s", "step"), ("c", "camera"), ("+ -", "speed")]
    pairs += [("r", "restart"), ("p n", "route")]
    for choice, keys in ((Choice.DRIVER, "1 2"), (Choice.TOWN, "3 4"), (Choice.WEATHER, "5 6")):
        pairs += [(keys, str(choice))] if choice in capabilities.choices else []
    pairs += [("arrows", "steer"), (RELEASE_KEY, "release")] if capabilities.steering else []
    pairs += [(SALIENCY, "saliency")] if capabilities.saliency else []
    pairs += [("m", "film")] if capabilities.filming else []
    return (*pairs, ("q", "quit"))


def _next_speed(speed: float, direction: int) -> float:
    """Return the next of SPEEDS in a direction, also for a factor between two of them."""

    def rank(factor: float) -> float:
        return float("inf") if factor == 0 else factor

    if direction > 0:
        return min((known for known in SPEEDS if rank(known) > rank(speed)), key=rank, default=speed)
    return max((known for known in SPEEDS if rank(known) < rank(speed)), key=rank, default=speed)


@dataclass(frozen=True)
class Choices:
    """Drivers, towns and conditions to choose from, and the current choice."""

    drivers: tuple[str, ...]
    """Names of drivers, at least one."""
    towns: tuple[str, ...]
    """Names of towns, at least one."""
    weathers: tuple[str, ...]
    """Conditions, at least one, see `navsim.world.scenery.appearance`."""
    route: int = 0
    """Number of the route in the town."""
    seed: int = 0
    """Seed of the scenario."""
    driver: int = 0
    """Index of the current driver."""
    town: int = 0
    """Index of the current town."""
    weather: int = 0
    """Index of the current conditions."""

    def after(self, command: ViewerCommand) -> "Choices":
        """Return the choices after a command; lists are cyclic, routes begin with 0."""
        if command.choice is Choice.ROUTE:
            return replace(self, route=max(self.route + command.step, 0))
        if command.choice is Choice.DRIVER:
            return replace(self, driver=(self.driver + command.step) % len(self.drivers))
        if command.choice is Choice.TOWN:
            return replace(self, town=(self.town + command.step) % len(self.towns))
        return replace(self, weather=(self.weather + command.step) % len(self.weathers))

    @property
    def scenario(self) -> Scenario:
        """Scenario of the current choice."""
        return Scenario(self.towns[self.town], self.route, self.seed, appearance=self.weathers[self.weather])


def with_tour(requested: Sequence[str], tour: Sequence[str]) -> tuple[str, ...]:
    """Return the requested names, then the rest of the tour, without duplicates."""
    return tuple(dict.fromkeys([*requested, *tour]))
