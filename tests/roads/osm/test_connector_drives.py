"""Every connector of a real town is driven by the expert, without a touch and without leaving the lane."""

from pathlib import Path

import pytest

from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route, make_route
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.expert import LaneExpert, speed_profile
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import curve_speed
from navsim.simulation.termination import check_termination
from navsim.simulation.town import build_town_for_driving
from navsim.world.world import World
from tests.roads.osm.osm_documents import city

import numpy as np

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
