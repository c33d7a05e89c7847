"""What the keys do while a drive is watched, as a pure function from one state of the playback to the next.

What is watched, as plain values: driver, town, weather and route, and how the keys change them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from navsim.drivers.keyboard import RELEASE_KEY
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.simulation.scenario import Scenario

SPEEDS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 0.0)
"""Real-time factors in the order of + and -; the last one, 0, is as fast as the machine can."""
SALIENCY = "v"
"""The key that shows what the driver looks at, and hides it again."""


class Choice(StrEnum):
    """What can be chosen while watching."""

    ROUTE = "route"
    DRIVER = "driver"
    TOWN = "town"
    WEATHER = "weather"


@dataclass(frozen=True)
class ViewerCommand:
    """What the watcher wants to see instead of the drive that is shown."""

    choice: Choice
    """What is to change."""
    step: int
    """1 for the next, -1 for the one before, 0 for the same once more."""


NEXT = ViewerCommand(Choice.ROUTE, 1)
"""What comes when a drive has ended."""
WISHES: dict[str, ViewerCommand] = {
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
"""Keys and what they wish for."""


@dataclass(frozen=True)
class Capabilities:
    """What keys may do in a window, for not everything can be done everywhere."""

    choices: tuple[Choice, ...] = (Choice.ROUTE,)
    """What can be chosen."""
    steering: bool = False
    """Whether the wheel can be taken."""
    filming: bool = False
    """Whether films can be made."""
    saliency: bool = True
    """Whether the panel can show what the driver looks at."""


@dataclass(frozen=True)
class Playback:
    """How the drive is shown, and what its watcher wants next."""

    speed: float = 1.0
    """Simulated over real time; 0 for as fast as possible."""
    view: Viewpoint = Viewpoint.CHASE
    """The window's camera."""
    paused: bool = False
    """Whether the drive stands still."""
    stepping: bool = False
    """Whether a paused drive may go on for one control step."""
    wish: ViewerCommand | None = None
    """What is wanted instead of this drive."""
    filming: bool = False
    """Whether what is shown goes into a film."""
    salient: bool = False
    """Whether the panel's pictures show what the driver looks at."""
    ended: bool = False
    """Whether the watcher has had enough."""
    abilities: Capabilities = Capabilities()
    """What the keys may do."""

    def after(self, key: str) -> "Playback":
        """The playback after a key named as by `Window.keys`; keys without a meaning change nothing."""
        wish = WISHES.get(key)
        if wish is not None and wish.choice in self.abilities.choices:
            return replace(self, wish=wish)
        if key == "m" and self.abilities.filming:
            return replace(self, filming=not self.filming)
        if key == SALIENCY and self.abilities.saliency:
            return replace(self, salient=not self.salient)
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
    def words(self) -> str:
        """How fast it goes, for the screen."""
        pace = "as fast as possible" if self.speed == 0 else f"{self.speed:g}x"
        return f"paused ({pace})" if self.paused else pace

    def status(self, *others: str) -> str:
        """The same with other words, those that are not empty, and whether it is filmed."""
        return "   ".join(filter(None, (self.words, *others, "filming" if self.filming else "")))


def key_help(abilities: Capabilities) -> tuple[tuple[str, str], ...]:
    """All keys that do something, each with a word on what."""
    pairs = [("space", "pause"), ("s", "step"), ("c", "camera"), ("+ -", "speed")]
    pairs += [("r", "restart"), ("p n", "route")]
    for choice, keys in ((Choice.DRIVER, "1 2"), (Choice.TOWN, "3 4"), (Choice.WEATHER, "5 6")):
        pairs += [(keys, str(choice))] if choice in abilities.choices else []
    pairs += [("arrows", "steer"), (RELEASE_KEY, "hand back")] if abilities.steering else []
    pairs += [(SALIENCY, "saliency")] if abilities.saliency else []
    pairs += [("m", "film")] if abilities.filming else []
    return (*pairs, ("q", "quit"))


def _next_speed(speed: float, direction: int) -> float:
    """The next of SPEEDS in that direction, also from a factor between them."""
    rank = [float("inf") if known == 0 else known for known in SPEEDS]
    now = float("inf") if speed == 0 else speed
    ahead = [i for i, known in enumerate(rank) if (known - now if now != known else 0.0) * direction > 0]
    if not ahead:
        return speed
    return SPEEDS[min(ahead) if direction > 0 else max(ahead)]


TOUR_TOWNS = ("test-3", "village-test-0", "grid-test-0", "suburb-test-0", "test-7", "village-test-5")
"""Towns that follow those that were asked for."""
TOUR_WEATHERS = ("", "noon+clear+summer", "dusk+rain", "morning+fog+autumn", "winter+overcast", "night+clear")
"""Conditions that follow those that were asked for; the first are drawn for each town."""


@dataclass(frozen=True)
class Choices:
    """Lists to choose from, and what is chosen."""

    drivers: tuple[str, ...]
    """Names, at least one."""
    towns: tuple[str, ...]
    """Names, at least one."""
    weathers: tuple[str, ...]
    """Conditions, see `navsim.world.scenery.appearance`, at least one."""
    route: int = 0
    """Number of the route in the town."""
    seed: int = 0
    """Of the scenario."""
    driver: int = 0
    """Index of the driver."""
    town: int = 0
    """Index of the town."""
    weather: int = 0
    """Index of the conditions."""

    def after(self, wish: ViewerCommand) -> "Choices":
        """The choices after a wish: lists go round, routes begin with 0."""
        if wish.choice is Choice.ROUTE:
            return replace(self, route=max(self.route + wish.step, 0))
        if wish.choice is Choice.DRIVER:
            return replace(self, driver=(self.driver + wish.step) % len(self.drivers))
        if wish.choice is Choice.TOWN:
            return replace(self, town=(self.town + wish.step) % len(self.towns))
        return replace(self, weather=(self.weather + wish.step) % len(self.weathers))

    @property
    def scenario(self) -> Scenario:
        """What is to be driven."""
        return Scenario(self.towns[self.town], self.route, self.seed, appearance=self.weathers[self.weather])


def with_tour(asked: Sequence[str], tour: Sequence[str]) -> tuple[str, ...]:
    """What was asked for, then the rest of the tour; each once."""
    return tuple(dict.fromkeys([*asked, *tour]))
