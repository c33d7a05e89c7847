"""Scores and calibration against scipy, integrals by hand, and predictions that are right by construction."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from agents.policies.distributions.base import SteeringDistribution
from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.networks.config import PolicyConfig
from agents.policies.policy import HEADS
from agents.scoring.calibration import (
    coverage,
    coverage_gap,
    crps,
    join,
    nominal_coverage,
    pit_distance,
    pit_histogram,
    score,
    score_groups,
    score_samples,
)
from agents.scoring.predictions import Objective, fit_temperature, negative_log_likelihood, score_predictions
from navsim.evaluation.metrics.calibration import COVERAGE_Z, NOMINAL_COVERAGE
from tests.agents.small_runs import random_distribution

LIMIT = 0.2
OBJECTIVES: tuple[Objective, ...] = ("nll", "coverage")
KINDS = tuple(HEADS)


def gaussians(means: torch.Tensor, scale: float) -> SteeringMixture:
    """One Gaussian per situation, means (N,) and scale in 1/m."""
    count = len(means)
    return SteeringMixture(torch.zeros(count, 1), means[:, None] / LIMIT, torch.full((count, 1), scale / LIMIT), LIMIT)


def drawn(count: int, scale: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and labels that lie about them with a standard deviation of `scale` [1/m]."""
    rng = torch.Generator().manual_seed(seed)
    means = 0.1 * (2 * torch.rand(count, generator=rng) - 1)
    return means, means + scale * torch.randn(count, generator=rng)


@pytest.mark.parametrize("kind", KINDS)
def test_crps_is_the_integral_of_its_definition(kind: str) -> None:
    distribution = random_distribution(kind, batch=3)
    for label in (-LIMIT, -0.04, 0.0, 0.1234, LIMIT):
        found = crps(distribution, torch.full((3,), label))
        for row in range(3):
            x = torch.linspace(-1.2, 1.2, 240001)
            below = distribution.cdf(x[:, None].expand(-1, 3))[:, row].double().numpy()
            by_hand = integrate.trapezoid((below - (x.numpy() >= label)) ** 2, x.double().numpy())
            assert float(found[row]) == pytest.approx(by_hand, rel=2e-3, abs=2e-5)


def test_crps_of_a_gaussian_has_its_textbook_value() -> None:
    # At its mean: sigma (sqrt(2) - 1) / sqrt(pi) = 0.2337 sigma.
    found = crps(gaussians(torch.tensor([0.05]), 0.01), torch.tensor([0.05]))
    assert float(found) == pytest.approx(0.01 * (math.sqrt(2) - 1) / math.sqrt(math.pi), rel=1e-5)


def test_crps_of_a_sure_prediction_is_its_error() -> None:
    for kind in ("mixture", "bins", "truncated_mixture"):
        config = PolicyConfig(head=kind, scale_floor=1e-4, components=1, bins=1601)
        outputs = torch.zeros(1, len(HEADS[kind].initial_bias(config)))
        outputs[0, 800 if kind == "bins" else 1] = 1e4 if kind == "bins" else 0.0
        if kind != "bins":
            outputs[0, 2] = -30.0
        found = crps(HEADS[kind].distribution(outputs, config), torch.tensor([0.07]))
        assert float(found) == pytest.approx(0.07, abs=2e-4)


def test_crps_rewards_the_truth() -> None:
    means, labels = drawn(4000, 0.02)
    right, wide, narrow, off = (
        float(crps(gaussians(means + shift, scale), labels).mean())
        for shift, scale in ((0.0, 0.02), (0.0, 0.04), (0.0, 0.005), (0.02, 0.02))
    )
    assert right == min(right, wide, narrow, off)
    assert right == pytest.approx(0.02 / math.sqrt(math.pi), rel=0.03)


