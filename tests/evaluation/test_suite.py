"""The routes of a suite: fixed by the seed, held out, spread over towns, and stable when the suite grows."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.roads.generators.towns import TOWN_GENERATORS, Split, TownId, build_town
from navsim.simulation.scenario import scenario_route
from navsim.simulation.town import town_by_content
from tests.roads.osm.osm_documents import grid


def test_real_towns_take_turns_with_the_drawn_ones(tmp_path: Path) -> None:
    files = [grid(4, 4, length).write(tmp_path / f"{length}.osm") for length in (121.0, 130.0)]
    real = tuple(f"osm:{file}" for file in files)
    plain = RouteSuite(routes=8, lane_routes=0, towns=2)
    mixed = replace(plain, real_towns=real)
    towns = [scenario.town for scenario in mixed.scenarios()]
    assert towns == [*[plain.scenarios()[i].town for i in (0, 1)], *map(town_by_content, real)] * 2
    assert [s for s in mixed.scenarios() if s.town in towns[:2]] == list(plain.scenarios()[:4])
    alone = RouteSuite(routes=4, lane_routes=0, towns=0, real_towns=real)
    assert {scenario.town for scenario in alone.scenarios()} == set(map(town_by_content, real))
    with pytest.raises(ConfigError, match="towns is 0 and there are no real_towns: nowhere to drive"):
        RouteSuite(towns=0)
    with pytest.raises(ConfigError, match="it leaves no turn to real_towns"):
        RouteSuite(town="test-1", real_towns=real)


def test_default_suite_has_forty_junction_routes_and_twenty_lane_routes() -> None:
    scenarios = RouteSuite().scenarios()
    assert Counter(scenario.junctions for scenario in scenarios) == {True: 40, False: 20}


def test_towns_are_held_out_and_take_turns() -> None:
    scenarios = RouteSuite(routes=30, lane_routes=0, towns=10).scenarios()
    assert {TownId.parse(scenario.town).split for scenario in scenarios} == {Split.TEST}
    assert set(Counter(scenario.town for scenario in scenarios).values()) == {3}


@given(seed=st.integers(0, 2**32), towns=st.integers(1, 30), routes=st.integers(1, 60), lanes=st.integers(0, 60))
def test_scenarios_are_distinct_and_repeatable(seed: int, towns: int, routes: int, lanes: int) -> None:
    suite = RouteSuite(routes=routes, lane_routes=lanes, towns=towns, seed=seed)
    scenarios = suite.scenarios()
    assert len(set(scenarios)) == len({scenario.name for scenario in scenarios}) == routes + lanes
    assert scenarios == RouteSuite(routes=routes, lane_routes=lanes, towns=towns, seed=seed).scenarios()


def test_a_larger_suite_begins_with_the_smaller_one() -> None:
    small = RouteSuite(routes=12, lane_routes=0, towns=4, seed=3).scenarios()
    assert RouteSuite(routes=30, lane_routes=5, towns=4, seed=3).scenarios()[:12] == small


def test_another_seed_means_other_routes() -> None:
    first, second = (RouteSuite(seed=seed).scenarios() for seed in (0, 1))
    assert not {(s.town, s.route) for s in first} & {(s.town, s.route) for s in second}


def test_the_default_suite_is_what_it_always_was() -> None:
    first = RouteSuite().scenarios()[:3]
    assert [(scenario.town, scenario.route) for scenario in first] == [
        ("test-484", 528),
        ("test-220", 251),
        ("test-76", 666),
    ]


def test_generators_share_the_towns_and_routes_evenly() -> None:
    suite = RouteSuite(routes=24, lane_routes=0, towns=8, generators=TOWN_GENERATORS)
    kinds = Counter(TownId.parse(scenario.town).generator for scenario in suite.scenarios())
    assert kinds == dict.fromkeys(TOWN_GENERATORS, 6)
    towns = {TownId.parse(scenario.town) for scenario in suite.scenarios()}
    assert Counter(town.generator for town in towns) == dict.fromkeys(TOWN_GENERATORS, 2)


def test_routes_exist_in_their_towns_and_are_as_long_as_promised() -> None:
    for scenario in RouteSuite(routes=4, lane_routes=2, towns=2).scenarios():
        route = scenario_route(build_town(scenario.town), scenario)
        if scenario.junctions:
            assert 300 <= route.length <= 600
            assert len(route.passages) >= 2
        else:
            assert not route.passages


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"routes": 0, "lane_routes": 0}, "at least 1 together"),
        ({"routes": -1}, "must be at least 0"),
        ({"lane_routes": -1}, "must be at least 0"),
        ({"towns": 0}, "towns is 0 and there are no real_towns: nowhere to drive"),
        ({"towns": 1001}, "towns must be at least 0 and at most 1000, got 1001"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"towns": 1, "routes": 1001}, "have 1000 routes"),
    ],
)
def test_impossible_suites_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RouteSuite(**values)  # type: ignore[arg-type]
