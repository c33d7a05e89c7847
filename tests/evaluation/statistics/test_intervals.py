"""Means over passages and their intervals."""

import numpy as np
import pytest

from navsim.evaluation.statistics.intervals import Estimate, Share, mean_estimate, share_estimate


def test_of_nothing_there_is_no_estimate() -> None:
    assert share_estimate(np.zeros(0)) is None
    assert mean_estimate(np.zeros(0), np.random.default_rng(0)) is None


@pytest.mark.parametrize(("yes", "no"), [(0, 5), (5, 0), (3, 7), (90, 10), (1, 0)])
def test_of_yes_and_no_it_is_wilsons_interval(yes: int, no: int) -> None:
    found = share_estimate(np.array([1.0] * yes + [0.0] * no))
    low, high = Share(yes, yes + no).interval
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((yes / (yes + no), low, high))


def test_an_interval_is_as_wide_as_its_independent_trials_leave_it() -> None:
    assert Share(15, 20, 4).interval == pytest.approx(Share(3, 4).interval)
    assert Share(20, 20, 6).interval == pytest.approx(Share(6, 6).interval)
    assert Share(15, 20, 20).interval == Share(15, 20).interval
    assert Share(0, 0, 0).interval == (0.0, 1.0)
    assert Share(15, 20, 4).mapping() == {
        "count": 15,
        "total": 20,
        "interval": [*Share(15, 20, 4).interval],
        "independent": 4,
    }
    for independent in (0, 21):
        with pytest.raises(ValueError, match=f"of 20 trials 1 to 20 are independent, got {independent}"):
            Share(15, 20, independent)


def test_shares_in_between_count_as_what_they_are() -> None:
    found, same = share_estimate(np.array([0.5, 0.5, 1.0, 1.0])), share_estimate(np.array([0.75] * 4))
    assert found == same
    assert found is not None
    assert found.value == 0.75
    assert 0.0 < found.low < 0.75 < found.high < 1.0


def test_a_single_unit_leaves_everything_open() -> None:
    assert mean_estimate(np.array([0.3]), np.random.default_rng(0)) == Estimate(0.3, 0.0, 1.0)


def test_equal_values_leave_nothing_open_and_the_same_draws_give_the_same_interval() -> None:
    assert mean_estimate(np.full(9, 0.25), np.random.default_rng(0)) == Estimate(0.25, 0.25, 0.25)
    values = np.random.default_rng(1).uniform(size=30)
    first, second = (mean_estimate(values, np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_both_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held = np.zeros(2)
    rounds = 200
    for _ in range(rounds):
        values = rng.beta(2.0, 6.0, size=60)  # mean 1/4
        for index, found in enumerate((mean_estimate(values, rng), share_estimate(values))):
            assert found is not None
            held[index] += found.low <= 0.25 <= found.high
    # 200 rounds of 95% have a standard deviation of 1.5%; the interval for shares is the wider one.
    assert 0.90 <= held[0] / rounds <= 1.0
    assert held[1] == rounds


def test_the_bootstrap_is_as_wide_as_the_standard_error_says() -> None:
    values = np.random.default_rng(3).uniform(size=400)
    found = mean_estimate(values, np.random.default_rng(0))
    assert found is not None
    expected = 2 * 1.96 * values.std() / 20
    assert found.high - found.low == pytest.approx(expected, rel=0.1)
