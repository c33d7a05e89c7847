"""Results as JSON, Markdown and for the terminal say the same, and hide no failure."""

import json
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.results import broken_drives, driver_scores, results_mapping
from navsim.evaluation.reports.score_tables import results_markdown, scores_table, summary_table
from navsim.roads.elements import Manoeuvre
from navsim.simulation.scenario import Outcome, Scenario
from tests.evaluation.drives import make_drive

TURN = ((40.0, 60.0, Manoeuvre.LEFT),)


def drive(driver: str, outcome: Outcome | None, route: int, junctions: bool = True) -> Drive:
    scenario = Scenario("test-1", route, 0, junctions)
    if outcome is None:
        return Drive(driver, scenario, None, 0.0, "a decision's curvature must be finite, got nan")
    stations = [0, 50, 100] if outcome is Outcome.ARRIVED else [0, 25, 50]
    passages = TURN if junctions else ()
    episode = make_drive(
        outcome, stations=stations, offsets=[0.2, 0.2, 0.2], passages=passages, scenario=scenario, driver=driver
    )
    return Drive(driver, scenario, episode, 0.01, decision_seconds=(0.001, 0.002, 0.004))


DRIVES = (
    drive("policy", Outcome.ARRIVED, 0),
    drive("policy", Outcome.COLLIDED, 1),
    drive("policy", None, 2),
    drive("policy", Outcome.ARRIVED, 0, junctions=False),
    drive("expert", Outcome.ARRIVED, 0),
)


def test_results_hold_what_the_demo_promises() -> None:
    results = results_mapping(DRIVES, {"renderer": "tiny"})
    policy = results["drivers"]["policy"]
    assert list(results["drivers"]) == ["policy", "expert"]
    assert (policy["routes"], policy["arrived"], policy["errors"]) == (3, 1, 1)
    assert policy["interval"] == pytest.approx([0.0615, 0.7923], abs=1e-4)
    assert policy["lane_offset_mean"] == pytest.approx(0.2)
    assert policy["km"] == pytest.approx(0.15)
    assert policy["per_km"]["collided"] == pytest.approx(1 / 0.15)
    assert policy["junctions"]["entered"] == 2
    assert policy["junctions"]["by_manoeuvre"]["left"]["passed"] == 1
    assert policy["lane_following"]["arrived"] == 1
    assert results["renderer"] == "tiny"


def test_results_and_tables_say_how_long_decisions_take() -> None:
    results = results_mapping(DRIVES, {})
    # Twice 1, 2 and 4 ms: the 95% quantile of six numbers is their largest by linear interpolation.
    assert results["drivers"]["policy"]["decision_ms"] == pytest.approx({"median": 2.0, "p95": 4.0, "max": 4.0})
    assert results["drives"][0]["decision_ms"] == pytest.approx({"median": 2.0, "p95": 3.8, "max": 4.0})
    rows = results_markdown(results_mapping(DRIVES, {}), "two drivers").splitlines()
    assert "| one decision, median | 2.00 ms | 2.00 ms |" in rows
    assert "| 95% of decisions within | 4.00 ms | 3.80 ms |" in rows
    assert "| the longest decision | 4.00 ms | 4.00 ms |" in rows
    untimed = [replace(drive, decision_seconds=()) for drive in DRIVES]
    assert results_mapping(untimed, {})["drivers"]["policy"]["decision_ms"] is None
    assert "| the longest decision | - | - |" in results_markdown(results_mapping(untimed, {}), "two drivers")


def test_results_and_tables_hold_the_protocols_of_the_field() -> None:
    results = results_mapping(DRIVES, {})
    policy = results["drivers"]["policy"]
    # Arrived, collided half-way with something unnamed, broke off.
    assert policy["protocols"]["driving_score"] == pytest.approx((1 + 0.5 / 1.6) / 3)
    assert policy["protocols"]["infractions"]["static"]["count"] == 1
    assert policy["lane_following"]["protocols"]["driving_score"] == 1.0
    assert [row.get("driving_score") for row in results["drives"][:3]] == [1.0, pytest.approx(0.5 / 1.6), None]
    assert results["drives"][1]["interventions"] == 1
    assert (
        "| driving score (CARLA 2.1) | 43.8% | 100.0% |"
        in results_markdown(results_mapping(DRIVES, {}), "two").splitlines()
    )


