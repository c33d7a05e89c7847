"""Suites from files: the same drives everywhere, distinguished by a fingerprint; mistakes are one clear line."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from navsim.errors import ConfigError, TownError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.results_store import drive_name
from navsim.evaluation.routes import RouteSuite
from navsim.evaluation.suites import (
    SUITES,
    Suite,
    SuitePart,
    SuiteStage,
    check_same_suite,
    fingerprint,
    load_suite,
    stages,
    suite_path,
)
from navsim.roads.generators.towns import TOWN_GENERATORS, Split, TownId
from navsim.sensing.camera import Camera
from navsim.sensing.observation import DeploymentFaults
from navsim.sensing.roadmap import MapFault
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario, StartOffset, check_routes
from navsim.simulation.town import town_seed
from tests.roads.osm.osm_documents import grid

SIMULATION = SimulationConfig()
NAMED = sorted(path.stem for path in SUITES.glob("*.yaml"))


def resolved(name: str, seed: int = 0) -> tuple[SuiteStage, ...]:
    return stages(load_suite(name), SIMULATION, seed)


def test_the_named_suites_are_those_of_the_docs() -> None:
    assert NAMED == ["lanes", "localization", "quick", "recovery", "robustness", "standard", "streets"]


@pytest.mark.parametrize("name", NAMED)
def test_every_drive_of_a_part_has_a_name_of_its_own(name: str) -> None:
    for stage in resolved(name):
        assert len({drive_name(scenario) for scenario in stage.scenarios}) == len(stage.scenarios)


@pytest.mark.parametrize(
    ("name", "mark", "first"),
    [
        ("quick", "7f2aab6429072e65", ["test-484-route528-seed0", "grid-test-220-route588-seed0"]),
        ("standard", "15b8e0823fbec1ef", ["test-484-route528-seed0", "grid-test-220-route588-seed0"]),
        (
            "recovery",
            "73a3a6e68a9a26ed",
            ["test-484-lane583-seed0-start-1.5m+0deg", "test-484-lane583-seed0-start-1m+0deg"],
        ),
        (
            "lanes",
            "66e9ff83ceddaddd",
            ["test-484-lane583-seed0-start+0.388m-4.419deg", "grid-test-220-lane843-seed0"],
        ),
        ("localization", "68002a19f2b0f4e3", ["test-484-route528-seed0", "grid-test-220-route588-seed0"]),
        ("robustness", "2a2e912fbf2b1dd5", ["test-484-route528-seed0", "grid-test-220-route588-seed0"]),
    ],
)
def test_a_suite_is_the_same_on_every_machine(name: str, mark: str, first: list[str]) -> None:
    found = resolved(name)
    for scenario, expected in zip(found[0].scenarios, first, strict=False):
        assert drive_name(scenario).startswith(expected)
    only_own_lane = tuple(
        replace(stage, simulation=replace(stage.simulation, rules=replace(stage.simulation.rules, any_lane=False)))
        for stage in found
    )
    assert fingerprint(only_own_lane) == mark  # from before other lanes counted
    assert len({mark, fingerprint(found), fingerprint(resolved(name, seed=1))}) == 3


def test_standard_drives_through_held_out_towns_of_all_generators() -> None:
    (stage,) = resolved("standard")
    towns = [TownId.parse(scenario.town) for scenario in stage.scenarios]
    assert {town.split for town in towns} == {Split.TEST}
    assert {town.generator for town in towns} == set(TOWN_GENERATORS)
    assert Counter(scenario.junctions for scenario in stage.scenarios) == {True: 200, False: 60}


def test_recovery_starts_twelve_times_at_fifteen_places() -> None:
    offset, heading = resolved("recovery")
    assert Counter(scenario.start for scenario in offset.scenarios) == {
        StartOffset(lateral=metres): 15 for metres in (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)
    }
    assert Counter(scenario.start for scenario in heading.scenarios) == {
        StartOffset(heading_deg=degrees): 15 for degrees in (-15.0, -10.0, -5.0, 5.0, 10.0, 15.0)
    }
    assert len({(scenario.town, scenario.route) for scenario in offset.scenarios}) == 15
    assert offset.recovery
    assert offset.simulation.rules.allowed_time(100.0) == pytest.approx(5.0, abs=1e-3)
    assert offset.simulation.rules.offset_limit == 2.0


def test_robustness_drives_the_same_routes_under_each_fault() -> None:
    parts = {stage.name: stage for stage in resolved("robustness")}
    routes = {tuple((s.town, s.route) for s in stage.scenarios) for stage in parts.values()}
    assert len(routes) == 1
    assert parts["clean"].simulation == SIMULATION
    assert parts["gps-10m"].simulation.gps.position_sigma == 10.0
    assert parts["gps-10m"].simulation.gps.heading_sigma_deg == SIMULATION.gps.heading_sigma_deg
    assert parts["map-none"].simulation.map_fault.blank
    assert parts["noise-0.3"].simulation.camera_noise.variance == 0.3
    assert {scenario.appearance for scenario in parts["shift-3"].scenarios} == {"shift-3"}
    assert len(parts["clean"].scenarios) == 100
    assert len({scenario.town for scenario in parts["clean"].scenarios}) == 20
    assert [parts[f"latency-{steps}"].simulation.faults.latency_steps for steps in (1, 2, 3)] == [1, 2, 3]
    assert parts["frames-dropped-30percent"].simulation.faults == DeploymentFaults(dropped_frames=0.3)
    assert parts["frames-frozen-30percent"].simulation.faults == DeploymentFaults(frozen_frames=0.3)
    assert parts["camera-gone"].simulation.faults == DeploymentFaults(missing_camera="any")
    assert parts["speed-error-10percent"].simulation.faults == DeploymentFaults(speed_error=0.1, speed_sigma=0.5)
    assert parts["odometry-error"].simulation.odometry.scale_sigma == 0.05
    assert parts["map-stale"].simulation.map_fault.stale == 0.1


def test_localization_drives_routes_of_robustness_with_other_fixes() -> None:
    parts = {stage.name: stage for stage in resolved("localization")}
    assert len({stage.scenarios for stage in parts.values()}) == 1
    assert set(parts["fix-2m"].scenarios) < set(resolved("robustness")[0].scenarios)
    assert parts["fix-2m"].simulation == SIMULATION
    sigmas = [parts[f"fix-{metres}m"].simulation.gps.position_sigma for metres in (5, 10, 20, 40)]
    assert sigmas == [5.0, 10.0, 20.0, 40.0]
    assert (parts["fix-lost"].simulation.gps.lost_after, parts["fix-none"].simulation.gps.lost_after) == (20.0, 0.0)


def test_lanes_begin_a_thousand_times_beside_the_middle() -> None:
    (stage,) = resolved("lanes")
    starts = [scenario.start for scenario in stage.scenarios]
    assert len(starts) == 1000
    assert max(abs(start.lateral) for start in starts) == pytest.approx(0.5, abs=0.01)
    assert sum(start.lateral for start in starts) / 1000 == pytest.approx(0.0, abs=0.04)
    assert max(abs(start.heading_deg) for start in starts) <= 5.0


SMALL = Suite(routes=RouteSuite(routes=2, lane_routes=0, towns=1), parts=(SuitePart("all"),))


def mark(suite: Suite = SMALL, simulation: SimulationConfig = SIMULATION, seed: int = 0) -> str:
    return fingerprint(stages(suite, simulation, seed))


def test_a_fingerprint_changes_with_routes_conditions_and_rules_only() -> None:
    others = [
        mark(replace(SMALL, routes=replace(SMALL.routes, routes=3))),
        mark(seed=1),
        mark(replace(SMALL, parts=(SuitePart("all", simulation={"gps": {"position_sigma": 3.0}}),))),
        mark(replace(SMALL, parts=(SuitePart("all", appearance="dusk"),))),
        mark(simulation=replace(SIMULATION, rules=replace(SIMULATION.rules, offset_limit=1.5))),
        mark(simulation=replace(SIMULATION, cruise_speed=9.0)),
        mark(simulation=replace(SIMULATION, gps=replace(SIMULATION.gps, lost_after=20.0))),
        mark(simulation=replace(SIMULATION, odometry=replace(SIMULATION.odometry, scale_sigma=0.05))),
        mark(simulation=replace(SIMULATION, faults=DeploymentFaults(latency_steps=1))),
        mark(simulation=replace(SIMULATION, map_fault=MapFault(stale=0.1))),
    ]
    assert len({mark(), *others}) == 11
    assert mark(replace(SMALL, title="other words")) == mark()
    # Cameras and map patches belong to the driver, not to the conditions; the renderer is not a condition, either.
    assert mark(simulation=replace(SIMULATION, cameras=(Camera(width=16, height=8),), renderer="tiny")) == mark()


def test_a_file_of_streets_counts_by_its_content(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.osm", "same.osm", "other.osm"))
    grid().write(one)
    same.write_bytes(one.read_bytes())
    grid(4, 4, 130.0).write(other)
    marks = [fingerprint(stages(SMALL, SIMULATION, 0, f"osm:{path}")) for path in (one, same, other)]
    assert marks[0] == marks[1] != marks[2]


def test_files_of_suites_and_maps_count_as_they_are_at_the_start(tmp_path: Path) -> None:
    suite, streets = tmp_path / "suite.yaml", grid().write(tmp_path / "map.osm")
    suite.write_text("title: one\nroutes: {routes: 2, lane_routes: 0}\nparts: [{name: a}]")
    config = EvaluationConfig(suite=str(suite), town=f"osm:{streets}")
    before = fingerprint(config.stages)
    suite.write_text("title: other\nroutes: {routes: 3, lane_routes: 0}\nparts: [{name: a}]")
    grid(4, 4, 130.0).write(streets)
    assert fingerprint(config.stages) == before
    assert config.title.startswith("one, in ")
    assert fingerprint(EvaluationConfig(suite=str(suite), town=f"osm:{streets}").stages) != before
    with pytest.raises(TownError, match=r"map\.osm: holds the map osm:sha256:\w+, the drives are those of osm:sha256:"):
        check_routes(config.stages[0].scenarios)


def test_suites_and_streets_are_found_by_home_folder_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # the same on Windows
    monkeypatch.setenv("MAPS", str(tmp_path))
    part = "{name: a, routes: {routes: 1e1}, simulation: {gps: {position_sigma: 5e-1}}}"
    (tmp_path / "mine.yaml").write_text(f"parts: [{part}]\n")
    (stage,) = stages(load_suite("~/mine.yaml"), SIMULATION)
    assert len(stage.scenarios) > 10
    assert stage.simulation.gps.position_sigma == 0.5
    grid().write(tmp_path / "a.osm")
    seeds = {town_seed(f"osm:{file}") for file in (tmp_path / "a.osm", "~/a.osm", "$MAPS/a.osm", "${MAPS}/a.osm")}
    assert len(seeds) == 1
    with pytest.raises(ConfigError, match="variable 'NAVSIM_UNSET' is not set"):
        load_suite("$NAVSIM_UNSET/mine.yaml")
    with pytest.raises(ConfigError, match="variable 'NAVSIM_UNSET' is not set"):
        town_seed("osm:$NAVSIM_UNSET/a.osm")


def test_results_of_one_suite_may_stand_side_by_side_and_others_not() -> None:
    assert check_same_suite({"a": {"fingerprint": "1f"}, "b": {"fingerprint": "1f"}}) == "1f"
    with pytest.raises(ConfigError, match="different suites cannot stand in one table: a is of 1f, b is of 2e"):
        check_same_suite({"a": {"fingerprint": "1f"}, "b": {"fingerprint": "2e"}})
    with pytest.raises(ConfigError, match="b: has no suite's fingerprint"):
        check_same_suite({"a": {"fingerprint": "1f"}, "b": {}})


def test_an_unknown_suite_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown suite 'standrd': give one of lanes, localization, quick, recovery"):
        suite_path("standrd")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prts: []", "prts = .*: unknown key; perhaps you meant 'parts'"),
        ("title: nothing", "a suite needs parts with different names, got none"),
        ("parts: [{name: a}, {name: a}]", "with different names, got a, a"),
        ("parts: [{name: A b}]", "small letters"),
        ("parts: [{name: a, starts: []}]", "starts must hold at least one start"),
        ("parts: [{name: a, routs: {}}]", "unknown key; perhaps you meant 'routes'"),
        ("parts: [{name: a, simulation: {gsp: {}}}]", "simulation.gsp: a part may set map_fault"),
        ("parts: [{name: a, simulation: {renderer: tiny}}]", "simulation.renderer: a part may set"),
        ("parts: [{name: a, simulation: {gps: {sigma: 1.0}}}]", "gps.sigma = 1.0: unknown key"),
        ("parts: [{name: a, simulation: {gps: {position_sigma: -1.0}}}]", "position_sigma must be at least 0"),
        (
            "parts: [{name: a, simulation: {faults: {missing_camera: rear}}}]",
            "missing_camera must be one of front, any",
        ),
        ("parts: [{name: a, routes: {routes: 0, lane_routes: 0}}]", "at least 1 together"),
    ],
)
def test_a_file_with_mistakes_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_suite(str(path))
    assert "\n" not in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_a_drive_from_beside_the_lane_has_a_name_that_says_so() -> None:
    assert drive_name(Scenario("test-1", 2)) == "test-1-route2-seed0"
    assert drive_name(Scenario("test-1", 2, start=StartOffset(-0.5, 5.0))) == "test-1-route2-seed0-start-0.5m+5deg"
