"""Infractions, their rates and interventions against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from navsim.evaluation.metrics.drives import kilometres
from navsim.evaluation.metrics.infractions import (
    Infraction,
    autonomy,
    failure_rate,
    infraction,
    infraction_rates,
    interventions,
)
from navsim.evaluation.statistics.intervals import Rate
from navsim.simulation.scenario import Outcome
from navsim.world.obstacles import ObstacleKind
from tests.evaluation.drives import make_drive


@pytest.mark.parametrize(
    ("outcome", "struck", "expected"),
    [
        (Outcome.ARRIVED, None, None),
        (Outcome.COLLIDED, ObstacleKind.PEDESTRIAN, Infraction.PEDESTRIAN),
        (Outcome.COLLIDED, ObstacleKind.CAR, Infraction.VEHICLE),
        (Outcome.COLLIDED, ObstacleKind.KERB, Infraction.STATIC),
        (Outcome.COLLIDED, ObstacleKind.BUILDING, Infraction.STATIC),
        (Outcome.COLLIDED, ObstacleKind.TREE, Infraction.STATIC),
        (Outcome.COLLIDED, ObstacleKind.SIGN, Infraction.STATIC),
        (Outcome.COLLIDED, None, Infraction.STATIC),
        (Outcome.LEFT_ROAD, None, Infraction.LEFT_ROAD),
        (Outcome.WRONG_TURN, None, Infraction.WRONG_TURN),
        (Outcome.STUCK, None, Infraction.STUCK),
        (Outcome.TIMED_OUT, None, Infraction.TIMED_OUT),
    ],
)
def test_every_end_has_its_infraction(
    outcome: Outcome, struck: ObstacleKind | None, expected: Infraction | None
) -> None:
    assert infraction(make_drive(outcome, struck=struck)) is expected


def test_rates_by_kind_are_over_the_distance_of_all_drives() -> None:
    drives = [  # 100 m each
        make_drive(Outcome.ARRIVED),
        make_drive(Outcome.COLLIDED, struck=ObstacleKind.CAR),
        make_drive(Outcome.COLLIDED, struck=ObstacleKind.TREE),
        make_drive(Outcome.LEFT_ROAD),
    ]
    rates = infraction_rates(drives)
    assert set(rates) == set(Infraction)
    assert rates[Infraction.VEHICLE].value == rates[Infraction.STATIC].value == pytest.approx(1 / 0.4)
    assert rates[Infraction.PEDESTRIAN].count == 0
    assert failure_rate(drives).value == pytest.approx(3 / 0.4)


def test_poisson_interval_has_the_tabled_ends() -> None:
    # Exact 95% limits of a Poisson mean for 0, 1 and 10 events (Garwood 1936): 0 to 3.689, 0.0253 to 5.572, ...
    assert Rate(0, 1.0).interval == pytest.approx((0.0, 3.6889), abs=1e-4)
    assert Rate(1, 1.0).interval == pytest.approx((0.0253, 5.5716), abs=1e-4)
    assert Rate(10, 2.0).interval == pytest.approx((4.7954 / 2, 18.3904 / 2), abs=1e-4)


@given(count=st.integers(0, 200), km=st.floats(0.1, 100))
def test_each_end_of_the_interval_leaves_a_fortieth(count: int, km: float) -> None:
    low, high = Rate(count, km).interval or (0.0, 0.0)
    assert poisson.cdf(count, high * km) == pytest.approx(0.025, abs=1e-6)
    if count:
        assert poisson.sf(count - 1, low * km) == pytest.approx(0.025, abs=1e-6)
    assert low <= count / km <= high


def test_the_interval_covers_the_truth_at_least_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).poisson(0.5 * 6.0, size=4000)
    intervals = {int(count): Rate(int(count), 6.0).interval for count in np.unique(draws)}
    covered = [interval[0] <= 0.5 <= interval[1] for count in draws if (interval := intervals[int(count)])]
    assert np.mean(covered) >= 0.95


def test_a_rate_of_no_distance_tells_nothing_and_nonsense_is_refused() -> None:
    assert Rate(1, 0.0).value is None
    assert Rate(1, 0.0).interval is None
    with pytest.raises(ValueError, match="got -1"):
        Rate(-1, 1.0)


@pytest.mark.parametrize(
    ("outcome", "offsets", "expected"),
    [
        (Outcome.ARRIVED, [0.0, 0.9, -1.0, 0.0], 0),
        (Outcome.ARRIVED, [0.0, 1.1, 1.5, 0.9], 1),
        (Outcome.ARRIVED, [0.0, 1.1, 0.9, -1.1], 2),
        (Outcome.ARRIVED, [1.2, 0.9, 0.0, 0.0], 1),  # began outside
        (Outcome.LEFT_ROAD, [0.0, 0.5, 1.5, 2.1], 1),  # one mishap, not two
        (Outcome.COLLIDED, [0.0, 1.1, 0.9, 0.5], 2),  # came back, then hit something
        (Outcome.TIMED_OUT, [0.0, 0.0, 0.0, 0.0], 1),
    ],
)
def test_interventions(outcome: Outcome, offsets: list[float], expected: int) -> None:
    assert interventions(make_drive(outcome, stations=[0, 1, 2, 3], offsets=offsets)) == expected


def test_autonomy_is_pilotnets_formula() -> None:
    # 60 s and 40 s of driving with two interventions: 1 - 2 * 6 / 100.
    calm = make_drive(Outcome.ARRIVED, stations=np.linspace(0, 480, 601).tolist(), route_length=480)
    swerve = [0.0] * 401
    swerve[100] = swerve[200] = 1.2
    rough = make_drive(Outcome.ARRIVED, stations=np.linspace(0, 320, 401).tolist(), offsets=swerve, route_length=320)
    assert autonomy([calm, rough]) == pytest.approx(0.88)
    assert autonomy([calm]) == 1.0
    assert autonomy([]) is None


def test_drives_that_broke_off_are_failures_and_interventions() -> None:
    driven = [make_drive(Outcome.ARRIVED, stations=np.linspace(0, 480, 601).tolist(), route_length=480)]
    rates = infraction_rates(driven, errors=2)
    assert rates[Infraction.BROKE_OFF] == failure_rate(driven, errors=2) == Rate(2, kilometres(driven))
    assert autonomy(driven, errors=2) == pytest.approx(1 - 12 / 60)


def test_autonomy_is_never_below_none() -> None:
    assert autonomy([make_drive(Outcome.COLLIDED)]) == 0.0  # 0.2 s
