"""Two real processes on the CPU, started by torchrun as a user starts them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from agents.training.config import TrainConfig
from agents.training.dataset import load_training_data
from agents.training.distributed import ALONE, ProcessGroup, process_group
from agents.training.policy_task import policy_trainer, train
from agents.training.run_folder import RunFolder, open_run
from navsim.config import load_config
from navsim.errors import ConfigError
from tests.agents.small_runs import small_config, small_data, small_folder

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def settings(folder: Path, **changes: Any) -> Path:
    """The configuration of a small run, whose batches cannot be shared evenly."""
    values = {
        "data": str(folder / "data"),
        "run_dir": str(folder / "run"),
        "epochs": 3,
        "batch_size": 9,
        "device": "cpu",
        "precision": "float32",
        "policy": {"hidden": 16},
        "pictures": 1,
        **changes,
    }
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def train_together(config: Path, run_dir: Path, *options: str) -> subprocess.Popen[str]:
    """Start a training by two processes."""
    return start([*TORCHRUN, "scripts/train.py", "--config", str(config), "--run-dir", str(run_dir), *options])


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and what was written."""
    out, errors = process.communicate(timeout=170)
    return process.returncode, out, errors


def metrics(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return values


@given(st.integers(1, 9), st.integers(0, 100))
def test_shares_make_up_the_whole_and_differ_by_one_at_most(size: int, count: int) -> None:
    shares = [ProcessGroup(rank, size).share(count) for rank in range(size)]
    assert [i for share in shares for i in range(share.start, share.stop)] == list(range(count))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_alone_nothing_is_exchanged() -> None:
    with process_group(cuda=False) as group:
        assert group is ALONE
    values = torch.tensor([1.0, 2.0])
    assert group.sum(values) is values
    assert group.any(True)
    assert not group.any(False)
    assert group.broadcast("mine") == "mine"
    assert group.all_gather(3) == [3]
    module = torch.nn.Linear(1, 1)
    assert group.wrap_ddp(module) is module


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    small_folder(tmp_path / "data", train=4)
    config = settings(tmp_path, accumulate=2, balance={"strength": 0.5})
    two, one = tmp_path / "two", tmp_path / "one"
    code, out, errors = finish(train_together(config, two))
    assert code == 0, errors
    assert out.count("48 frames to learn from") == 1  # the first process speaks for both
    assert out.count("best: epoch") == 1
    alone = replace(load_config(TrainConfig, config), run_dir=one)
    train(alone, load_training_data(alone.data, alone.policy), open_run(alone))
    there, here = load_file(one / "last.safetensors"), load_file(two / "last.safetensors")
    assert there.keys() == here.keys()
    for name, value in there.items():
        torch.testing.assert_close(here[name], value, rtol=1e-3, atol=2e-5, msg=name)
    assert (metrics(one)["processes"], metrics(two)["processes"]) == (1, 2)
    for expected, found in zip(metrics(one)["epochs"], metrics(two)["epochs"], strict=True):
        assert found["losses"] == pytest.approx(expected["losses"], abs=1e-4)
        for name, value in expected["validation"].items():
            assert found["validation"][name] == pytest.approx(value, abs=1e-4), name
    assert metrics(two)["finished"]


def test_one_process_that_fails_ends_all_with_a_clear_line(tmp_path: Path) -> None:
    small_folder(tmp_path / "data", train=4)
    script = shlex.join([sys.executable, "scripts/train.py", "--config", str(settings(tmp_path))])
    each = [*TORCHRUN, "--no-python", "bash", "-c", f"exec {script} --epochs $((3 + RANK))"]
    code, _, errors = finish(start(each))
    assert code != 0
    message = "error: process 1 of 2: process 1 has another epochs than process 0: 4, not 3; all machines must be given"
    assert message in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("size", "accumulate"), [(40, 1), (4, 10)])
def test_more_parts_than_frames_in_a_step_are_refused(tmp_path: Path, size: int, accumulate: int) -> None:
    config = small_config(tmp_path, batch_size=39, accumulate=accumulate)
    message = f"a step has 39 frames, too few for {size} processes that compute them in {accumulate} parts each"
    with pytest.raises(ConfigError, match=message):
        policy_trainer(config, small_data(), RunFolder(tmp_path), ProcessGroup(0, size))


@pytest.mark.linux
@pytest.mark.slow
def test_ctrl_c_stops_both_and_the_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    small_folder(tmp_path / "data", train=2)
    config = settings(tmp_path, epochs=30, pictures=0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert finish(train_together(config, whole))[0] == 0
    process, deadline = train_together(config, broken), time.monotonic() + 150
    while not (broken / "last.safetensors").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # torchrun hands it on
    _, _, errors = finish(process)
    assert errors.count("--resume continues") == 1
    assert not metrics(broken)["finished"]
    code, _, errors = finish(train_together(config, broken, "--resume"))
    assert code == 0, errors
    there, here = load_file(whole / "last.safetensors"), load_file(broken / "last.safetensors")
    assert all(torch.equal(value, here[name]) for name, value in there.items())
    assert [row["losses"] for row in metrics(whole)["epochs"]] == [row["losses"] for row in metrics(broken)["epochs"]]
