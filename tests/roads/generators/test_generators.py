"""Properties that hold for the towns of every generator beside the first, and what makes each look like itself."""

import hashlib
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import shapely

from navsim.errors import TownError
from navsim.roads.connectors import connector_faults
from navsim.roads.elements import JunctionKind, Manoeuvre
from navsim.roads.generators.towns import (
    Generator,
    GridConfig,
    SuburbConfig,
    TownConfig,
    TownId,
    VillageConfig,
    build_town,
)
from navsim.roads.junctions import strip
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import sample_route
from navsim.seeding import generator

NEW = (Generator.GRID, Generator.SUBURB, Generator.VILLAGE)
TOWNS_EACH = 8


@cache
def town(name: str) -> RoadNetwork:
    """Return a town, built once."""
    return build_town(name)


def some(kind: Generator, count: int = TOWNS_EACH) -> list[RoadNetwork]:
    """Return towns of a generator."""
    return [town(f"{kind}-{('train', 'test')[i % 2]}-{i}") for i in range(count)]


def lane_graph(network: RoadNetwork) -> "nx.DiGraph[int]":
    """Return the lanes and the connectors between them."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(network.lanes)))
    graph.add_edges_from((connector.from_lane, connector.to_lane) for connector in network.connectors)
    return graph


def digest(network: RoadNetwork) -> str:
    """Return a hash of all of a network's coordinates."""
    parts = [network.nodes, network.trims, *(connector.path.points for connector in network.connectors)]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def kinds_of(networks: list[RoadNetwork]) -> Counter[JunctionKind]:
    """Return the number of junctions of each kind."""
    return Counter(junction.kind for network in networks for junction in network.junctions)


def assert_fit_to_drive(network: RoadNetwork) -> None:
    """Assert that curvatures, distances from kerbs and connections suit a car."""
    assert isinstance(network.carriageway, shapely.Polygon)
    assert network.carriageway.is_valid
    assert not connector_faults([connector.path for connector in network.connectors], network.carriageway).any()
    assert max(np.abs(connector.path.curvatures).max() for connector in network.connectors) <= 0.15
    assert max(np.abs(lane.path.curvatures).max() for lane in network.lanes) <= 0.1
    assert nx.is_strongly_connected(lane_graph(network))


@pytest.mark.parametrize("kind", NEW)
def test_towns_are_fit_to_drive(kind: Generator) -> None:
    for network in some(kind):
        assert_fit_to_drive(network)
        west, south, east, north = network.bounds
        assert min(east - west, north - south) > 200.0
        assert max(east - west, north - south) < 900.0


@pytest.mark.parametrize("kind", NEW)
def test_roads_overlap_at_junctions_only(kind: Generator) -> None:
    for network in some(kind):
        strips = [strip(r.centre.between(*network.mouths(i)), r.half_width) for i, r in enumerate(network.roads)]
        for (one, band), (other, other_band) in combinations(zip(network.roads, strips, strict=True), 2):
            shared = {one.start, one.end} & {other.start, other.end}
            assert band.distance(other_band) > (2.0 if shared else 6.0)


@pytest.mark.parametrize("kind", NEW)
def test_junctions_keep_apart_and_lie_on_the_road(kind: Generator) -> None:
    for network in some(kind):
        assert all(one.area.distance(other.area) > 4.0 for one, other in combinations(network.junctions, 2))
        for connector in network.connectors:
            assert (
                network.junctions[connector.junction].area.buffer(0.1).covers(shapely.LineString(connector.path.points))
            )


@pytest.mark.parametrize("kind", NEW)
def test_lanes_keep_a_car_off_the_kerb(kind: Generator) -> None:
    for network in some(kind):
        points = np.concatenate([lane.path.points[2:-2] for lane in network.lanes])
        assert network.is_drivable(points).all()
        assert shapely.distance(network.carriageway.boundary, shapely.points(points)).min() > 2.0


@pytest.mark.parametrize("kind", NEW)
def test_routes_are_as_long_as_asked_for(kind: Generator) -> None:
    for number, network in enumerate(some(kind, 3)):
        for k in range(60):
            route = sample_route(network, generator(number, "route", k))
            assert 300.0 <= route.length <= 600.0
            assert len({passage.junction for passage in route.passages}) == len(route.passages) >= 2


