"""Which routes are driven: held-out towns and routes, or those of one town, drawn from a seed, the same everywhere."""

from dataclasses import dataclass

from navsim.errors import ConfigError
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.seeding import generator
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import check_town_name
from navsim.world.scenery.appearance import parse_spec

TOWN_POOL = 1000
"""Suites draw their towns among so many of a split."""
ROUTE_POOL = 1000
"""And their routes among so many of a town."""


@dataclass(frozen=True)
class RouteSuite:
    """A set of routes to measure drivers on.

    More routes or more seeds leave the others as they were: a suite of 40 routes is the beginning of one of 80.
    """

    routes: int = 40
    """Routes through junctions: they give the main score; 0 leaves it out."""
    lane_routes: int = 20
    """Routes along one lane between junctions: they give the lane-follow score; 0 leaves it out."""
    towns: int = 10
    """Towns over which the routes are spread, from 1 to 1000."""
    split: Split = Split.TEST
    """Which towns; only `test` and `validation` towns are never trained on."""
    seed: int = 0
    """Decides towns, routes and everything random in the drives."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Who draws the towns, in turn."""
    town: str | None = None
    """The one town in which all routes lie, such as `osm:FILE`; None draws `towns` of `split`."""
    appearance: str = ""
    """Conditions of all drives, see `navsim.world.scenery.appearance`; empty draws those of training for each town."""

    def __post_init__(self) -> None:
        check_generators(self.generators)
        parse_spec(self.appearance)
        asked = f"got routes {self.routes}, lane_routes {self.lane_routes}"
        if self.routes < 0 or self.lane_routes < 0 or self.routes + self.lane_routes < 1:
            raise ConfigError(f"routes and lane_routes must be at least 0, and at least 1 together, {asked}")
        if not 1 <= self.towns <= TOWN_POOL:
            raise ConfigError(f"towns must be 1 to {TOWN_POOL}, got {self.towns}")
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
        if self.town is not None:
            check_town_name(self.town)
        count = self.towns if self.town is None else 1
        if max(self.routes, self.lane_routes) > count * ROUTE_POOL:
            raise ConfigError(f"{count} towns have {count * ROUTE_POOL} routes, {asked}")

    def scenarios(self) -> tuple[Scenario, ...]:
        """All scenarios: first those through junctions, then those along lanes; each town's turn comes in order."""
        return self._drawn(self.routes, junctions=True) + self._drawn(self.lane_routes, junctions=False)

    def _drawn(self, count: int, junctions: bool) -> tuple[Scenario, ...]:
        """Scenario i goes to town i modulo the number of towns."""
        kind = "junctions" if junctions else "lanes"
        towns = self._towns()
        # A real town draws under the same words wherever its file lies.
        routes = [
            generator(self.seed, "suite", kind, "town" if self.town else t).permutation(ROUTE_POOL) for t in towns
        ]
        return tuple(
            Scenario(
                town=towns[i % len(towns)],
                route=int(routes[i % len(towns)][i // len(towns)]),
                seed=self.seed,
                junctions=junctions,
                appearance=self.appearance,
            )
            for i in range(count)
        )

    def _towns(self) -> list[str]:
        """Names of the towns."""
        if self.town is not None:
            return [self.town]
        numbers = generator(self.seed, "suite", "towns").permutation(TOWN_POOL)[: self.towns]
        return [str(town) for town in spread_towns(self.split, numbers.tolist(), self.generators)]
