"""Metrics against values worked out by hand, on drives made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.evaluation.metrics.drives import (
    Latency,
    arrivals,
    junction_results,
    junction_shares,
    kept_to_lane,
    kilometres,
    largest_lane_offset,
    latency,
    mean_lane_offset,
    offset_samples,
    outcome_counts,
    per_kilometre,
    percentile_lane_offset,
    route_completion,
    summarise,
)
from navsim.evaluation.statistics.intervals import Share
from navsim.roads.elements import Manoeuvre
from navsim.simulation.scenario import Outcome
from tests.evaluation.drives import make_drive


def test_wilson_interval_matches_the_formula() -> None:
    z, n, p = 1.959964, 40, 34 / 40
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert Share(34, 40).interval == pytest.approx((centre - half, centre + half), abs=1e-6)


@given(total=st.integers(0, 300), data=st.data())
def test_interval_holds_the_share_and_stays_within_bounds(total: int, data: st.DataObject) -> None:
    share = Share(data.draw(st.integers(0, total)), total)
    low, high = share.interval
    assert 0.0 <= low <= high <= 1.0
    assert share.value is None or low <= share.value <= high


def test_a_share_of_nothing_tells_nothing() -> None:
    assert Share(0, 0).value is None
    assert Share(0, 0).interval == (0.0, 1.0)


def test_a_share_of_more_than_all_is_refused() -> None:
    with pytest.raises(ValueError, match="5 of 4"):
        Share(5, 4)


def test_arrivals_count_only_arrived_drives() -> None:
    drives = [make_drive(outcome) for outcome in Outcome]
    assert arrivals(drives) == Share(1, len(Outcome))
    assert outcome_counts(drives) == dict.fromkeys(Outcome, 1)


def test_completion_is_the_mean_share_of_the_route() -> None:
    arrived = make_drive(Outcome.ARRIVED, stations=[0, 199.9], route_length=200)
    halfway = make_drive(Outcome.COLLIDED, stations=[0, 120, 100], route_length=200)
    assert route_completion([arrived, halfway]) == pytest.approx((1 + 0.6) / 2)
    assert route_completion([]) is None


def test_kilometres_follow_the_driven_path() -> None:
    around_a_corner = make_drive(Outcome.ARRIVED, positions=[(0, 0), (300, 0), (300, 400)])
    assert kilometres([around_a_corner, around_a_corner]) == pytest.approx(1.4)


def test_mean_offset_is_weighted_by_distance() -> None:
    # 10 m from offset 0 to 0.4 (mean 0.2), standing, then 30 m from -0.4 to -1.2 (mean 0.8).
    drive = make_drive(Outcome.TIMED_OUT, positions=[(0, 0), (10, 0), (10, 0), (40, 0)], offsets=[0.0, 0.4, -0.4, -1.2])
    assert mean_lane_offset([drive]) == pytest.approx((10 * 0.2 + 30 * 0.8) / 40)


def test_offsets_of_several_drives_are_pooled_by_distance() -> None:
    short = make_drive(Outcome.ARRIVED, positions=[(0, 0), (10, 0)], offsets=[1.0, 1.0])
    long = make_drive(Outcome.ARRIVED, positions=[(0, 0), (90, 0)], offsets=[-0.1, -0.1])
    assert mean_lane_offset([short, long]) == pytest.approx(0.19)
    offsets, distances = offset_samples([short, long])
    assert offsets == pytest.approx([1.0, 0.1])
    assert distances == pytest.approx([10.0, 90.0])


def test_percentile_offset_covers_that_share_of_the_distance() -> None:
    positions = [(10.0 * i, 0.0) for i in range(101)]  # 100 steps of 10 m with offsets 0.5, 1.5, ... 99.5
    drive = make_drive(Outcome.ARRIVED, positions=positions, offsets=[float(i) for i in range(101)])
    assert percentile_lane_offset([drive]) == pytest.approx(94.5)
    assert percentile_lane_offset([drive], 50) == pytest.approx(49.5)
    assert percentile_lane_offset([drive], 100) == pytest.approx(99.5)


def test_keeping_to_the_lane_needs_arrival_and_every_offset_within_the_limit() -> None:
    kept = make_drive(Outcome.ARRIVED, offsets=[0.1, -0.5, 0.2])
    once_out = make_drive(Outcome.ARRIVED, offsets=[0.0, 0.51, 0.0])
    failed = make_drive(Outcome.TIMED_OUT, offsets=[0.0, 0.0, 0.0])
    assert largest_lane_offset(kept) == pytest.approx(0.5)
    assert kept_to_lane([kept, once_out, failed]) == Share(1, 3)
    assert kept_to_lane([kept, once_out, failed], limit=1.0) == Share(2, 3)
    summary = summarise([kept, once_out, failed], errors=1)
    assert summary.kept_to_lane == Share(1, 4)
    assert summary.lane_offset_max == pytest.approx(0.51)
    assert summarise([]).lane_offset_max is None


def test_a_car_that_never_moved_has_no_offset_and_no_rates() -> None:
    stuck = make_drive(Outcome.STUCK, positions=[(5, 5), (5, 5)], stations=[0, 0])
    assert mean_lane_offset([stuck]) is None
    assert percentile_lane_offset([stuck]) is None
    assert per_kilometre(1, kilometres([stuck])) is None


@given(
    offsets=st.lists(st.floats(-2, 2), min_size=2, max_size=40),
    percents=st.tuples(st.floats(1, 100), st.floats(1, 100)),
)
def test_offset_statistics_lie_within_the_offsets(offsets: list[float], percents: tuple[float, float]) -> None:
    drive = make_drive(Outcome.ARRIVED, positions=[(8.0 * i, 0.0) for i in range(len(offsets))], offsets=offsets)
    largest = max(map(abs, offsets))
    low, high = (percentile_lane_offset([drive], percent) for percent in sorted(percents))
    mean = mean_lane_offset([drive])
    assert low is not None
    assert high is not None
    assert mean is not None
    assert 0 <= low <= high <= largest + 1e-12
    assert 0 <= mean <= largest + 1e-12


TWO_TURNS = ((50.0, 70.0, Manoeuvre.LEFT), (120.0, 140.0, Manoeuvre.RIGHT))


@pytest.mark.parametrize(
    ("outcome", "farthest", "expected"),
    [
        (Outcome.ARRIVED, 200.0, [(Manoeuvre.LEFT, True), (Manoeuvre.RIGHT, True)]),
        (Outcome.LEFT_ROAD, 49.0, []),
        (Outcome.LEFT_ROAD, 60.0, [(Manoeuvre.LEFT, False)]),
        (Outcome.COLLIDED, 74.0, [(Manoeuvre.LEFT, False)]),  # on the kerb of the exit
        (Outcome.COLLIDED, 76.0, [(Manoeuvre.LEFT, True)]),  # on the lane after it
        (Outcome.WRONG_TURN, 80.0, [(Manoeuvre.LEFT, False)]),
        (Outcome.WRONG_TURN, 130.0, [(Manoeuvre.LEFT, True), (Manoeuvre.RIGHT, False)]),
        (Outcome.TIMED_OUT, 130.0, [(Manoeuvre.LEFT, True), (Manoeuvre.RIGHT, False)]),
    ],
)
def test_junctions_entered_and_passed(
    outcome: Outcome, farthest: float, expected: list[tuple[Manoeuvre, bool]]
) -> None:
    drive = make_drive(outcome, stations=[0, farthest], route_length=200, passages=TWO_TURNS)
    assert list(junction_results(drive)) == expected


@given(outcome=st.sampled_from(list(Outcome)), farthest=st.floats(0, 200))
def test_only_the_last_junction_entered_can_fail(outcome: Outcome, farthest: float) -> None:
    drive = make_drive(outcome, stations=[0, farthest], route_length=200, passages=TWO_TURNS)
    results = junction_results(drive)
    assert all(passed for _, passed in results[:-1])
    assert len(results) == (farthest >= 50) + (farthest >= 120)


def test_junction_shares_by_manoeuvre() -> None:
    arrived = make_drive(Outcome.ARRIVED, stations=[0, 200], route_length=200, passages=TWO_TURNS)
    lost = make_drive(Outcome.WRONG_TURN, stations=[0, 130], route_length=200, passages=TWO_TURNS)
    total, by_manoeuvre = junction_shares([arrived, lost])
    assert total == Share(3, 4)
    assert by_manoeuvre == {
        Manoeuvre.LEFT: Share(2, 2),
        Manoeuvre.STRAIGHT: Share(0, 0),
        Manoeuvre.RIGHT: Share(1, 2),
        Manoeuvre.ROUNDABOUT: Share(0, 0),
    }


def test_summary_takes_all_measures() -> None:
    arrived = make_drive(Outcome.ARRIVED, positions=[(0, 0), (100, 0)], stations=[0, 100], offsets=[0.1, 0.1])
    left = make_drive(Outcome.LEFT_ROAD, positions=[(0, 0), (0, 25)], stations=[0, 25], offsets=[0.6, 0.6])
    summary = summarise([arrived, left], seconds=0.5)
    assert summary.arrivals == Share(1, 2)
    assert summary.completion == pytest.approx(0.625)
    assert summary.km == pytest.approx(0.125)
    assert summary.lane_offset_mean == pytest.approx(0.2)
    assert summary.lane_offset_p95 == pytest.approx(0.6)
    assert summary.failures_per_km == pytest.approx(8.0)
    assert summary.rate(Outcome.LEFT_ROAD) == pytest.approx(8.0)
    assert summary.rate(Outcome.COLLIDED) == 0.0
    assert summary.steps_per_second == pytest.approx(4.0)


def test_latency_is_the_median_the_tail_and_the_longest() -> None:
    taken = latency([0.001 * i for i in range(1, 102)])  # 1 to 101 ms
    assert taken is not None
    assert (taken.median, taken.p95, taken.longest) == pytest.approx((0.051, 0.096, 0.101))
    assert latency(()) is None
    assert summarise([], decision_seconds=[0.5]).latency == Latency(0.5, 0.5, 0.5)


def test_drives_that_broke_off_count_as_routes_but_never_as_arrived() -> None:
    summary = summarise([make_drive(Outcome.ARRIVED)], errors=3)
    assert summary.arrivals == Share(1, 4)
    assert summary.completion == pytest.approx(0.25)
    assert summary.errors == summary.outcomes[Outcome.BROKE_OFF] == 3
    assert summary.failures_per_km == pytest.approx(3 / 0.1)


def test_summary_of_no_drive_at_all() -> None:
    summary = summarise([], errors=2)
    assert summary.arrivals == Share(0, 2)
    assert summary.completion is None
    assert summary.failures_per_km is None
    assert summary.steps_per_second is None
