import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.errors import ConfigError
from navsim.geometry import Pose
from navsim.sensing.camera import RIGS, Camera, Rig

LEVEL = Camera(width=200, height=100, fov_deg=90.0, position=(0.0, 0.0, 1.5), pitch_deg=0.0)


def test_focal_length_by_hand() -> None:
    # 90 degrees over 200 px: half the width subtends 45 degrees, so the focal length is 100 px.
    assert LEVEL.focal_px == pytest.approx(100.0)


def test_points_project_where_a_pinhole_puts_them() -> None:
    pixels, depth = LEVEL.project([[10.0, 0.0, 1.5], [10.0, 5.0, 1.5], [10.0, 0.0, 0.0], [-10.0, 0.0, 1.5]])
    assert pixels[0] == pytest.approx([100.0, 50.0])  # straight ahead: the middle
    assert pixels[1] == pytest.approx([50.0, 50.0])  # 5 m left at 10 m: 100 px * 0.5 to the left
    assert pixels[2] == pytest.approx([100.0, 65.0])  # on the ground: 100 px * 0.15 down
    assert depth == pytest.approx([10.0, 10.0, 10.0, -10.0])


def test_a_camera_turned_left_sees_the_left_in_its_middle() -> None:
    camera = Camera(width=200, height=100, position=(0.0, 0.0, 1.0), yaw_deg=90.0, pitch_deg=0.0)
    pixels, depth = camera.project([[0.0, 7.0, 1.0]])
    assert pixels[0] == pytest.approx([100.0, 50.0])
    assert depth[0] == pytest.approx(7.0)


def test_a_camera_tilted_up_moves_things_down() -> None:
    up = Camera(width=200, height=100, position=(0.0, 0.0, 1.0), pitch_deg=10.0)
    pixels, _ = up.project([[10.0, 0.0, 1.0]])
    assert pixels[0, 1] > 50.0


@given(
    x=st.floats(5.0, 60.0),
    y=st.floats(-20.0, 20.0),
    z=st.floats(-1.0, 4.0),
    yaw=st.floats(-60.0, 60.0),
    pitch=st.floats(-30.0, 30.0),
    heading=st.floats(-3.0, 3.0),
)
def test_opengl_matrices_agree_with_the_projection(
    x: float, y: float, z: float, yaw: float, pitch: float, heading: float
) -> None:
    camera = Camera(width=160, height=90, fov_deg=80.0, position=(0.5, 0.1, 1.4), yaw_deg=yaw, pitch_deg=pitch)
    pose = Pose(30.0, -12.0, heading)
    pixels, depth = camera.project([[x, y, z]])
    if depth[0] < 1.0:
        return
    world = np.append(pose.to_world([[x, y]])[0], [z, 1.0])
    clip = camera.projection_matrix() @ camera.view_matrix(pose) @ world
    ndc = clip[:3] / clip[3]
    screen = [(ndc[0] + 1) / 2 * camera.width, (1 - ndc[1]) / 2 * camera.height]
    assert screen == pytest.approx(pixels[0], abs=1e-6)
    assert clip[3] == pytest.approx(depth[0])


def test_intrinsics_project_like_the_camera() -> None:
    camera = Camera(width=160, height=90, fov_deg=80.0, position=(0.0, 0.0, 1.0), pitch_deg=0.0)
    homogeneous = camera.intrinsics @ [-2.0, 1.0, 10.0]  # right, down, depth
    pixels, _ = camera.project([[10.0, 2.0, 0.0]])
    assert homogeneous[:2] / homogeneous[2] == pytest.approx(pixels[0])


@given(yaw=st.floats(-180.0, 180.0), pitch=st.floats(-80.0, 80.0))
def test_axes_are_a_right_handed_rotation(yaw: float, pitch: float) -> None:
    axes = Camera(yaw_deg=yaw, pitch_deg=pitch).axes
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "wrong", [{"width": 4}, {"height": 0}, {"fov_deg": 180.0}, {"fov_deg": 0.0}, {"pitch_deg": 90.0}]
)
def test_impossible_cameras_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="camera 'roof'"):
        Camera(name="roof", **wrong)  # type: ignore[arg-type]


def test_a_point_through_extrinsics_and_intrinsics_is_where_project_puts_it() -> None:
    camera = Camera(width=200, height=80, yaw_deg=50.0, pitch_deg=-12.0, position=(0.3, 0.2, 1.5))
    point = np.array([6.0, 9.0, 0.4])
    in_camera = np.linalg.inv(camera.vehicle_from_camera) @ [*point, 1.0]
    x, y, depth = camera.intrinsics @ in_camera[:3]
    pixels, depths = camera.project([point])
    assert depth == pytest.approx(depths[0])
    assert (x / depth, y / depth) == pytest.approx(tuple(pixels[0]))
    # Looking to the left, what lies ahead of the car lies to the right of the picture.
    assert camera.vehicle_from_camera[:3, :3] @ [1.0, 0.0, 0.0] == pytest.approx(
        (np.sin(np.radians(50.0)), -np.cos(np.radians(50.0)), 0.0)
    )


def test_rigs_have_the_sizes_of_their_sources() -> None:
    assert {rig: [(c.name, c.height, c.width) for c in cameras] for rig, cameras in RIGS.items()} == {
        Rig.DEMO: [("front", 48, 128)],
        Rig.PILOTNET: [("front", 66, 200)],
        Rig.AMINI2019: [("front", 80, 200), ("left", 80, 200), ("right", 80, 200)],
    }
    front, left, right = RIGS[Rig.AMINI2019]
    assert left.yaw_deg == -right.yaw_deg > front.yaw_deg == 0.0


def test_unprojection_by_hand() -> None:
    points = LEVEL.unproject(np.full((100, 200), 10.0))
    assert points.shape == (100, 200, 3)
    # The first pixel's centre lies 99.5 px to the left of the middle and 49.5 px above it, at 100 px per 45 degrees.
    assert points[0, 0] == pytest.approx([10.0, 9.95, 1.5 + 4.95])


@given(yaw=st.floats(-180.0, 180.0), pitch=st.floats(-60.0, 60.0), seed=st.integers(0, 20))
def test_points_project_back_to_the_pixels_that_show_them(yaw: float, pitch: float, seed: int) -> None:
    camera = Camera(width=12, height=9, fov_deg=100.0, position=(0.3, -0.2, 1.1), yaw_deg=yaw, pitch_deg=pitch)
    depth = np.random.default_rng(seed).uniform(0.5, 80.0, (2, 9, 12))
    pixels, back = camera.project(camera.unproject(depth).reshape(-1, 3))
    assert back == pytest.approx(depth.ravel())
    x, y = np.meshgrid(np.arange(12) + 0.5, np.arange(9) + 0.5)
    assert pixels.reshape(2, 9, 12, 2) == pytest.approx(np.stack([np.stack([x, y], axis=-1)] * 2))


def test_the_sky_has_no_point() -> None:
    depth = np.full((100, 200), 5.0)
    depth[:40] = np.inf
    points = LEVEL.unproject(depth)
    assert np.isnan(points[:40]).all()
    assert np.isfinite(points[40:]).all()
