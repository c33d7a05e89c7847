from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from navsim.errors import TownError
from navsim.roads.generators.towns import build_town
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.scenario import Scenario, scenario_route
from navsim.simulation.town import Town, build_town_for_driving

NAMES = ("train-0", "validation-0", "test-0")


@cache
def built(name: str) -> Town:
    return build_town_for_driving(name, MapSpec())


@pytest.mark.parametrize("name", NAMES)
def test_every_route_stays_on_the_road_and_keeps_to_its_rules(name: str) -> None:
    town = built(name)
    for number in range(15):
        route = scenario_route(town.network, Scenario(town.name, number))
        assert 300.0 - 1e-6 <= route.length <= 600.0 + 1e-6
        assert len(route.passages) >= 2
        assert town.network.is_drivable(route.path.points).all()
        assert len(set(route.lanes)) == len(route.lanes)
        assert len({passage.junction for passage in route.passages}) == len(route.passages)


@pytest.mark.parametrize("name", NAMES)
def test_lane_routes_meet_no_junction(name: str) -> None:
    town = built(name)
    for number in range(10):
        route = scenario_route(town.network, Scenario(town.name, number, junctions=False))
        assert route.passages == ()
        assert route.length >= 60.0 - 1e-6


def test_the_route_depends_on_its_number_and_not_on_the_drives_seed() -> None:
    town = built(NAMES[0])
    a, b, c = (scenario_route(town.network, Scenario(town.name, n, seed)) for n, seed in ((1, 1), (1, 2), (2, 1)))
    assert (a.path.points == b.path.points).all()
    assert a.path.points.shape != c.path.points.shape or (a.path.points != c.path.points).any()


def test_same_name_same_town_and_other_name_other_town() -> None:
    again = build_town_for_driving("train-0", MapSpec())
    assert (again.raster.image == built(NAMES[0]).raster.image).all()
    assert (again.scene.obstacles.vertices == built(NAMES[0]).scene.obstacles.vertices).all()
    pictures = [built(name).raster.image for name in NAMES]
    assert all(a.shape != b.shape or (a != b).any() for a, b in pairwise(pictures))
    assert len({tuple(np.asarray(town.scene.atmosphere.horizon).tolist()) for town in map(built, NAMES)}) > 1


@pytest.mark.parametrize("name", ["atlantis", "train", "train-x", "holiday-3", "train--1"])
def test_a_name_that_is_no_towns_is_refused(name: str) -> None:
    with pytest.raises(TownError, match=name):
        build_town_for_driving(name, MapSpec())


@pytest.mark.parametrize("town", ["test-1", "village-test-0"])
def test_routes_of_a_length_have_it_and_may_come_back(town: str) -> None:
    network = build_town(town)
    route = scenario_route(network, Scenario(town, length=1000.0))
    assert 950 <= route.length <= 1050
    again = scenario_route(network, Scenario(town, length=1000.0, seed=5))
    assert again.lanes == route.lanes
    for before, after in pairwise(route.lanes):  # it never turns back on a road
        first, second = network.lanes[before], network.lanes[after]
        assert (first.road, first.forward) != (second.road, not second.forward)
    gaps = np.hypot(*np.diff(route.path.points, axis=0).T)
    assert gaps.max() < 40
    assert [passage.start for passage in route.passages] == sorted(passage.start for passage in route.passages)
