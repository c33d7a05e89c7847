from dataclasses import replace

import numpy as np
import pytest

from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from tests.evaluation.drives import make_drive


def drive() -> Episode:
    """Four states 3 m, 4 m and 5 m apart, on a route of 20 m."""
    return make_drive(
        Outcome.LEFT_ROAD,
        positions=[(0.0, 0.0), (3.0, 0.0), (3.0, 4.0), (6.0, 8.0)],
        stations=[0.0, 3.0, 7.0, 12.0],
        route_length=20.0,
        passages=[(3.0, 8.0, Manoeuvre.LEFT)],
    )


def test_there_is_one_more_state_than_commands() -> None:
    episode = drive()
    assert len(episode) == 3
    assert len(episode.poses) == len(episode.times) == 4


@pytest.mark.parametrize("name", ["times", "poses", "speeds", "stations", "offsets", "heading_errors"])
def test_a_missing_state_is_refused_with_both_numbers(name: str) -> None:
    with pytest.raises(ValueError, match=f"3 commands need 4 {name}, got 3"):
        replace(drive(), **{name: getattr(drive(), name)[:-1]})


@pytest.mark.parametrize("name", ["labels", "gps"])
def test_a_missing_label_or_fix_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"3 commands need as many {name}, got 2"):
        replace(drive(), **{name: getattr(drive(), name)[:-1]})


def test_images_are_all_there_or_none_is() -> None:
    assert len(replace(drive(), images=np.zeros((3, 1, 8, 8, 3), np.uint8)).images) == 3
    with pytest.raises(ValueError, match="as many images or none, got 2"):
        replace(drive(), images=np.zeros((2, 1, 8, 8, 3), np.uint8))


def test_a_drive_without_commands_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one command"):
        replace(drive(), commands=np.zeros(0))


def test_distance_and_completion_by_hand() -> None:
    assert drive().distance == pytest.approx(12.0)
    assert drive().completion == pytest.approx(12.0 / 20.0)
    assert replace(drive(), outcome=Outcome.ARRIVED).completion == 1.0


def test_states_inside_junctions_are_marked() -> None:
    assert drive().in_junction.tolist() == [False, True, True, False]
    assert replace(drive(), passages=(JunctionPassage(11.0, 13.0, Manoeuvre.RIGHT, 0),)).in_junction.tolist() == [
        False,
        False,
        False,
        True,
    ]


def test_poses_are_given_one_by_one() -> None:
    assert (drive().pose(2).x, drive().pose(2).y) == (3.0, 4.0)
