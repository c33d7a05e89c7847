"""Scenarios: drives as plain values, the route of a scenario, and how a drive can end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge

from navsim.config import Constrained
from navsim.errors import ConfigError, TownError
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route, sample_lane_route, sample_route
from navsim.seeding import generator
from navsim.simulation.town import is_osm_town, load_town_map, town_by_content, town_label, town_seed, town_slug
from navsim.world.scenery.appearance import parse_spec


class Outcome(StrEnum):
    """How a drive ended; each drive has exactly one outcome."""

    ARRIVED = "arrived"
    """The car reached the route's end in time, touched nothing and stayed within the offset limit."""
    LEFT_ROAD = "left_road"
    """The car was farther from the centre of every lane of the route than the limit (2 m, VISTA's crash rule)."""
    WRONG_TURN = "wrong_turn"
    """The same, because the car took another way through a junction than the route."""
    WRONG_LANE = "wrong_lane"
    """The same, because the car entered a junction in a lane that does not lead on along the route."""
    COLLIDED = "collided"
    """The car touched a kerb or anything that stands beside the road."""
    STUCK = "stuck"
    """The car stood still for too long."""
    TIMED_OUT = "timed_out"
    """The time for the route was up."""
    BROKE_OFF = "broke_off"
    """The driver failed (an error, no decision, too slow, the end of its process), or the machine did. Such a drive has
    no episode; an evaluation keeps the reason instead."""


@dataclass(frozen=True)
class StartOffset:
    """Start of a drive relative to the start of its route."""

    lateral: float = 0.0
    """Offset from the lane's centre, positive to the left [m]."""
    heading_deg: float = 0.0
    """Heading relative to the lane's, counter-clockwise [deg]."""


@dataclass(frozen=True)
class Scenario(Constrained):
    """One drive, reproducible from these values and a `SimulationConfig` alone."""

    town: str = "train-0"
    """Name of the town, see `navsim.simulation.town`; `osm:FILE` becomes a name of the file's content."""
    route: Annotated[int, Ge(0)] = 0
    """Number of the route within the town."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of all that varies between drives of one route, such as the drift of the GPS."""
    junctions: bool = True
    """Whether the route leads through junctions; otherwise it follows one lane between two of them."""
    start: StartOffset = field(default_factory=StartOffset)
    """Start of the car relative to the route."""
    length: float | None = None
    """Approximate length of the route [m], which then may pass a place again. None draws routes of 300 to 600 m that
    do not."""
    appearance: str = ""
    """Conditions such as "dusk+rain", see `navsim.world.scenery.appearance`; empty draws those of training for the
    town."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "town", town_by_content(self.town))
        if self.length is not None and not (self.junctions and 100 <= self.length <= 20_000):
            raise ConfigError(f"a scenario's length must be 100 to 20000 m and through junctions, got {self.length}")
        parse_spec(self.appearance)

    @property
    def name(self) -> str:
        """Name for files, such as `test-3-route7-seed1`; `lane` without junctions, `way` with a length."""
        look = f"-look-{self.appearance}" if self.appearance else ""
        kind = "lane" if not self.junctions else "route" if self.length is None else f"way{self.length:g}m-"
        return f"{town_slug(self.town)}-{kind}{self.route}-seed{self.seed}{look}"


def scenario_route(network: RoadNetwork, scenario: Scenario) -> Route:
    """Return the route of a scenario: same town and number, same route, whatever the scenario's seed.

    Raises:
        TownError: If the town has no such route.
    """
    seed = town_seed(scenario.town)
    try:
        if scenario.length is not None:
            bounds = 0.95 * scenario.length, 1.05 * scenario.length
            return sample_route(network, generator(seed, "way", scenario.route), *bounds, allow_revisits=True)
        if scenario.junctions:
            return sample_route(network, generator(seed, "route", scenario.route))
        return sample_lane_route(network, generator(seed, "lane route", scenario.route))
    except TownError as error:
        raise TownError(f"town {town_label(scenario.town)}: {error}") from None


def check_routes(scenarios: Iterable[Scenario]) -> None:
    """Make sure that all scenarios have a route, before the first drive.

    Procedural towns always have routes of the usual lengths, so only real towns and given lengths are examined.

    Raises:
        TownError: If a town cannot be built, or has fewer routes than are wanted.
    """
    towns: dict[str, dict[tuple[bool, float | None], dict[int, Scenario]]] = {}
    for scenario in scenarios:
        if is_osm_town(scenario.town) or scenario.length is not None:
            kinds = towns.setdefault(scenario.town, {})
            kinds.setdefault((scenario.junctions, scenario.length), {})[scenario.route] = scenario
    for town, kinds in towns.items():
        network = load_town_map(town).network
        for wanted in kinds.values():
            _check_routes_of_one_kind(network, tuple(wanted.values()))


def _check_routes_of_one_kind(network: RoadNetwork, scenarios: Sequence[Scenario]) -> None:
    """Raise TownError unless all scenarios of one town and one kind of route have a route."""
    errors = []
    for scenario in scenarios:
        try:
            scenario_route(network, scenario)
        except TownError as error:
            errors.append(str(error))
    if errors:
        kind = "through junctions" if scenarios[0].junctions else "along one lane"
        found = f"wanted {len(scenarios)} routes {kind}, found {len(scenarios) - len(errors)}"
        raise TownError(f"{errors[0]} ({found}); use a larger map, or ask for other routes")
