"""The page of all suites: every number where it belongs, from results as they stand in the files."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from navsim.errors import ConfigError
from navsim.evaluation.metrics.drives import Drive, distinct_ways
from navsim.evaluation.reports.comparison import columns
from navsim.evaluation.reports.results import parts_mapping, results_mapping
from navsim.evaluation.reports.score_tables import part_rows, results_markdown
from navsim.evaluation.reports.suites_page import Repeat, Repeats, SuiteResults, suites_page, suites_summary
from navsim.evaluation.statistics.paired import paired_share
from navsim.evaluation.suites import SuiteStage, blind_parts
from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage
from navsim.sensing.camera import Rig
from navsim.sensing.observation import DeploymentFaults
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from navsim.world.obstacles import ObstacleKind
from tests.evaluation.drives import make_drive

ROUTES = tuple(Scenario("test-1", route) for route in range(2))
LANE = Scenario("test-1", 0, junctions=False)
LEFT = Scenario("test-1", 0, junctions=False, start=StartOffset(lateral=1.0))


def results(
    driver: str, outcomes: Sequence[tuple[Scenario, Outcome]], parts: tuple[SuiteStage, ...] = (), mark: str = "abc"
) -> dict[str, Any]:
    """What a results file holds; drives that did not arrive went half of their 100 m and hit a car."""
    drives = []
    for scenario, outcome in outcomes:
        arrived = outcome is Outcome.ARRIVED
        stations = [0.0, 50.0, 100.0] if arrived else [0.0, 25.0, 50.0]
        struck = None if arrived else ObstacleKind.CAR
        episode = make_drive(outcome, stations=stations, scenario=scenario, driver=driver, struck=struck)
        drives.append(
            Drive(driver, scenario, episode, 1.0, decision_seconds=(0.002,), part=parts[0].name if parts else "")
        )
    about: dict[str, Any] = {"fingerprint": mark, "renderer": "tiny", "map_attribution": ""}
    about |= {"parts": parts_mapping(drives, parts)} if parts else {}
    values: dict[str, Any] = json.loads(json.dumps(results_mapping(drives, about)))
    return values


GOOD = results("good", [(ROUTES[0], Outcome.ARRIVED), (ROUTES[1], Outcome.ARRIVED), (LANE, Outcome.ARRIVED)])
BAD = results("bad", [(ROUTES[0], Outcome.ARRIVED), (ROUTES[1], Outcome.COLLIDED), (LANE, Outcome.COLLIDED)])


def page(*suites: SuiteResults, repeats: Repeats | None = None) -> str:
    return suites_page("All", {"good": "sees"}, suites, repeats or Repeats("standard"), "On a machine.")


def cells(text: str, label: str) -> list[str]:
    """Cells of the row that begins with `label`."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_drivers_stand_side_by_side() -> None:
    text = page(SuiteResults("standard", "held-out towns", {"good": GOOD, "bad": BAD}))
    assert "# All\n\nOn a machine.\n\n* **good**: sees" in text
    assert "## standard: held-out towns\n\nFingerprint `abc`, 3 drives for each driver, drawn with tiny." in text
    assert "|  | good | bad |\n| --- | ---: | ---: |\n" in text
    assert cells(text, "arrived") == ["2 of 2 (34% to 100%)", "1 of 2 (9% to 91%)"]
    assert cells(text, "along lanes: arrived") == ["1 of 1 (21% to 100%)", "0 of 1 (0% to 79%)"]
    assert cells(text, "route completion") == ["100.0%", "75.0%"]
    assert cells(text, "driving score") == ["100.0%", f"{(1 + 0.5 / 1.7) / 2:.1%}"]
    assert cells(text, "infractions per km") == ["0.00 (0.00 to 18.44)", "6.67 (0.17 to 37.14)"]
    assert cells(text, "... vehicle") == cells(text, "infractions per km")
    assert "... left road" not in text
    assert cells(text, "one decision, median (95%)") == ["2.00 ms (2.00 ms)"] * 2
    assert cells(text, "driven") == ["0.2 km", "0.1 km"]
    assert "## Same seed" not in text
    assert "## Two renderers" not in text


def test_a_suite_of_lanes_alone_has_the_numbers_of_these() -> None:
    text = page(SuiteResults("lanes", "short starts", {"bad": results("bad", [(LANE, Outcome.COLLIDED)])}))
    assert cells(text, "arrived") == ["0 of 1 (0% to 79%)"]
    assert "along lanes" not in text


@pytest.mark.parametrize("recovery", [True, False])
def test_parts_are_counted_as_they_ask_for(recovery: bool) -> None:
    stage = SuiteStage("offset", (LANE, LEFT), SimulationConfig(), recovery)
    both = [(LANE, Outcome.ARRIVED), (LEFT, Outcome.COLLIDED)]
    text = page(SuiteResults("recovery", "starts", {"bad": results("bad", both, (stage,))}))
    if recovery:
        assert cells(text, "offset: recovered") == ["1 of 2 (9% to 91%)"]
        assert cells(text, "from +1 m, +0 deg") == ["0 of 1 (0% to 79%)"]
    else:
        assert cells(text, "offset: arrived") == ["1 of 2 (9% to 91%)"]
        assert "from +1 m" not in text


