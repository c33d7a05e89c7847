"""Properties that hold for every town of the first generator, and the variety of all of them."""

from collections import Counter

import numpy as np
import pytest
import shapely

from navsim.errors import TownError
from navsim.roads.elements import JunctionKind, Manoeuvre
from navsim.roads.generators.town import TownGraphConfig
from navsim.roads.generators.towns import Split, TownConfig, TownId, build_town
from navsim.roads.junctions import strip
from navsim.roads.network import RoadNetwork

CAR_HALF_WIDTH = 0.9


def gaps_to_kerb(network: RoadNetwork, points: np.ndarray) -> np.ndarray:
    """Return distance of points (N, 2) on the carriageway to the kerb (N,) [m]."""
    return np.asarray(shapely.distance(network.carriageway.boundary, shapely.points(points)))


def test_same_name_gives_the_same_town(towns: dict[str, RoadNetwork]) -> None:
    for name in ("train-0", "test-2"):
        again, town = build_town(TownId.parse(name)), towns[name]
        np.testing.assert_array_equal(again.nodes, town.nodes)
        assert len(again.connectors) == len(town.connectors)
        for one, other in zip(again.connectors, town.connectors, strict=True):
            np.testing.assert_array_equal(one.path.points, other.path.points)
        assert again.carriageway.equals_exact(town.carriageway)


def test_a_town_is_what_it_always_was() -> None:
    """Data and results name their towns, so a change here would make them wrong."""
    town = build_town("train-3")
    assert (len(town.roads), len(town.junctions), len(town.connectors)) == (23, 14, 108)
    assert town.carriageway.area == pytest.approx(32857.588, abs=0.01)
    np.testing.assert_allclose(town.nodes[0], (200.951560, -223.356624), atol=1e-5)


def test_other_names_give_other_towns(towns: dict[str, RoadNetwork]) -> None:
    assert len({town.nodes.tobytes() for town in towns.values()}) == len(towns)


def test_no_dead_ends(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        ends = Counter(node for road in town.roads for node in (road.start, road.end))
        assert min(ends[node] for node in range(len(town.nodes))) >= 3
        assert len(town.junctions) == len(town.nodes)
        assert all(town.successors(lane) for lane in range(len(town.lanes)))


def test_towns_are_connected(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        assert isinstance(town.carriageway, shapely.Polygon)
        assert town.carriageway.is_valid
        assert 1.2e3 < sum(road.centre.length for road in town.roads) < 6e3


def test_roads_are_smooth_enough_to_drive(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for road in town.roads:
            assert np.abs(road.centre.curvatures).max() <= 1 / 25
            assert np.diff(road.centre.stations).max() <= 2.0


def test_roads_overlap_at_junctions_only(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        strips = [strip(road.centre.between(*town.mouths(i)), road.half_width) for i, road in enumerate(town.roads)]
        for i, (road, band) in enumerate(zip(town.roads, strips, strict=True)):
            for other, other_band in zip(town.roads[:i], strips[:i], strict=True):
                shared = {road.start, road.end} & {other.start, other.end}
                assert band.distance(other_band) > (6.0 if shared else 12.0)


def test_junctions_keep_apart(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for i, junction in enumerate(town.junctions):
            for other in town.junctions[:i]:
                assert junction.area.distance(other.area) > 4.0


def test_roads_leave_junctions_at_45_degrees_or_more(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for junction in town.junctions:
            headings = np.array([*junction.headings, junction.headings[0] + 2 * np.pi])
            assert np.rad2deg(np.diff(headings)).min() >= 45.0


def test_lanes_keep_a_car_off_the_kerb(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        points = np.concatenate([lane.path.points[2:-2] for lane in town.lanes])
        assert town.is_drivable(points).all()
        assert gaps_to_kerb(town, points).min() > 2.5


def test_connectors_keep_a_car_off_the_kerb(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        points = np.concatenate([connector.path.points for connector in town.connectors])
        assert town.is_drivable(points).all()
        assert gaps_to_kerb(town, points).min() > CAR_HALF_WIDTH + 0.3


def test_connectors_are_tangent_and_gentle(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for connector in town.connectors:
            path, before, after = connector.path, town.lanes[connector.from_lane], town.lanes[connector.to_lane]
            assert np.abs(path.curvatures).max() <= 0.15
            assert np.diff(path.stations).max() <= 1.2
            joined = before.path.headings[-1] - path.headings[0], after.path.headings[0] - path.headings[-1]
            assert np.abs(np.sin(joined)).max() < np.sin(np.deg2rad(4.0))
            assert np.cos(joined).min() > 0


def test_connectors_stay_inside_their_junction(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for connector in town.connectors:
            middle = connector.path.position(connector.path.length / 2)
            assert town.junction_at(middle) == connector.junction
            assert town.junctions[connector.junction].area.buffer(0.1).covers(shapely.LineString(connector.path.points))


def test_every_pair_of_roads_at_a_junction_is_joined(towns: dict[str, RoadNetwork]) -> None:
    for town in towns.values():
        for number, junction in enumerate(town.junctions):
            ways = [connector for connector in town.connectors if connector.junction == number]
            assert len(ways) == len(junction.roads) * (len(junction.roads) - 1)


@pytest.mark.parametrize("split", list(Split))
def test_every_split_has_plenty_of_every_kind(split: Split, towns: dict[str, RoadNetwork]) -> None:
    chosen = [town for name, town in towns.items() if name.startswith(split)]
    kinds = Counter(junction.kind for town in chosen for junction in town.junctions)
    assert min(kinds[kind] for kind in (JunctionKind.TEE, JunctionKind.CROSSING, JunctionKind.FORK)) >= 3
    turns = Counter(connector.manoeuvre for town in chosen for connector in town.connectors)
    assert (
        min(turns[manoeuvre] for manoeuvre in (Manoeuvre.LEFT, Manoeuvre.STRAIGHT, Manoeuvre.RIGHT))
        > 0.2 * turns.total()
    )


def test_towns_differ_in_size_and_winding(towns: dict[str, RoadNetwork]) -> None:
    sizes = [len(town.roads) for town in towns.values()]
    assert max(sizes) >= min(sizes) + 8
    bends = [np.mean(np.abs(np.concatenate([road.centre.curvatures for road in t.roads]))) for t in towns.values()]
    assert max(bends) > 1.4 * min(bends)


def test_other_configs_are_followed() -> None:
    config = TownConfig(lane_width=3.0, margin=0.5, kerb_radius=9.0, speed_limit=12.0)
    town = build_town("train-1", config)
    assert {road.width for road in town.roads} == {7.0}
    assert {road.speed_limit for road in town.roads} == {12.0}


def test_configs_without_room_are_refused() -> None:
    cramped = TownConfig(graph=TownGraphConfig(spacing=(30.0, 31.0)), attempts=3)
    with pytest.raises(TownError, match=r"town train-0: no town fits this config in 3 draws"):
        build_town("train-0", cramped)


@pytest.mark.slow
def test_hundreds_of_towns_can_be_built() -> None:
    for index in range(200):
        town = build_town(f"validation-{1000 + index}")
        points = np.concatenate([connector.path.points for connector in town.connectors])
        assert gaps_to_kerb(town, points).min() > CAR_HALF_WIDTH
        assert max(np.abs(connector.path.curvatures).max() for connector in town.connectors) <= 0.15