def test_nominal_coverage_is_that_of_the_tables() -> None:
    assert pytest.approx((0.3829, 0.6827, 0.8664, 0.9545), abs=1e-4) == NOMINAL_COVERAGE
    assert nominal_coverage(torch.tensor([1.96])).tolist() == pytest.approx([0.95], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_counts_the_labels_in_the_central_intervals(kind: str) -> None:
    distribution = random_distribution(kind, batch=300)
    labels = LIMIT * (2 * torch.rand(300, generator=torch.Generator().manual_seed(5)) - 1)
    z = torch.tensor([0.3, 1.0, 1.7])
    found = coverage(score_samples(distribution, labels).pit, z)
    for share, nominal in zip(found.tolist(), nominal_coverage(z).tolist(), strict=True):
        low, high = (distribution.quantile((1 + side * nominal) / 2) for side in (-1, 1))
        assert share == pytest.approx(float(((low <= labels) & (labels <= high)).float().mean()), abs=1 / 300)


def test_coverage_of_a_gaussian_counts_within_z_sigma() -> None:
    means, labels = drawn(2000, 0.03)
    found = coverage(score_samples(gaussians(means, 0.02), labels).pit, torch.tensor(COVERAGE_Z))
    for share, z in zip(found.tolist(), COVERAGE_Z, strict=True):
        assert share == pytest.approx(float(((labels - means).abs() <= z * 0.02).float().mean()), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_from_the_predictions_is_calibrated(kind: str) -> None:
    distribution = random_distribution(kind, batch=4000)
    scores = score(score_samples(distribution, distribution.sample(torch.Generator().manual_seed(1))))
    assert scores.coverage == pytest.approx(NOMINAL_COVERAGE, abs=0.025)
    assert scores.coverage_gap < 0.03
    assert scores.pit_distance < 0.03


def test_pit_histograms_show_too_narrow_as_a_u_and_too_wide_as_a_hill() -> None:
    means, labels = drawn(20000, 0.02)
    right, narrow, wide = (
        pit_histogram(score_samples(gaussians(means, scale), labels).pit, 10) for scale in (0.02, 0.01, 0.04)
    )
    for histogram in (right, narrow, wide):
        assert float(histogram.mean()) == pytest.approx(1.0)
    assert float((right - 1).abs().max()) < 0.1
    assert float(narrow[0]) > 1.5 > 0.8 > float(narrow[5])
    assert float(wide[0]) < 0.5 < 1.3 < float(wide[5])


def test_pit_distance_is_kolmogorovs() -> None:
    pit = torch.rand(500, generator=torch.Generator().manual_seed(2), dtype=torch.float64) ** 1.3
    assert pit_distance(pit) == pytest.approx(stats.kstest(pit.numpy(), "uniform").statistic)
    assert pit_distance(torch.zeros(5)) == 1.0


def test_sharpness_is_the_width_of_the_central_intervals() -> None:
    means, labels = drawn(10, 0.02)
    scores = score(score_samples(gaussians(means, 0.02), labels))
    assert scores.width_50 == pytest.approx(2 * 0.6745 * 0.02, rel=1e-3)
    assert scores.width_90 == pytest.approx(2 * 1.6449 * 0.02, rel=1e-3)


def test_scores_with_and_without_the_spike() -> None:
    labels = torch.tensor([0.0, 0.00005, 0.1, -0.1])
    distribution = gaussians(torch.tensor([0.0, 0.0, 0.08, -0.11]), 0.02)
    samples = score_samples(distribution, labels)
    scores = score(samples)
    peak = -math.log(0.02 * math.sqrt(2 * math.pi))
    costs = [0.0, (0.00005 / 0.02) ** 2 / 2, 0.5, 0.125]
    assert scores.nll == pytest.approx(sum(costs) / 4 - peak, abs=1e-4)
    assert scores.nll_without_spike == pytest.approx((0.5 + 0.125) / 2 - peak, abs=1e-4)
    assert scores.curvature_error == pytest.approx((0.00005 + 0.02 + 0.01) / 4, rel=1e-4)
    assert scores.curvature_error_without_spike == pytest.approx(0.015, rel=1e-4)
    assert scores.spike_share == pytest.approx(0.5)
    assert scores.count == 4
    spike = score(samples[torch.tensor([0, 1])])
    assert spike.nll_without_spike is None
    assert spike.curvature_error_without_spike is None
    assert spike.spike_share == 1.0


def test_curves_have_one_number_each() -> None:
    means, labels = drawn(100, 0.02)
    curves = score(score_samples(gaussians(means, 0.02), labels)).curves()
    assert {"nll", "crps", "pit_distance", "width_50", "coverage_z0.5", "coverage_z2"} <= set(curves)
    assert all(value is None or isinstance(value, float) for value in curves.values())


def test_batches_joined_are_the_whole() -> None:
    means, labels = drawn(60, 0.02)
    whole = score_samples(gaussians(means, 0.02), labels)
    parts = join([score_samples(gaussians(means[a:b], 0.02), labels[a:b]) for a, b in pairwise((0, 10, 11, 60))])
    assert len(parts) == 60
    for name in ("labels", "log_probs", "errors", "crps", "pit", "widths_50", "widths_90"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
        assert getattr(parts, name).dtype is torch.float64


def test_groups_are_scored_by_themselves_and_empty_ones_left_out() -> None:
    means, labels = drawn(90, 0.02)
    samples = score_samples(gaussians(means, 0.02), labels)
    groups = np.array(["straight", "curve", "left"] * 30)
    found = score_groups(samples, groups, ["left", "straight", "roundabout"])
    assert list(found) == ["left", "straight"]
    assert found["left"] == score(samples[torch.arange(90) % 3 == 2])
    assert found["left"] != found["straight"]


def test_the_fitted_temperature_undoes_a_wrong_scale() -> None:
    # Scales of 0.02 where 0.03 is right: a Gaussian to the power 1 / T has sqrt(T) times its scale, so T = 2.25.
    means, labels = drawn(6000, 0.03)
    batches = [(gaussians(means[i : i + 2000], 0.02), labels[i : i + 2000]) for i in range(0, 6000, 2000)]
    temperature = fit_temperature(batches)
    assert temperature == pytest.approx(2.25, rel=0.06)
    before, after = score(score_predictions(batches)), score(score_predictions(batches, temperature))
    assert after.nll < before.nll
    assert after.crps < before.crps
    assert after.coverage_gap < 0.02 < 0.1 < before.coverage_gap
    assert fit_temperature(batches, "coverage") == pytest.approx(2.25, rel=0.1)
    assert after.curvature_error == pytest.approx(before.curvature_error, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_that_are_right_need_no_temperature(kind: str) -> None:
    distribution = random_distribution(kind, batch=4000)
    labels = distribution.sample(torch.Generator().manual_seed(3))
    temperature = fit_temperature([(distribution, labels)])
    assert temperature == pytest.approx(1.0, abs=0.1)
    grid = np.geomspace(0.06, 18, 25)
    best = min(negative_log_likelihood([(distribution, labels)], value) for value in grid)
    assert negative_log_likelihood([(distribution, labels)], temperature) <= best + 1e-6


def test_a_temperature_fitted_to_coverage_narrows_the_gap_where_the_form_is_wrong() -> None:
    # Gaussian predictions, labels with heavy tails: their likelihood asks for more width than most labels need.
    means, _ = drawn(5000, 0.02)
    tails = torch.from_numpy(stats.t(2.5).rvs(5000, random_state=0)).float()
    predictions = [(gaussians(means, 0.02), (means + 0.01 * tails).clamp(-LIMIT, LIMIT))]
    by_nll, by_coverage = (fit_temperature(predictions, objective) for objective in OBJECTIVES)
    gaps = [score(score_predictions(predictions, value)).coverage_gap for value in (by_nll, by_coverage)]
    assert by_coverage < 0.8 * by_nll
    assert gaps[1] < 0.6 * gaps[0]
    assert negative_log_likelihood(predictions, by_coverage) > negative_log_likelihood(predictions, by_nll)


def test_the_coverage_gap_is_over_all_z() -> None:
    means, labels = drawn(3000, 0.03)
    pit = score_samples(gaussians(means, 0.02), labels).pit
    z = torch.linspace(0, 5, 4001)
    assert coverage_gap(pit) == pytest.approx(float((coverage(pit, z) - nominal_coverage(z)).abs().max()), abs=2e-3)


def test_the_temperature_keeps_to_its_range() -> None:
    means = torch.zeros(50)
    sure, unsure = gaussians(means, 0.19), gaussians(means, 0.0005)
    assert fit_temperature([(sure, means)]) == pytest.approx(0.05, rel=0.01)
    assert fit_temperature([(unsure, means + 0.1)]) == pytest.approx(20.0, rel=0.01)


def test_scoring_leaves_no_graph_behind() -> None:
    outputs = torch.zeros(4, 9, requires_grad=True)
    distribution: SteeringDistribution = SteeringMixture.from_outputs(outputs, LIMIT, 0.01)
    samples = score_samples(distribution, torch.zeros(4))
    assert not samples.log_probs.requires_grad
    assert math.isfinite(negative_log_likelihood([(distribution, torch.zeros(4))]))
