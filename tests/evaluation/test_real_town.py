"""Evaluation in a town from an OpenStreetMap extract."""

import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agents.drivers.registry import expert_driver_spec
from navsim.config import to_mapping
from navsim.datasets.dataset import DatasetDescription, episode_files, episode_path, open_dataset, write_description
from navsim.datasets.episode_files import read_header, write_episode
from navsim.errors import ConfigError, EpisodeError, TownError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.reports.run import run_evaluation
from navsim.evaluation.results_store import row_name
from navsim.evaluation.routes import RouteSuite
from navsim.evaluation.runner import EvaluationJob, evaluate
from navsim.roads.osm.town import ATTRIBUTION
from navsim.simulation.config import SimulationConfig, position_fixes
from navsim.simulation.scenario import Scenario, StartOffset, check_routes, scenario_route
from navsim.simulation.town import load_town_map, town_by_content, town_label, town_slug
from tests.datasets.synthetic_episodes import TINY, made_up_episode
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
    assert all(name.startswith(f"{town_slug(town)}-") for name in names)


def test_a_town_is_its_map_whatever_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = grid(4, 4, 121.0).write(tmp_path / "map.osm")
    (tmp_path / "other").mkdir()
    copy = Path(shutil.copy(path, tmp_path / "other" / "copy.osm"))
    link = tmp_path / "link.osm"
    link.symlink_to(copy)
    monkeypatch.chdir(tmp_path)
    names = [str(path), "map.osm", "./other/../map.osm", str(copy), "other/copy.osm", str(link)]
    scenarios = [Scenario(f"osm:{name}", route=1, start=StartOffset(0.1)) for name in names]
    assert len(set(scenarios)) == len({scenario.name for scenario in scenarios}) == 1
    poses = np.cumsum(np.ones((30, 3)), axis=0)
    fixes = [position_fixes(SimulationConfig(), scenario, poses).tobytes() for scenario in scenarios]
    assert len(set(fixes)) == 1
    assert len({str(episode_path(Path("data"), scenario)) for scenario in scenarios}) == 1
    passed_on = pickle.loads(pickle.dumps(scenarios[3]))  # noqa: S301 - as to another process
    assert passed_on.town.file == copy
    assert len({town_label(scenario.town) for scenario in scenarios}) == 4  # messages name the file
    assert Scenario("osm:map.osm") != Scenario(f"osm:{grid(4, 4, 122.0).write(tmp_path / 'third.osm')}")


def test_an_evaluation_continues_from_another_path_of_its_map(tmp_path: Path) -> None:
    path = grid().write(tmp_path / "map.osm")
    copy = shutil.copy(path, tmp_path / "copy.osm")
    first, second = (config_for(f"osm:{file}", tmp_path / "out", routes=1, lane_routes=0) for file in (path, copy))
    results = run_evaluation(first, [expert_driver_spec(first.simulation)], Console(file=io.StringIO()))
    path.unlink()
    printed = io.StringIO()
    assert run_evaluation(second, [expert_driver_spec(first.simulation)], Console(file=printed)) == results
    assert "all drives are done" in printed.getvalue()


def test_a_recorded_drive_finds_its_map_in_the_folder_of_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = grid(4, 4, 123.0).write(tmp_path / "map.osm")
    write_episode(made_up_episode(Scenario(f"osm:{path}")), tmp_path / "drive.parquet", {})
    town = read_header(tmp_path / "drive.parquet").scenario.town
    path.unlink()
    with pytest.raises(TownError, match=r"map\.osm: the map osm:sha256:[0-9a-f]{16} is not there any more"):
        load_town_map(town)
    grid(4, 4, 124.0).write(path)
    replaced = r"map\.osm: holds the map osm:sha256:\w+, the drives are those of osm:sha256:\w+; put that map back"
    with pytest.raises(TownError, match=replaced):
        load_town_map(town)
    (tmp_path / "maps").mkdir()
    monkeypatch.chdir(tmp_path)
    grid(4, 4, 123.0).write(tmp_path / "maps" / "map.osm")
    assert len(load_town_map(town).network.junctions) == 12
    with pytest.raises(TownError, match="it is not known which file holds this map"):
        load_town_map("osm:sha256:0123456789abcdef")


def test_a_map_that_is_replaced_ends_the_evaluation(tmp_path: Path) -> None:
    path = grid(4, 4, 125.0).write(tmp_path / "map.osm")
    config = config_for(f"osm:{path}", tmp_path / "out", routes=1, lane_routes=0)
    scenarios = config.stages[0].scenarios
    job = EvaluationJob(config.simulation, (expert_driver_spec(config.simulation),), tmp_path / "drives")
    grid(4, 4, 126.0).write(path)
    with pytest.raises(TownError, match=r"map\.osm: holds the map osm:sha256:\w+, the drives are those of"):
        evaluate(job, scenarios, workers=1, file=io.StringIO())
    assert not job.folder.exists()


def test_drives_of_earlier_versions_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "Old Town.osm"
    scenario = Scenario(f"osm:{path}", route=3)  # without a file: the path is all that is known
    folder, results = tmp_path / "data", {"drives": [{"name": scenario.name, "scenario": to_mapping(scenario)}]}
    write_description(folder, DatasetDescription(TINY, {}, {}, ""))
    write_episode(made_up_episode(scenario), episode_path(folder, scenario), {})
    assert open_dataset(folder).frames == 5
    assert row_name(results["drives"][0]) == scenario.name
    grid(4, 4, 127.0).write(path)
    assert town_by_content(scenario.town).startswith("osm:sha256:")
    (header,) = open_dataset(folder).headers.values()
    assert header.scenario == Scenario(f"osm:{path}", route=3) != scenario
    assert row_name(results["drives"][0]) == header.scenario.name
    (file,) = episode_files(folder)
    file.rename(file.with_name(file.name.replace("route3", "route4")))
    with pytest.raises(EpisodeError, match="renamed or moved"):
        open_dataset(folder)


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
    config = config_for(f"osm:{path}", tmp_path / "out", routes=3, lane_routes=0)
    wanted = r"\(wanted 3 routes through junctions, found 0\); use a larger map, or ask for other routes"
    with pytest.raises(TownError, match=rf"small\.osm: found no route of 300 to 600 m .* {wanted}"):
        run_evaluation(config, [expert_driver_spec(config.simulation)], Console(file=io.StringIO()))
    assert not config.out.exists()
    with pytest.raises(TownError, match=r"no lane is 60 m long.*wanted 2 routes along one lane, found 0"):
        check_routes(RouteSuite(routes=0, lane_routes=2, town=f"osm:{path}").scenarios())


def test_every_number_has_a_route_in_a_town_with_few(tmp_path: Path) -> None:
    few = Document()
    nodes = [few.node(*place) for place in ((-40, 0), (40, 0), (-162, 0), (162, 0), (-40, 122), (40, -122))]
    for ends in ((2, 0, 1, 3), (0, 4), (1, 5)):
        few.way([nodes[end] for end in ends])
    town = f"osm:{few.write(tmp_path / 'few.osm')}"
    scenarios = RouteSuite(routes=20, lane_routes=5, town=town).scenarios()
    check_routes(scenarios)
    lengths = [scenario_route(load_town_map(town).network, scenario).length for scenario in scenarios[:20]]
    assert min(lengths) >= 300.0 - 1e-6


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
