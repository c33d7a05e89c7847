"""Every kind of distribution over steering, by the same tests: against scipy and torch, and by Monte Carlo."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from torch.distributions import Categorical, MixtureSameFamily, Normal

from agents.policies.distributions.base import TEMPERATURES, SteeringDistribution
from agents.policies.distributions.bins import SteeringBins
from agents.policies.distributions.mixture import MEAN_LIMIT, SteeringMixture, TruncatedMixture
from agents.policies.networks.config import PolicyConfig
from agents.policies.policy import HEADS
from navsim.errors import ConfigError

LIMIT = 0.2
FLOOR = 0.01
KINDS = tuple(HEADS)
BOUNDED = ("bins", "truncated_mixture")

Array = NDArray[np.float64]


def config(kind: str) -> PolicyConfig:
    return PolicyConfig(head=kind, max_curvature=LIMIT, scale_floor=FLOOR, bins=15, point_width=0.3)  # type: ignore[arg-type]


def outputs_of(kind: str) -> int:
    return len(HEADS[kind].initial_bias(config(kind)))


def made(kind: str, outputs: torch.Tensor) -> SteeringDistribution:
    output: SteeringDistribution = HEADS[kind].distribution(outputs, config(kind))
    return output


def some(kind: str, seed: int = 0, batch: int = 5, repeated: int = 1) -> SteeringDistribution:
    """A distribution from random outputs; each situation `repeated` times in a row."""
    outputs = torch.randn(batch, outputs_of(kind), generator=torch.Generator().manual_seed(seed))
    return made(kind, outputs.repeat_interleave(repeated, 0))


def by_scipy(distribution: SteeringDistribution) -> list[list[tuple[float, Any]]]:
    """For each situation the same distribution by scipy in double precision: weights and parts."""
    if isinstance(distribution, SteeringBins):
        edges = np.linspace(-LIMIT, LIMIT, distribution.log_shares.shape[1] + 1)
        shares = distribution.log_shares.double().exp().numpy()
        return [[(1.0, stats.rv_histogram((row, edges), density=False))] for row in shares]
    assert isinstance(distribution, SteeringMixture | TruncatedMixture)
    weights, means, scales = (
        values.double().numpy() for values in (distribution.log_weights.exp(), distribution.means, distribution.scales)
    )

    def part(mean: float, scale: float) -> Any:
        if isinstance(distribution, SteeringMixture):
            return stats.norm(mean * LIMIT, scale * LIMIT)
        return stats.truncnorm((-1 - mean) / scale, (1 - mean) / scale, mean * LIMIT, scale * LIMIT)

    rows = zip(weights, means, scales, strict=True)
    return [[(w, part(m, s)) for w, m, s in zip(*row, strict=True)] for row in rows]


def expected(distribution: SteeringDistribution, method: str, *arguments: float) -> Array:
    """What scipy says for each situation (B,): weighted sums of a method of the parts."""
    rows = by_scipy(distribution)
    return np.array([sum(w * getattr(part, method)(*arguments) for w, part in row) for row in rows])


def single(mean: float, scale: float, kind: type[SteeringMixture | TruncatedMixture] = SteeringMixture) -> Any:
    """One Gaussian in units of the range."""
    return kind(torch.zeros(1, 1), torch.tensor([[mean]]), torch.tensor([[scale]]), LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_density_cdf_and_mean_agree_with_scipy(kind: str) -> None:
    ours = some(kind)
    for curvature in (-0.19, -0.03, 0.001, 0.11):
        x = torch.full((5,), curvature)
        np.testing.assert_allclose(ours.log_prob(x), np.log(expected(ours, "pdf", curvature)), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(ours.cdf(x), expected(ours, "cdf", curvature), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.mean, expected(ours, "mean"), rtol=1e-4, atol=1e-6)


def test_the_mixture_agrees_with_torch() -> None:
    ours = some("mixture")
    assert isinstance(ours, SteeringMixture)
    weights, means, scales = (values.double() for values in ours.components)
    theirs = MixtureSameFamily(Categorical(probs=weights), Normal(means, scales))
    x = torch.linspace(-0.2, 0.2, 5)
    log_prob, cdf = theirs.log_prob(x.double()), theirs.cdf(x.double())  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.log_prob(x).double(), log_prob, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.cdf(x).double(), cdf, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_densities_on_a_grid_integrate_to_one_and_to_the_cdf(kind: str) -> None:
    distribution = some(kind, seed=3)
    grid = torch.linspace(-2.0, 2.0, 40001)
    density = distribution.density(grid)
    assert density.shape == (5, 40001)
    torch.testing.assert_close(torch.trapezoid(density, grid), torch.ones(5), rtol=1e-3, atol=1e-3)
    half = torch.trapezoid(density[:, :20001], grid[:20001])
    torch.testing.assert_close(half, distribution.cdf(torch.zeros(5)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_distributions_mean_and_cdf(kind: str) -> None:
    one, many = some(kind, seed=1, batch=2), some(kind, seed=1, batch=2, repeated=20000)
    samples = many.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples.view(2, 20000).mean(1), one.mean, rtol=0.0, atol=4e-3)
    for uniform in many.cdf(samples).double().view(2, 20000).numpy():
        assert stats.kstest(uniform, "uniform").pvalue > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_generator_draws_the_same_samples(kind: str) -> None:
    first, second = (some(kind).sample(torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, some(kind).sample(torch.Generator().manual_seed(8)))


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_invert_the_cdf(kind: str) -> None:
    distribution = some(kind, seed=2, batch=6)
    probabilities = torch.rand(4, 3, 6, generator=torch.Generator().manual_seed(0))
    found = distribution.quantile(probabilities)
    assert found.shape == (4, 3, 6)
    torch.testing.assert_close(distribution.cdf(found), probabilities, rtol=0.0, atol=1e-5)
    assert torch.equal(distribution.quantile(0.5), distribution.quantile(torch.full((6,), 0.5)))
    assert bool((distribution.quantile(0.1) < distribution.quantile(0.9)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_the_outermost_quantiles_are_finite(kind: str) -> None:
    low, high = (some(kind).quantile(end) for end in (0.0, 1.0))
    assert bool((low < high).all())
    if kind in BOUNDED:
        torch.testing.assert_close(low, torch.full((5,), -LIMIT))
        torch.testing.assert_close(high, torch.full((5,), LIMIT))
    else:
        assert bool(torch.cat([low, high]).isfinite().all())


def test_gaussian_quantiles_are_those_of_the_tables() -> None:
    gaussian = single(0.25, 0.1)  # 0.05 and 0.02 1/m
    assert float(gaussian.quantile(0.5)) == pytest.approx(0.05, abs=1e-6)
    assert float(gaussian.quantile(0.975)) == pytest.approx(0.05 + 1.95996 * 0.02, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mode_is_at_the_top_of_the_density(kind: str) -> None:
    distribution = some(kind, seed=5, batch=200)
    grid = torch.linspace(-LIMIT, LIMIT, 8001)
    highest = distribution.density(grid).amax(dim=1)
    found = distribution.log_prob(distribution.mode).exp()
    # A few fixed-point steps come close to the top; the component means are where they start.
    assert float((found / highest).min()) > 0.97
    assert bool((distribution.mode.abs() <= LIMIT * (1 + 1e-6)).all())


@pytest.mark.parametrize("kind", BOUNDED)
def test_bounded_kinds_have_no_mass_where_the_vehicle_cannot_steer(kind: str) -> None:
    distribution = some(kind, batch=3, repeated=2000)
    ends = torch.tensor([[-LIMIT], [LIMIT]]).expand(-1, 6000)
    torch.testing.assert_close(distribution.cdf(ends)[0], torch.zeros(6000))
    torch.testing.assert_close(distribution.cdf(ends)[1], torch.ones(6000))
    beyond = distribution.log_prob(1.01 * ends)
    assert bool(beyond.isfinite().all())
    assert float(beyond.exp().max()) < 1e-30
    assert float(distribution.log_prob(ends).min()) > -20  # labels at the ends have a likelihood
    assert float(distribution.log_prob((1 + 1e-6) * ends).min()) > -20  # also when rounding moved them outwards
    assert float(distribution.sample(torch.Generator().manual_seed(0)).abs().max()) <= LIMIT * (1 + 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_tempering_widens_and_sharpens(kind: str) -> None:
    distribution = some(kind, seed=4, batch=8)
    assert distribution.tempered(1.0) is distribution

    def entropy(tempered: SteeringDistribution) -> torch.Tensor:
        grid = torch.linspace(-2.0, 2.0, 8001)
        density = tempered.density(grid).double()
        return torch.trapezoid(-torch.special.xlogy(density, density), grid.double())

    cold, warm, hot = (entropy(distribution.tempered(temperature)) for temperature in (0.5, 1.0, 2.0))
    assert bool((cold < warm).all())
    assert bool((warm < hot).all())
    for temperature in (0.5, 2.0):
        density = distribution.tempered(temperature).density(torch.linspace(-2.0, 2.0, 40001))
        torch.testing.assert_close(torch.trapezoid(density, dx=1e-4), torch.ones(8), rtol=0.0, atol=3e-3)


POWERS: list[Callable[[], SteeringDistribution]] = [
    lambda: single(0.3, 0.2),
    lambda: single(0.8, 0.4, TruncatedMixture),
    lambda: some("bins", batch=1),
    lambda: SteeringMixture(
        torch.tensor([[0.2, 0.8]]).log(), torch.tensor([[-0.6, 0.6]]), torch.tensor([[0.05, 0.02]]), LIMIT
    ),
    lambda: TruncatedMixture(
        torch.tensor([[0.2, 0.8]]).log(), torch.tensor([[-0.6, 1.0]]), torch.tensor([[0.05, 0.02]]), LIMIT
    ),
]


@pytest.mark.parametrize("build", POWERS)
@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_tempering_is_the_density_to_a_power(build: Callable[[], SteeringDistribution], temperature: float) -> None:
    distribution = build()
    end = 1.0 if isinstance(distribution, SteeringMixture) else LIMIT
    grid = torch.linspace(-end, end, 20000)
    power = distribution.density(grid).double() ** (1 / temperature)
    power /= torch.trapezoid(power, grid.double())
    found = distribution.tempered(temperature).density(grid).double()
    torch.testing.assert_close(found, power, rtol=5e-3, atol=1e-3 * float(power.max()))


@pytest.mark.parametrize("kind", KINDS)
def test_impossible_temperatures_are_refused(kind: str) -> None:
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match=r"temperature must be 0.01 to 100, got"):
            some(kind).tempered(temperature)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
extreme = st.sampled_from([0.0, 1.0, -1.0, 30.0, -30.0, 1e30, -1e30, 3e38, -3e38])
label = st.one_of(finite, st.sampled_from([0.0, LIMIT, -LIMIT, 1.000001 * LIMIT, 1e30, -3e38]))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_no_finite_input_makes_a_nan_or_an_infinity(kind: str, data: st.DataObject) -> None:
    count = outputs_of(kind)
    raw = data.draw(st.lists(st.one_of(finite, extreme), min_size=count, max_size=count))
    outputs = torch.tensor([raw], requires_grad=True)
    distribution = made(kind, outputs).tempered(data.draw(st.sampled_from([1.0, 0.9, *TEMPERATURES])))
    x, probability = torch.tensor([data.draw(label)]), data.draw(st.floats(0, 1))
    log_prob, cdf = distribution.log_prob(x), distribution.cdf(x)
    values = [log_prob, cdf, distribution.mode, distribution.mean, distribution.quantile(probability)]
    values += [distribution.sample(torch.Generator().manual_seed(0)), distribution.density(x)]
    assert all(bool(value.isfinite().all()) for value in values), values
    assert bool((distribution.mode.abs() <= LIMIT * (1 + 1e-6)).all())
    assert -1e-6 <= cdf.item() <= 1 + 1e-6
    (log_prob.sum() + cdf.sum() + distribution.mean.sum()).backward()  # type: ignore[no-untyped-call]
    assert outputs.grad is not None
    assert bool(outputs.grad.isfinite().all())


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_losses_and_their_gradients_are_finite(kind: str, data: st.DataObject) -> None:
    count = outputs_of(kind)
    raw = data.draw(st.lists(st.one_of(finite, extreme), min_size=count, max_size=count))
    outputs = torch.tensor([raw], requires_grad=True)
    labels = torch.tensor([data.draw(st.sampled_from([0.0, 1e-9, 0.1, LIMIT, -LIMIT, 1.000001 * LIMIT]))])
    loss = HEADS[kind].loss(made(kind, outputs), labels, config(kind))
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert bool(loss.isfinite().all())
    assert outputs.grad is not None
    assert bool(outputs.grad.isfinite().all())


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_the_cdf_rises_from_zero_to_one(kind: str, data: st.DataObject) -> None:
    count = outputs_of(kind)
    raw = data.draw(st.lists(st.floats(-5, 5, width=32), min_size=count, max_size=count))
    values = made(kind, torch.tensor([raw])).cdf(torch.linspace(-3, 3, 101)[:, None])[:, 0].numpy()
    assert (np.diff(values) >= -1e-6).all()
    assert values[0] == pytest.approx(0.0, abs=1e-3)
    assert values[-1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_it_cannot_be_changed(kind: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        some(kind).max_curvature = 1.0  # type: ignore[misc]


def test_a_standard_gaussian_has_its_textbook_density() -> None:
    # Scale 0.5 of a range of 0.2 1/m: sigma = 0.1 1/m, peak density 1 / (0.1 sqrt(2 pi)) = 3.989 m.
    density = single(0.0, 0.5).log_prob(torch.tensor([0.0])).exp()
    assert float(density) == pytest.approx(3.989, abs=1e-3)
    assert float(single(0.0, 0.5).cdf(torch.tensor([0.1]))) == pytest.approx(0.8413, abs=1e-4)


def test_a_half_gaussian_at_the_end_has_twice_the_density() -> None:
    whole, half = (
        single(1.0, 0.1, kind).log_prob(torch.tensor([LIMIT])) for kind in (SteeringMixture, TruncatedMixture)
    )
    assert float(half - whole) == pytest.approx(math.log(2), abs=1e-5)


def test_at_a_fork_the_mode_takes_a_road_and_the_mean_hits_the_wall() -> None:
    fork = SteeringMixture(
        torch.log(torch.tensor([[0.45, 0.55]])), torch.tensor([[-0.5, 0.5]]), torch.tensor([[0.05, 0.05]]), LIMIT
    )
    assert float(fork.mode) == pytest.approx(0.1, abs=1e-4)
    assert float(fork.mean) == pytest.approx(0.01, abs=1e-4)


def test_the_mode_stays_within_the_vehicles_range() -> None:
    assert float(single(1.2, 0.1).mode) == pytest.approx(LIMIT)
    assert float(single(-1.2, 0.1).mode) == pytest.approx(-LIMIT)


@pytest.mark.parametrize("kind", [SteeringMixture, TruncatedMixture])
def test_scales_keep_to_their_floor_and_means_to_their_limit(kind: type[SteeringMixture | TruncatedMixture]) -> None:
    low, high = (kind.from_outputs(torch.full((1, 3), end), LIMIT, FLOOR) for end in (-1e30, 1e30))
    assert float(low.scales) == pytest.approx(FLOOR)
    assert float(high.scales) == pytest.approx(1.0)
    limit = MEAN_LIMIT if kind is SteeringMixture else 1.0
    assert (float(low.means), float(high.means)) == pytest.approx((-limit, limit))


def test_gradients_are_finite_at_twenty_and_at_ten_thousand_sigma() -> None:
    for distance in (20.0, 1e4):
        outputs = torch.tensor([[0.0, 0.0, 0.1, -0.1, -20.0, -20.0]], requires_grad=True)
        distribution = SteeringMixture.from_outputs(outputs, LIMIT, FLOOR)
        far = torch.tensor([0.1 * LIMIT + distance * FLOOR * LIMIT])
        loss = -distribution.log_prob(far).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        assert math.isfinite(loss.item())
        assert outputs.grad is not None
        assert outputs.grad.isfinite().all()
        if distance == 20.0:
            assert float(outputs.grad[0, 2]) < 0  # the nearer mean is pulled towards the label


def test_the_mode_of_bins_is_finer_than_the_bins() -> None:
    # 15 bins of a Gaussian: the parabola through the logarithms of three of them has its top at the mean.
    for mean in (-0.051, 0.0, 0.0043, 0.012, 0.13):
        centres = torch.linspace(-LIMIT, LIMIT, 31)[1::2]
        bins = SteeringBins.from_outputs(-((centres - mean) / 0.03).square()[None] / 2, LIMIT)
        assert float(bins.mode) == pytest.approx(mean, abs=1e-5)


def test_a_plain_label_costs_the_log_density_of_its_bin() -> None:
    # 4 bins of 0.1 1/m; a label in the middle of one with a blur far narrower than it.
    bins = SteeringBins(torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log(), LIMIT)
    sharp = bins.cross_entropy(torch.tensor([0.05]), 0.001)
    assert float(sharp) == pytest.approx(-math.log(0.3 / 0.1), abs=1e-5)
    assert float(sharp) == pytest.approx(-float(bins.log_prob(torch.tensor([0.05]))), abs=1e-5)


def test_a_blurred_label_is_shared_by_the_bins() -> None:
    # On the edge between two bins, half each; at the range's end only the half inside counts.
    bins = SteeringBins(torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log(), LIMIT)
    edge, end = (float(bins.cross_entropy(torch.tensor([x]), 0.01)) for x in (0.0, LIMIT))
    assert edge == pytest.approx(-(math.log(2.0) + math.log(3.0)) / 2, abs=1e-5)
    assert end == pytest.approx(-math.log(4.0), abs=1e-5)
    wide = float(bins.cross_entropy(torch.tensor([0.0]), 1.0))
    masses = np.diff(stats.norm.cdf([-1, -0.5, 0, 0.5, 1]))
    expected_cost = -(masses / masses.sum() * np.log([1.0, 2.0, 3.0, 4.0])).sum()
    assert wide == pytest.approx(expected_cost, abs=1e-5)