def test_results_are_plain_json_without_nan() -> None:
    text = json.dumps(results_mapping(DRIVES, {}), allow_nan=False)
    rows = json.loads(text)["drives"]
    assert [row["outcome"] for row in rows] == ["arrived", "collided", "broke_off", "arrived", "arrived"]
    assert rows[1]["completion"] == pytest.approx(0.5)
    assert "must be finite" in rows[2]["error"]
    assert rows[3]["scenario"]["junctions"] is False


def test_scores_keep_the_two_kinds_of_routes_apart() -> None:
    scores = driver_scores(DRIVES)
    assert (scores["policy"].routes.arrivals.total, scores["policy"].lanes.arrivals.total) == (3, 1)
    assert scores["expert"].lanes.arrivals.total == 0


def test_markdown_table_is_well_formed() -> None:
    lines = results_markdown(results_mapping(DRIVES, {}), "two drivers").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert lines[0] == "# two drivers"
    assert {row.count("|") for row in rows} == {4}
    assert "| arrived | 1 of 3 | 1 of 1 |" in rows
    assert "| broke off (error) | 1 | 0 |" in rows
    assert "| collisions | 1 (6.67/km) | 0 |" in rows
    assert "|  | policy | expert * |" in rows
    assert "* sees the true state" in lines[-1]


def test_terminal_table_fits_80_columns_with_four_drivers() -> None:
    drives = [drive(name, Outcome.ARRIVED, 0) for name in ("policy", "blind", "constant", "expert")]
    output = StringIO()
    Console(file=output, width=80).print(scores_table(results_mapping(drives, {}), "four drivers").rich())
    assert "1 of 1" in output.getvalue()
    assert "…" not in output.getvalue()


def test_the_summary_has_a_row_per_driver_and_fits_80_columns() -> None:
    output = StringIO()
    Console(file=output, width=80).print(summary_table(results_mapping(DRIVES, {}), "two drivers").rich())
    lines = [line.split() for line in output.getvalue().splitlines()]
    assert lines[-2] == ["policy", "1", "of", "3", "6%", "to", "79%", "0.20", "m", "13.33", "0.1", "km"]
    assert lines[-1][:5] == ["expert", "*", "1", "of", "1"]
    assert "…" not in output.getvalue()


def test_the_summary_is_of_lanes_where_there_is_nothing_else() -> None:
    (row,) = summary_table(results_mapping(DRIVES[3:4], {}), "lanes").rows
    assert row[:2] == ("policy", "1 of 1")


def test_rows_have_a_cell_for_each_driver() -> None:
    rows = results_markdown(results_mapping(DRIVES, {}), "two").splitlines()
    assert "| failures per km (95%) | 13.33 (1.61 to 48.16) | 0.00 (0.00 to 36.89) |" in rows
    assert "| over 1 m off, of the way | 0.0% | 0.0% |" in rows


def test_failures_are_grouped_by_driver_and_reason() -> None:
    broken = [drive("policy", None, route) for route in range(5)]
    (line,) = broken_drives(results_mapping([*broken, *DRIVES[:1]], {}))
    assert line.startswith("policy: 5 drives broke off (test-1-route0-seed0, ")
    assert ", ...)" in line
    assert line.endswith("must be finite, got nan")
    assert broken_drives(results_mapping(DRIVES[:2], {})) == []


def test_what_nothing_tells_is_null_in_json_and_a_dash_in_the_table() -> None:
    broken = [drive("policy", None, 0)]
    numbers = results_mapping(broken, {})["drivers"]["policy"]
    assert numbers["lane_offset_mean"] is None
    assert numbers["failures_per_km"] is None
    assert numbers["junctions"] | {"entered": 0, "interval": [0.0, 1.0]} == numbers["junctions"]
    rows = results_markdown(results_mapping(broken, {}), "broken").splitlines()
    assert "| mean lane offset | - |" in rows
    assert "| passed of entered | - |" in rows


def test_tables_without_lane_routes_or_expert_leave_them_out() -> None:
    text = results_markdown(results_mapping(DRIVES[:2], {}), "junctions only")
    assert "lane following" not in text
    assert "sees the true state" not in text


def test_a_table_of_nothing_is_empty() -> None:
    output = StringIO()
    Console(file=output, width=80).print(scores_table(results_mapping((), {}), "nothing watched").rich())
    assert "nothing watched" in output.getvalue()
