"""Recovery: back within 0.3 m and 5 degrees after 5 s, and nothing went wrong until then."""

from dataclasses import replace

import numpy as np
import pytest

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.metrics.protocols import recovered, recovery, recovery_by_start, touches_at_start
from navsim.evaluation.statistics.intervals import Share
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from tests.evaluation.drives import make_drive


def driven(outcome: Outcome, at_five: float, seconds: float = 6.0, heading_deg: float = 0.0) -> Episode:
    """Starts 1 m off, is `at_five` off from 4 s to 5 s, and 1 m off after that."""
    times = np.arange(round(seconds * 10) + 1) / 10
    offsets = np.where((times >= 4.0) & (times <= 5.0), at_five, 1.0)
    episode = make_drive(outcome, stations=(8 * times).tolist(), offsets=offsets.tolist())
    return replace(episode, heading_errors=np.full(len(times), np.radians(heading_deg)))


@pytest.mark.parametrize(
    ("episode", "back"),
    [
        (driven(Outcome.TIMED_OUT, 0.29), True),
        (driven(Outcome.TIMED_OUT, -0.29, seconds=5.0), True),
        (driven(Outcome.TIMED_OUT, 0.31), False),
        (driven(Outcome.TIMED_OUT, 0.0, heading_deg=4.9), True),
        (driven(Outcome.TIMED_OUT, 0.0, heading_deg=-5.1), False),
        (driven(Outcome.LEFT_ROAD, 0.0, seconds=4.5), False),  # it was back, but the drive failed before 5 s
        (driven(Outcome.COLLIDED, 0.0, seconds=5.0), False),
        (driven(Outcome.COLLIDED, 0.0, seconds=6.0), True),  # what came after 5 s is another matter
        (driven(Outcome.ARRIVED, 0.0, seconds=4.5), True),
        (driven(Outcome.TIMED_OUT, 0.0, seconds=4.5), False),  # cut short
    ],
)
def test_verdict_of_one_drive(episode: Episode, back: bool) -> None:
    assert recovered(episode) is back


def test_recoveries_are_counted_per_start_and_errors_are_none() -> None:
    left, right = (Scenario("test-1", start=StartOffset(lateral=metres)) for metres in (1.0, -1.0))
    drives = [
        Drive("policy", left, driven(Outcome.TIMED_OUT, 0.1), 1.0),
        Drive("policy", left, driven(Outcome.TIMED_OUT, 0.9), 1.0),
        Drive("policy", right, None, 0.0, "broke off"),
    ]
    assert recovery(drives) == Share(1, 3)
    assert recovery_by_start(drives) == {left.start: Share(1, 2), right.start: Share(0, 1)}


def test_a_start_that_touches_the_kerb_is_no_start() -> None:
    at_once = make_drive(Outcome.COLLIDED, stations=[0, 0.8], offsets=[-1.5, -1.5])
    soon = make_drive(Outcome.COLLIDED, stations=[0, 0.8, 1.6], offsets=[-1.5, -1.5, -1.6])
    assert [touches_at_start(episode) for episode in (at_once, soon)] == [True, False]
    assert not touches_at_start(make_drive(Outcome.LEFT_ROAD, stations=[0, 0.8]))
    drives = [Drive("policy", Scenario("test-1"), episode, 1.0) for episode in (at_once, soon)]
    assert recovery(drives) == Share(0, 1)
    assert recovery(drives[:1]) == Share(0, 0)
