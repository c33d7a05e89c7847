"""What is watched, as plain values: driver, town, weather and route, and how the keys change them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from navsim.simulation.scenario import Scenario
from navsim.viewer.viewer_keys import Choice, Wish

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

    def after(self, wish: Wish) -> "Choices":
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
