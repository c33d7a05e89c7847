import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from navsim.rendering.road_fan import (
    CELL_EDGES,
    COMMAND_WIDTH,
    COMMANDS,
    MAX_TURN,
    REACH,
    START,
    Fan,
    cell_colours,
    cell_outline,
    cell_shares,
    command_index,
    command_outline,
    path_points,
)

GRID = np.linspace(-0.2, 0.2, 401)


def bump(centre: float, width: float) -> Fan:
    density = np.exp(-0.5 * ((GRID - centre) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return Fan(centre, GRID, density)


def test_a_straight_path_leads_straight_ahead() -> None:
    np.testing.assert_allclose(path_points(0.0, np.array([2.0, 5.0])), [[2.0, 0.0], [5.0, 0.0]])


def test_a_left_curve_is_the_circle_of_its_radius() -> None:
    end = path_points(0.1, np.array([10 * np.pi / 3]))  # 60 degrees of a circle of 10 m
    np.testing.assert_allclose(end, [[10 * np.sin(np.pi / 3), 10 * (1 - np.cos(np.pi / 3))]], atol=1e-12)


@given(st.floats(-0.2, 0.2))
def test_paths_end_at_the_largest_turn(curvature: float) -> None:
    points = path_points(curvature, np.linspace(0, REACH, 200))
    headings = np.arctan2(*np.diff(points, axis=0)[:, ::-1].T)
    assert np.abs(headings).max() <= MAX_TURN + 1e-6
    assert np.hypot(*np.diff(points, axis=0).T).sum() <= REACH + 1e-6


@given(st.floats(-0.2, 0.2))
def test_the_shown_command_ends_close_to_the_given_one(curvature: float) -> None:
    shown = float(COMMANDS[command_index(curvature)])
    here, there = (path_points(value, np.array([REACH]))[0] for value in (curvature, shown))
    assert np.hypot(*(here - there)) < 0.3


def test_cells_lie_side_by_side_from_right_to_left() -> None:
    for cell in range(len(CELL_EDGES) - 2):
        left, _ = cell_outline(cell)
        _, next_right = cell_outline(cell + 1)
        np.testing.assert_array_equal(left, next_right)
    left, right = cell_outline(20)  # the middle one
    assert (left[:, 1] > 0).all()
    assert (right[:, 1] < 0).all()
    assert left[0, 0] == pytest.approx(START, abs=0.01)


def test_the_band_of_a_command_has_its_width() -> None:
    left, right = command_outline(command_index(0.05))
    np.testing.assert_allclose(np.hypot(*(left - right).T), COMMAND_WIDTH)


def test_the_cell_with_the_mode_is_the_strongest() -> None:
    shares = cell_shares(bump(0.05, 0.02))
    cell = int(shares.argmax())
    assert shares[cell] == 1.0
    assert CELL_EDGES[cell] < 0.05 < CELL_EDGES[cell + 1]


def test_a_peak_narrower_than_the_grid_of_cells_still_shows() -> None:
    density = np.zeros(len(GRID))
    density[213] = 400.0  # one grid point, inside a cell
    shares = cell_shares(Fan(0.0, GRID, density))
    assert (shares > 0).sum() == 1


@given(st.floats(-0.19, 0.19), st.floats(0.004, 0.2))
def test_shares_are_the_cells_masses_over_the_largest(centre: float, width: float) -> None:
    edges = np.clip(CELL_EDGES, GRID[0], GRID[-1])
    masses = np.diff(norm.cdf(edges, centre, width))
    np.testing.assert_allclose(cell_shares(bump(centre, width)), masses / masses.max(), atol=0.02)


def test_without_a_distribution_no_cell_is_seen() -> None:
    assert not cell_colours(Fan(0.1))[:, 3].any()


def test_denser_cells_are_more_opaque() -> None:
    colours, shares = cell_colours(bump(0.0, 0.03)), cell_shares(bump(0.0, 0.03))
    order = np.argsort(shares)
    assert (np.diff(colours[order, 3]) >= 0).all()
    assert colours[shares < 0.01, 3].max() == 0
    assert ((colours >= 0) & (colours <= 1)).all()
