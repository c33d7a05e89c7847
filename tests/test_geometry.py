"""Poses and polylines against hand-computed values, and properties that hold for all of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.geometry import Array, Polyline, Pose, wrap_angle

ANGLES = st.floats(-1e4, 1e4)
COORDINATES = st.floats(-1e3, 1e3)
POSES = st.builds(Pose, COORDINATES, COORDINATES, ANGLES)


def circle(radius: float, turn: float, spacing: float = 0.5, uneven: bool = False) -> Polyline:
    """An arc from the origin, heading east, to the left for a positive radius; `turn` is not negative."""
    turn = math.copysign(turn, radius)
    count = int(abs(turn * radius) / spacing) + 1
    angles = np.linspace(0.0, turn, count)
    if uneven:
        angles[1:-1] += np.random.default_rng(0).uniform(-0.4, 0.4, count - 2) * (angles[1] - angles[0])
    return Polyline(radius * np.stack([np.sin(angles), 1 - np.cos(angles)], axis=-1))


@given(ANGLES)
def test_wrapped_angles_stay_in_range_and_direction(angle: float) -> None:
    wrapped = float(wrap_angle(angle))
    assert -math.pi <= wrapped < math.pi
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-8)
    assert math.sin(wrapped) == pytest.approx(math.sin(angle), abs=1e-8)


@pytest.mark.parametrize("angle", [math.pi, -math.pi, np.nextafter(-math.pi, -4.0), 3 * math.pi, -3 * math.pi])
def test_half_turns_wrap_to_the_lower_end(angle: float) -> None:
    assert -math.pi <= float(wrap_angle(angle)) < math.pi
    assert -math.pi <= Pose(0.0, 0.0, angle).heading < math.pi


def test_wrap_angle_takes_arrays() -> None:
    np.testing.assert_allclose(wrap_angle([0.0, 2 * np.pi, 1.5 * np.pi]), [0.0, 0.0, -np.pi / 2], atol=1e-12)


def test_pose_frames_by_hand() -> None:
    pose = Pose(10.0, 5.0, math.pi / 2)  # looking north: forward is +y, left is -x
    np.testing.assert_allclose(pose.to_world([[2.0, 1.0]]), [[9.0, 7.0]], atol=1e-12)
    np.testing.assert_allclose(pose.to_vehicle([[9.0, 7.0]]), [[2.0, 1.0]], atol=1e-12)
    np.testing.assert_allclose(pose.forward, [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(pose.position, [10.0, 5.0])


@given(POSES, COORDINATES, COORDINATES)
def test_frames_are_inverse(pose: Pose, x: float, y: float) -> None:
    np.testing.assert_allclose(pose.to_vehicle(pose.to_world([[x, y]])), [[x, y]], atol=1e-8)


def test_moved_shifts_in_its_own_frame_then_turns() -> None:
    moved = Pose(1.0, 1.0, math.pi).moved(forward=2.0, left=3.0, turn=math.pi / 2)
    assert (moved.x, moved.y) == pytest.approx((-1.0, -2.0))
    assert moved.heading == pytest.approx(-math.pi / 2)


@pytest.mark.parametrize("values", [(math.nan, 0, 0), (0, math.inf, 0), (0, 0, -math.inf)])
def test_pose_refuses_what_is_not_finite(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Pose(*values)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[0.0, 0.0]], "N >= 2"),
        ([0.0, 1.0], "N >= 2"),
        ([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], "N >= 2"),
        ([[0.0, 0.0], [np.nan, 0.0]], "finite"),
        ([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], "must differ, see point 1"),
    ],
)
def test_polyline_refuses_bad_points(points: list[list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Polyline(np.array(points))


def test_polyline_is_read_only_and_owns_its_points() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    path = Polyline(points)
    points[1] = 9.0
    assert path.length == 1.0
    with pytest.raises(ValueError, match="read-only"):
        path.points[0, 0] = 3.0


def test_corner_by_hand() -> None:
    path = Polyline(np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0]]))
    assert path.length == 15.0
    np.testing.assert_allclose(path.stations, [0.0, 10.0, 15.0])
    np.testing.assert_allclose(path.position([4.0, 12.0, -1.0, 99.0]), [[4, 0], [10, 2], [0, 0], [10, 5]])
    # The shorter segment counts more: a third of the way from it to the other.
    np.testing.assert_allclose(path.headings, [0.0, math.pi / 2 * 10 / 15, math.pi / 2])
    np.testing.assert_allclose(path.curvatures, [0.0, math.pi / 2 / 7.5, 0.0])
    assert path.position(4.0).shape == (2,)
    assert path.position([[1.0, 2.0, 3.0]]).shape == (1, 3, 2)


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("turn", [3.0, -3.0])
def test_circle_has_its_curvature_and_tangents(turn: float, uneven: bool) -> None:
    path = circle(math.copysign(20.0, turn), abs(turn), uneven=uneven)
    assert path.length == pytest.approx(60.0, rel=1e-4)
    np.testing.assert_allclose(path.curvatures[1:-1], math.copysign(0.05, turn), rtol=1e-3)
    arc = np.hypot(*(path.points[1:-1] - [0.0, math.copysign(20.0, turn)]).T)
    np.testing.assert_allclose(arc, 20.0)
    np.testing.assert_allclose(path.headings[1:-1], path.stations[1:-1] / math.copysign(20.0, turn), atol=2e-3)


def test_headings_do_not_jump_over_half_a_turn() -> None:
    path = circle(10.0, 4 * math.pi)
    assert path.headings[-1] == pytest.approx(4 * math.pi, abs=0.05)
    assert -math.pi <= float(path.heading(50.0)) < math.pi


@pytest.mark.parametrize(
    ("point", "station", "offset"),
    [
        ((4.0, 1.5), 4.0, 1.5),
        ((4.0, -1.5), 4.0, -1.5),
        ((12.0, 3.0), 13.0, -2.0),
        ((8.5, 3.0), 13.0, 1.5),
        ((-3.0, 4.0), 0.0, 5.0),
    ],
)
def test_projection_by_hand(point: tuple[float, float], station: float, offset: float) -> None:
    path = Polyline(np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0]]))
    assert path.project(point) == pytest.approx((station, offset))


@given(st.floats(1.0, 58.0), st.floats(-8.0, 8.0))
def test_projection_finds_the_place_again(station: float, offset: float) -> None:
    path = circle(20.0, 3.0, spacing=0.25)
    place = path.pose(station).moved(left=offset)
    found = path.project((place.x, place.y))
    assert found == pytest.approx((station, offset), abs=0.06)
    assert path.project(place.position, near=station + 3.0) == pytest.approx(found)


def test_projection_near_a_station_stays_on_its_branch() -> None:
    path = Polyline(np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 4.0], [0.0, 4.0]]))
    assert path.project((30.0, 3.0))[0] == pytest.approx(174.0)
    assert path.project((30.0, 3.0), near=28.0) == pytest.approx((30.0, 3.0))
    assert path.project((30.0, 3.0), near=-50.0, window=10.0)[0] <= 100.0
    assert path.project((30.0, 3.0), near=900.0, window=10.0)[0] >= 104.0


def test_shifted_circle_keeps_its_centre() -> None:
    inner = circle(20.0, 3.0).shifted(5.0)
    np.testing.assert_allclose(np.hypot(*(inner.points - [0.0, 20.0]).T), 15.0, atol=1e-3)


def test_reversed_swaps_sides_and_direction() -> None:
    path = circle(20.0, 2.0)
    back = path.reversed()
    station, offset = path.project((10.0, 5.0))
    assert back.project((10.0, 5.0)) == pytest.approx((path.length - station, -offset))
    np.testing.assert_allclose(back.curvatures, -path.curvatures[::-1], atol=1e-12)


@given(st.floats(0.0, 30.0), st.floats(0.1, 29.0))
def test_parts_lie_where_they_were(start: float, size: float) -> None:
    path = circle(20.0, 3.0)
    part = path.between(start, start + size)
    assert part.length == pytest.approx(size)
    along = np.linspace(0.0, size, 7)
    np.testing.assert_allclose(part.position(along), path.position(start + along), atol=1e-6)


@pytest.mark.parametrize(("start", "end"), [(-1.0, 3.0), (3.0, 3.0), (5.0, 2.0), (1.0, 99.0)])
def test_parts_outside_are_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="must satisfy 0 <= start < end"):
        Polyline(np.array([[0.0, 0.0], [10.0, 0.0]])).between(start, end)


def test_resampled_keeps_ends_and_spacing() -> None:
    path = Polyline(np.array([[0.0, 0.0], [10.3, 0.0]])).resampled(1.0)
    assert len(path.points) == 12
    assert np.diff(path.stations).max() <= 1.0
    np.testing.assert_allclose(path.points[[0, -1]], [[0.0, 0.0], [10.3, 0.0]])


def test_snapped_takes_a_close_vertex_only() -> None:
    path = Polyline(np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]]))
    assert path.snapped(9.4) == 10.0
    assert path.snapped(10.6) == 10.0
    assert path.snapped(7.0) == 7.0
    assert path.snapped(7.0, reach=4.0) == 10.0


def test_joined_parts_are_the_whole() -> None:
    path = circle(20.0, 3.0)
    parts = [path.between(0.0, 10.0), path.between(10.0, 33.3), path.between(33.3, path.length)]
    whole = Polyline.joined(parts)
    assert whole.length == pytest.approx(path.length)
    check: Array = np.linspace(0.0, path.length, 50)
    np.testing.assert_allclose(whole.position(check), path.position(check), atol=1e-6)