@pytest.mark.parametrize("kind", NEW)
def test_a_town_is_the_same_in_another_process(kind: Generator) -> None:
    name = f"{kind}-train-0"
    script = (
        "import hashlib; from navsim.roads.generators.towns import build_town; "
        f"n = build_town({name!r}); parts = [n.nodes, n.trims, *(c.path.points for c in n.connectors)]; "
        "print(hashlib.sha256(b''.join(p.tobytes() for p in parts)).hexdigest())"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest(town(name)) == digest(build_town(TownId.parse(name)))


def test_cities_are_large_and_as_fit_to_drive() -> None:
    cities = [town(f"city-{split}-0") for split in ("validation", "test")]
    assert len({digest(network) for network in cities}) == 2
    for number, network in enumerate(cities):
        assert_fit_to_drive(network)
        west, south, east, north = network.bounds
        assert min(east - west, north - south) > 700.0
        assert 1000.0 < max(east - west, north - south) < 2500.0
        assert len(network.junctions) > 80
        route = sample_route(network, generator(number, "route"), 2900.0, 3000.0)
        assert 2900.0 <= route.length <= 3000.0


def test_towns_differ() -> None:
    assert len({digest(network) for kind in NEW for network in some(kind)}) == len(NEW) * TOWNS_EACH


def test_grids_have_crossings_offset_crossings_and_roads_of_different_width() -> None:
    towns = some(Generator.GRID)
    kinds = kinds_of(towns)
    assert min(kinds[JunctionKind.TEE], kinds[JunctionKind.CROSSING]) >= 10
    assert set(kinds) <= {JunctionKind.TEE, JunctionKind.CROSSING}
    assert {road.lanes for network in towns for road in network.roads} == {2, 4}
    widths = {road.lane_width for network in towns for road in network.roads}
    assert min(widths) <= 3.0
    assert max(widths) >= 3.7
    for network in towns:
        ends = [{road.start, road.end} for road in network.roads if 20.0 < road.centre.length < 45.0]
        tees = {junction.node for junction in network.junctions if junction.kind is JunctionKind.TEE}
        assert any(pair <= tees for pair in ends)


def test_suburbs_have_hairpins_sweepers_and_turning_circles() -> None:
    towns = some(Generator.SUBURB)
    for network in towns:
        turned = [road for road in network.roads if not road.ring and _sharpest_turn(road.centre.headings) > 150.0]
        assert turned, "no hairpin"
        assert all(np.abs(road.centre.curvatures).max() < 0.1 for road in network.roads)
        bends = np.concatenate([np.abs(road.centre.curvatures) for road in network.roads])
        assert ((bends > 1 / 200) & (bends < 1 / 80)).sum() > 150  # metres of sweepers
    rings = [road for network in towns for road in network.roads if road.ring]
    assert rings
    assert all(road.start == road.end and road.lanes == 1 for road in rings)


def _sharpest_turn(headings: np.ndarray, reach: int = 55) -> float:
    """Return the largest turn within about 55 m [deg]."""
    return float(np.rad2deg(np.abs(headings[reach:] - headings[:-reach]).max())) if len(headings) > reach else 0.0


def test_villages_have_forks_five_way_junctions_and_roundabouts() -> None:
    kinds = kinds_of(some(Generator.VILLAGE, 16))
    assert min(kinds[kind] for kind in (JunctionKind.FORK, JunctionKind.TEE)) >= 10
    assert kinds[JunctionKind.FIVE_WAY] >= 2
    assert kinds[JunctionKind.ROUNDABOUT] >= 9


def test_roundabouts_are_driven_counter_clockwise() -> None:
    found = 0
    for network in some(Generator.VILLAGE, 16):
        ring = [i for i, road in enumerate(network.roads) if road.ring]
        if not ring:
            continue
        found += 1
        assert 3 <= len(ring) <= 5
        for i in ring:
            road = network.roads[i]
            assert (road.lanes_forward, road.lanes_backward) == (1, 0)
            assert np.hypot(*road.centre.points.T) == pytest.approx(np.hypot(*road.centre.points[0]))
            assert (np.diff(road.centre.headings) > 0).all()
            assert 1 / 25.1 <= np.abs(road.centre.curvatures[1:-1]).mean() <= 1 / 19.9
        on_ring = {n for n, junction in enumerate(network.junctions) if junction.kind is JunctionKind.ROUNDABOUT}
        assert len(on_ring) == len(ring)
        for connector in network.connectors:
            assert (connector.manoeuvre is Manoeuvre.ROUNDABOUT) == (connector.junction in on_ring)
        # Each arm: onto the ring, along it, off it.
        assert all(sum(c.junction == n for c in network.connectors) == 3 for n in on_ring)
    assert found >= 3


def test_dead_ends_may_lack_turning_circles() -> None:
    config = SuburbConfig(dead_ends=(1, 2), turning_circle=None)
    network = build_town("suburb-train-0", config)
    ends = Counter(node for road in network.roads for node in (road.start, road.end))
    dead = [node for node, count in ends.items() if count == 1]
    assert 1 <= len(dead) <= 2
    stuck = [i for i in range(len(network.lanes)) if not network.successors(i)]
    assert len(stuck) == len(dead)
    for k in range(20):
        sample_route(network, generator(0, "route", k))


def test_configs_are_followed() -> None:
    narrow = build_town("grid-train-1", GridConfig(avenues=(0, 0), wide=0.0))
    assert {(road.lanes, road.lane_width) for road in narrow.roads} == {(2, 3.0)}
    forks = build_town("village-train-1", VillageConfig(roundabout=0.0, five_way=1.0, links=(0, 0)))
    assert Counter(j.kind for j in forks.junctions) == {JunctionKind.FIVE_WAY: 1, JunctionKind.FORK: 5}


def test_a_config_of_another_generator_is_refused() -> None:
    with pytest.raises(
        TownError, match=r"town grid-train-0 needs the config of its generator, GridConfig, got TownConfig"
    ):
        build_town("grid-train-0", TownConfig())


def test_configs_without_room_are_refused() -> None:
    with pytest.raises(TownError, match=r"town grid-train-0: no town fits this config in 2 draws"):
        build_town("grid-train-0", GridConfig(block=(30.0, 31.0), attempts=2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", NEW)
def test_hundreds_of_towns_can_be_built_and_driven(kind: Generator) -> None:
    for index in range(150):
        network = build_town(f"{kind}-validation-{1000 + index}")
        assert_fit_to_drive(network)
        for k in range(20):
            sample_route(network, generator(index, "route", k))
