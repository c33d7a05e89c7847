import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navsim.drivers.protocol import Decision
from navsim.geometry import Array
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.visualization.canvas import ACCENT, BRIGHT, TRUTH
from navsim.visualization.steering_plots import arc, draw_fan

CAMERA = Camera(width=256, height=96)
GRID = np.linspace(-0.2, 0.2, 161)


def road() -> Image:
    return np.full((96, 256, 3), 80, np.uint8)


def peaks(*means: float, sigma: float = 0.01) -> Array:
    density: Array = sum((np.exp(-(((GRID - mean) / sigma) ** 2) / 2) for mean in means), start=np.zeros_like(GRID))
    return density


def changed(picture: Image) -> Array:
    """Return the difference of each pixel from the empty road (H, W)."""
    difference: Array = np.abs(picture.astype(float) - 80).sum(axis=-1)
    return difference


def test_an_arc_is_on_its_circle() -> None:
    for curvature in (0.1, -0.05):
        points = arc(curvature)
        distances = np.hypot(points[:, 0], points[:, 1] - 1 / curvature)
        np.testing.assert_allclose(distances, 1 / abs(curvature), rtol=1e-9)
        assert (points[:, 2] == 0).all()


def test_a_straight_arc_is_a_line_of_the_given_length() -> None:
    points = arc(0.0, 12.0)
    np.testing.assert_allclose(points[-1], [12.0, 0.0, 0.0], atol=1e-12)
    assert (points[:, 1] == 0).all()


@settings(max_examples=50)
@given(st.floats(-2, 2), st.floats(0.5, 50))
def test_arcs_go_ahead_and_bend_to_their_side(curvature: float, length: float) -> None:
    points = arc(curvature, length)
    assert np.isfinite(points).all()
    assert (np.diff(points[:, 0]) > 0).all()
    assert (points[:, 1] * np.sign(curvature) >= 0).all()
    assert np.hypot(points[-1, 0], points[-1, 1]) <= length * (1 + 1e-9)


def test_a_left_turn_is_drawn_on_the_left() -> None:
    left = changed(draw_fan(road(), CAMERA, Decision(0.1, GRID, peaks(0.1))))
    right = changed(draw_fan(road(), CAMERA, Decision(-0.1, GRID, peaks(-0.1))))
    assert left[:, :128].sum() > 5 * left[:, 128:].sum()
    np.testing.assert_allclose(left[:, ::-1].sum(axis=0), right.sum(axis=0), rtol=0.5, atol=800)


def test_the_chosen_arc_crosses_the_image_where_the_camera_sees_it() -> None:
    decision = Decision(0.05)
    picture = draw_fan(road(), CAMERA, decision)
    pixels, depth = CAMERA.project(arc(0.05))
    inside = (depth > 0.3) & (pixels[:, 1] < 95) & (pixels[:, 1] > 0)
    assert inside.sum() > 5
    for x, y in pixels[inside]:
        near = picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
        assert np.abs(near.astype(int) - BRIGHT).sum(axis=-1).min() < 150


def test_a_fork_shows_both_roads_and_the_gap_between() -> None:
    fork = Decision(0.12, GRID, peaks(0.12, -0.12))
    amber = changed(draw_fan(road(), CAMERA, fork)) > 60
    row = amber[52]
    assert row[:100].any()
    assert row[156:].any()
    assert not row[120:136].any()


def test_the_likelier_arc_is_drawn_more_strongly() -> None:
    density = peaks(0.1) + 0.2 * peaks(-0.1)
    drawn = changed(draw_fan(road(), CAMERA, Decision(0.0, GRID, density)))
    assert drawn[52, :100].max() > 1.5 * drawn[52, 156:].max() > 0


def test_the_label_is_drawn_in_its_own_colour() -> None:
    picture = draw_fan(road(), CAMERA, Decision(0.1), label=-0.1)
    distance = np.abs(picture.astype(int) - TRUTH).sum(axis=-1)
    assert distance[:, 128:].min() < 60 < distance[:, :100].min()


def test_neither_the_given_image_nor_the_sky_changes() -> None:
    image = road()
    image.flags.writeable = False
    picture = draw_fan(image, CAMERA, Decision(0.0, GRID, peaks(0.0)))
    assert (image == 80).all()
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    assert (picture[:20] == 80).all()  # the sky: arcs end on the ground 15 m ahead


def test_fans_take_the_accent_colour() -> None:
    picture = draw_fan(road(), CAMERA, Decision(0.2, GRID, peaks(0.0, sigma=0.05))).astype(float)
    centre = picture[80, 128]
    towards = np.array(ACCENT) - 80
    moved = centre - 80
    assert float(moved @ towards) / (np.linalg.norm(moved) * np.linalg.norm(towards)) > 0.99


def test_side_cameras_see_their_side_of_the_fan() -> None:
    side = Camera(name="left", width=256, height=96, yaw_deg=45.0)
    left = changed(draw_fan(road(), side, Decision(0.15, GRID, peaks(0.15)))).sum()
    right = changed(draw_fan(road(), side, Decision(-0.2, GRID, peaks(-0.2)))).sum()
    assert left > 3 * right


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"camera takes 128x48 px, the image has \(256, 96\)"):
        draw_fan(road(), Camera(), Decision(0.0))


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(1e-4, 1.0), st.floats(-80, 80), st.floats(-30, 30))
def test_any_distribution_in_any_camera_can_be_drawn(mean: float, sigma: float, yaw: float, pitch: float) -> None:
    camera = Camera(width=64, height=32, yaw_deg=yaw, pitch_deg=pitch)
    image = np.zeros((32, 64, 3), np.uint8)
    assert draw_fan(image, camera, Decision(mean, GRID, peaks(mean, sigma=sigma))).shape == (32, 64, 3)


def test_a_density_of_zeros_draws_only_the_command() -> None:
    empty = draw_fan(road(), CAMERA, Decision(0.0, GRID, np.zeros_like(GRID)))
    np.testing.assert_array_equal(empty, draw_fan(road(), CAMERA, Decision(0.0)))
