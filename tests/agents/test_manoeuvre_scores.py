from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.scoring.manoeuvres import AHEAD, BEFORE, GROUPS, manoeuvre_groups
from navsim.driving.episode import Episode
from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage
from tests.agents.small_runs import small_episode


def drive(length: float = 100.0, steps: int = 100, **changes: Any) -> Episode:
    """A drive straight along a straight lane."""
    return replace(small_episode(steps=steps), stations=np.linspace(0, length, steps + 1), **changes)


def along_a_curve(start: float, end: float, radius: float, **changes: Any) -> Episode:
    """A drive of 100 m along a lane that curves to the left between two stations; the car wobbles about it."""
    stations = np.linspace(0, 100, 101)
    wobble = 0.05 * np.sin(stations)
    directions = np.clip(stations - start, 0, end - start) / radius
    poses = np.column_stack([stations, 0 * stations, np.angle(np.exp(1j * (3.0 + directions + wobble)))])
    return drive(poses=poses, heading_errors=wobble, **changes)


def names(episode: Episode) -> list[str]:
    return [GROUPS[group] for group in manoeuvre_groups(episode).tolist()]


def test_a_straight_lane_is_straight() -> None:
    assert names(drive()) == ["straight"] * 100


def test_a_curve_counts_from_when_it_fills_the_way_ahead() -> None:
    # Radius 25 m from 40 m to 60 m, headings that pass the cut at pi, a wobble of the car's own.
    found = names(along_a_curve(40, 60, 25.0))
    assert len(found) == 100
    assert found[int(40 - AHEAD) - 1] == "straight"
    assert found[38:58] == ["curve"] * 20  # from 2.5 m into it, the mean of the 10 m ahead is 1/100 m
    assert found[61:] == ["straight"] * 39


def test_a_gentle_bend_is_straight() -> None:
    assert set(names(along_a_curve(40, 60, 300.0))) == {"straight"}


@pytest.mark.parametrize(
    ("manoeuvre", "name"),
    [
        (Manoeuvre.LEFT, "left"),
        (Manoeuvre.RIGHT, "right"),
        (Manoeuvre.STRAIGHT, "straight on"),
        (Manoeuvre.ROUNDABOUT, "roundabout"),
    ],
)
def test_a_way_through_a_junction_is_its_manoeuvre(manoeuvre: Manoeuvre, name: str) -> None:
    found = names(along_a_curve(50, 60, 10.0, passages=(JunctionPassage(50.0, 60.0, manoeuvre, 0),)))
    assert found[int(50 - BEFORE) : 61] == [name] * (11 + int(BEFORE))
    assert found[int(50 - BEFORE) - 1] != name
    assert found[62] == "straight"


def test_of_two_junctions_the_nearer_counts() -> None:
    passages = (JunctionPassage(30.0, 40.0, Manoeuvre.LEFT, 0), JunctionPassage(45.0, 55.0, Manoeuvre.RIGHT, 1))
    found = names(drive(passages=passages))
    assert found[38] == "left"
    assert found[42] == "right"


def test_the_label_has_no_say() -> None:
    episode = drive()
    assert names(replace(episode, labels=np.full(100, 0.2))) == names(episode)


def test_a_car_that_rolls_back_or_stands_has_groups_too() -> None:
    episode = drive()
    stations = episode.stations.copy()
    stations[50:60] = stations[50] - np.linspace(0, 0.5, 10)
    stations[90:] = stations[90]
    assert names(replace(episode, stations=stations)) == ["straight"] * 100
