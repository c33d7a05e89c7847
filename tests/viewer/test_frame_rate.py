"""Counting pictures, and what gives way."""

import pytest

from navsim.viewer.dashboard_window import MOST_SKIPPED, FrameRate


def shown(frame_rate: FrameRate, rate: float, seconds: float, start: float = 0.0) -> FrameRate:
    for i in range(round(rate * seconds)):
        frame_rate = frame_rate.after(start + i / rate)
    return frame_rate


def test_the_rate_is_that_of_the_last_two_seconds() -> None:
    slow = shown(FrameRate(), 5.0, 10.0)
    assert slow.rate == pytest.approx(5.0)
    assert shown(slow, 50.0, 3.0, start=10.0).rate == pytest.approx(50.0)
    assert FrameRate().rate == 0.0
    assert FrameRate().words == ""


def test_a_slow_window_draws_fewer_panels_and_says_so() -> None:
    assert shown(FrameRate(), 10.0, 1.9).panel_every == 1
    slow = shown(FrameRate(), 10.0, 3.0)
    assert slow.panel_every == 2
    assert slow.words == "10 frames/s, panel 1 of 2"
    assert shown(FrameRate(), 10.0, 60.0).panel_every == MOST_SKIPPED


def test_a_fast_one_draws_them_all_again() -> None:
    slow = shown(FrameRate(), 10.0, 60.0)
    fast = shown(slow, 50.0, 20.0, start=60.0)
    assert fast.panel_every == 1
    assert fast.words == "50 frames/s"


def test_between_slow_and_ample_nothing_changes() -> None:
    slow = shown(FrameRate(), 10.0, 2.1)
    assert slow.panel_every == 2
    assert shown(slow, 24.0, 20.0, start=2.1).panel_every == slow.panel_every
