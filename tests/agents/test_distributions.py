import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical, MixtureSameFamily, Normal

from agents.policies.distributions.mixture import MEAN_LIMIT, SteeringMixture

LIMIT = 0.2
FLOOR = 0.01


def mixture(seed: int = 0, batch: int = 5, components: int = 3) -> SteeringMixture:
    outputs = torch.randn(batch, 3 * components, generator=torch.Generator().manual_seed(seed))
    return SteeringMixture.from_outputs(outputs, LIMIT, FLOOR)


def reference(distribution: SteeringMixture) -> MixtureSameFamily:
    """The same distribution by torch, in double precision."""
    weights, means, scales = (values.double() for values in distribution.components)
    return MixtureSameFamily(Categorical(probs=weights), Normal(means, scales))


def single(mean: float, scale: float) -> SteeringMixture:
    """One Gaussian in units of the range."""
    return SteeringMixture(torch.zeros(1, 1), torch.tensor([[mean]]), torch.tensor([[scale]]), LIMIT)


def test_log_prob_and_cdf_agree_with_torch() -> None:
    ours = mixture()
    theirs = reference(ours)
    for curvature in (-0.2, -0.03, 0.0, 0.11):
        x = torch.full((5,), curvature)
        expected = theirs.log_prob(x.double())  # type: ignore[no-untyped-call]
        torch.testing.assert_close(ours.log_prob(x).double(), expected, rtol=1e-4, atol=1e-4)
        below = theirs.cdf(x.double())  # type: ignore[no-untyped-call]
        torch.testing.assert_close(ours.cdf(x).double(), below, rtol=1e-4, atol=1e-5)


def test_a_standard_gaussian_has_its_textbook_density() -> None:
    # Scale 0.5 of a range of 0.2 1/m: sigma = 0.1 1/m, peak density 1 / (0.1 sqrt(2 pi)) = 3.989 m.
    density = single(0.0, 0.5).log_prob(torch.tensor([0.0])).exp()
    assert float(density) == pytest.approx(3.989, abs=1e-3)
    assert float(single(0.0, 0.5).cdf(torch.tensor([0.1]))) == pytest.approx(0.8413, abs=1e-4)


def test_the_density_integrates_to_one_and_to_the_cdf() -> None:
    distribution = mixture(seed=3)
    grid = torch.linspace(-2.0, 2.0, 40001)
    density = distribution.density(grid)
    assert density.shape == (5, 40001)
    torch.testing.assert_close(torch.trapezoid(density, grid), torch.ones(5), rtol=1e-3, atol=1e-3)
    half = torch.trapezoid(density[:, :20001], grid[:20001])
    torch.testing.assert_close(half, distribution.cdf(torch.zeros(5)), rtol=1e-3, atol=1e-3)


def test_samples_have_the_distributions_mean_and_cdf() -> None:
    distribution = mixture(seed=1, batch=2)
    many = SteeringMixture(
        distribution.log_weights.repeat_interleave(20000, 0),
        distribution.means.repeat_interleave(20000, 0),
        distribution.scales.repeat_interleave(20000, 0),
        LIMIT,
    )
    samples = many.sample(torch.Generator().manual_seed(0)).view(2, 20000)
    torch.testing.assert_close(samples.mean(1), distribution.mean, rtol=0.0, atol=4e-3)
    for curvature in (-0.1, 0.0, 0.15):
        share = (samples <= curvature).float().mean(1)
        torch.testing.assert_close(share, distribution.cdf(torch.full((2,), curvature)), rtol=0.0, atol=0.015)


def test_the_same_generator_draws_the_same_samples() -> None:
    first, second = (mixture().sample(torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, mixture().sample(torch.Generator().manual_seed(8)))


def test_the_mode_is_at_the_top_of_the_density() -> None:
    distribution = mixture(seed=5, batch=200)
    grid = torch.linspace(-LIMIT, LIMIT, 8001)
    highest = distribution.density(grid).amax(dim=1)
    found = distribution.log_prob(distribution.mode).exp()
    # A few fixed-point steps come close to the top; the component means are where they start.
    assert float((found / highest).min()) > 0.97


def test_at_a_fork_the_mode_takes_a_road_and_the_mean_hits_the_wall() -> None:
    fork = SteeringMixture(
        torch.log(torch.tensor([[0.45, 0.55]])), torch.tensor([[-0.5, 0.5]]), torch.tensor([[0.05, 0.05]]), LIMIT
    )
    assert float(fork.mode) == pytest.approx(0.1, abs=1e-4)
    assert float(fork.mean) == pytest.approx(0.01, abs=1e-4)


def test_the_mode_stays_within_the_vehicles_range() -> None:
    assert float(single(1.2, 0.1).mode) == pytest.approx(LIMIT)
    assert float(single(-1.2, 0.1).mode) == pytest.approx(-LIMIT)


def test_scales_keep_to_their_floor_and_means_to_their_limit() -> None:
    distribution = SteeringMixture.from_outputs(torch.full((1, 3), -1e30), LIMIT, FLOOR)
    assert float(distribution.scales) == pytest.approx(FLOOR)
    assert float(distribution.means) == pytest.approx(-MEAN_LIMIT)
    assert float(SteeringMixture.from_outputs(torch.full((1, 3), 1e30), LIMIT, FLOOR).scales) == pytest.approx(1.0)


def test_gradients_are_finite_at_twenty_and_at_ten_thousand_sigma() -> None:
    for distance in (20.0, 1e4):
        outputs = torch.tensor([[0.0, 0.0, 0.1, -0.1, -20.0, -20.0]], requires_grad=True)
        distribution = SteeringMixture.from_outputs(outputs, LIMIT, FLOOR)
        label = torch.tensor([0.1 * LIMIT + distance * FLOOR * LIMIT])
        loss = -distribution.log_prob(label).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        assert math.isfinite(loss.item())
        assert outputs.grad is not None
        assert outputs.grad.isfinite().all()
        if distance == 20.0:
            assert float(outputs.grad[0, 2]) < 0  # the nearer mean is pulled towards the label


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=300)
@given(st.lists(finite, min_size=9, max_size=9), finite)
def test_no_finite_input_makes_a_nan(outputs: list[float], curvature: float) -> None:
    raw = torch.tensor([outputs], requires_grad=True)
    distribution = SteeringMixture.from_outputs(raw, LIMIT, FLOOR)
    x = torch.tensor([curvature])
    values = [distribution.log_prob(x), distribution.cdf(x), distribution.mode, distribution.mean]
    values += [*distribution.components, distribution.sample(torch.Generator().manual_seed(0))]
    assert not any(value.isnan().any() for value in values)
    assert bool(values[0].isfinite().all())
    assert bool((distribution.mode.abs() <= LIMIT * (1 + 1e-6)).all())
    distribution.log_prob(x).sum().backward()  # type: ignore[no-untyped-call]
    assert raw.grad is not None
    assert not raw.grad.isnan().any()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-5, 5, width=32), min_size=9, max_size=9))
def test_cdf_rises_from_zero_to_one(outputs: list[float]) -> None:
    distribution = SteeringMixture.from_outputs(torch.tensor([outputs]), LIMIT, FLOOR)
    values = distribution.cdf(torch.linspace(-3, 3, 101)[:, None])[:, 0].numpy()
    assert (np.diff(values) >= -1e-6).all()
    assert values[0] == pytest.approx(0.0, abs=1e-3)
    assert values[-1] == pytest.approx(1.0, abs=1e-3)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        mixture().max_curvature = 1.0  # type: ignore[misc]
