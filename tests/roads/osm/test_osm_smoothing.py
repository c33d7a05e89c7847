import numpy as np
import pytest

from navsim.geometry import Polyline
from navsim.roads.osm.street_lines import smoothed


def test_a_sharp_corner_becomes_a_bend_between_the_same_ends() -> None:
    corner = np.array([[0.0, 0.0], [60.0, 0.0], [60.0, 60.0]])
    course = smoothed([corner], [0.1], remove_corners=True)[0]
    assert course is not None
    bend = Polyline(course)
    np.testing.assert_allclose(course[[0, -1]], corner[[0, -1]], atol=1e-9)
    assert np.abs(bend.curvatures).max() <= 0.1 + 1e-9
    # A quarter circle of 10 m passes the corner at 4.1 m; the flow's bend may be a little wider.
    assert 4.0 < np.hypot(*(course - [60.0, 0.0]).T).min() < 7.0
    assert bend.project((30.0, 0.0))[1] == pytest.approx(0.0, abs=0.05)  # far away nothing moves


def test_smooth_lines_are_not_moved() -> None:
    angles = np.linspace(0, np.pi, 50)
    arc = 40 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    straight = np.array([[0.0, 0.0], [100.0, 0.0]])
    one, other = smoothed([arc, straight], [0.1, 0.1], remove_corners=True)
    assert one is not None
    assert other is not None
    assert np.abs(np.hypot(*one.T) - 40).max() < 0.25
    assert np.abs(other[:, 1]).max() < 1e-9
    assert np.diff(other[:, 0]) == pytest.approx(np.ones(100))


def test_a_spike_is_cut_and_a_small_ring_dropped() -> None:
    spike = np.array([[0.0, 0.0], [50.0, 0.0], [50.0, 30.0], [50.5, 0.0], [100.0, 0.0]])
    angles = np.linspace(0, 2 * np.pi, 30)
    ring = 4 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    cut, gone = smoothed([spike, ring], [0.1, 0.1], remove_corners=True)
    assert cut is not None
    assert np.abs(Polyline(cut).curvatures).max() <= 0.1 + 1e-9
    assert gone is None
