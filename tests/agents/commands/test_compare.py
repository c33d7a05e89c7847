"""`navsim compare` as a user calls it."""

import json
from pathlib import Path

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.results import results_mapping
from navsim.simulation.scenario import Outcome, Scenario
from tests.commands import Finished, run_command
from tests.evaluation.drives import make_drive

REPOSITORY = Path(__file__).parents[3]


def results(folder: Path, outcome: Outcome, mark: str = "f1", nll: float = -4.0) -> Path:
    """An evaluation of one checkpoint on eight routes, with the folder of its training."""
    drives = []
    for route in range(8):
        scenario = Scenario("test-1", route)
        drives.append(Drive("policy", scenario, make_drive(outcome, scenario=scenario), 0.1))
    trained = folder / "trained"
    trained.mkdir(parents=True)
    metrics = {"best_epoch": 1, "epochs": [{"validation": {"nll": nll, "curvature_error": 0.01}}]}
    (trained / "metrics.json").write_text(json.dumps(metrics))
    about = {"fingerprint": mark, "origins": {"policy": str(trained / "best.safetensors")}}
    (folder / "results.json").write_text(json.dumps(results_mapping(drives, about)))
    return folder


def run(*arguments: str | Path) -> Finished:
    return run_command("compare", *map(str, arguments), env={"COLUMNS": "100"})


def test_two_results_side_by_side(tmp_path: Path) -> None:
    one, two = results(tmp_path / "one", Outcome.ARRIVED), results(tmp_path / "two", Outcome.LEFT_ROAD, nll=-2.0)
    done = run(one, two, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "0.0078" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"all differences: {tmp_path}/out/comparison.html")
    values = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert values["fingerprint"] == "f1"
    assert [row["arrived"] for row in values["drivers"]] == ["8 of 8", "0 of 8"]
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "p = 0.0078: significant" in text
    assert "2 points are too few for a correlation" in text
    assert text.startswith("# 2 drivers over 8 routes")
    assert f"| policy ({two}) | 0 of 8 |" in text
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "validation NLL and arrivals" in page
    assert "<code>f1</code>" in page


def test_other_suites_and_missing_results_are_one_line(tmp_path: Path) -> None:
    one, two = results(tmp_path / "one", Outcome.ARRIVED), results(tmp_path / "two", Outcome.ARRIVED, "f2")
    for arguments, words in (
        ((one, two), "results of different suites cannot stand in one table"),
        ((one,), "a comparison needs at least two drivers"),
        ((tmp_path / "none", one), "cannot be read"),
        ((), "none given"),
    ):
        done = run(*arguments, "--out", tmp_path / "out")
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
