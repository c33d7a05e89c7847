"""What keys do: pace, camera, films, and the choice of driver, town, weather and route."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.rendering.window.viewpoints import Viewpoint
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import check_town_name
from navsim.viewer.controls import (
    SPEEDS,
    TOUR_TOWNS,
    TOUR_WEATHERS,
    Capabilities,
    Choice,
    Choices,
    Playback,
    ViewerCommand,
    key_help,
    with_tour,
)
from navsim.world.scenery.appearance import parse_spec

EVERYTHING = Capabilities(tuple(Choice), steering=True, filming=True)
CHOICES = Choices(("a", "b", "c"), ("test-3", "grid-test-0"), ("", "dusk+rain"), route=1, seed=4)
commands = st.lists(st.builds(ViewerCommand, st.sampled_from(Choice), st.sampled_from([-1, 0, 1])), max_size=12)


def after(playback: Playback, *keys: str) -> Playback:
    for key in keys:
        playback = playback.after(key)
    return playback


def test_space_pauses_and_goes_on() -> None:
    assert after(Playback(), "space").paused
    assert not after(Playback(), "space", "space").paused


def test_a_single_step_leaves_the_drive_paused() -> None:
    stepped = after(Playback(), "s")
    assert stepped.paused
    assert stepped.stepping
    assert not after(stepped, "space").stepping


def test_viewpoints_are_cyclic() -> None:
    assert after(Playback(), "c").view is Viewpoint.HOOD
    assert after(Playback(), "c", "c", "c").view is Viewpoint.CHASE


@pytest.mark.parametrize(
    ("key", "choice", "step"),
    [
        ("r", Choice.ROUTE, 0),
        ("n", Choice.ROUTE, 1),
        ("enter", Choice.ROUTE, 1),
        ("p", Choice.ROUTE, -1),
        ("1", Choice.DRIVER, -1),
        ("2", Choice.DRIVER, 1),
        ("3", Choice.TOWN, -1),
        ("4", Choice.TOWN, 1),
        ("5", Choice.WEATHER, -1),
        ("6", Choice.WEATHER, 1),
    ],
)
def test_keys_give_commands_for_what_can_be_chosen(key: str, choice: Choice, step: int) -> None:
    assert after(Playback(capabilities=EVERYTHING), key).command == ViewerCommand(choice, step)
    nothing = Playback(capabilities=Capabilities(choices=()))
    assert after(nothing, key) == nothing


def test_a_key_starts_and_stops_films_where_they_can_be_made() -> None:
    assert after(Playback(capabilities=EVERYTHING), "m").filming
    assert not after(Playback(capabilities=EVERYTHING), "m", "m").filming
    assert not after(Playback(), "m").filming


def test_quitting() -> None:
    assert after(Playback(), "q").ended
    assert after(Playback(), "escape").ended


def test_speed_doubles_and_halves() -> None:
    assert after(Playback(), "+").speed == 2.0
    assert after(Playback(), "=", "-", "-").speed == 0.5
    assert after(Playback(speed=0.3), "+").speed == 0.5
    assert after(Playback(speed=0.3), "-").speed == 0.25


def test_the_highest_speed_is_unbounded_and_can_be_left() -> None:
    assert after(Playback(speed=8.0), "+").speed == 0.0
    assert after(Playback(speed=0.0), "+").speed == 0.0
    assert after(Playback(speed=0.0), "-").speed == 8.0
    assert after(Playback(speed=50.0), "-").speed == 8.0
    assert after(Playback(speed=SPEEDS[0]), "-").speed == SPEEDS[0]


@given(st.text(max_size=3))
def test_other_keys_change_nothing(key: str) -> None:
    if key not in set("srnpcmq+=-_123456"):
        assert after(Playback(capabilities=EVERYTHING), key) == Playback(capabilities=EVERYTHING)


def test_the_text_names_pace_and_pause() -> None:
    assert Playback(speed=0.5).text == "0.5x"
    assert Playback(speed=0.0).text == "as fast as possible"
    assert after(Playback(), "space").text == "paused (1x)"


def test_a_key_toggles_saliency_where_the_dashboard_can_show_it() -> None:
    assert [after(Playback(), *"v" * times).show_saliency for times in range(4)] == [False, True, False, True]
    nothing = Playback(capabilities=Capabilities(saliency=False))
    assert not after(nothing, "v").show_saliency
    assert "v" not in dict(key_help(nothing.capabilities))


def test_the_help_names_every_key_that_has_an_effect() -> None:
    everything, little = dict(key_help(EVERYTHING)), dict(key_help(Capabilities()))
    for keys in ("space", "s", "c", "+ -", "r", "p n", "1 2", "3 4", "5 6", "arrows", "h", "m", "v", "q"):
        assert keys in everything
    assert not {"1 2", "3 4", "5 6", "arrows", "h", "m"} & little.keys()


def test_each_command_changes_its_own_choice() -> None:
    assert CHOICES.after(ViewerCommand(Choice.DRIVER, -1)).driver == 2
    assert CHOICES.after(ViewerCommand(Choice.TOWN, 1)).scenario == Scenario("grid-test-0", 1, 4)
    assert CHOICES.after(ViewerCommand(Choice.WEATHER, 1)).scenario == Scenario("test-3", 1, 4, appearance="dusk+rain")
    assert CHOICES.after(ViewerCommand(Choice.ROUTE, 1)).scenario.route == 2
    assert CHOICES.after(ViewerCommand(Choice.ROUTE, 0)) == CHOICES


@given(commands)
def test_every_choice_can_be_driven(given_commands: list[ViewerCommand]) -> None:
    choices = CHOICES
    for command in given_commands:
        choices = choices.after(command)
        assert choices.drivers[choices.driver] in CHOICES.drivers
        assert choices.scenario.town in CHOICES.towns
        assert choices.scenario.route >= 0


def test_requested_names_come_first_and_once() -> None:
    assert with_tour(["test-7", "osm:x.osm"], ["test-3", "test-7"]) == ("test-7", "osm:x.osm", "test-3")
    assert with_tour([], TOUR_TOWNS) == TOUR_TOWNS


def test_the_tours_exist() -> None:
    for town in TOUR_TOWNS:
        check_town_name(town)
    for spec in TOUR_WEATHERS:
        parse_spec(spec)
