"""Recalibration: probabilities replaced by those observed on held-out labels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.distributions.recalibrated import Recalibrated, check_levels, fit_levels, recalibrated
from agents.scoring.calibration import score
from agents.scoring.predictions import fit_temperature, score_predictions
from navsim.errors import ConfigError
from navsim.evaluation.metrics.calibration import COVERAGE_Z, NOMINAL_COVERAGE

LIMIT = 0.2
LEVELS = (0.0, 0.05, 0.45, 0.55, 0.95, 1.0)


def gaussians(means: torch.Tensor, scale: float) -> SteeringMixture:
    """One Gaussian for each mean (B,) [1/m]."""
    return SteeringMixture(
        torch.zeros(len(means), 1), means[:, None] / LIMIT, torch.full((len(means), 1), scale / LIMIT), LIMIT
    )


def two_ways() -> SteeringMixture:
    """Three situations with a way to the left and one to the right."""
    weights = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]).log()
    means, scales = torch.tensor([[-0.5, 0.5]] * 3), torch.tensor([[0.1, 0.05]] * 3)
    return SteeringMixture(weights, means, scales, LIMIT)


def test_between_levels_probability_rises_in_straight_lines() -> None:
    base = gaussians(torch.tensor([0.0, 0.03]), 0.01)
    found = Recalibrated(base, (0.0, 0.2, 1.0))
    for before, after in ((0.1, 0.25), (0.2, 0.5), (0.6, 0.75)):
        torch.testing.assert_close(found.cdf(base.quantile(before)), torch.full((2,), after), atol=1e-4, rtol=0.0)
    # Half of the mass in a fifth of the base's: there the density is 2.5 times the base's, elsewhere 0.625 times.
    low, high = base.quantile(0.1), base.quantile(0.7)
    torch.testing.assert_close(found.log_prob(low) - base.log_prob(low), torch.full((2,), math.log(2.5)))
    torch.testing.assert_close(found.log_prob(high) - base.log_prob(high), torch.full((2,), math.log(0.625)))


def test_it_is_a_distribution() -> None:
    found = Recalibrated(two_ways(), LEVELS)
    grid = torch.linspace(-0.4, 0.4, 160_001)
    density = found.density(grid).double()
    torch.testing.assert_close(torch.trapezoid(density, grid.double()), torch.ones(3).double(), atol=2e-4, rtol=0.0)
    torch.testing.assert_close(torch.trapezoid(density * grid, grid.double()), found.mean.double(), atol=2e-4, rtol=0.0)
    for probability in (0.02, 0.3, 0.5, 0.97):
        reached = found.cdf(found.quantile(probability))
        torch.testing.assert_close(reached, torch.full((3,), probability), atol=1e-4, rtol=0.0)
    assert torch.equal(found.mode, two_ways().mode)
    assert found.max_curvature == LIMIT


def test_samples_follow_the_cdf() -> None:
    base = gaussians(torch.zeros(20_000), 0.01)
    samples = Recalibrated(base, LEVELS).sample(torch.Generator().manual_seed(0))
    for share, level in zip((0.2, 0.4, 0.6, 0.8), LEVELS[1:-1], strict=True):
        assert float((samples < base.quantile(level)).float().mean()) == pytest.approx(share, abs=0.015)


def test_equal_levels_and_no_levels_change_nothing() -> None:
    base = two_ways()
    curvature = torch.tensor([-0.1, 0.0, 0.1])
    same = Recalibrated(base, (0.0, 0.25, 0.5, 0.75, 1.0))
    torch.testing.assert_close(same.log_prob(curvature), base.log_prob(curvature))
    torch.testing.assert_close(same.cdf(curvature), base.cdf(curvature))
    assert recalibrated(base, ()) is base


def test_a_temperature_goes_to_the_base() -> None:
    found = Recalibrated(two_ways(), LEVELS).tempered(2.0)
    expected = Recalibrated(two_ways().tempered(2.0), LEVELS)
    torch.testing.assert_close(found.quantile(0.3), expected.quantile(0.3))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 30))
def test_fitted_levels_can_always_be_used(transforms: list[float], steps: int) -> None:
    levels = fit_levels(torch.tensor(transforms), steps)
    check_levels(levels)
    assert len(levels) == steps + 1
    base = gaussians(torch.zeros(3), 0.01)
    curvature = torch.tensor([-10.0, 0.0, 10.0])
    assert bool(torch.isfinite(Recalibrated(base, levels).log_prob(curvature)).all())


@pytest.mark.parametrize("levels", [(0.0,), (0.1, 1.0), (0.0, 0.5, 0.5, 1.0), (0.0, math.nan, 1.0)])
def test_levels_that_do_not_rise_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="levels must be empty, or rise from 0 to 1"):
        check_levels(levels)


def test_it_corrects_a_wrong_shape_on_held_out_labels() -> None:
    # Errors with a narrow middle and long tails, predicted as Gaussian: no temperature can be right at every z.
    generator = torch.Generator().manual_seed(1)
    wide = torch.rand(40_000, generator=generator) < 0.2
    errors = torch.randn(40_000, generator=generator) * torch.where(wide, 0.02, 0.004)
    fit, judged = ([(gaussians(torch.zeros(20_000), 0.01), half)] for half in errors.chunk(2))
    temperature = fit_temperature(fit)
    levels = fit_levels(score_predictions(fit, temperature).pit)
    tempered, mended = (score(score_predictions(judged, temperature, each)) for each in ((), levels))
    gaps = [
        max(abs(found - nominal) for found, nominal in zip(scores.coverage, NOMINAL_COVERAGE, strict=True))
        for scores in (tempered, mended)
    ]
    assert len(mended.coverage) == len(COVERAGE_Z)
    assert gaps[0] > 0.1
    assert gaps[1] < 0.02
    assert mended.nll < tempered.nll - 0.1
