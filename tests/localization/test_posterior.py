"""Statistics of a posterior, against hand-computed values and known results for Gaussians."""

import math

import numpy as np
import pytest

from navsim.localization.posterior import PosePosterior


def equal(poses: np.ndarray) -> PosePosterior:
    return PosePosterior(poses, np.full(len(poses), 1 / len(poses)))


def gaussian(count: int, sigma: float, seed: int = 0) -> PosePosterior:
    drawn = np.random.default_rng(seed).normal(size=(count, 3)) * [sigma, sigma, 0.1]
    return equal(drawn)


def test_mean_and_covariance_by_hand() -> None:
    belief = PosePosterior(np.array([(0.0, 0.0, 0.1), (4.0, 0.0, -0.1)]), np.array([0.75, 0.25]))
    np.testing.assert_allclose(belief.mean[:2], (1.0, 0.0))
    assert belief.mean[2] == pytest.approx(math.atan2(0.5 * math.sin(0.1), math.cos(0.1)))
    assert belief.covariance[0, 0] == pytest.approx(0.75 * 1 + 0.25 * 9)  # 3
    assert belief.covariance[0, 2] == pytest.approx(0.75 * -1 * 0.05 + 0.25 * 3 * -0.15, abs=1e-3)
    assert belief.covariance[1, 1] == 0
    assert belief.effective_size == pytest.approx(1 / (0.75**2 + 0.25**2))


def test_headings_are_averaged_on_the_circle() -> None:
    belief = equal(np.array([(0.0, 0.0, math.pi - 0.1), (0.0, 0.0, 0.1 - math.pi)]))
    assert abs(belief.mean[2]) == pytest.approx(math.pi)
    assert belief.covariance[2, 2] == pytest.approx(0.01)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 8.0])
def test_entropy_of_a_gaussian(sigma: float) -> None:
    assert gaussian(3000, sigma).entropy == pytest.approx(math.log(2 * math.pi * math.e * sigma**2), abs=0.2)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_credible_region_of_a_gaussian_is_a_disc(level: float) -> None:
    belief = gaussian(4000, 3.0)
    radius = 3.0 * math.sqrt(-2 * math.log(1 - level))  # Rayleigh's quantile
    distance = np.hypot(*belief.poses[:, :2].T)
    inside = belief.credible_region(level)
    assert inside.mean() == pytest.approx(level, abs=0.001)
    assert (inside == (distance < radius)).mean() > 0.92
    around = [(radius * math.cos(angle), radius * math.sin(angle)) for angle in range(12)]
    assert np.mean([belief.credible_level(place) for place in around]) == pytest.approx(level, abs=0.04)


def test_credible_levels_of_draws_from_the_belief_are_uniform() -> None:
    rng = np.random.default_rng(5)
    centres = np.array([(0.0, 0.0), (40.0, 10.0)])
    kind = rng.random(3000) < 0.3
    positions = np.where(kind[:, None], centres[0], centres[1]) + rng.normal(size=(3000, 2)) * 2.0
    belief = equal(np.column_stack([positions[:2000], np.zeros(2000)]))
    levels = np.array([belief.credible_level(place) for place in positions[2000:]])
    assert (levels <= 0.5).mean() == pytest.approx(0.5, abs=0.05)
    assert (levels <= 0.9).mean() == pytest.approx(0.9, abs=0.04)


def test_far_from_all_particles_the_level_is_one() -> None:
    assert gaussian(200, 1.0).credible_level((500.0, 0.0)) == 1.0


def test_the_estimate_has_one_of_two_places_and_headings() -> None:
    rng = np.random.default_rng(1)
    heavy, light = rng.normal(size=(2, 300, 3)) * [1.0, 1.0, 0.05]
    heavy[:, 0] += 100
    heavy[:120, 2] += math.pi  # some face backwards
    belief = PosePosterior(np.concatenate([heavy, light]), np.repeat([0.7 / 300, 0.3 / 300], 300))
    assert belief.estimate.position == pytest.approx([100.0, 0.0], abs=0.5)
    assert belief.estimate.heading == pytest.approx(0.0, abs=0.05)
    assert belief.mass_within((100.0, 0.0), 5.0) == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(("count", "side"), [(4000, 10.0), (1000, 20.0)])
def test_spacing_is_the_root_of_the_area_per_particle(count: int, side: float) -> None:
    rng = np.random.default_rng(0)
    even = equal(np.column_stack([rng.uniform(0, side, (count, 2)), np.zeros(count)]))
    assert even.spacing == pytest.approx(side / math.sqrt(count), rel=0.1)
    lonely = equal(np.column_stack([rng.uniform(0, 40 * side, (count, 2)), np.zeros(count)]))
    assert lonely.spacing == lonely.width == 2.0  # no particle is moved farther from its lane than that


def test_a_single_particle_is_a_posterior() -> None:
    belief = equal(np.array([(3.0, 4.0, 1.0)]))
    assert belief.estimate.position == pytest.approx([3.0, 4.0])
    assert math.isfinite(belief.entropy)
    assert belief.credible_region(0.5).tolist() == [True]


@pytest.mark.parametrize(
    ("poses", "weights", "text"),
    [
        (np.zeros((2, 2)), [0.5, 0.5], "poses"),
        (np.zeros((2, 3)), [0.5, 0.2], "sum to 1"),
        (np.zeros((2, 3)), [1.5, -0.5], "finite"),
        (np.full((1, 3), np.nan), [1.0], "finite"),
    ],
)
def test_invalid_posteriors_are_refused(poses: object, weights: list[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PosePosterior(poses, np.array(weights))  # type: ignore[arg-type]


def test_levels_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        gaussian(20, 1.0).credible_region(0.0)


def test_modes_are_the_places_with_their_weights() -> None:
    places, shares = ((0.0, 0.0, 0.0), (100.0, 0.0, 1.0), (0.0, 200.0, 2.0)), (500, 300, 20)
    rng = np.random.default_rng(0)
    parts = [place + rng.normal(size=(n, 3)) * [1.0, 1.0, 0.1] for place, n in zip(places, shares, strict=True)]
    belief = equal(np.concatenate(parts))
    first, second = belief.modes(3, 0.1)
    assert (first.pose.x, second.pose.x) == pytest.approx((0.0, 100.0), abs=0.3)
    assert second.pose.heading == pytest.approx(1.0, abs=0.05)
    assert (first.weight, second.weight) == pytest.approx((500 / 800, 300 / 800), abs=1e-9)
    assert len(belief.modes(3, 0.0)) == 3
    assert belief.modes(1, 0.0)[0].pose == belief.estimate


def test_sigma_of_a_gaussian_and_of_two_places() -> None:
    assert gaussian(4000, 3.0).sigma == pytest.approx(3.0, rel=0.05)
    assert equal(np.array([(-5.0, 0.0, 0.0), (5.0, 0.0, 0.0)])).sigma == pytest.approx(5.0 / math.sqrt(2))
