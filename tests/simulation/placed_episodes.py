"""Episodes whose car stands at chosen places of a route."""

from collections.abc import Sequence

import numpy as np

from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route, make_route
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario


def route_through(network: RoadNetwork, connectors: Sequence[int]) -> Route:
    """The route along the whole lanes before, between and behind some connectors."""
    first, last = network.connectors[connectors[0]], network.connectors[connectors[-1]]
    lanes = [first.from_lane, *(network.connectors[index].to_lane for index in connectors)]
    return make_route(network, lanes, connectors, 0.0, network.lanes[last.to_lane].path.length)


def placed_episode(route: Route, places: Sequence[tuple[float, float, float]], speed: float = 5.0) -> Episode:
    """An episode without images; each place is a station [m], an offset [m] and a heading error [rad]."""
    steps = len(places)
    table = np.array([*places, places[-1]], dtype=float)  # and the end
    poses = [route.path.pose(station).moved(left=left, turn=turn) for station, left, turn in table.tolist()]
    none = np.zeros((0, 4, 4), np.uint8)
    return Episode(
        scenario=Scenario(),
        driver="placed",
        outcome=Outcome.TIMED_OUT,
        route_length=route.length,
        passages=route.passages,
        images=np.zeros((0, 1, 4, 4, 3), np.uint8),
        road_maps=none,
        route_maps=none,
        gps=np.zeros((steps, 3)),
        commands=np.zeros(steps),
        labels=np.zeros(steps),
        times=np.linspace(0.0, 0.1 * steps, steps + 1),
        poses=np.array([(pose.x, pose.y, pose.heading) for pose in poses]),
        speeds=np.full(steps + 1, speed),
        stations=table[:, 0],
        offsets=table[:, 1],
        heading_errors=table[:, 2],
    )
