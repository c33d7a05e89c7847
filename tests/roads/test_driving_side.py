"""Traffic that keeps left: mirrored towns, the side of an extract, and what networks see there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.roads.elements import DrivingSide, JunctionKind, Manoeuvre
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.reader import read_extract
from navsim.roads.osm.segments import extract_projection
from navsim.roads.osm.town import build_osm_town, driving_side
from navsim.sensing.camera import RIGS, Camera, Rig, mirrored_images
from navsim.sensing.observation import Observation, right_hand_observation
from tests.roads.osm import osm_documents
from tests.roads.osm.osm_documents import TWO_WAY, Document, cross, roundabout
from tests.roads.osm.test_osm import ALL_TURNS, SOUTH, WEST, turns

LEFT = {**TWO_WAY, "driving_side": "left"}


def sides_of_traffic(network: RoadNetwork) -> set[DrivingSide]:
    """Return on which side of its road's divider each lane of a two-way road lies, as seen in driving direction."""
    found = set()
    for lane in network.lanes:
        road = network.roads[lane.road]
        if road.lanes_forward and road.lanes_backward:
            station = road.centre.length / 2
            middle = road.centre.pose(station).moved(left=road.divider_offset, turn=0.0 if lane.forward else np.pi)
            nearest = lane.path.points[np.hypot(*(lane.path.points - middle.position).T).argmin()]
            found.add(DrivingSide.LEFT if middle.to_vehicle(nearest[None])[0, 1] > 0 else DrivingSide.RIGHT)
    return found


def test_a_mirrored_town_keeps_left_and_mirrored_again_is_the_same() -> None:
    right, left = build_town("grid-test-0"), build_town("left-grid-test-0")
    assert (right.side, left.side) == (DrivingSide.RIGHT, DrivingSide.LEFT)
    assert sides_of_traffic(right) == {DrivingSide.RIGHT}
    assert sides_of_traffic(left) == {DrivingSide.LEFT}
    again = left.mirrored
    np.testing.assert_array_equal(again.nodes, right.nodes)
    for one, other in zip(again.driven_paths, right.driven_paths, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
    assert again.carriageway.equals(right.carriageway)
    assert [each.roads for each in again.junctions] == [each.roads for each in right.junctions]
    assert np.concatenate([each.headings for each in again.junctions]) == pytest.approx(
        np.concatenate([each.headings for each in right.junctions]), abs=1e-12
    )


def test_offsets_and_junctions_of_a_mirrored_town_fit_its_lanes() -> None:
    network = build_town("left-village-test-0")
    for lane in network.lanes:
        road = network.roads[lane.road]
        offset = road.lane_offset(lane.forward, lane.index)
        shifted = shapely.LineString(road.centre.shifted(offset).points)
        assert shapely.distance(shifted, shapely.points(lane.path.points)).max() < 0.05
    for junction in network.junctions:
        assert list(junction.headings) == sorted(junction.headings)
    for connector in network.connectors:
        turn = connector.path.headings[-1] - connector.path.headings[0]
        if connector.manoeuvre in (Manoeuvre.LEFT, Manoeuvre.RIGHT):
            assert (turn > 0) == (connector.manoeuvre is Manoeuvre.LEFT)


def tagged(document: Document) -> Document:
    return replace(document, ways=[(nodes, {**tags, **LEFT}) for nodes, tags in document.ways])


def test_an_extract_with_the_tag_keeps_left(tmp_path: Path) -> None:
    network = build_osm_town(tagged(cross()).write(tmp_path / "map.osm")).network
    assert sides_of_traffic(network) == {DrivingSide.LEFT}
    assert turns(network) == ALL_TURNS  # east and west are not exchanged


@pytest.mark.parametrize(("side", "tag"), [(DrivingSide.LEFT, "left"), (DrivingSide.RIGHT, "right")])
def test_restrictions_are_those_of_the_real_street(tmp_path: Path, side: DrivingSide, tag: str) -> None:
    document = cross()
    document = replace(document, ways=[(nodes, {**tags, "driving_side": tag}) for nodes, tags in document.ways])
    document.restrict(SOUTH, 1, WEST)
    document.restrictions[0] = (document.restrictions[0][0], {"type": "restriction", "restriction": "no_left_turn"})
    network = build_osm_town(document.write(tmp_path / "map.osm")).network
    assert network.side is side
    assert ALL_TURNS - turns(network) == {(SOUTH, WEST)}


def test_a_roundabout_on_the_left_is_driven_clockwise(tmp_path: Path) -> None:
    document = tagged(roundabout(20.0, [0, 120, 240]))
    ring, tags = document.ways[0]
    document.ways[0] = (ring[::-1], tags)  # ways run as traffic does
    network = build_osm_town(document.write(tmp_path / "map.osm")).network
    assert JunctionKind.ROUNDABOUT in {junction.kind for junction in network.junctions}
    lanes = [lane.path for lane in network.lanes if network.roads[lane.road].ring]
    assert lanes
    middle = np.concatenate([path.points for path in lanes]).mean(axis=0)
    for path in lanes:
        (x0, y0), (x1, y1) = path.points[[0, -1]] - middle
        assert x0 * y1 - y0 * x1 < 0


@pytest.mark.parametrize(
    ("place", "side"),
    [
        ((-1.25, 51.75), DrivingSide.LEFT),  # Oxford
        ((1.10, 49.44), DrivingSide.RIGHT),  # Rouen
        ((103.85, 1.29), DrivingSide.LEFT),  # Singapore
        ((121.56, 25.03), DrivingSide.RIGHT),  # Taipei
        ((114.17, 22.30), DrivingSide.LEFT),  # Hong Kong
        ((-122.29, 37.80), DrivingSide.RIGHT),  # Oakland
    ],
)
def test_without_the_tag_the_country_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[float, float], side: DrivingSide
) -> None:
    monkeypatch.setattr(osm_documents, "ORIGIN", place)
    extract = read_extract(cross().write(tmp_path / "map.osm"))
    assert driving_side(extract, extract_projection(extract)) is side


def observation(cameras: tuple[Camera, ...], side: DrivingSide) -> Observation:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(len(cameras), 4, 6, 3), dtype=np.uint8)
    road, route = rng.integers(256, size=(2, 8, 8), dtype=np.uint8)
    return Observation(images, road, route, 5.0, Pose(1.0, 2.0, 0.5), cameras, side=side)


def test_networks_see_the_mirror_image_where_traffic_keeps_left() -> None:
    seen = observation(RIGS[Rig.AMINI2019], DrivingSide.LEFT)
    shown = right_hand_observation(seen)
    for camera, mirrored in enumerate((0, 2, 1)):  # front, left, right
        np.testing.assert_array_equal(shown.images[camera], seen.images[mirrored][:, ::-1])
    np.testing.assert_array_equal(shown.road_map, seen.road_map[:, ::-1])
    np.testing.assert_array_equal(shown.route_map, seen.route_map[:, ::-1])
    assert (shown.side, shown.gps, shown.speed) == (DrivingSide.RIGHT, seen.gps, seen.speed)
    right = observation(RIGS[Rig.AMINI2019], DrivingSide.RIGHT)
    assert right_hand_observation(right) is right


def test_cameras_without_a_mirrored_place_are_refused() -> None:
    beside = (Camera(position=(0.4, 0.3, 1.4)),)
    with pytest.raises(ConfigError, match=r"cameras at mirrored places only; none mirrors that at y = 0\.3 m"):
        mirrored_images(np.zeros((1, 4, 6, 3), np.uint8), beside)
