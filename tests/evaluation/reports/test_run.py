"""A whole evaluation: all files, nothing done twice, nothing mixed."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from navsim.drivers.protocol import DriverSpec, constant_driver_spec
from navsim.errors import ConfigError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.reports.run import (
    OUTPUTS,
    REPORT_NAME,
    SCORES_NAME,
    TABLE_NAME,
    TOWN_NAME,
    identity,
    recorded_config,
    run_evaluation,
    write_report,
)
from navsim.roads.generators.towns import Generator, Split
from navsim.sensing.camera import Camera
from navsim.simulation.config import SimulationConfig
from tests.drivers.faulty_drivers import make_healing

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),), renderer="tiny")


def quiet() -> Console:
    return Console(file=StringIO(), width=200)


def small(out: Path) -> EvaluationConfig:
    return EvaluationConfig(routes=1, lane_routes=1, towns=1, out=out, workers=1, simulation=SIMULATION)


def test_an_evaluation_writes_everything_once(tmp_path: Path) -> None:
    config = small(tmp_path / "run")
    run_evaluation(config, [constant_driver_spec()], quiet())
    assert {path.name for path in config.out.iterdir()} == {*OUTPUTS, "clips", "drives", "evaluation.json"}
    results = json.loads((config.out / "results.json").read_text())
    assert results["drivers"]["constant"]["routes"] == 1
    assert results["drivers"]["constant"]["arrived"] == 0
    assert results["renderer"] == "tiny"
    assert {"config", "versions", "git_revision", "wall_seconds", "machine", "drives"} <= results.keys()

    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.is_file()}
    console = quiet()
    run_evaluation(config, [constant_driver_spec()], console)
    assert before == {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.is_file()}
    assert "all drives are done" in console.file.getvalue()  # type: ignore[attr-defined]

    with pytest.raises(ConfigError, match=r"suite.seed is 0 there, 1 asked for"):
        run_evaluation(replace(config, seed=1), [constant_driver_spec()], quiet())
    with pytest.raises(ConfigError, match=r"drivers.constant"):
        run_evaluation(config, [constant_driver_spec(0.01)], quiet())
    assert before == {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.is_file()}


def test_what_broke_is_driven_again_and_all_files_are_renewed(tmp_path: Path) -> None:
    config = replace(small(tmp_path), lane_routes=0)
    flaw = tmp_path.parent / f"{tmp_path.name}-flaw"
    flaw.touch()
    driver_specs = [DriverSpec("policy", make_healing, str(flaw))]
    (broken,) = run_evaluation(config, driver_specs, quiet())["drives"]
    assert "must be finite" in broken["error"]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["drivers"]["policy"] | {"routes": 1, "arrived": 0, "errors": 1} == results["drivers"]["policy"]
    assert not (tmp_path / "drive.gif").exists()
    flaw.unlink()
    (whole,) = run_evaluation(config, driver_specs, quiet())["drives"]
    assert "error" not in whole
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["drivers"]["policy"]["errors"] == 0
    assert "broke off" not in (tmp_path / "table.md").read_text()
    assert (tmp_path / "drive.gif").exists()


def test_missing_pictures_are_drawn_from_the_kept_drives(tmp_path: Path) -> None:
    config = replace(small(tmp_path), lane_routes=0, film=False)
    run_evaluation(config, [constant_driver_spec()], quiet())
    results = (tmp_path / "results.json").read_bytes()
    assert not (tmp_path / "drive.gif").exists()
    (tmp_path / "town.png").unlink()
    run_evaluation(replace(config, film=True), [constant_driver_spec()], quiet())
    assert (tmp_path / "town.png").exists()
    assert (tmp_path / "drive.gif").exists()
    assert (tmp_path / "results.json").read_bytes() == results


def test_the_report_is_rebuilt_from_the_folder_alone_with_the_same_bytes(tmp_path: Path) -> None:
    config = replace(small(tmp_path), film=False, clips=1)
    run_evaluation(config, [constant_driver_spec()], quiet())
    made = (TABLE_NAME, REPORT_NAME, SCORES_NAME, TOWN_NAME)
    before = {name: (tmp_path / name).read_bytes() for name in made}
    for name in made:
        (tmp_path / name).unlink()
    write_report(tmp_path, recorded_config(tmp_path))
    assert {name: (tmp_path / name).read_bytes() for name in made} == before


def test_suite_follows_the_settings() -> None:
    config = EvaluationConfig(routes=3, lane_routes=2, towns=2, seed=5, split=Split.VALIDATION)
    assert len(config.own_routes.scenarios()) == 5
    assert {scenario.seed for scenario in config.own_routes.scenarios()} == {5}
    assert config.title == "3 routes through junctions and 2 along lanes, 2 validation towns, seed 5"


def test_generators_are_named_and_part_of_the_identity() -> None:
    plain, mixed = EvaluationConfig(), EvaluationConfig(generators=(Generator.GRID, Generator.VILLAGE))
    assert mixed.title.endswith("10 test towns (grid, village), seed 0")
    assert {scenario.town.split("-")[0] for scenario in mixed.own_routes.scenarios()} == {"grid", "village"}
    assert identity(plain, [], "tiny")["suite"]["generators"] == ["town"]
    assert identity(mixed, [], "tiny")["suite"]["generators"] == ["grid", "village"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"routes": 0}, "routes must be at least 1"),
        ({"workers": 0}, "workers"),
        ({"driver": ()}, "driver must be of length at least 1"),
        ({"decision_limit": 0.0}, "decision_limit"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluationConfig(**values)  # type: ignore[arg-type]
