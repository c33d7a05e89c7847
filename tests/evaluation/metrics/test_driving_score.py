"""The driving scores against values worked out by hand, and what they reward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.evaluation.metrics.infractions import drive_score, driving_score, normalised_score, outside_share
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from navsim.world.obstacles import ObstacleKind
from tests.evaluation.drives import make_drive


def driven(
    outcome: Outcome, metres: float, struck: ObstacleKind | None = None, route_length: float = 1000.0
) -> Episode:
    """A drive that came so far."""
    return make_drive(outcome, stations=[0, metres / 2, metres], route_length=route_length, struck=struck)


@pytest.mark.parametrize(
    ("drive", "expected"),
    [
        (driven(Outcome.ARRIVED, 1000), 1.0),
        (driven(Outcome.COLLIDED, 800, ObstacleKind.PEDESTRIAN), 0.8 / 2.0),
        (driven(Outcome.COLLIDED, 800, ObstacleKind.CAR), 0.8 / 1.7),
        (driven(Outcome.COLLIDED, 800, ObstacleKind.TREE), 0.8 / 1.6),
        (driven(Outcome.COLLIDED, 800), 0.8 / 1.6),
        (driven(Outcome.WRONG_TURN, 800), 0.8),
        (driven(Outcome.STUCK, 500), 0.5),
    ],
)
def test_driving_score_of_one_drive(drive: Episode, expected: float) -> None:
    assert drive_score(drive) == pytest.approx(expected)


def test_driving_outside_the_lane_costs_its_share() -> None:
    # 4 steps of 25 m whose mean offsets are 0.9, 1.8, 1.8 and 0.9 m: half of the way is outside 1.75 m.
    drive = make_drive(Outcome.ARRIVED, stations=[0, 25, 50, 75, 100], offsets=[0.0, 1.8, 1.8, -1.8, 0.0])
    assert outside_share(drive) == pytest.approx(0.5)
    assert drive_score(drive) == pytest.approx(0.5)
    assert outside_share(make_drive(Outcome.STUCK, positions=[(0, 0), (0, 0)], stations=[0, 0])) == 0.0


def test_driving_score_is_the_mean_over_the_drives_and_errors_count_as_nothing() -> None:
    drives = [driven(Outcome.ARRIVED, 1000), driven(Outcome.STUCK, 500)]
    assert driving_score(drives) == pytest.approx(0.75)
    assert driving_score(drives, errors=1) == pytest.approx(0.5)
    assert driving_score([]) is None
    assert driving_score([], errors=2) == 0.0


def test_normalised_score_by_hand() -> None:
    drives = [
        driven(Outcome.ARRIVED, 1000),
        driven(Outcome.COLLIDED, 600, ObstacleKind.CAR),
        driven(Outcome.LEFT_ROAD, 400),
    ]
    completion = (1 + 0.6 + 0.4) / 3
    assert normalised_score(drives) == pytest.approx(completion * 0.6 ** (1 / 2) * 0.5 ** (1 / 2))
    assert normalised_score(drives[:1]) == 1.0
    assert normalised_score(drives[:1], errors=1) == pytest.approx(0.5 * 0.5)
    assert normalised_score([]) is None
    assert normalised_score([], errors=3) == 0.0


def test_a_car_that_never_moved_has_no_normalised_score() -> None:
    assert normalised_score([make_drive(Outcome.STUCK, positions=[(0, 0), (0, 0)], stations=[0, 0])]) == 0.0


def test_the_driving_score_is_raised_by_stopping_before_a_collision_and_the_normalised_one_is_not() -> None:
    others = [driven(Outcome.ARRIVED, 1000)] * 3
    crashed = [*others, driven(Outcome.COLLIDED, 990, ObstacleKind.PEDESTRIAN)]
    stopped = [*others, driven(Outcome.STUCK, 980)]
    crash, stop = driving_score(crashed), driving_score(stopped)
    assert crash is not None
    assert stop is not None
    assert stop > crash
    crash, stop = normalised_score(crashed), normalised_score(stopped)
    assert crash is not None
    assert stop is not None
    assert stop < crash


ENDS = st.one_of(
    st.tuples(st.sampled_from([o for o in Outcome if o is not Outcome.COLLIDED]), st.none()),
    st.tuples(st.just(Outcome.COLLIDED), st.one_of(st.none(), st.sampled_from(list(ObstacleKind)))),
)


@given(
    ends=st.lists(st.tuples(ENDS, st.floats(0.05, 0.99)), min_size=1, max_size=8),
    which=st.integers(0, 7),
    kept=st.floats(0.0, 1.0),
    stopped_as=st.sampled_from([Outcome.STUCK, Outcome.TIMED_OUT, Outcome.LEFT_ROAD]),
)
def test_no_drive_raises_the_normalised_score_by_stopping_early(
    ends: list[tuple[tuple[Outcome, ObstacleKind | None], float]], which: int, kept: float, stopped_as: Outcome
) -> None:
    reached = [1.0 if outcome is Outcome.ARRIVED else share for (outcome, _), share in ends]
    drives = [
        driven(outcome, 1000 * share, struck) for ((outcome, struck), _), share in zip(ends, reached, strict=True)
    ]
    which %= len(drives)
    stopped = list(drives)
    stopped[which] = driven(stopped_as, 1000 * reached[which] * kept)
    before, after = normalised_score(drives), normalised_score(stopped)
    assert before is not None
    assert after is not None
    assert 0.0 <= after <= before * (1 + 1e-12) <= 1 + 1e-9


def test_a_worse_rate_of_infractions_always_costs() -> None:
    scores = [normalised_score([driven(Outcome.COLLIDED, metres, ObstacleKind.KERB)] * 4) for metres in (200, 500, 900)]
    assert np.all(np.diff([score or 0.0 for score in scores]) > 0)
