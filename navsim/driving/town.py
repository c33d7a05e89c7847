"""A town made ready to drive: its roads, what stands beside them, and its map."""

from dataclasses import dataclass

from navsim.driving.scenario import Scenario
from navsim.randomness import generator
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route, sample_lane_route, sample_route
from navsim.roads.towns import TownId, build_town
from navsim.sensing.roadmap import MapRaster, MapSpec, rasterise_roads
from navsim.world.appearance import sample_appearance
from navsim.world.scene import Scene, build_scene


@dataclass(frozen=True, eq=False)
class Town:
    """Everything about a town that drives share."""

    name: str
    """Name that scenarios use."""
    network: RoadNetwork
    """Roads and junctions."""
    scene: Scene
    """What is there to be seen and hit."""
    raster: MapRaster
    """Its roads as a picture, from which map patches are cut."""


def build_town_for_driving(name: str, map_spec: MapSpec) -> Town:
    """Build a town from its name alone: same name, same town.

    Raises:
        TownError: If the name is none of a town.
    """
    seed = TownId.parse(name).seed
    network = build_town(name)
    appearance = sample_appearance(generator(seed, "appearance"))
    scene = build_scene(network, appearance, generator(seed, "scenery"))
    return Town(name, network, scene, rasterise_roads(network, map_spec))


def scenario_route(network: RoadNetwork, scenario: Scenario) -> Route:
    """The route that a scenario names: same town and number, same route, whatever the scenario's seed.

    Raises:
        TownError: If the town has no such route.
    """
    seed = TownId.parse(scenario.town).seed
    if scenario.junctions:
        return sample_route(network, generator(seed, "route", scenario.route))
    return sample_lane_route(network, generator(seed, "lane route", scenario.route))
