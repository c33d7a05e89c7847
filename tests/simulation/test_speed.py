import numpy as np
import pytest

from navsim.geometry import Polyline
from navsim.simulation.expert import curve_speed, speed_profile


def straight_then_circle(radius: float) -> Polyline:
    """100 m east, then half a circle to the left, vertices every 0.5 m."""
    straight = np.stack([np.arange(0.0, 100.0, 0.5), np.zeros(200)], axis=-1)
    angles = np.arange(0.0, np.pi, 0.5 / radius)
    circle = np.stack([100.0 + radius * np.sin(angles), radius * (1 - np.cos(angles))], axis=-1)
    return Polyline(np.concatenate([straight, circle]))


def test_a_straight_is_driven_at_cruise_speed() -> None:
    path = Polyline(np.array([[0.0, 0.0], [50.0, 0.0], [120.0, 0.0]]))
    assert speed_profile(path, 8.0, 2.0) == pytest.approx([8.0, 8.0, 8.0])


def test_a_curve_is_driven_at_the_lateral_acceleration() -> None:
    path = straight_then_circle(10.0)
    speeds = speed_profile(path, 8.0, 2.0)
    assert np.interp(115.0, path.stations, speeds) == pytest.approx(np.sqrt(2.0 * 10.0), rel=0.02)


def test_the_approach_brakes_at_the_stated_rate() -> None:
    path = straight_then_circle(10.0)
    speeds = speed_profile(path, 8.0, 2.0, braking=1.5)
    assert speeds[0] == pytest.approx(8.0)
    decelerations = -np.diff(speeds**2) / 2 / np.diff(path.stations)
    assert decelerations.max() <= 1.5 + 1e-9
    braking = (speeds[1:] < 7.9) & (path.stations[1:] < 95.0)
    assert decelerations[braking] == pytest.approx(np.full(braking.sum(), 1.5), rel=1e-6)


def test_a_wide_curve_does_not_slow_down() -> None:
    assert speed_profile(straight_then_circle(80.0), 8.0, 2.0).min() > 7.99


@pytest.mark.parametrize(("curvature", "speed"), [(0.0, 8.0), (0.125, 4.0), (-0.125, 4.0), (0.01, 8.0)])
def test_curve_speed_by_hand(curvature: float, speed: float) -> None:
    assert curve_speed(curvature, 2.0, 8.0) == pytest.approx(speed)
