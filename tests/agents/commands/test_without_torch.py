"""An installation without the extra `train`: what drives needs no torch, what learns says how to install it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.commands.main import EXTRAS

ROOT = Path(__file__).parents[3]
BLOCK = f"""
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {[*EXTRAS]} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""
"""Program that makes the optional packages look as if they were not installed."""
SHORT = "--simulation.rules.time-limit 5"
RUN_ALL = """
import sys
from agents.commands.main import run_named
for name in sys.argv[1:]:
    sys.argv = [name]
    try:
        run_named(name)
    except SystemExit as ended:
        print(ended.code)
"""


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python without the optional packages, in its workers too."""
    (folder / "sitecustomize.py").write_text(BLOCK)
    env = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)


def navsim(folder: Path, line: str) -> str:
    """Run a command that needs none of the optional packages; return what it prints."""
    done = run(folder, "-m", "agents.commands.main", *line.split())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_reference_policy_drives_by_its_onnx_file(tmp_path: Path) -> None:
    options = "--driver reference --routes 1 --lane-routes 0 --towns 1 --workers 1 --no-film --clips 0 --out results"
    navsim(tmp_path, f"evaluate {options} {SHORT}")
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert results["drivers"]["reference"]["km"] > 0.02
    assert Path(results["origins"]["reference"]).name == "policy.onnx"


def test_drives_are_recorded_and_examined(tmp_path: Path) -> None:
    options = "--out data --train-towns 1 --validation-towns 0 --routes-per-town 1 --workers 1"
    navsim(tmp_path, f"collect {options} {SHORT}")
    assert "1 in 1 towns" in navsim(tmp_path, "dataset info data")


def test_a_checkpoint_and_each_command_that_learns_say_how_to_install_torch(tmp_path: Path) -> None:
    commands = ("demo", "train", "evaluate-offline", "inspect-policy", "localize", "export", "run-study")
    done = run(tmp_path, "-c", RUN_ALL, *commands)
    assert done.stdout.split() == ["2"] * len(commands)
    hint = "needs torch here: pip install 'navsim-steering[train]'"
    assert done.stderr.splitlines() == [f"error: navsim {name} {hint}" for name in commands]
    weights = ROOT / "policies" / "reference" / "model.safetensors"
    done = run(tmp_path, "-m", "agents.commands.main", "evaluate", "--driver", str(weights))
    assert (done.returncode, done.stderr) == (2, f"error: navsim evaluate {hint}\n")


@pytest.mark.parametrize("module", ["navsim", "agents"])
def test_the_packages_are_imported_without_torch(tmp_path: Path, module: str) -> None:
    assert run(tmp_path, "-c", f"import {module}; print('imported')").stdout == "imported\n"
