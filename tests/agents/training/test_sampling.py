import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.training.samples import BalanceConfig, Draw, FrameSampler, balanced, split_slice, systematic_draw
from navsim.errors import ConfigError
from navsim.geometry import Array

RARE = np.array([0.001] * 90 + [0.15] * 10)
"""Labels of a drive: one in ten is a sharp curve."""


def sampler(
    labels: Array = RARE, is_informative: int = 0, lane_keeping_fraction: float = 1.0, **balance: float
) -> FrameSampler:
    chosen = np.arange(len(labels)) < is_informative
    return FrameSampler(labels, chosen, lane_keeping_fraction, BalanceConfig(**balance), seed=3)  # type: ignore[arg-type]


def test_an_epoch_shows_every_frame_once_in_an_order_of_its_own() -> None:
    draws = [sampler().draw(epoch) for epoch in range(2)]
    for draw in draws:
        assert sorted(draw.index) == list(range(100))
        assert (draw.weights == 1).all()
    assert draws[0].index.tolist() != draws[1].index.tolist()
    assert sampler().draw(1).index.tolist() == draws[1].index.tolist()


def test_lane_keeping_frames_are_drawn_again_and_informative_ones_always_taken() -> None:
    some = sampler(np.zeros(40), is_informative=10, lane_keeping_fraction=0.5)
    orders = [set(some.draw(epoch).index.tolist()) for epoch in range(3)]
    assert some.frames_per_epoch == 25
    assert all(len(order) == 25 for order in orders)
    assert all(set(range(10)) <= order for order in orders)
    assert orders[0] != orders[1]


def test_balancing_moves_probability_by_a_power_of_what_there_is() -> None:
    even = np.full(100, 0.01)
    # two ranges that hold 0.9 and 0.1: with strength 1 each gets a half, with 0.5 their roots' share: 3 to 1
    assert balanced(even, RARE, BalanceConfig(1.0, 2))[90:].sum() == pytest.approx(0.5)
    assert balanced(even, RARE, BalanceConfig(0.5, 2))[90:].sum() == pytest.approx(0.25)
    np.testing.assert_allclose(balanced(even, RARE, BalanceConfig(0.0, 2)), even)
    np.testing.assert_allclose(
        balanced(even, -RARE, BalanceConfig(1.0, 2)), balanced(even, RARE, BalanceConfig(1.0, 2))
    )
    np.testing.assert_allclose(balanced(even, np.zeros(100), BalanceConfig(1.0, 2)), even)


def test_a_balanced_epoch_shows_rare_frames_more_often() -> None:
    draw = sampler(strength=1.0, bins=2).draw(0)
    counts = np.bincount(draw.index, minlength=100)
    assert len(draw.index) == 100
    assert counts[90:].tolist() == [5] * 10  # 100 * 0.5 / 10 each
    assert counts[:90].sum() == 50
    assert counts[:90].max() == 1


def test_weights_undo_what_balancing_does_to_the_mean() -> None:
    """Importance sampling: the weighted mean of anything over an epoch estimates its mean over the data."""
    values = np.random.default_rng(0).normal(RARE * 100, 1.0)

    def estimates(draw: Draw) -> float:
        return float((draw.weights * values[draw.index]).mean())

    some = sampler(strength=0.7, bins=2)
    means = [estimates(some.draw(epoch)) for epoch in range(300)]
    assert np.mean(means) == pytest.approx(values.mean(), abs=4 * np.std(means) / np.sqrt(300) + 1e-6)
    biased = sampler(strength=0.7, bins=2, unbiased=False)
    assert (biased.draw(0).weights == 1).all()
    assert estimates(biased.draw(0)) > 2 * values.mean()


def test_balancing_keeps_what_quiet_frames_lose() -> None:
    labels = np.concatenate([np.zeros(60), np.full(60, 0.1)])
    some = FrameSampler(labels, np.arange(120) % 2 == 0, 0.2, BalanceConfig(1.0, 2), seed=0)
    counts = np.bincount(np.concatenate([some.draw(epoch).index for epoch in range(400)]), minlength=120)
    is_informative, quiet = counts[::2].mean(), counts[1::2].mean()
    assert quiet / is_informative == pytest.approx(0.2, rel=0.05)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=40), st.integers(1, 60), st.integers(0, 10))
def test_systematic_draws_come_as_often_as_they_should(weights: list[float], count: int, seed: int) -> None:
    probabilities = np.array(weights) / sum(weights)
    drawn = systematic_draw(probabilities, count, np.random.default_rng(seed))
    counts = np.bincount(drawn, minlength=len(weights))
    assert len(drawn) == count
    assert (np.abs(counts - count * probabilities) < 1 + 1e-6).all()


@given(st.integers(0, 20), st.integers(0, 50), st.integers(1, 9))
def test_parts_make_up_the_whole(first: int, length: int, count: int) -> None:
    cut = split_slice(slice(first, first + length), count)
    assert [i for part in cut for i in range(part.start, part.stop)] == list(range(first, first + length))
    sizes = [part.stop - part.start for part in cut]
    assert len(cut) == min(count, length)
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_impossible_balances_are_refused() -> None:
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match=f"strength must be at least 0 and at most 1, got {strength}"):
            BalanceConfig(strength)
    with pytest.raises(ConfigError, match="bins must be at least 2 and at most 1000, got 1"):
        BalanceConfig(0.5, 1)
