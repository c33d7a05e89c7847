"""A town made ready to drive: its roads, what stands beside them, and its map.

Towns that were built, kept for a while, so that simulations side by side build each of them once.
"""

from collections import OrderedDict
from dataclasses import dataclass

from navsim.errors import TownError
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route, sample_lane_route, sample_route
from navsim.seeding import generator
from navsim.sensing.roadmap import MapRaster, MapSpec, rasterise_roads
from navsim.simulation.scenario import Scenario
from navsim.simulation.town_map import TownMap, load_town_map, town_seed
from navsim.world.scenery.appearance import Appearance, appearance_of
from navsim.world.scenery.scene import Scene, build_scene


@dataclass(frozen=True, eq=False)
class Town:
    """Everything about a town that drives share."""

    name: str
    """Name that scenarios use."""
    map: TownMap
    """Roads, houses if known, and whose data they are."""
    spec: str
    """Conditions that scenarios ask for, see `navsim.world.scenery.appearance`."""
    appearance: Appearance
    """What was drawn under them."""
    scene: Scene
    """What is there to be seen and hit."""
    raster: MapRaster
    """Its roads as a picture, from which map patches are cut."""

    @property
    def network(self) -> RoadNetwork:
        """Roads and junctions."""
        return self.map.network


def build_town_for_driving(name: str, map_spec: MapSpec, appearance: str = "") -> Town:
    """Build a town from its name and conditions alone: same name and conditions, same town.

    What stands where depends on the name only, except what an appearance decides on: how many houses and trees.

    Args:
        name: Name of the town.
        map_spec: Map patches.
        appearance: Conditions such as "dusk+rain", see `navsim.world.scenery.appearance`.

    Raises:
        TownError: If the name is none of a town.
        ConfigError: If the conditions are unknown.
    """
    there, seed = load_town_map(name), town_seed(name)
    look = appearance_of(appearance, generator(seed, "appearance"))
    scene = build_scene(there.network, look, generator(seed, "scenery"), there.footprints)
    return Town(name, there, appearance, look, scene, rasterise_roads(there.network, map_spec))


def scenario_route(network: RoadNetwork, scenario: Scenario) -> Route:
    """The route that a scenario names: same town and number, same route, whatever the scenario's seed.

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
        raise TownError(f"town {scenario.town}: {error}") from None


class TownCache:
    """The towns last asked for; the one not asked for the longest makes room for the next."""

    def __init__(self, map_spec: MapSpec, room: int = 1) -> None:
        """Keep up to `room` towns, with maps drawn for patches of `map_spec`."""
        self._map_spec = map_spec
        self._room = room
        self._towns: OrderedDict[tuple[str, str], Town] = OrderedDict()

    def town(self, name: str, appearance: str = "") -> Town:
        """A town under some conditions, built unless it is there: then it is the very same object.

        Raises:
            TownError: If there is no such town, or it cannot be built.
            ConfigError: If the conditions are unknown.
        """
        key = name, appearance
        if key not in self._towns:
            while len(self._towns) >= self._room:
                self._towns.popitem(last=False)
            self._towns[key] = build_town_for_driving(name, self._map_spec, appearance)
        self._towns.move_to_end(key)
        return self._towns[key]
