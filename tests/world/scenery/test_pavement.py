import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from navsim.geometry import Array, Polyline
from navsim.roads.generators.towns import build_town
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.seeding import generator
from navsim.world.scenery.meshes import Surface
from navsim.world.scenery.pavement import DASH, GAP, LINE_WIDTH, YIELD_WIDTH, build_kerbs, line, markings, without_worn


def single_road(forward: int, backward: int, length: float = 100.0) -> RoadNetwork:
    """Return one straight road along the x axis without junctions."""
    ends = np.array([[0.0, 0.0], [length, 0.0]])
    return build_network(ends, [Road(0, 1, Polyline(ends), forward, backward)])


def area(surface: Surface) -> float:
    return float(shapely.area(shapely.polygons(surface.vertices[surface.triangles][:, :, :2])).sum())


def offsets_of_long_lines(surface: Surface) -> set[float]:
    """Return offsets from the x axis at which painted pieces of more than a metre lie."""
    pieces: Array = surface.vertices[surface.triangles]
    long = np.ptp(pieces[:, :, 0], axis=1) > 1.0
    middles = (pieces[long, :, 1].min(axis=1) + pieces[long, :, 1].max(axis=1)) / 2
    return set(np.round(middles, 2).tolist())


def test_a_line_is_as_long_and_wide_as_asked() -> None:
    painted = line(Polyline(np.array([[0.0, 0.0], [10.0, 0.0]])), 2.0, 0.5)
    assert area(painted) == pytest.approx(5.0)
    assert painted.vertices[:, 1].min() == pytest.approx(1.75)
    assert painted.vertices[:, 1].max() == pytest.approx(2.25)


