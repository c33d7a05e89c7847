"""Rank correlations, and when nothing can be said."""

import numpy as np
import pytest

from navsim.evaluation.statistics.intervals import FEWEST, rank_correlation


def test_ranks_by_hand() -> None:
    # Ranks 1 to 5 against 2, 1, 4, 3, 5: 1 - 6 * (1 + 1 + 1 + 1 + 0) / (5 * 24).
    found = rank_correlation([1.0, 2.0, 3.0, 10.0, 50.0], [0.2, 0.1, 0.4, 0.3, 0.9])
    assert found.value == pytest.approx(0.8)
    assert found.interval is not None
    low, high = found.interval
    assert low < 0 < 0.8 < high < 1  # five points leave nearly everything open
    assert "may as well be none" in found.words


def test_ranks_that_agree_throughout() -> None:
    numbers = [float(i) for i in range(12)]
    falling = rank_correlation(numbers, [-3 * number for number in numbers])
    assert falling.value == pytest.approx(-1.0)
    assert falling.interval is not None
    assert falling.interval[0] == pytest.approx(-1.0)
    assert -1.0 < falling.interval[1] < -0.9
    assert falling.words.endswith("over 12 points: significant")


def test_too_few_points_and_points_that_are_all_the_same() -> None:
    few = rank_correlation([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert few.value is None
    assert few.words == f"4 points are too few to tell a correlation; {FEWEST} are needed"
    same = rank_correlation([1.0, 2.0, 3.0, 4.0, 5.0], [0.5] * 5)
    assert (same.value, same.interval) == (None, None)
    assert "no correlation can be told" in same.words


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws, held = np.random.default_rng(0), 0
    for _ in range(300):
        found = rank_correlation(draws.normal(size=20).tolist(), draws.normal(size=20).tolist())
        assert found.interval is not None
        held += found.interval[0] <= 0 <= found.interval[1]
    assert 0.91 <= held / 300 <= 0.99
