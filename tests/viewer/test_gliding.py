"""Poses between two moments."""

import math

import pytest

from navsim.geometry import Pose
from navsim.viewer.dashboard_window import interpolate_pose


def test_the_way_between_two_poses_turns_the_shorter_way() -> None:
    a, b = Pose(0.0, 0.0, math.radians(170)), Pose(2.0, 4.0, math.radians(-170))
    half = interpolate_pose(a, b, 0.5)
    assert (half.x, half.y) == (1.0, 2.0)
    assert abs(half.heading) == pytest.approx(math.pi)
    assert interpolate_pose(a, b, -1.0) == a
    end = interpolate_pose(a, b, 2.0)
    assert (end.x, end.y, end.heading) == pytest.approx((b.x, b.y, b.heading))
