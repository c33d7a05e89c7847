"""Every connector of a real town is driven by the expert, without a touch and without leaving the lane."""

from pathlib import Path

import numpy as np
import pytest

from navsim.roads.network import RoadNetwork
from navsim.roads.osm.simplification import Fate
from navsim.roads.osm.town import build_osm_town
from navsim.roads.routing import Route, make_route
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert, curve_speed, speed_profile
from navsim.simulation.scenario import Outcome
from navsim.simulation.termination import check_termination
from navsim.simulation.town import build_town_for_driving
from navsim.world.world import World
from tests.roads.osm.osm_documents import TWO_WAY, Document, city

EXTRACTS = sorted(Path(__file__).parents[4].glob("shared/maps/**/*.osm*"))
"""Real towns beside the project, if there are any."""
STRETCH = 25.0
"""Length of lane before and behind the connector [m]."""


def connector_route(network: RoadNetwork, index: int) -> Route:
    """Return the route over one connector, with a stretch of lane on both sides."""
    connector = network.connectors[index]
    before, after = (network.lanes[lane].path.length for lane in (connector.from_lane, connector.to_lane))
    lanes = (connector.from_lane, connector.to_lane)
    return make_route(network, lanes, [index], max(before - STRETCH, 0.0), min(STRETCH, after))


def failed_connectors(town: str) -> list[str]:
    """Return a text on each connector of a town that the expert does not pass."""
    config = SimulationConfig()
    built = build_town_for_driving(town, MapSpec())
    world, failed = World(config.vehicle, config.control_step), []
    world.load(built.scene.obstacles)
    try:
        for index, connector in enumerate(built.network.connectors):
            outcome = _drive(config, world, built.network, connector_route(built.network, index))
            if outcome is not Outcome.ARRIVED:
                place = connector.path.position(connector.path.length / 2).round(1)
                peak = np.abs(connector.path.curvatures).max()
                failed.append(f"connector {index} at {place}: {outcome}, {connector.manoeuvre}, {peak:.3f} 1/m")
    finally:
        world.close()
    return failed


def _drive(config: SimulationConfig, world: World, network: RoadNetwork, route: Route) -> Outcome:
    """Return how the expert's drive over a route ends."""
    expert = LaneExpert(config.expert, config.vehicle)
    expert.follow(route)
    speeds = speed_profile(route.path, config.cruise_speed, config.lateral_acceleration)
    state = world.place(route.path.pose(0.0), float(speeds[0]), config.vehicle)
    progress = route.progress(state.pose)
    while True:
        outcome = check_termination(config.rules, network, route, state, progress, world.contact, 0.0)
        if outcome is not None:
            return outcome
        command = expert.command(state).curvature
        planned = float(np.interp(progress.station, route.path.stations, speeds))
        state = world.step(
            command, min(planned, curve_speed(command, 2 * config.lateral_acceleration, config.cruise_speed))
        )
        progress = route.progress(state.pose, near=progress.station)


def test_every_connector_of_a_small_city_can_be_driven(tmp_path: Path) -> None:
    assert failed_connectors(f"osm:{city(3, np.random.default_rng(1)).write(tmp_path / 'city.osm')}") == []


def test_a_narrow_street_inside_a_junction_leaves_room_for_the_lanes_of_wide_ones(tmp_path: Path) -> None:
    document = Document()
    nodes = [document.node(*place) for place in ((0, 120), (0, 0), (12, 6), (130, 45), (30, -115), (-110, -30))]
    document.way([nodes[0], nodes[1], nodes[4]])
    document.way([nodes[1], nodes[2]], {**TWO_WAY, "oneway": "yes"})
    document.way([nodes[3], nodes[2]])
    document.way([nodes[2], document.node(60, -100)])
    document.way([nodes[5], nodes[1]])
    assert failed_connectors(f"osm:{document.write(tmp_path / 'neck.osm')}") == []


@pytest.mark.slow
@pytest.mark.parametrize("path", EXTRACTS, ids=lambda path: path.name)
def test_every_connector_of_a_real_town_can_be_driven(path: Path) -> None:
    assert failed_connectors(f"osm:{path}") == []


@pytest.mark.slow
@pytest.mark.parametrize("path", EXTRACTS, ids=lambda path: path.name)
def test_a_real_town_keeps_the_streets_of_its_map(path: Path) -> None:
    coverage = build_osm_town(path).coverage
    assert coverage.km(Fate.DROPPED) <= 0.05 * coverage.lengths.sum() / 1e3, coverage.summary
