"""A town, and drives along a route through it without a simulator."""

from functools import lru_cache

import numpy as np

from navsim.geometry import Array
from navsim.localization.likelihoods import LanePoints
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario, scenario_route
from navsim.world.vehicle import VehicleSpec

TOWN = "village-test-0"
SPEED, STEP = 8.0, 0.1


@lru_cache(maxsize=1)
def network() -> RoadNetwork:
    """Return the roads of the town."""
    return build_town(TOWN)


@lru_cache(maxsize=1)
def lanes() -> LanePoints:
    """Return the lanes of the town."""
    return LanePoints.of(network())


def route(length: float = 400.0, number: int = 0) -> Route:
    """Return a route through the town."""
    return scenario_route(network(), Scenario(TOWN, route=number, length=length))


def along(driven: Route, images: Array | None = None, seed: int = 0) -> Episode:
    """Return the drive of a car whose middle follows the lane at `SPEED`, steered by the lane's curvature."""
    stations = np.arange(0.0, driven.length, SPEED * STEP)
    steps = len(stations) - 1
    curvature = driven.path.curvature(stations)
    heading = driven.path.heading(stations) - [VehicleSpec().sideslip(value) for value in curvature.tolist()]
    none = np.zeros((0, 4, 4), np.uint8)
    pictures = np.zeros((0, 1, 4, 4, 3), np.uint8) if images is None else images.astype(np.uint8)
    return Episode(
        scenario=Scenario(TOWN, length=max(driven.length, 100.0), seed=seed),
        driver="line",
        outcome=Outcome.ARRIVED,
        route_length=driven.length,
        passages=driven.passages,
        images=pictures,
        road_maps=none,
        route_maps=none,
        gps=np.zeros((steps, 3)),
        commands=curvature[:-1],
        labels=curvature[:-1],
        times=np.arange(steps + 1.0) * np.float64(STEP),
        poses=np.column_stack([driven.path.position(stations), heading]),
        speeds=np.full(steps + 1, SPEED),
        stations=stations,
        offsets=np.zeros(steps + 1),
        heading_errors=np.zeros(steps + 1),
    )
