"""Routes to drive: in held-out towns or in one town, drawn from a seed, the same on every machine."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.roads.generators.towns import DEFAULT_GENERATORS, Generator, Split, check_generators, spread_towns
from navsim.seeding import generator
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import check_real_towns, check_town_name, town_by_content
from navsim.world.scenery.appearance import parse_spec

TOWN_POOL = 1000
"""Number of towns of a split from which suites draw."""
ROUTE_POOL = 1000
"""Number of routes of a town from which suites draw."""


@dataclass(frozen=True)
class RouteSuite(Constrained):
    """Routes on which drivers are measured.

    A larger number of routes keeps the first ones: a suite of 40 routes is the beginning of one of 80.
    """

    routes: Annotated[int, Ge(0)] = 40
    """Number of routes through junctions, which give the main score; 0 leaves it out."""
    lane_routes: Annotated[int, Ge(0)] = 20
    """Number of routes along one lane between junctions, which give the lane-following score; 0 leaves it out."""
    towns: Annotated[int, Ge(0), Le(TOWN_POOL)] = 10
    """Number of towns over which the routes are spread; 0 takes `real_towns` alone."""
    split: Split = Split.TEST
    """Split of the towns; only `test` and `validation` towns are never trained on."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of towns, routes and all random values in the drives."""
    generators: tuple[Generator, ...] = DEFAULT_GENERATORS
    """Generators of the towns, in turn."""
    town: str | None = None
    """The one town in which all routes lie, such as `osm:FILE`; None draws `towns` of `split`."""
    appearance: str = ""
    """Conditions of all drives, see `navsim.world.scenery.appearance`; empty draws those of training for each town."""
    real_towns: tuple[str, ...] = ()
    """Towns from OpenStreetMap extracts, each `osm:FILE`, that take turns with the drawn towns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_generators(self.generators)
        parse_spec(self.appearance)
        asked = f"got routes {self.routes}, lane_routes {self.lane_routes}"
        if self.routes + self.lane_routes < 1:
            raise ConfigError(f"routes and lane_routes must be at least 1 together, {asked}")
        if self.town is not None:
            check_town_name(self.town)
            if self.real_towns:
                raise ConfigError(f"town is {self.town}, the only one: it leaves no turn to real_towns")
        check_real_towns(self.real_towns)
        count = self.towns + len(self.real_towns) if self.town is None else 1
        if count == 0:
            raise ConfigError("towns is 0 and there are no real_towns: nowhere to drive")
        if max(self.routes, self.lane_routes) > count * ROUTE_POOL:
            raise ConfigError(f"{count} towns have {count * ROUTE_POOL} routes, {asked}")

    def scenarios(self) -> tuple[Scenario, ...]:
        """Return all scenarios: those through junctions, then those along lanes; the towns take turns."""
        return self._drawn(self.routes, junctions=True) + self._drawn(self.lane_routes, junctions=False)

    def _drawn(self, count: int, junctions: bool) -> tuple[Scenario, ...]:
        """Draw scenarios; scenario i is in town i modulo the number of towns."""
        kind = "junctions" if junctions else "lanes"
        towns = self._towns()
        # A real town draws from the same seed wherever its file is.
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
        """Return the names of the towns."""
        if self.town is not None:
            return [self.town]
        numbers = generator(self.seed, "suite", "towns").permutation(TOWN_POOL)[: self.towns]
        drawn = [str(town) for town in spread_towns(self.split, numbers.tolist(), self.generators)]
        return drawn + [town_by_content(town) for town in self.real_towns]
