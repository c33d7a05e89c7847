"""Smooth centre lines, against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.errors import TownError
from navsim.roads.generators.layout import closed_line, flowing_line, rounded_line, spline_line

SQUARE = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 100.0]])


def test_a_corner_becomes_an_arc_of_its_radius() -> None:
    line = rounded_line(SQUARE, [30.0])
    np.testing.assert_array_equal(line.points[[0, -1]], SQUARE[[0, -1]])
    # The arc's middle lies on the diagonal, sqrt(2) - 1 radii from the corner.
    gap = line.project(SQUARE[1])[1]
    assert abs(gap) == pytest.approx(30.0 * (np.sqrt(2) - 1), abs=0.5)
    assert np.median(line.curvatures[line.curvatures > 0.02]) == pytest.approx(1 / 30, rel=0.02)
    assert line.length == pytest.approx(200 - 2 * 30 + 30 * np.pi / 2, abs=0.5)


@given(radius=st.floats(12.0, 60.0), turn=st.floats(-2.4, 2.4).filter(lambda turn: abs(turn) > 0.1))
def test_curvature_sets_in_gradually_and_never_exceeds_the_arc_by_much(radius: float, turn: float) -> None:
    leg = radius * np.tan(abs(turn) / 2) + 30.0
    corners = np.array([[-leg, 0.0], [0.0, 0.0], [leg * np.cos(turn), leg * np.sin(turn)]])
    line = rounded_line(corners, [radius])
    assert np.abs(line.curvatures).max() <= 1.06 / radius
    rate = np.abs(np.diff(line.curvatures)) / np.diff(line.stations)
    assert rate[1:-1].max() <= 1.3 / radius / 6.0
    assert line.headings[-1] - line.headings[0] == pytest.approx(turn, abs=1e-3)
    # The ends are straight.
    assert np.abs(line.curvatures[:15]).max() < 1e-6


def test_two_quarter_turns_make_a_hairpin() -> None:
    corners = np.array([[0.0, 0.0], [100.0, 0.0], [100.0, 30.0], [0.0, 30.0]])
    line = rounded_line(corners, [15.0, 15.0])
    assert line.headings[-1] - line.headings[0] == pytest.approx(np.pi)
    assert line.points[:, 0].max() == pytest.approx(100.0, abs=0.5)
    assert 1 / 16 < np.abs(line.curvatures).max() < 1 / 14


def test_arcs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(TownError, match=r"leg of 100 m is too short for arcs that need 120 m"):
        rounded_line(SQUARE, [120.0])
    with pytest.raises(TownError, match=r"longer than its straight lead of 101.0 m, got 100 m"):
        flowing_line(SQUARE, lead=101.0)


def test_flowing_arcs_are_as_wide_as_the_straight_ends_allow() -> None:
    line = flowing_line(SQUARE, lead=60.0)
    assert np.median(line.curvatures[line.curvatures > 0.015]) == pytest.approx(1 / 40, rel=0.03)
    wide = flowing_line(SQUARE, lead=20.0, max_radius=25.0)
    assert np.median(wide.curvatures[wide.curvatures > 0.025]) == pytest.approx(1 / 25, rel=0.03)


def test_a_closed_line_through_a_circle_is_one() -> None:
    angles = 2 * np.pi * np.arange(12) / 12
    line = closed_line(100.0 * np.stack([np.cos(angles), np.sin(angles)], axis=-1))
    np.testing.assert_array_equal(line.points[0], line.points[-1])
    assert line.length == pytest.approx(200 * np.pi, rel=1e-3)
    assert np.hypot(*line.points.T) == pytest.approx(100.0, rel=2e-3)
    assert line.curvatures[1:-1] == pytest.approx(1 / 100, rel=0.15)


def test_a_spline_begins_and_ends_in_the_given_directions() -> None:
    line = spline_line(np.array([[0.0, 0.0], [40.0, 10.0], [90.0, 0.0]]), 0.5, -0.4)
    assert line.headings[0] == pytest.approx(0.5, abs=0.03)
    assert line.headings[-1] == pytest.approx(-0.4, abs=0.03)
    assert line.position(line.project((40.0, 10.0))[0]) == pytest.approx([40.0, 10.0], abs=0.05)
