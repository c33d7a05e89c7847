"""Paired differences and rank correlations: by hand, against published examples, and by Monte Carlo."""

import numpy as np
import pytest

from navsim.evaluation.statistics.paired import MIN_POINTS, PairedShare, paired_mean, paired_share, rank_correlation


def test_pairs_are_counted() -> None:
    pair = paired_share([True, True, False, False, False], [True, False, True, True, False])
    assert (pair.both, pair.first_only, pair.second_only, pair.neither) == (1, 1, 2, 1)
    assert (pair.first.count, pair.second.count, pair.total) == (2, 3, 5)
    assert pair.difference == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("first_only", "second_only", "p"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),
        (0, 5, 2 / 32),  # the two ends of five tosses
        (0, 6, 2 / 64),
        (1, 7, 2 * (1 + 8) / 256),  # none or one of eight, either way
    ],
)
def test_mcnemar_counts_tosses_of_a_coin(first_only: int, second_only: int, p: float) -> None:
    pair = PairedShare(10, first_only, second_only, 3)
    assert pair.p_value == pytest.approx(p)
    assert pair.significant is (p < 0.05)
    assert PairedShare(10, second_only, first_only, 3).p_value == pytest.approx(p)


def test_newcombes_interval_of_his_own_example() -> None:
    # Newcombe (1998), p. 2641: 20, 12, 2, 16 of 50 give 0.0562 to 0.3292 by method 10, for first less second.
    low, high = PairedShare(20, 12, 2, 16).interval
    assert (-high, -low) == pytest.approx((0.0562, 0.3292), abs=5e-5)


def test_intervals_of_nothing_and_of_no_difference() -> None:
    assert PairedShare(0, 0, 0, 0).interval == (-1.0, 1.0)
    low, high = PairedShare(8, 0, 0, 0).interval
    assert low == -high
    assert high > 0.2  # eight routes that both managed still leave much open
    assert PairedShare(8, 0, 0, 0).p_value == 1.0


def test_newcombes_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0)
    shares, trials, held = [0.5, 0.1, 0.25, 0.15], 400, 0
    for _ in range(trials):
        low, high = PairedShare(*draws.multinomial(60, shares).tolist()).interval
        held += low <= 0.15 <= high
    assert 0.925 <= held / trials <= 0.99


def test_a_mean_difference_is_taken_pair_by_pair() -> None:
    found = paired_mean([1.0, 2.0, None, 4.0], [1.5, 2.5, 9.0, 4.5])
    assert found.total == 3
    assert found.first == pytest.approx(7 / 3)
    assert found.second == pytest.approx(8.5 / 3)
    # All pairs differ by 0.5, however much the routes differ among themselves.
    assert found.difference == pytest.approx(0.5)
    assert found.interval == pytest.approx((0.5, 0.5))
    assert found.significant


def test_too_few_pairs_have_no_interval_and_are_not_significant() -> None:
    single = paired_mean([1.0], [3.0])
    assert (single.difference, single.interval, single.significant) == (2.0, None, False)
    none = paired_mean([None], [3.0])
    assert (none.total, none.difference, none.significant) == (0, None, False)


def test_the_drawn_interval_is_that_of_the_normal_law_for_many_pairs() -> None:
    draws = np.random.default_rng(1)
    first = draws.normal(size=400)
    found = paired_mean(first.tolist(), (first + draws.normal(0.1, 1.0, size=400)).tolist())
    assert found.interval is not None
    assert found.difference is not None
    low, high = found.interval
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.12)
    assert (low + high) / 2 == pytest.approx(found.difference, abs=0.01)


def test_ranks_by_hand() -> None:
    # Ranks 1 to 5 against 2, 1, 4, 3, 5: 1 - 6 * (1 + 1 + 1 + 1 + 0) / (5 * 24).
    found = rank_correlation([1.0, 2.0, 3.0, 10.0, 50.0], [0.2, 0.1, 0.4, 0.3, 0.9])
    assert found.value == pytest.approx(0.8)
    assert found.interval is not None
    low, high = found.interval
    assert low < 0 < 0.8 < high < 1  # five points leave nearly everything open
    assert "not significant" in found.text


def test_ranks_that_agree_throughout() -> None:
    numbers = [float(i) for i in range(12)]
    falling = rank_correlation(numbers, [-3 * number for number in numbers])
    assert falling.value == pytest.approx(-1.0)
    assert falling.interval is not None
    assert falling.interval[0] == pytest.approx(-1.0)
    assert -1.0 < falling.interval[1] < -0.9
    assert falling.text.endswith("over 12 points: significant")


def test_too_few_points_and_points_that_are_all_the_same() -> None:
    few = rank_correlation([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert few.value is None
    assert few.text == f"4 points are too few for a correlation; {MIN_POINTS} are needed"
    same = rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], [0.5] * 5)
    assert (same.value, same.interval) == (None, None)
    assert "no correlation can be given" in same.text


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws, held = np.random.default_rng(0), 0
    for _ in range(300):
        found = rank_correlation(draws.normal(size=20).tolist(), draws.normal(size=20).tolist())
        assert found.interval is not None
        held += found.interval[0] <= 0 <= found.interval[1]
    assert 0.91 <= held / 300 <= 0.99
