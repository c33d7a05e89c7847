"""The log of a drive: events and past path."""

import numpy as np
import pytest

from navsim.drivers.protocol import Decision
from navsim.geometry import Pose
from navsim.rendering.window.window_scene import TRAIL_MARKS, TRAIL_SPACING
from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage, Progress
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.simulation import TimeStep
from navsim.visualization.drive_events import DriveLog, decision_modes
from navsim.world.vehicle import VehicleState

GRID = np.linspace(-0.2, 0.2, 161)
PASSAGES = (JunctionPassage(40.0, 60.0, Manoeuvre.LEFT, 0),)


def make_step(station: float, offset: float = 0.0, decision: Decision | None = None) -> RolloutStep:
    pose = Pose(station, offset, 0.0)
    state = VehicleState(station / 8, pose, 8.0, 0.0, 0.0, 0.0, 0.0)
    step = TimeStep(None, state, Progress(station, offset, 0.0, 0.1, offset), None, np.zeros((0, 0, 0, 3), np.uint8))
    return RolloutStep(step, decision or Decision(0.0), 0.0, 0.0)


def event_texts(log: DriveLog) -> list[str]:
    return [event.text for event in log.events]


def two_modes(probability: float) -> Decision:
    first, second = (np.exp(-0.5 * ((GRID - centre) / 0.01) ** 2) for centre in (0.1, -0.05))
    return Decision(0.1, GRID, probability * first + (1 - probability) * second)


def test_a_junction_is_reported_once() -> None:
    log = DriveLog()
    for station in (39.0, 40.0, 50.0, 59.0, 61.0):
        log = log.after(make_step(station), PASSAGES)
    assert event_texts(log) == ["junction: left"]
    assert log.events[0].time == 5.0


def test_leaving_the_lane_and_coming_back() -> None:
    log = DriveLog()
    for station, offset in enumerate((0.0, 0.9, -1.2, -0.8, -1.1, 0.4)):
        log = log.after(make_step(float(station), offset))
    assert event_texts(log) == ["1.2 m off the lane", "back in the lane"]


def test_manual_steering_is_reported() -> None:
    log = DriveLog().after(make_step(0.0), manual=True).after(make_step(1.0), manual=True).after(make_step(2.0))
    assert event_texts(log) == ["manual steering", "driver steers again"]


def test_a_fork_is_reported_but_not_a_mode_of_low_probability() -> None:
    assert [mode.curvature for mode in decision_modes(two_modes(0.6))] == pytest.approx([-0.05, 0.1], abs=0.002)
    assert [mode.mass for mode in decision_modes(two_modes(0.6))] == pytest.approx([0.4, 0.6], abs=0.01)
    assert len(decision_modes(two_modes(0.98))) == 1
    assert decision_modes(Decision(0.0)) == ()
    log = DriveLog().after(make_step(0.0, decision=two_modes(0.98))).after(make_step(1.0, decision=two_modes(0.5)))
    assert event_texts(log.after(make_step(2.0, decision=two_modes(0.5)))) == ["2 possible paths"]


def test_the_trail_has_its_spacing_and_its_length() -> None:
    log = DriveLog()
    for station in np.arange(0.0, 100.0, 0.8):
        log = log.after(make_step(float(station)))
    places = [pose.x for pose in log.trail]
    assert len(places) == TRAIL_MARKS
    assert np.diff(places).min() >= TRAIL_SPACING
    assert np.diff(places).max() < TRAIL_SPACING + 0.8
    assert places[-1] > 99.2 - TRAIL_SPACING - 0.8


def test_only_the_latest_events_are_kept() -> None:
    log = DriveLog()
    for number in range(10):
        log = log.after(make_step(float(number)), manual=number % 2 == 0)
    assert len(log.events) == 3
    assert event_texts(log)[-1] == "driver steers again"
