"""Folders that two commands claim at once, and files that are replaced while a command uses them."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.policies.checkpoint import CheckpointInfo, save_checkpoint
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import build_policy
from navsim.run_folder import locked_folder
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from tests.commands import run_command
from tests.datasets.synthetic_episodes import made_up_folder

REPOSITORY = Path(__file__).parents[3]
CAMERAS, MAP = (Camera(width=32, height=32),), MapSpec(size_px=20, ego_row=14)
EVALUATION = """
simulation:
  renderer: tiny
  cameras: [{width: 32, height: 32}]
  map: {size_px: 20, ego_row: 14}
  rules: {slowest_mean_speed: 400.0, spare_time: 1.0}
suite: suite.yaml
out: out
workers: 1
film: false
clips: 0
"""
SUITE = """
routes: {routes: 3, lane_routes: 0, towns: 1, generators: [town]}
parts: [{name: first}, {name: second}]
"""
FILES = {
    "evaluate.yaml": EVALUATION,
    "suite.yaml": SUITE,
    "study.yaml": "out: out\ndata: {data: {}}\nvariants: {one: {label: one}}\ntables: [{title: t, variants: [one]}]",
    "page.yaml": "out: out\ndrivers: {straight: {driver: constant}}\nsuites: [suite.yaml]",
    "detect.yaml": "task: detection\nrun_dir: out",
}
COMMANDS = {
    "collect": ("--out", "out"),
    "rerender": ("--source", "data", "--out", "out"),
    "train": ("--run-dir", "out"),
    "train detection": ("--config", "detect.yaml"),
    "evaluate": ("--config", "evaluate.yaml", "--driver", "constant"),
    "localize": ("--checkpoint", "a.safetensors", "--out", "out"),
    "inspect-policy": ("a.safetensors", "--out", "out", "--data", "data"),
    "export": ("--checkpoint", "a.safetensors", "--out", "out"),
    "run-study": ("--config", "study.yaml"),
    "run-suites": ("--config", "page.yaml"),
    "compare": ("one", "two", "--out", "out"),
}
"""Commands that write a folder, with options that make them write `out`."""


def policy(path: Path, seed: int, inputs: tuple[str, ...] = ("camera", "road_map")) -> Path:
    """An untrained policy."""
    config = PolicyConfig(inputs=inputs, hidden=16)  # type: ignore[arg-type]
    network = build_policy(config, observation_spec(CAMERAS, MAP), seed)
    save_checkpoint(path, CheckpointInfo(config, CAMERAS, MAP), network)
    return path


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all commands."""
    folder = tmp_path_factory.mktemp("work")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    policy(folder / "a.safetensors", seed=0)
    made_up_folder(folder / "data")
    row = {"driver": "d", "part": "", "name": "n", "outcome": "arrived", "scenario": {"junctions": True}}
    for name in ("one", "two"):
        (folder / name).mkdir()
        values = {"fingerprint": "f", "drivers": {"d": {}}, "drives": [row], "origins": {}}
        (folder / name / "results.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_use_is_refused_in_one_line(workplace: Path, command: str) -> None:
    task, held = ("export-out", workplace) if command == "export" else ("run", workplace / "out")
    with locked_folder(held, task):
        before = sorted(workplace.rglob("*"))
        done = run_command(command.split()[0], *COMMANDS[command], folder=workplace)
        assert done.returncode == 2, done.stderr
        holder = f"process {os.getpid()} on {platform.node()} since "
        assert re.search(rf"error: (.*/)?{held.name}: is in use by {holder}", done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1
        assert sorted(workplace.rglob("*")) == before


def evaluation(folder: Path, driver: str) -> "subprocess.Popen[str]":
    """An evaluation in a process of its own."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "evaluate.py"), "--config", "evaluate.yaml"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [*command, "--driver", driver], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for_drive(folder: Path, process: "subprocess.Popen[str]") -> None:
    while not list(folder.rglob("*.parquet")):
        assert process.poll() is None
        time.sleep(0.01)


def test_a_checkpoint_that_is_replaced_ends_the_evaluation(tmp_path: Path) -> None:
    """The parts of a suite have processes of their own, which load the policy again."""
    (tmp_path / "evaluate.yaml").write_text(EVALUATION)
    (tmp_path / "suite.yaml").write_text(SUITE)
    inputs = ("camera", "route_map")
    first, second = (policy(tmp_path / f"{name}.safetensors", seed, inputs) for seed, name in enumerate("ab"))
    with evaluation(tmp_path, "a.safetensors") as process:
        wait_for_drive(tmp_path / "out", process)
        second.replace(first)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    assert "error: a.safetensors: has changed since the run began (sha256 " in errors
    assert "put that file back, or begin a new run" in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "results.json").exists()
    other = run_command("evaluate", "--config", "evaluate.yaml", "--driver", "a.safetensors", folder=tmp_path)
    assert "holds an evaluation of other settings (drivers.policy is" in other.stderr


def test_a_second_evaluation_is_refused_and_goes_on_when_the_first_was_killed(tmp_path: Path) -> None:
    (tmp_path / "evaluate.yaml").write_text(EVALUATION)
    (tmp_path / "suite.yaml").write_text(SUITE.replace("routes: 3", "routes: 30"))
    with evaluation(tmp_path, "constant") as process:
        wait_for_drive(tmp_path / "out", process)
        refused = run_command("evaluate", "--config", "evaluate.yaml", "--driver", "constant", folder=tmp_path)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert refused.returncode == 2
    assert f"error: out: is in use by process {process.pid} on " in refused.stderr
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert 0 < len(kept) < 60
    done = run_command("evaluate", "--config", "evaluate.yaml", "--driver", "constant", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}.items()
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
