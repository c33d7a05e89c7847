"""Calibration in closed loop, by distributions whose probabilities can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from navsim.evaluation.metrics.calibration import (
    COVERAGE_Z,
    NOMINAL_COVERAGE,
    calibration,
    calibration_mapping,
    coverage,
    coverage_gap,
    label_transforms,
)
from navsim.evaluation.reports.score_tables import calibration_rows
from navsim.geometry import Array
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from tests.evaluation.drives import make_drive


def predicted(labels: list[float], grid: list[float], densities: list[list[float]]) -> Episode:
    """A drive with these distributions at its steps."""
    episode = make_drive(Outcome.ARRIVED, stations=np.linspace(0, 100, len(labels) + 1).tolist())
    return replace(
        episode, labels=np.array(labels), grid=np.array(grid), densities=np.array(densities, dtype=np.float32)
    )


def test_transforms_of_even_densities_are_shares_of_the_range() -> None:
    grid = [-0.2, -0.1, 0.0, 0.1, 0.2]
    episode = predicted([-0.2, -0.15, 0.0, 0.2], grid, [[2.5] * 5] * 4)
    assert label_transforms(episode) == pytest.approx([0.0, 0.125, 0.5, 1.0], abs=1e-6)


def test_transforms_do_not_need_densities_of_total_1_and_labels_may_lie_outside_the_grid() -> None:
    episode = predicted([0.3, -0.3, 0.0], [-0.2, 0.0, 0.2], [[7.0] * 3, [1.0] * 3, [0.0] * 3])
    assert label_transforms(episode) == pytest.approx([1.0, 0.0, 0.0])


def test_transforms_of_a_slope_follow_the_parabola_under_it() -> None:
    # The density 2 x on [0, 1] has the cumulative x^2.
    episode = predicted([0.25, 0.5], [0.0, 0.25, 0.5, 0.75, 1.0], [[0.0, 0.5, 1.0, 1.5, 2.0]] * 2)
    assert label_transforms(episode) == pytest.approx([0.0625, 0.25], abs=1e-6)


@pytest.mark.parametrize(("scale", "error"), [(0.0025, 0.01), (0.005, 0.002)])
def test_transforms_of_gaussians_as_narrow_as_the_grid_are_close(scale: float, error: float) -> None:
    grid = np.linspace(-0.2, 0.2, 161)
    labels = np.linspace(-0.01, 0.01, 41)
    episode = predicted(labels.tolist(), grid.tolist(), [norm.pdf(grid, 0.0011, scale).tolist()] * 41)
    assert np.abs(label_transforms(episode) - norm.cdf(labels, 0.0011, scale)).max() < error


def test_an_episode_without_distributions_has_no_transforms() -> None:
    assert label_transforms(make_drive(Outcome.ARRIVED)).shape == (0,)


def test_coverage_counts_the_central_interval() -> None:
    # 68.3% lie within z = 1: transforms from 0.159 to 0.841.
    transforms = np.array([0.15, 0.16, 0.5, 0.84, 0.85])
    assert coverage(transforms, 1.0) == pytest.approx(3 / 5)
    assert coverage(transforms, 0.5) == pytest.approx(1 / 5)  # from 0.309 to 0.691
    assert coverage(transforms, 2.0) == 1.0


def test_the_gap_is_the_largest_distance_between_the_curves() -> None:
    assert coverage_gap(np.array([0.5, 0.5])) == 1.0  # always in the middle: far too wide
    assert coverage_gap(np.array([0.0, 1.0])) == 1.0  # always outside: far too narrow
    # |2 p - 1| = 0.25 and 0.75: the steps 0, 1/2, 1 are never farther than 1/4 from the diagonal.
    assert coverage_gap(np.array([0.625, 0.125])) == pytest.approx(0.25)


def test_right_distributions_have_nominal_coverage_and_overconfident_ones_less() -> None:
    draws = np.random.default_rng(0)
    right = [draws.uniform(size=200) for _ in range(50)]
    found = calibration(right)
    assert found is not None
    assert (found.drives, found.steps) == (50, 10_000)
    assert found.coverage == pytest.approx(NOMINAL_COVERAGE, abs=0.015)
    assert all(low < nominal < high for (low, high), nominal in zip(found.intervals, NOMINAL_COVERAGE, strict=True))
    # A driver that believes in half the scale that its errors have: z of it is z / 2 of theirs.
    narrow = calibration([norm.cdf(2 * norm.ppf(transforms)) for transforms in right])
    assert narrow is not None
    assert narrow.coverage[1] == pytest.approx(NOMINAL_COVERAGE[0], abs=0.015)
    assert narrow.coverage[3] == pytest.approx(NOMINAL_COVERAGE[1], abs=0.015)
    assert narrow.gap > 0.2 > 0.02 > found.gap


def test_intervals_are_over_drives_since_steps_of_one_are_alike() -> None:
    draws = np.random.default_rng(1)
    apart = [draws.uniform(size=100) for _ in range(20)]
    alike = [np.full(100, draws.uniform()) for _ in range(20)]

    def width(drives: list[Array]) -> float:
        found = calibration(drives)
        assert found is not None
        low, high = found.intervals[1]
        return high - low

    assert width(alike) > 4 * width(apart)


def test_mapping_and_rows() -> None:
    found = calibration([np.array([0.5, 0.5, 0.5, 0.01])])
    values = calibration_mapping(found)
    assert values is not None
    assert values["coverage"][1] == {
        "z": 1.0,
        "nominal": pytest.approx(0.6827, abs=1e-4),
        "value": 0.75,
        "interval": [0.75, 0.75],
    }
    assert len(values["coverage"]) == len(COVERAGE_Z)
    rows = calibration_rows([values, None])
    assert rows[1] == ("expert's command within z = 1 (68%)", "75% (75% to 75%)", "-")
    assert rows[-1][0] == "largest gap over all z"
    assert calibration_rows([None, None]) == []
    assert calibration([np.zeros(0)]) is None
    assert calibration_mapping(None) is None
