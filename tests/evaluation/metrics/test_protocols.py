"""The protocols' numbers of some drives together, as values and as text."""

import json

import pytest

from navsim.evaluation.metrics.protocols import beyond, protocol_scores, protocols_mapping
from navsim.evaluation.statistics.intervals import Share
from navsim.simulation.scenario import Outcome
from navsim.world.obstacles import ObstacleKind
from tests.evaluation.drives import make_drive

ARRIVED = make_drive(Outcome.ARRIVED, stations=[0, 50, 100], offsets=[0.0, 0.0, 0.0])
CRASHED = make_drive(Outcome.COLLIDED, stations=[0, 25, 50], offsets=[0.0, 1.2, 1.6], struck=ObstacleKind.CAR)


def test_all_protocols_at_once() -> None:
    scores = protocol_scores([ARRIVED, CRASHED])
    assert scores.driving_score == pytest.approx((1 + 0.5 / 1.7) / 2)
    assert scores.normalised_score == pytest.approx(0.75 * 0.6 ** (1 / 0.15))
    assert scores.failures.count == scores.interventions == 1
    # Steps of 25 m with mean offsets 0.6 and 1.4 m, after 100 m without any.
    assert scores.beyond_metre == pytest.approx(25 / 150)
    assert scores.ever_beyond_metre == Share(1, 2)
    assert scores.autonomy == 0.0


def test_beyond_takes_any_limit() -> None:
    assert beyond([ARRIVED, CRASHED], 0.5) == pytest.approx(50 / 150)
    assert beyond([]) is None


def test_plain_values_are_json() -> None:
    values = json.loads(json.dumps(protocols_mapping(protocol_scores([ARRIVED, CRASHED], errors=1)), allow_nan=False))
    assert values["driving_score"] == pytest.approx((1 + 0.5 / 1.7) / 3)
    assert values["infractions"]["vehicle"] == {
        "count": 1,
        "per_km": pytest.approx(1 / 0.15),
        "interval": pytest.approx([0.0253 / 0.15, 5.5716 / 0.15], abs=1e-2),
    }
    assert values["ever_beyond_metre"]["total"] == 2
    assert values["failures"]["count"] == values["interventions"] == 2
    assert values["infractions"]["broke_off"]["count"] == 1


def test_missing_numbers_are_null() -> None:
    values = protocols_mapping(protocol_scores([]))
    assert values["failures"] == {"count": 0, "per_km": None, "interval": None}
    assert values["autonomy"] is None
