import pytest

from navsim.config import from_mapping, to_mapping
from navsim.errors import ConfigError
from navsim.simulation.scenario import Outcome, Scenario, StartOffset


def test_a_scenario_is_plain_values_and_back() -> None:
    scenario = Scenario("test-3", 7, 11, junctions=False, start=StartOffset(0.5, -4.0))
    assert from_mapping(Scenario, to_mapping(scenario), "memory") == scenario
    assert len({scenario, Scenario("test-3", 7, 11, junctions=False, start=StartOffset(0.5, -4.0))}) == 1


def test_names_distinguish_scenarios() -> None:
    assert Scenario("test-3", 7, 11).name == "test-3-route7-seed11"
    assert Scenario("test-3", 7, 11, junctions=False).name == "test-3-lane7-seed11"


@pytest.mark.parametrize("wrong", [{"route": -1}, {"seed": -1}])
def test_negative_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        Scenario(**wrong)  # type: ignore[arg-type]


def test_outcomes_are_words_for_files() -> None:
    assert {str(outcome) for outcome in Outcome} == {
        "arrived",
        "left_road",
        "wrong_turn",
        "wrong_lane",
        "collided",
        "stuck",
        "timed_out",
        "broke_off",
    }


def test_a_length_is_part_of_the_name_and_needs_junctions() -> None:
    assert Scenario("test-3", route=7, seed=1, length=1000.0).name == "test-3-way1000m-7-seed1"
    assert Scenario("test-3", route=7, seed=1).name == "test-3-route7-seed1"
    for wrong in ({"length": 50.0}, {"length": 1000.0, "junctions": False}):
        with pytest.raises(ConfigError, match="length"):
            Scenario(**wrong)  # type: ignore[arg-type]
