"""What keys choose, as plain values."""

from hypothesis import given
from hypothesis import strategies as st

from navsim.simulation.scenario import Scenario
from navsim.simulation.town_map import check_town_name
from navsim.viewer.controls import TOUR_TOWNS, TOUR_WEATHERS, Choice, Choices, ViewerCommand, with_tour
from navsim.world.scenery.appearance import parse_spec

CHOICES = Choices(("a", "b", "c"), ("test-3", "grid-test-0"), ("", "dusk+rain"), route=1, seed=4)
wishes = st.lists(st.builds(ViewerCommand, st.sampled_from(Choice), st.sampled_from([-1, 0, 1])), max_size=12)


def test_each_wish_changes_its_own_choice() -> None:
    assert CHOICES.after(ViewerCommand(Choice.DRIVER, -1)).driver == 2
    assert CHOICES.after(ViewerCommand(Choice.TOWN, 1)).scenario == Scenario("grid-test-0", 1, 4)
    assert CHOICES.after(ViewerCommand(Choice.WEATHER, 1)).scenario == Scenario("test-3", 1, 4, appearance="dusk+rain")
    assert CHOICES.after(ViewerCommand(Choice.ROUTE, 1)).scenario.route == 2
    assert CHOICES.after(ViewerCommand(Choice.ROUTE, 0)) == CHOICES


@given(wishes)
def test_every_choice_can_be_driven(asked: list[ViewerCommand]) -> None:
    choices = CHOICES
    for wish in asked:
        choices = choices.after(wish)
        assert choices.drivers[choices.driver] in CHOICES.drivers
        assert choices.scenario.town in CHOICES.towns
        assert choices.scenario.route >= 0


def test_what_was_asked_for_comes_first_and_once() -> None:
    assert with_tour(["test-7", "osm:x.osm"], ["test-3", "test-7"]) == ("test-7", "osm:x.osm", "test-3")
    assert with_tour([], TOUR_TOWNS) == TOUR_TOWNS


def test_the_tours_exist() -> None:
    for town in TOUR_TOWNS:
        check_town_name(town)
    for spec in TOUR_WEATHERS:
        parse_spec(spec)
