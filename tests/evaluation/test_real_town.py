"""Evaluation in a town from an OpenStreetMap extract."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from agents.drivers.registry import expert_driver_spec
from navsim.datasets.dataset import episode_files, episode_path
from navsim.errors import ConfigError, TownError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.reports.run import run_evaluation
from navsim.evaluation.routes import RouteSuite
from navsim.roads.osm.town import ATTRIBUTION
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario
from tests.roads.osm.osm_documents import Document, grid


def config_for(town: str, out: Path, routes: int, lane_routes: int) -> EvaluationConfig:
    simulation = SimulationConfig(renderer="tiny")
    return EvaluationConfig(
        town=town, out=out, routes=routes, lane_routes=lane_routes, film=False, workers=1, simulation=simulation
    )


def test_the_expert_arrives_in_a_real_town(tmp_path: Path) -> None:
    town = f"osm:{grid().write(tmp_path / 'Four by four.osm')}"
    config = config_for(town, tmp_path / "out", routes=2, lane_routes=1)
    assert config.title == f"2 routes through junctions and 1 along lanes, in {town}, seed 0"
    results = run_evaluation(config, [expert_driver_spec(config.simulation)], Console(file=io.StringIO()))
    assert [row["outcome"] for row in results["drives"]] == ["arrived"] * 3
    assert json.loads((config.out / "results.json").read_text())["map_attribution"] == ATTRIBUTION
    assert ATTRIBUTION in (config.out / "table.md").read_text()
    assert (config.out / "town.png").stat().st_size > 10_000
    names = {path.stem for path in (config.out / "drives").rglob("*.parquet")}
    assert names == {row["name"] for row in results["drives"]}
    assert all(name.startswith("osm-four-by-four-") for name in names)


def test_another_map_under_the_same_name_is_another_evaluation(tmp_path: Path) -> None:
    path = grid().write(tmp_path / "map.osm")
    config = config_for(f"osm:{path}", tmp_path / "out", routes=1, lane_routes=0)
    run_evaluation(config, [expert_driver_spec(config.simulation)], Console(file=io.StringIO()))
    grid(4, 4, 130.0).write(path)
    with pytest.raises(ConfigError, match="an evaluation of other settings"):
        run_evaluation(config, [expert_driver_spec(config.simulation)], Console(file=io.StringIO()))


def test_a_town_without_routes_is_refused_at_once(tmp_path: Path) -> None:
    small = Document()
    middle = small.node(0, 0)
    for place in ((60, 0), (0, 60), (-60, 0)):
        small.way([middle, small.node(*place)])
    path = small.write(tmp_path / "small.osm")
    config = config_for(f"osm:{path}", tmp_path / "out", routes=1, lane_routes=0)
    with pytest.raises(TownError, match=r"small\.osm: found no route of 300 to 600 m"):
        run_evaluation(config, [expert_driver_spec(config.simulation)], Console(file=io.StringIO()))
    assert not config.out.exists()


def test_a_suite_of_one_town() -> None:
    suite = RouteSuite(routes=5, lane_routes=2, town="osm:a/b.osm")
    scenarios = suite.scenarios()
    assert {scenario.town for scenario in scenarios} == {"osm:a/b.osm"}
    assert len({scenario.route for scenario in scenarios[:5]}) == 5
    moved = RouteSuite(routes=5, lane_routes=2, town="osm:elsewhere.osm").scenarios()
    assert [scenario.route for scenario in moved] == [scenario.route for scenario in scenarios]
    with pytest.raises(ConfigError, match="1 towns have 1000 routes"):
        RouteSuite(routes=1001, town="test-3")
    with pytest.raises(TownError, match="unknown town 'here'"):
        RouteSuite(town="here")


def test_drives_through_real_towns_lie_outside_the_splits(tmp_path: Path) -> None:
    scenario = Scenario(town="osm:maps/Old Town.osm.pbf", route=3)
    path = episode_path(tmp_path, scenario)
    assert path.parent == tmp_path / "streets"
    assert path.name.startswith("osm-old-town-")
    assert path.name.endswith("-route3-seed0.parquet")
    path.parent.mkdir()
    path.touch()
    assert episode_files(tmp_path) == [path]
