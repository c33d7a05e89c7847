"""`navsim localize` from end to end: a small run, what it leaves, and what it says of mistakes."""

import json
from pathlib import Path

import pytest

from agents.policies.checkpoint import CheckpointInfo, save_checkpoint
from agents.policies.networks.config import PolicyConfig, Sense
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import build_policy
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.storage import write_yaml
from tests.commands import Finished, run_command

ROOT = Path(__file__).parents[3]
CAMERAS, MAP = (Camera(width=32, height=32),), MapSpec(size_px=20, ego_row=14)


def checkpoint(folder: Path, inputs: tuple[Sense, ...]) -> Path:
    """An untrained policy."""
    config, path = PolicyConfig(inputs=inputs, hidden=16), folder / "best.safetensors"
    policy = build_policy(config, observation_spec(CAMERAS, MAP), seed=0)
    save_checkpoint(path, CheckpointInfo(config, CAMERAS, MAP), policy)
    return path


def localize(*options: str) -> Finished:
    """Run the command."""
    return run_command("localize", *options)


def test_a_run_leaves_a_table_pictures_and_a_film(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    write_yaml(
        config,
        {
            "checkpoint": str(checkpoint(tmp_path, ("camera", "road_map"))),
            "out": str(tmp_path / "out"),
            "title": "A small run",
            "drives": 1,
            "length": 120.0,
            "town": "village-test-0",
            "cases": [{"name": "gps10", "gps_sigma": 10.0}, {"name": "none"}],
            "methods": ["uniform", "gps", "odometry", "roads", "network_roads", "soft"],
            "workers": 1,
        },
    )
    done = localize("--config", str(config))
    assert done.returncode == 0, done.stderr
    assert "A small run" in done.stdout
    out = tmp_path / "out"
    table = (out / "table.md").read_text()
    assert table.startswith("# A small run")
    scores, pairs = table.split("## Gain of each likelihood")
    rows, differences = (
        [line for line in part.splitlines() if line.startswith(("| gps10", "| none"))] for part in (scores, pairs)
    )
    assert len(rows) == 10  # no `uniform` with fixes, no `gps` without
    assert len(differences) == 7  # odometry, roads, network_roads and soft; without fixes odometry has nothing below it
    results = json.loads((out / "results.json").read_text())
    found = {(row["case"], row["method"]): row for row in results["scores"]}
    assert found["gps10", "roads"]["error"]["value"] < found["gps10", "gps"]["error"]["value"]
    assert found["none", "uniform"]["fix_error"] is None
    for name in ("curves-gps10.png", "curves-none.png", "regions.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert (out / "localised.gif").read_bytes().startswith(b"GIF")
    assert len(list((out / "results").glob("*.json"))) == 1
    assert len(list((out / "drives").glob("*.parquet"))) == 1


@pytest.mark.slow
def test_tuning_tries_every_exponent_on_a_validation_town(tmp_path: Path) -> None:
    config = tmp_path / "tune.yaml"
    write_yaml(
        config,
        {
            "checkpoint": str(checkpoint(tmp_path, ("camera", "road_map"))),
            "out": str(tmp_path / "out"),
            "action": "tune",
            "drives": 1,
            "towns": 1,
            "generators": ["village"],
            "length": 120.0,
            "cases": [{"name": "gps10", "gps_sigma": 10.0}],
            "methods": ["roads"],
            "tuned": "roads",
            "tried": [0.05, 0.5],
            "workers": 1,
        },
    )
    done = localize("--config", str(config))
    assert done.returncode == 0, done.stderr
    trials = json.loads((tmp_path / "out" / "tuning.json").read_text())["trials"]
    assert [(row["method"], row["exponent"]) for row in trials] == [("roads", 0.05), ("roads", 0.5)]
    drives = list((tmp_path / "out").rglob("*.parquet"))
    assert all("village-validation" in path.name for path in drives)
    assert len(drives) == 1  # driven once for all exponents


@pytest.mark.parametrize(
    ("inputs", "words", "expected"),
    [
        (("camera",), (), "unrouted map"),
        (("camera", "road_map"), ("--town", "nowhere"), "nowhere"),
        (("camera", "road_map"), ("--length", "5"), "length must be at least 100"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, inputs: tuple[Sense, ...], words: tuple[str, ...], expected: str
) -> None:
    path = checkpoint(tmp_path, inputs)
    done = localize("--checkpoint", str(path), "--out", str(tmp_path / "out"), *words)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
