"""Statistics of recorded drives against sums by hand."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from navsim.datasets.statistics import episode_statistics, statistics_table
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario
from tests.datasets.synthetic_episodes import made_up_episode


def straight_drive(town: str, outcome: Outcome, reached: float) -> Episode:
    """Ten steps of 2 m along x; junctions end at stations 20.2 (left) and 99.9 (straight)."""
    episode = made_up_episode(Scenario(town), steps=10)
    poses = np.zeros((11, 3))
    poses[:, 0] = np.arange(11) * 2.0
    return dataclasses.replace(
        episode,
        outcome=outcome,
        poses=poses,
        stations=np.linspace(0, reached, 11),
        offsets=np.array([0.5, -0.5] + [0.1] * 9),
        labels=np.array([0.0, 0.001, -0.001, 0.004, 0.03, -0.03, 0.19, 0.5, -0.16, -0.17]),
    )


def test_counts_and_sums() -> None:
    found = episode_statistics(
        [
            straight_drive("train-0", Outcome.ARRIVED, reached=100.0),
            straight_drive("train-1", Outcome.LEFT_ROAD, reached=50.0),
            straight_drive("validation-0", Outcome.ARRIVED, reached=20.0),
        ]
    )
    assert found.episodes == {"train": 2, "validation": 1}
    assert found.frames == {"train": 20, "validation": 10}
    assert found.kilometres == pytest.approx(0.06)
    assert found.hours == pytest.approx(3 / 3600)
    assert found.junctions == {"left": 2, "straight": 1, "right": 0, "roundabout": 0}
    assert found.outcomes == {"arrived": 2, "left_road": 1}
    assert found.offset_mean == pytest.approx((2 * 0.5 + 8 * 0.1) / 10)
    assert found.recovering == pytest.approx(0.2)


def test_histogram_holds_every_label_once_and_the_outer_bins_what_lies_beyond() -> None:
    found = episode_statistics([straight_drive("train-0", Outcome.ARRIVED, 100.0)])
    assert sum(found.steering_counts) == 10
    counts = dict(zip(found.steering_edges[:-1], found.steering_counts, strict=True))
    assert counts[-0.005] == 4
    assert counts[0.02] == counts[-0.05] == 1
    assert counts[0.15] == 2
    assert counts[-0.2] == 2


def test_no_episodes_are_no_division_by_zero() -> None:
    found = episode_statistics([])
    assert (found.kilometres, found.offset_mean, sum(found.steering_counts)) == (0.0, 0.0, 0)
    assert found.frames == {}


def test_table_shows_the_numbers_and_the_longest_bar_for_the_commonest_steering() -> None:
    screen = io.StringIO()
    found = episode_statistics([straight_drive("train-0", Outcome.ARRIVED, 100.0)])
    Console(file=screen, width=100).print(statistics_table(found).rich())
    text = screen.getvalue()
    assert "1 left, 1 straight, 0 right" in text
    assert "1 arrived" in text
    assert "20% of frames beyond 0.3 m" in text
    lengths = {line: line.count("█") for line in text.splitlines() if "to" in line and "%" in line}
    assert max(lengths, key=lambda line: lengths[line]).startswith("-0.005 to +0.005")