@given(radius=st.floats(25.0, 300.0), left=st.booleans(), offset=st.floats(-4.0, 4.0))
@settings(max_examples=30)
def test_lines_in_bends_keep_their_width_and_look_upwards(radius: float, left: bool, offset: float) -> None:
    angles = np.linspace(0.0, 1.2, 60)
    side = 1.0 if left else -1.0
    path = Polyline(np.stack([radius * np.sin(angles), side * radius * (1 - np.cos(angles))], axis=1))
    painted = line(path, offset, LINE_WIDTH)
    assert area(painted) == pytest.approx(LINE_WIDTH * 1.2 * (radius - side * offset), rel=0.01)
    a, b, c = np.moveaxis(painted.vertices[painted.triangles], 1, 0)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_a_two_lane_road_has_a_dashed_middle_and_solid_edges() -> None:
    painted = markings(single_road(1, 1))
    assert offsets_of_long_lines(painted) == {-3.5, 0.0, 3.5}
    dashes = int((100.0 - 0.2 - GAP / 2 - DASH) // (DASH + GAP)) + 1
    edges, bars = 2 * (100.0 - 0.2) * LINE_WIDTH, 2 * YIELD_WIDTH * 3.5
    assert area(painted) == pytest.approx(edges + bars + dashes * DASH * LINE_WIDTH, rel=1e-3)


def test_yield_bars_cross_only_the_lanes_that_end() -> None:
    points = markings(single_road(1, 1)).vertices
    at_end = points[(points[:, 0] > 99.4) & (points[:, 0] < 99.5)]
    assert at_end[:, 1].min() == pytest.approx(-3.5)  # traffic keeps right: the lane that ends here is below the axis
    assert at_end[:, 1].max() == pytest.approx(0.0)
    at_start = points[(points[:, 0] > 0.5) & (points[:, 0] < 0.6)]
    assert at_start[:, 1].min() == pytest.approx(0.0)
    assert at_start[:, 1].max() == pytest.approx(3.5)


def test_a_one_way_road_has_a_bar_at_its_end_alone() -> None:
    painted = markings(single_road(2, 0))
    assert offsets_of_long_lines(painted) == {-3.5, 0.0, 3.5}
    points = painted.vertices
    assert not ((points[:, 0] < 0.9) & (np.abs(points[:, 1]) < 3.0)).any()
    assert ((points[:, 0] > 99.0) & (np.abs(points[:, 1]) > 3.4)).any()


def test_more_lanes_get_more_dashes() -> None:
    assert offsets_of_long_lines(markings(single_road(2, 1))) == {-5.25, -1.75, 1.75, 5.25}


def test_an_avenue_has_an_unbroken_line_between_the_directions() -> None:
    painted = markings(single_road(2, 2))
    assert offsets_of_long_lines(painted) == {-7.0, -3.5, 0.0, 3.5, 7.0}
    dashes = int((100.0 - 0.2 - GAP / 2 - DASH) // (DASH + GAP)) + 1
    solid, bars = 3 * (100.0 - 0.2) * LINE_WIDTH, 2 * YIELD_WIDTH * 7.0
    assert area(painted) == pytest.approx(solid + bars + 2 * dashes * DASH * LINE_WIDTH, rel=1e-3)


def test_a_roundabouts_ring_has_no_yield_bars() -> None:
    ends = np.array([[0.0, 0.0], [100.0, 0.0]])
    road = Road(0, 1, Polyline(ends), 1, 0, ring=True)
    painted = markings(build_network(ends, [road]))
    assert area(painted) == pytest.approx(2 * (100.0 - 0.2) * LINE_WIDTH)


@pytest.mark.parametrize("missing", [0.0, 0.25, 0.6, 1.0])
def test_worn_roads_miss_that_share_of_their_paint(crossing: RoadNetwork, missing: float) -> None:
    fresh = markings(crossing)
    left = without_worn(fresh, missing, generator(1, "wear"))
    assert len(left.triangles) == pytest.approx((1 - missing) * len(fresh.triangles), abs=2)
    pieces = {piece.tobytes() for piece in fresh.vertices.reshape(-1, 4, 3)}
    assert all(piece.tobytes() in pieces for piece in left.vertices.reshape(-1, 4, 3))
    assert left.vertices.tobytes() == without_worn(fresh, missing, generator(1, "wear")).vertices.tobytes()


def test_no_bar_crosses_a_ring_of_any_village() -> None:
    village = build_town("village-train-0")
    rings = shapely.union_all(
        [
            shapely.LineString(road.centre.between(*village.mouths(index)).points)
            for index, road in enumerate(village.roads)
            if road.ring
        ]
    )
    painted = markings(village)
    triangles = shapely.polygons(painted.vertices[painted.triangles][..., :2])
    assert rings.length > 50.0
    assert all(road.lanes == 1 for road in village.roads if road.ring)
    assert not shapely.intersects(triangles, rings).any()  # one lane has nothing in its middle


def test_kerbs_are_closed_and_of_one_width(crossing: RoadNetwork) -> None:
    kerbs = build_kerbs(crossing)
    for inner, outer in zip(kerbs.inner, kerbs.outer, strict=True):
        np.testing.assert_array_equal(inner[0], inner[-1])
        np.testing.assert_array_equal(outer[0], outer[-1])
        sides = shapely.LineString(inner)
        gaps = shapely.distance(shapely.points(outer), sides)
        assert gaps.min() > 0.29
        assert gaps.max() < 0.45  # mitred at the square ends of the roads
    assert kerbs.road_and_kerbs.area > kerbs.road.area
    fine = build_kerbs(crossing, tolerance=0.04)
    assert fine.road.area == pytest.approx(crossing.carriageway.area, rel=1e-3)
    assert kerbs.road_and_kerbs.area - kerbs.road.area == pytest.approx(0.3 * crossing.carriageway.length, rel=0.02)


def test_kerb_faces_are_planar_quads_of_the_right_height(crossing: RoadNetwork) -> None:
    faces = build_kerbs(crossing).faces
    upright = np.ptp(faces[..., 2], axis=1) > 0
    assert upright.sum() == (~upright).sum()
    assert np.unique(faces[..., 2]).tolist() == [0.0, 0.12]
    top = faces[~upright]
    assert (np.cross(top[:, 1] - top[:, 0], top[:, 2] - top[:, 0])[:, 2] > 0).all()
