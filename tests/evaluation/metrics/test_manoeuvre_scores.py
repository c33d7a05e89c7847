"""Scores for each kind of driving count each step for what it shows."""

import numpy as np
import pytest

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.metrics.manoeuvre_scores import LabelledDrive, label_drives, manoeuvre_scores
from navsim.simulation.episode import FrameManoeuvre
from navsim.simulation.scenario import Outcome, Scenario, scenario_route
from navsim.simulation.town import load_town_map
from tests.evaluation.drives import make_drive


def labelled(frames: list[str], offsets: list[float], outcome: Outcome) -> LabelledDrive:
    episode = make_drive(outcome, stations=np.arange(0, 10.0 * len(offsets), 10).tolist(), offsets=offsets)
    return LabelledDrive(Drive("policy", episode.scenario, episode, 0.1), frames)


def test_steps_count_for_what_they_show_and_failures_for_the_last() -> None:
    scores = manoeuvre_scores(
        [
            labelled(["straight", "left", "left"], [0.0, 0.2, 1.0, 2.0], Outcome.WRONG_TURN),
            labelled(["straight"], [0.4, 0.4], Outcome.ARRIVED),
        ]
    )
    straight, left = scores[FrameManoeuvre.STRAIGHT], scores[FrameManoeuvre.LEFT]
    assert straight.failures.count == 0
    assert straight.failures.km == pytest.approx(0.02)
    assert straight.lane_offset_mean == pytest.approx((0.1 + 0.4) / 2)
    assert straight.beyond_metre == 0.0
    assert left.failures.count == 1
    assert left.failures.km == pytest.approx(0.02)
    assert left.lane_offset_mean == pytest.approx((0.6 + 1.5) / 2)
    assert left.beyond_metre == pytest.approx(0.5)
    assert left.failures.value == pytest.approx(50.0)
    nothing = scores[FrameManoeuvre.ROUNDABOUT]
    assert (nothing.failures.value, nothing.lane_offset_mean, nothing.beyond_metre) == (None, None, None)


def test_drives_are_labelled_by_their_own_routes() -> None:
    network, drives = load_town_map("test-1").network, []
    for route, junctions in ((0, True), (0, False), (1, True)):
        scenario = Scenario("test-1", route, 0, junctions)
        path = scenario_route(network, scenario).path
        stations = np.linspace(0, path.length, 60)
        episode = make_drive(Outcome.ARRIVED, stations=stations.tolist(), scenario=scenario, route_length=path.length)
        drives.append(Drive("policy", scenario, episode, 0.1))
    drives.append(Drive("policy", Scenario("test-1", 2), None, 0.0, "failed"))
    found = label_drives(drives)
    assert [item.drive for item in found] == drives[:3]
    assert all(len(item.frames) == 59 for item in found)
    assert {"left", "right", "straight_on"} & set(found[0].frames)
    assert set(found[1].frames) <= {"straight", "curve"}
    assert list(found[0].frames) != list(found[2].frames)
