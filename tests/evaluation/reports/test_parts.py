"""A whole evaluation of a suite with parts: a folder, numbers and a row for each."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from agents.drivers.registry import expert_driver_spec
from navsim.drivers.protocol import constant_driver_spec
from navsim.errors import ConfigError
from navsim.evaluation.config import EvaluationConfig
from navsim.evaluation.reports.run import run_evaluation
from navsim.evaluation.reports.score_tables import parts_table
from navsim.evaluation.suites import fingerprint
from navsim.sensing.camera import Camera
from navsim.simulation.config import SimulationConfig

SIMULATION = SimulationConfig(cameras=(Camera(width=16, height=8),), renderer="tiny")
SUITE = """
title: two starts and a wrong map
routes: {routes: 0, lane_routes: 2, towns: 1}
parts:
  - name: starts
    recovery: true
    starts: [{lateral: -0.5}, {lateral: 1.0}]
    simulation: {rules: {time_limit: 5.0}}
  - name: no-map
    simulation: {map_fault: {blank: true}, rules: {time_limit: 1.0}}
"""


def config_for(folder: Path, text: str = SUITE) -> EvaluationConfig:
    path = folder / "suite.yaml"
    path.write_text(text)
    out = folder / "out"
    return EvaluationConfig(suite=str(path), out=out, workers=1, film=False, simulation=SIMULATION)


def test_every_part_has_its_folder_numbers_and_rows(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    run_evaluation(config, [expert_driver_spec(SIMULATION), constant_driver_spec()], Console(file=StringIO()))
    results = json.loads((config.out / "results.json").read_text())
    assert results["fingerprint"] == fingerprint(config.stages)
    assert len(results["drives"]) == 2 * (2 * 2 + 2)
    for row in results["drives"]:
        assert (config.out / "drives" / row["part"] / row["driver"] / f"{row['name']}.parquet").exists()
    starts, blank = results["parts"]["starts"], results["parts"]["no-map"]
    assert starts["drivers"]["expert"]["recovered"]["count"] == 4
    assert [entry["start"]["lateral"] for entry in starts["drivers"]["expert"]["recovered_by_start"]] == [-0.5, 1.0]
    assert starts["drivers"]["constant"]["recovered"]["count"] < 4
    assert blank["conditions"]["map_fault"]["blank"]
    assert "recovered" not in blank["drivers"]["expert"]
    text = (config.out / "table.md").read_text()
    assert text.startswith("# two starts and a wrong map, seed 0")
    assert "| starts: recovered | 4 of 4 (51% to 100%) |" in text
    assert "| from +1 m, +0 deg | 2 of 2 (34% to 100%) |" in text
    assert "| no-map: arrived | 0 of 2 (0% to 66%) |" in text
    output = StringIO()
    table = parts_table(results)
    assert table is not None
    Console(file=output, width=80).print(table.rich())
    assert "…" not in output.getvalue()

    changed = config_for(tmp_path, SUITE.replace("lateral: 1.0", "lateral: 1.5"))
    with pytest.raises(ConfigError, match="holds an evaluation of other settings"):
        run_evaluation(changed, [expert_driver_spec(SIMULATION), constant_driver_spec()], Console(file=StringIO()))


def test_a_suite_fixes_its_routes() -> None:
    with pytest.raises(ConfigError, match="suite quick sets the routes; leave out lane_routes"):
        EvaluationConfig(suite="quick", lane_routes=3)
    with pytest.raises(ConfigError, match="unknown suite 'quik'"):
        EvaluationConfig(suite="quik")


def test_another_town_or_seed_may_be_asked_of_a_suite() -> None:
    config = EvaluationConfig(suite="streets", town="osm:elsewhere.osm", seed=2)
    assert {scenario.town for scenario in config.stages[0].scenarios} == {"osm:elsewhere.osm"}
    assert config.title == "streets, an OpenStreetMap extract, in osm:elsewhere.osm, seed 2"
    assert {scenario.seed for scenario in replace(config, seed=5).stages[0].scenarios} == {5}
