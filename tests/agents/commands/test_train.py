"""The script as a user runs it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agents.drivers.policy_driver import PolicyDriver
from agents.training.config import TrainConfig
from navsim.config import load_config, to_mapping
from navsim.simulation.termination import Rules
from tests.agents.small_runs import CAMERAS, MAP, SIMULATION, small_folder
from tests.commands import Finished, run_command

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}  # whether or not the project is installed


def command(folder: Path, *options: str) -> list[str]:
    """The command line of a small run, with a configuration file."""
    settings = {
        "data": str(folder / "data"),
        "run_dir": str(folder / "run"),
        "epochs": 2,
        "batch_size": 8,
        "device": "cpu",
        "policy": {"hidden": 16},
        "pictures": 1,
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    return [sys.executable, str(ROOT / "scripts" / "train.py"), "--config", str(folder / "train.yaml"), *options]


def run(folder: Path, *options: str) -> Finished:
    return run_command("train", *command(folder, *options)[2:])


def test_training_then_driving_then_done(tmp_path: Path) -> None:
    small_folder(tmp_path / "data")
    first = run(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "24 frames to learn from, 12 to validate on" in first.stdout
    assert "best: epoch" in first.stdout
    PolicyDriver(tmp_path / "run" / "best.safetensors", CAMERAS, MAP)
    written = (tmp_path / "run" / "last.safetensors").stat().st_mtime_ns
    again = run(tmp_path, "--resume")
    assert again.returncode == 0
    assert "this run is done" in again.stdout
    assert (tmp_path / "run" / "last.safetensors").stat().st_mtime_ns == written
    other = run(tmp_path, "--seed", "5")
    assert other.returncode == 2
    assert other.stderr.splitlines()[-1].startswith("error: ")
    assert "seed is 0 there, 5 asked for" in other.stderr


def test_without_data_it_says_so_before_training(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    result = run(tmp_path)
    assert result.returncode == 2
    assert "not a data folder" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()  # so that the same folder can be used once the data is there


def test_without_validation_drives_the_message_names_the_command_that_collects_some(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    drives = {
        "simulation": to_mapping(
            replace(SIMULATION, renderer="tiny", rules=Rules(slowest_mean_speed=200.0, spare_time=1.0))
        )
    }
    (tmp_path / "collect.yaml").write_text(yaml.safe_dump({**drives, "validation_towns": 0, "routes_per_town": 1}))
    options = ("--train-towns", "1", "--workers", "1", "--seed", "3", "--out", str(data))
    collected = run_command("collect", "--config", str(tmp_path / "collect.yaml"), *options)
    assert collected.returncode == 0, collected.stderr
    refused = run(tmp_path, "--data", str(data))
    assert refused.returncode == 2
    program, *advised = shlex.split(refused.stderr.split("holds no validation episodes; collect some: ")[1])
    assert program == "navsim"
    added = run_command(*advised)
    assert added.returncode == 0, added.stderr
    assert "recorded 1 drives" in added.stdout
    trained = run(tmp_path, "--data", str(data), "--epochs", "1")
    assert trained.returncode == 0, trained.stderr


def test_it_describes_the_policy_for_the_datas_cameras_and_does_not_train(tmp_path: Path) -> None:
    small_folder(tmp_path / "data")
    file = tmp_path / "layers.json"
    result = run(tmp_path, "--describe", "--description", str(file))
    assert result.returncode == 0, result.stderr
    assert "compact with mixture head" in result.stdout
    assert f"of the data in {tmp_path / 'data'}" in result.stdout
    written = json.loads(file.read_text())
    assert written["camera_size"] == [32, 32]
    assert f"{written['parameters']:,}" in result.stdout
    assert not (tmp_path / "run").exists()


def test_it_describes_a_policy_without_data(tmp_path: Path) -> None:
    result = run(tmp_path, "--describe", "--policy.network", "pilotnet", "--policy.hidden", "None")
    assert result.returncode == 0, result.stderr
    assert "1 x 66x200x3" in " ".join(result.stdout.split())
    assert "of the rig pilotnet, as there is no data" in result.stdout
    three = run(tmp_path, "--describe", "--rig", "amini2019")
    assert "3 x 80x200x3" in " ".join(three.stdout.split())
    small = run(tmp_path, "--describe", "--policy.network", "pilotnet", "--policy.hidden", "None", "--rig", "demo")
    assert small.returncode == 2
    assert "images of 128x48 px are too small" in small.stderr


def test_options_of_the_description_are_refused_without_it(tmp_path: Path) -> None:
    result = run(tmp_path, "--rig", "demo")
    assert result.returncode == 2
    assert "rig and description go with describe" in result.stderr


@pytest.mark.linux
@pytest.mark.slow
def test_ctrl_c_saves_and_the_run_can_continue(tmp_path: Path) -> None:
    small_folder(tmp_path / "data")
    process = subprocess.Popen(
        command(tmp_path, "--epochs", "100000"),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "last.safetensors").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume continues" in errors
    assert "Traceback" not in errors
    assert not json.loads((tmp_path / "run" / "metrics.json").read_text())["finished"]
    without = run(tmp_path, "--epochs", "100000")
    assert without.returncode == 2
    assert "continue it with --resume" in without.stderr


def test_the_demos_configurations_can_be_read() -> None:
    seeing, blind = (
        load_config(TrainConfig, ROOT / "configs" / "demo" / name) for name in ("train.yaml", "blind.yaml")
    )
    assert blind == replace(seeing, run_dir=blind.run_dir, policy=replace(seeing.policy, blind=True))
    assert blind.run_dir != seeing.run_dir
    assert not seeing.policy.blind
