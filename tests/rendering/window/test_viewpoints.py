import math

import pytest

from navsim.geometry import Pose
from navsim.rendering.window.viewpoints import Viewpoint, eye_and_target, heading_and_pitch


def test_views_follow_each_other_in_a_circle() -> None:
    assert Viewpoint.CHASE.following is Viewpoint.HOOD
    assert Viewpoint.HOOD.following is Viewpoint.TOP
    assert Viewpoint.TOP.following is Viewpoint.CHASE


def test_the_chase_camera_stands_behind_and_above_a_car_that_drives_north() -> None:
    (x, y, z), target = eye_and_target(Viewpoint.CHASE, Pose(10.0, 20.0, math.pi / 2))
    assert x == pytest.approx(10.0)
    assert y < 17
    assert z > 2
    assert target[1] > 20


def test_the_camera_above_shows_the_heading_upwards() -> None:
    eye, target = eye_and_target(Viewpoint.TOP, Pose(0.0, 0.0, 0.5))
    heading, pitch = heading_and_pitch(eye, target)
    assert heading == pytest.approx(0.5)
    assert pitch == pytest.approx(math.pi / 2, abs=0.01)


def test_facing_ahead_and_down() -> None:
    assert heading_and_pitch((0.0, 0.0, 1.0), (1.0, 0.0, 0.0)) == pytest.approx((0.0, math.pi / 4))
    assert heading_and_pitch((0.0, 0.0, 0.0), (0.0, 2.0, 0.0)) == pytest.approx((math.pi / 2, 0.0))
