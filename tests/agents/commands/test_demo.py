"""The whole job, small: drive, record, learn, drive again, and again without repeating anything."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[3]
SIMULATION = {
    "cameras": [{"width": 48, "height": 40}],
    "map": {"size_px": 40, "ego_row": 28, "metres_per_pixel": 1.5},
}


def write_configs(folder: Path) -> Path:
    """The demo's four files, for the smallest job."""
    out = folder / "runs"
    files = {
        "collect": {
            "out": str(out / "data"),
            "train_towns": 2,
            "validation_towns": 1,
            "routes_per_town": 1,
            "simulation": SIMULATION,
        },
        "train": {"data": str(out / "data"), "run_dir": str(out / "policy"), "epochs": 1, "pictures": 1},
        "blind": {"extends": "train.yaml", "run_dir": str(out / "blind"), "policy": {"blind": True}},
        "evaluate": {
            "policy": str(out / "policy" / "best.safetensors"),
            "blind": str(out / "blind" / "best.safetensors"),
            "out": str(out),
            "routes": 2,
            "lane_routes": 1,
            "towns": 1,
            "film": False,
            "simulation": SIMULATION,
        },
    }
    for name, values in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return out


def command(folder: Path) -> list[str]:
    return [sys.executable, str(ROOT / "scripts/demo.py"), "--configs", str(folder), "--out", str(folder / "runs")]


def test_the_whole_job_runs_and_running_it_again_repeats_nothing(tmp_path: Path) -> None:
    out = write_configs(tmp_path)
    first = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "left" in first.stdout or "took" in first.stdout
    results = json.loads((out / "results.json").read_text())
    assert {name: driver["routes"] for name, driver in results["drivers"].items()} == {
        "policy": 2,
        "blind": 2,
        "constant": 2,
        "expert": 2,
    }
    assert results["drivers"]["expert"]["arrived"] == 2
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert len(times) > 3
    second = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "done" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == times


@pytest.mark.linux
def test_ctrl_c_ends_in_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    out = write_configs(tmp_path)
    job = subprocess.Popen(
        command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(out.rglob("*.parquet")):
        assert time.monotonic() < deadline, "nothing was recorded"
        time.sleep(0.1)
    os.killpg(job.pid, signal.SIGINT)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "Traceback" not in errors
    assert "continues from here" in errors
    assert not [path for path in out.rglob(".*") if path.name.endswith(".partial")]


def test_a_step_that_fails_ends_the_demo_with_its_reason(tmp_path: Path) -> None:
    write_configs(tmp_path)
    (tmp_path / "collect.yaml").write_text("train_town: 3\n")
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "perhaps you meant 'train_towns'" in done.stderr
    assert "agents.commands.main collect ended with code 2" in done.stderr


@pytest.mark.parametrize("name", ["collect", "train", "blind", "evaluate"])
def test_the_demos_own_files_name_one_folder(name: str) -> None:
    values = yaml.safe_load((ROOT / "configs" / "demo" / f"{name}.yaml").read_text())
    places = [values[key] for key in ("out", "run_dir", "data", "policy") if isinstance(values.get(key), str)]
    assert places
    assert all(place.startswith("runs/demo") for place in places)
