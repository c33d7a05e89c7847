"""Comfort and calm of the hands against values worked out by hand."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.evaluation.metrics.comfort import (
    ComfortLimits,
    comfort,
    comfortable_steps,
    ride,
    steering_rate,
    steering_reversals,
)
from navsim.evaluation.statistics.intervals import Share
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from tests.evaluation.drives import make_drive


def driven(speeds: list[float], headings: list[float] | None = None) -> Episode:
    return make_drive(
        Outcome.ARRIVED, stations=np.linspace(0, 100, len(speeds)).tolist(), speeds=speeds, headings=headings
    )


def test_a_ride_by_hand() -> None:
    felt = ride(driven([8.0, 8.1, 8.4, 8.4], [0.0, 0.0, 0.05, 0.1]))
    np.testing.assert_allclose(felt.acceleration, [1.0, 3.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(felt.yaw_rate, [0.0, 0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(felt.lateral_acceleration, [0.0, 0.5 * 8.25, 0.5 * 8.4], atol=1e-9)
    magnitudes = [1.0, np.hypot(3.0, 4.125), 4.2]
    np.testing.assert_allclose(felt.jerk, [0.0, *(np.diff(magnitudes) / 0.1)], atol=1e-9)
    np.testing.assert_allclose(felt.yaw_acceleration, [0.0, 5.0, 0.0], atol=1e-9)


def test_turning_past_west_is_no_spin() -> None:
    felt = ride(driven([8.0] * 3, [np.pi - 0.01, -np.pi + 0.01, -np.pi + 0.03]))
    np.testing.assert_allclose(felt.yaw_rate, [0.2, 0.2], atol=1e-9)


@pytest.mark.parametrize("limit", [field.name for field in fields(ComfortLimits)])
def test_each_limit_alone_can_be_broken(limit: str) -> None:
    # Speeding up at 2 m/s2 after a step of 1.5 m/s2, then braking at 3; then a bend begun at 0.1 and 0.2 rad/s.
    drive = driven([8.0, 8.15, 8.35, 8.05, 8.05, 8.05], [0.0, 0.0, 0.0, 0.0, 0.01, 0.03])
    wide = dict.fromkeys((field.name for field in fields(ComfortLimits)), 1e3) | {"braking": -1e3}
    assert comfortable_steps(drive, ComfortLimits(**wide)).all()
    narrow = {
        "jerk": 9.0,  # 5, 10 (magnitude from 2 to 3), -22, ... per step
        "lateral_acceleration": 1.0,  # 0.1 and 0.2 rad/s at 8.05 m/s: 0.8 and 1.6
        "braking": -2.5,
        "acceleration": 1.8,
        "yaw_rate": 0.15,
        "yaw_acceleration": 0.9,
    }
    kept = comfortable_steps(drive, ComfortLimits(**wide | {limit: narrow[limit]}))
    assert (
        list(kept)
        == {
            "jerk": [True, True, False, False, True],
            "lateral_acceleration": [True, True, True, True, False],
            "braking": [True, True, False, True, True],
            "acceleration": [True, False, True, True, True],
            "yaw_rate": [True, True, True, True, False],
            "yaw_acceleration": [True, True, True, False, False],
        }[limit]
    )


def test_windows_of_twenty_steps_are_counted_and_the_rest_left_out() -> None:
    speeds = [8.0] * 51
    speeds[25:] = [8.3] * 26  # one jolt, in the second window of 20 steps
    assert comfort([driven(speeds)]) == Share(1, 2)
    assert comfort([driven(speeds), driven([8.0] * 21)]) == Share(2, 3)
    assert comfort([driven([8.0] * 20)]) == Share(0, 0)


def steered(commands: list[float]) -> Episode:
    return make_drive(Outcome.ARRIVED, stations=np.linspace(0, 50, len(commands) + 1).tolist(), commands=commands)


def test_steering_rate_by_hand() -> None:
    # Changes of 0.02, 0 and 0.04 over 0.3 s.
    assert steering_rate([steered([0.0, 0.02, 0.02, -0.02])]) == pytest.approx(0.06 / 0.3)
    assert steering_rate([steered([0.0, 0.02, 0.02, -0.02]), steered([0.1] * 8)]) == pytest.approx(0.06 / 1.0)
    assert steering_rate([steered([0.1])]) is None


def test_reversals_by_hand() -> None:
    # Up, rest, up, down, a change too small to feel, down, up: two reversals in 0.8 s.
    commands = [0.0, 0.01, 0.01, 0.02, 0.01, 0.01005, 0.0, 0.01]
    assert steering_reversals([steered(commands)]) == pytest.approx(2 / 0.8)
    assert steering_reversals([steered([0.0, 0.01, 0.02, 0.03])]) == 0.0
    assert steering_reversals([]) is None


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=40))
def test_calm_is_the_same_to_the_left_and_to_the_right(commands: list[float]) -> None:
    one, other = steered(commands), steered([-command for command in commands])
    assert steering_rate([one]) == steering_rate([other])
    assert steering_reversals([one]) == steering_reversals([other])