def test_parts_over_the_same_routes_are_compared_with_the_first_one() -> None:
    late = SimulationConfig(faults=DeploymentFaults(latency_steps=3))
    dusk = tuple(replace(scenario, appearance="dusk") for scenario in ROUTES)
    stages = (
        SuiteStage("clean", ROUTES, SimulationConfig()),
        SuiteStage("late", ROUTES, late),
        SuiteStage("dusk", dusk, SimulationConfig()),
        SuiteStage("elsewhere", (LANE,), SimulationConfig()),
    )
    drives = []
    for stage in stages:
        for scenario in reversed(stage.scenarios):
            arrived = stage.name == "clean" or scenario.route == 0
            episode = make_drive(Outcome.ARRIVED, stations=[0.0, 100.0], scenario=scenario) if arrived else None
            drives.append(Drive("one", scenario, episode, 1.0, part=stage.name))
    parts = parts_mapping(drives, stages)
    found = {name: part["drivers"]["one"].get("less_first") for name, part in parts.items()}
    pair = paired_share([True, True], [True, False])
    expected = {"part": "clean", "difference": -0.5, "interval": list(pair.interval), "p_value": 1.0}
    assert found == {"clean": None, "late": expected, "dusk": expected, "elsewhere": None}
    rows = part_rows([{name: part["drivers"]["one"] for name, part in parts.items()}])
    assert [label for label, _ in rows] == [
        "clean: arrived",
        "late: arrived",
        "  less clean",
        "dusk: arrived",
        "  less clean",
        "elsewhere: arrived",
    ]
    assert rows[2][1].startswith("-50% (-")


def test_intervals_of_arrivals_count_distinct_ways() -> None:
    drives = []
    for route, turn in enumerate((Manoeuvre.LEFT, Manoeuvre.LEFT, Manoeuvre.LEFT, Manoeuvre.RIGHT)):
        episode = make_drive(Outcome.ARRIVED, scenario=Scenario("test-1", route))
        episode = replace(episode, passages=(JunctionPassage(20.0 + route, 30.0 + route, turn, 7),))
        drives.append(Drive("one", episode.scenario, episode, 1.0))
    assert distinct_ways(drives) == 2
    assert distinct_ways([*drives, replace(drives[0], part="other")]) == 3
    assert distinct_ways([replace(drive, episode=None) for drive in drives]) == 4
    values = json.loads(json.dumps(results_mapping(drives, {"fingerprint": "abc", "renderer": "tiny"})))
    text = page(SuiteResults("standard", "", {"one": values}))
    assert cells(text, "distinct ways") == ["2"]
    assert cells(text, "arrived") == ["4 of 4 (34% to 100%)"]  # the interval of 2 of 2
    assert "| distinct ways | 2 |" in results_markdown(values, "All")
    (column,) = columns({"a": values})
    assert column.arrived.interval_text == "34% to 100%"
    older = {**values, "drivers": {"one": {k: v for k, v in values["drivers"]["one"].items() if k != "distinct"}}}
    assert "distinct ways" not in page(SuiteResults("standard", "", {"one": older}))
    assert "distinct ways" not in page(SuiteResults("standard", "", {"good": GOOD}))


def test_a_missing_camera_that_is_the_only_one_is_noted() -> None:
    gone = DeploymentFaults(missing_camera="any")
    one, three = SimulationConfig(faults=gone), SimulationConfig(rig=Rig.AMINI2019, faults=gone)
    stages = (SuiteStage("clean", ROUTES, SimulationConfig()), SuiteStage("gone", ROUTES, one))
    assert blind_parts(stages) == ["part gone: the car has one camera, and without it drivers see black images"]
    assert blind_parts((SuiteStage("gone", ROUTES, three),)) == []


def test_a_suite_left_out_says_why() -> None:
    text = page(SuiteResults("streets", "real ones", left_out="there is no map file x.osm"))
    assert "## streets: real ones\n\nNot driven: there is no map file x.osm." in text


def test_what_nothing_tells_is_a_dash() -> None:
    (drive,) = [Drive("good", ROUTES[0], None, 0.0, "fell over")]
    broken = results_mapping([drive], {"fingerprint": "abc", "renderer": "tiny"})
    text = page(SuiteResults("standard", "", {"good": json.loads(json.dumps(broken))}))
    assert cells(text, "arrived") == ["0 of 1 (0% to 79%)"]
    assert cells(text, "... broke off") == cells(text, "infractions per km") == ["1 in 0 km"]
    assert cells(text, "lane offset, mean") == cells(text, "comfortable") == ["-"]


def test_results_of_another_suite_are_refused() -> None:
    other = results("bad", [(LANE, Outcome.ARRIVED)], mark="xyz")
    with pytest.raises(ConfigError, match="different suites cannot stand in one table: good is of abc, bad is of xyz"):
        page(SuiteResults("standard", "", {"good": GOOD, "bad": other}))


def test_what_was_driven_twice_is_told() -> None:
    repeat, other_renderer = {"good": Repeat(260, (), 0, 0, 0)}, {"good": Repeat(200, ("a", "b", "c"), 200, 2, 1)}
    text = page(repeats=Repeats("standard", repeat, ("opengl", "tiny"), other_renderer))
    assert "All of `standard` driven a second time" in text
    assert "| good | 260 | 0 | 0 |" in text
    assert "|  | routes | changed outcome | arrived with opengl only | arrived with tiny only |" in text
    assert "| good | 200 | 3 | 2 | 1 |" in text


def test_the_summary_fits_a_terminal_with_a_row_for_each_driver() -> None:
    table = suites_summary([SuiteResults("standard", "", {"good": GOOD, "bad": BAD}), SuiteResults("streets", "")])
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table.rich())
    text = captured.get()
    assert [line.split()[:4] for line in text.splitlines() if line.startswith(("good", "bad"))] == [
        ["good", "2", "of", "2"],
        ["bad", "1", "of", "2"],
    ]
    assert "streets" not in text
