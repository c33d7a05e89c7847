"""Two runs of the same drives: what changed is counted drive by drive."""

from typing import Any

import pytest

from navsim.errors import ConfigError
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.results import results_mapping
from navsim.evaluation.reports.suites_page import Repeat, compare_repeat
from navsim.simulation.scenario import Outcome, Scenario
from tests.evaluation.drives import make_drive


def results(*drives: tuple[Scenario, Outcome, float], mark: str = "f", seconds: float = 1.0) -> dict[str, Any]:
    """Results of drives by outcome and lane offset."""
    kept = [
        Drive("policy", scenario, make_drive(outcome, scenario=scenario, offsets=[offset] * 3), seconds, part="towns")
        for scenario, outcome, offset in drives
    ]
    return results_mapping(kept, {"fingerprint": mark})


A, B, LANE = Scenario("test-1", 1), Scenario("test-1", 2), Scenario("test-1", 1, junctions=False)


def test_the_same_drives_change_nothing_however_long_they_took() -> None:
    drives = [(A, Outcome.ARRIVED, 0.1), (LANE, Outcome.STUCK, 0.2)]
    assert compare_repeat(results(*drives), results(*drives, seconds=9.0)) == Repeat(2, (), 0, 0, 0)


def test_what_changed_is_counted() -> None:
    first = results((A, Outcome.ARRIVED, 0.1), (B, Outcome.LEFT_ROAD, 0.1), (LANE, Outcome.ARRIVED, 0.1))
    second = results((A, Outcome.COLLIDED, 0.1), (B, Outcome.ARRIVED, 0.1), (LANE, Outcome.ARRIVED, 0.2))
    assert compare_repeat(first, second) == Repeat(
        3, ("towns/test-1-route1-seed0", "towns/test-1-route2-seed0"), 3, 1, 1
    )
    assert compare_repeat(first, second, junctions_only=True).differing == 2


def test_a_drive_that_broke_off_has_changed_outcome() -> None:
    broken = results_mapping([Drive("policy", A, None, 0.0, "fell over", part="towns")], {"fingerprint": "f"})
    assert compare_repeat(results((A, Outcome.ARRIVED, 0.0)), broken).arrived_first == 1
    assert compare_repeat(broken, broken) == Repeat(1, (), 0, 0, 0)


@pytest.mark.parametrize("other", [results((B, Outcome.ARRIVED, 0.0)), results((A, Outcome.ARRIVED, 0.0), mark="g")])
def test_other_drives_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not of the same drives"):
        compare_repeat(results((A, Outcome.ARRIVED, 0.0)), other)
