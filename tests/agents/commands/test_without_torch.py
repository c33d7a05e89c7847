"""An installation without extras: what drives needs no torch, what learns says how to install it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from agents.commands.main import EXTRAS

ROOT = Path(__file__).parents[3]
WITHOUT_EXTRAS = f"""
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name in {[*EXTRAS]} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""
"""Start of every Python process, after which packages of extras look as if they were not installed."""
RUN_ALL = """
import sys
from agents.commands.main import run_named
for line in sys.argv[1:]:
    sys.argv = line.split()
    try:
        run_named(sys.argv[0])
    except SystemExit as ended:
        if ended.code:
            print("code", ended.code, "of", line)
"""
SHORT = "--workers 1 --simulation.rules.time-limit 5"


def run(folder: Path, *lines: str) -> "subprocess.CompletedProcess[str]":
    """Run commands one after another in a process without extras."""
    (folder / "sitecustomize.py").write_text(WITHOUT_EXTRAS)
    env = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    words = [sys.executable, "-c", RUN_ALL, *lines]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_driving_recording_and_measuring_need_no_torch(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"evaluate --driver reference --routes 1 --lane-routes 0 --towns 1 --no-film --clips 0 --out results {SHORT}",
        f"collect --out data --train-towns 1 --validation-towns 0 --routes-per-town 1 {SHORT}",
        "dataset info data",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "code" not in done.stdout, done.stdout + done.stderr
    assert "1 in 1 towns" in done.stdout
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert results["drivers"]["reference"]["km"] > 0.02
    assert Path(results["origins"]["reference"]).name == "policy.onnx"


def test_what_learns_says_how_to_install_torch(tmp_path: Path) -> None:
    names = ["demo", "train", "evaluate-offline", "inspect-policy", "localize", "export", "run-study", "evaluate"]
    weights = ROOT / "policies" / "reference" / "model.safetensors"
    done = run(tmp_path, *names[:-1], f"evaluate --driver {weights}")
    hint = "needs torch here: pip install 'navsim-steering[train]'"
    assert done.stderr.splitlines() == [f"error: navsim {name} {hint}" for name in names]
    assert [line[:9] for line in done.stdout.splitlines()] == ["code 2 of"] * len(names)
