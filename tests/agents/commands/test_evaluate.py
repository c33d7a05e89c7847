"""`navsim evaluate` as a user calls it: results and a table, or one line for a mistake."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.drivers.onnx_driver import OnnxDriver
from agents.drivers.registry import PolicyEvaluationConfig, resolve
from agents.export.bundle import ExportConfig, export
from agents.policies.checkpoint import CheckpointInfo, save_checkpoint
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import build_policy
from navsim.drivers.action_selection import BATCH_CARS, ActingConfig
from navsim.drivers.sandbox import make_safely
from navsim.errors import ConfigError, NavsimError, ReplacedError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from tests.commands import Finished, run_command

REPOSITORY = Path(__file__).parents[3]
CAMERAS, MAP = (Camera(width=32, height=32),), MapSpec(size_px=20, ego_row=14)
# The short time limit ends every drive within a few steps.
QUICK = """
simulation:
  renderer: tiny
  cameras: [{width: 32, height: 32}]
  map: {size_px: 20, ego_row: 14}
  rules: {slowest_mean_speed: 400.0, spare_time: 1.0}
routes: 2
lane_routes: 1
towns: 1
workers: 1
film: false
"""


def run(config: Path, *arguments: str | Path, display: str = "") -> Finished:
    """Run the command."""
    env = {"COLUMNS": "100", "DISPLAY": display}
    return run_command("evaluate", "--config", str(config), *map(str, arguments), env=env)


def checkpoint(path: Path, cameras: tuple[Camera, ...] = CAMERAS, blind: bool = False, map_spec: MapSpec = MAP) -> Path:
    """An untrained policy."""
    config = PolicyConfig(hidden=16, blind=blind)
    policy = build_policy(config, observation_spec(cameras, map_spec), seed=0)
    path.parent.mkdir(exist_ok=True)
    save_checkpoint(path, CheckpointInfo(config, cameras, map_spec, versions={"renderer": "opengl"}), policy)
    return path


def settings(*words: str, **changes: Any) -> PolicyEvaluationConfig:
    """Settings for drivers that fit the checkpoints here."""
    return PolicyEvaluationConfig(driver=words, simulation=SimulationConfig(cameras=CAMERAS, map=MAP), **changes)


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return path


def test_all_four_drivers_side_by_side(quick: Path, tmp_path: Path) -> None:
    policy = checkpoint(tmp_path / "seeing" / "best.safetensors")
    blind = checkpoint(tmp_path / "blind" / "best.safetensors", blind=True)
    quick.write_text(QUICK + f"policy: {policy}\nblind: {blind}\nout: {tmp_path / 'run'}\n")
    done = run(quick)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results["drivers"]) == ["policy", "blind", "constant", "expert"]
    for numbers in results["drivers"].values():
        assert {"routes", "arrived", "interval", "lane_offset_mean", "km"} <= numbers.keys()
        assert numbers["routes"] == 2
    assert len(results["drives"]) == 4 * 3
    assert results["origins"]["blind"] == str(blind)
    assert "expert *" in done.stdout
    assert "| one decision, median |" in (tmp_path / "run" / "table.md").read_text()
    assert all(0 < results["drivers"][name]["decision_ms"]["median"] < 1000 for name in ("policy", "blind", "expert"))
    assert results["config"]["acting"]["rule"] == "follow_mode"
    assert "note: policy learned from images of the opengl renderer and drives with tiny" in done.stdout
    assert (tmp_path / "run" / "table.md").read_text().startswith("# 2 routes through junctions and 1 along lanes")


def test_the_command_line_has_the_last_word(quick: Path, tmp_path: Path) -> None:
    words = ["--driver", "constant", "--routes", "1", "--lane-routes", "0", "--seed", "3", "--acting.rule", "mean"]
    words += ["--simulation.faults.latency-steps", "3", "--simulation.faults.missing-camera", "any"]
    done = run(quick, *words, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results["drivers"]) == ["constant"]
    assert [row["scenario"]["seed"] for row in results["drives"]] == [3]
    assert results["config"]["acting"]["rule"] == "mean"
    faults = results["config"]["simulation"]["faults"]
    assert (faults["latency_steps"], faults["missing_camera"], faults["dropped_frames"]) == (3, "any", 0.0)


def test_checkpoints_are_named_by_what_they_are(tmp_path: Path) -> None:
    first = checkpoint(tmp_path / "first" / "best.safetensors")
    second = checkpoint(tmp_path / "second" / "best.safetensors", blind=True)
    third = checkpoint(tmp_path / "third" / "last.safetensors")
    driver_specs = resolve(settings(*map(str, (first, second, third)), "expert"))
    assert [driver_spec.name for driver_spec in driver_specs] == ["policy", "blind", "third-last", "expert"]
    assert [driver_spec.senses for driver_spec in driver_specs] == [True, True, True, False]
    assert driver_specs[0].digest != driver_specs[1].digest
    assert driver_specs[0].renderer == "opengl"
    assert pickle.loads(pickle.dumps(driver_specs)) == driver_specs  # noqa: S301 - our own; workers tell them apart by value
    assert driver_specs[0].driver().name == "policy"


def test_exported_policies_drive_by_file_folder_or_word(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "run" / "best.safetensors")
    export(ExportConfig(path, tmp_path / "run" / "exported"))
    folder, file = tmp_path / "run" / "exported", tmp_path / "run" / "exported" / "policy.onnx"
    driver_specs = resolve(settings(f"onnx:{folder}", str(file), str(path)))
    assert [driver_spec.name for driver_spec in driver_specs] == ["policy", "exported-policy", "run-best"]
    assert [driver_spec.origin for driver_spec in driver_specs] == [str(file), str(file), str(path)]
    assert [driver_spec.renderer for driver_spec in driver_specs] == ["opengl"] * 3
    assert driver_specs[0].digest == driver_specs[1].digest != driver_specs[2].digest
    assert [type(driver_spec.driver()).__name__ for driver_spec in driver_specs] == [
        "OnnxDriver",
        "OnnxDriver",
        "PolicyDriver",
    ]
    (by_word,) = resolve(settings("policy", policy=folder))
    assert isinstance(by_word.driver(), OnnxDriver)
    assert pickle.loads(pickle.dumps(driver_specs)) == driver_specs  # noqa: S301 - our own


@pytest.mark.parametrize("kind", ["checkpoint", "exported policy", "module"])
def test_a_driver_is_made_from_the_file_of_the_beginning_alone(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    bundled = REPOSITORY / "navsim" / "policies"
    name = {"checkpoint": "model.safetensors", "exported policy": "policy.onnx", "module": "replaced_driver.py"}[kind]
    path, other = tmp_path / name, tmp_path / "other"
    if kind == "module":
        path.write_text(FAULTY)
        other.write_text("this is not Python")
    else:
        shutil.copy(bundled / "reference" / name, path)
        shutil.copy(bundled / "unrouted" / name, other)
    word = "replaced_driver:Faulty" if kind == "module" else str(path)
    (driver_spec,) = resolve(PolicyEvaluationConfig(driver=(word,)))
    assert driver_spec.driver().name == ("faulty" if kind == "module" else "policy")
    own = path.read_bytes()
    other.replace(path)
    with pytest.raises(ReplacedError, match=rf"{name}: has changed since the run began \(sha256 \w+ then, sha256 \w+"):
        make_safely(driver_spec.driver, 30.0)  # not the driver's fault: no DriverError
    path.write_bytes(own)
    driver_spec.driver()
    sys.modules.pop("replaced_driver", None)


def test_drivers_are_found_by_home_folder_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint(tmp_path / "best.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # the same on Windows
    monkeypatch.setenv("POLICIES", str(tmp_path))
    driver_specs = resolve(settings("~/best.safetensors", "mine=$POLICIES/best.safetensors"))
    assert [(driver_spec.name, driver_spec.origin) for driver_spec in driver_specs] == [
        ("policy", str(path)),
        ("mine", str(path)),
    ]
    with pytest.raises(ConfigError, match="variable 'NAVSIM_UNSET' is not set"):
        resolve(settings("${NAVSIM_UNSET}/best.safetensors"))


def test_drivers_of_ones_own_and_other_names() -> None:
    words = ("examples.own_driver:make", "straight-on=constant", "own=examples.own_driver:make")
    driver_specs = resolve(settings(*words))
    assert [driver_spec.name for driver_spec in driver_specs] == ["route-follower", "straight-on", "own"]
    assert driver_specs[0].digest == driver_specs[2].digest
    assert driver_specs[2].driver().name == "route-follower"


def test_drivers_that_act_otherwise_are_other_drivers(tmp_path: Path) -> None:
    path = str(checkpoint(tmp_path / "best.safetensors"))
    (sticky,), (mean,) = (resolve(settings(path, acting=ActingConfig(rule))) for rule in ("follow_mode", "mean"))
    assert sticky.digest != mean.digest
    assert sticky.cars == BATCH_CARS


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["exprt"],
            r"unknown driver 'exprt': give a policy's path \(.*, or MODULE:FACTORY\) or one of policy, blind,",
        ),
        (["onnx:none"], "none/policy.onnx: no such exported policy"),
        (["torn.onnx"], r"torn.onnx: not an ONNX file"),
        (["none.safetensors"], "none.safetensors: no such checkpoint file"),
        (["blind"], "which driver 'blind' stands for"),
        (["wide.safetensors"], "made for cameras"),
        (["coarse.safetensors"], "made for the map"),
        (["torn.safetensors"], "damaged, or not a checkpoint"),
        (["expert", "expert"], "driver 'expert' is named twice"),
        (["a=expert", "a=constant"], "driver 'a=constant' is named twice"),
        (["nobody:make"], "driver 'nobody:make': no module 'nobody'"),
    ],
)
def test_unusable_drivers_are_refused(words: list[str], error: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    wide = checkpoint(tmp_path / "wide.safetensors", (replace(CAMERAS[0], fov_deg=60.0),))
    checkpoint(tmp_path / "coarse.safetensors", map_spec=replace(MAP, metres_per_pixel=2.0))
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    (tmp_path / "torn.safetensors").write_bytes(wide.read_bytes()[:1000])
    with pytest.raises(NavsimError, match=error):
        resolve(settings(*words))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--driver", "expert", "--gui"], "display"),
        (["--driver", "exprt"], "unknown driver"),
        (["--driver", "expert", "--routes", "0"], "routes must be at least 1"),
        (["--simulation.faults.latency-steps", "11"], "faults.latency_steps must be at least 0 and at most 10, got 11"),
        (["--simulation.faults.missing-camera", "rear"], "faults.missing_camera must be one of front, any, got 'rear'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(quick: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run(quick, "--out", tmp_path / "run", *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.linux
@pytest.mark.slow
def test_an_interrupted_evaluation_continues(quick: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    quick.write_text(QUICK.replace("routes: 2", "routes: 40"))
    arguments = ["--driver", "constant", "--out", str(out)]
    command = [sys.executable, str(REPOSITORY / "scripts" / "evaluate.py"), "--config", str(quick), *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        while not list(out.glob("drives/constant/*.parquet")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in errors
    kept = {path: path.stat().st_mtime_ns for path in out.glob("drives/constant/*.parquet")}
    assert 0 < len(kept) < 41
    assert run(quick, *arguments).returncode == 0
    assert len(list(out.glob("drives/constant/*.parquet"))) == 41
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


FAULTY = """
import os, time
from navsim.drivers.protocol import Decision
class Faulty:
    name = "faulty"
    drives = 0
    def begin(self, seed):
        self.drives += 1
    def drive(self, observation):
        if not os.path.exists("mended"):
            while True:
                time.sleep(60)
        return Decision(0.0)
"""


@pytest.mark.slow
def test_a_driver_that_hangs_is_reported_and_its_drives_are_driven_when_it_is_mended(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(FAULTY)
    quick.write_text(QUICK.replace("routes: 2", "routes: 1").replace("lane_routes: 1", "lane_routes: 0"))
    arguments = ["--driver", "own:Faulty", "constant", "--out", str(tmp_path / "run"), "--decision-limit", "2"]
    done = run(quick, *arguments)
    assert done.returncode == 1
    assert "error: faulty: 1 drives broke off" in done.stderr
    assert "its process gave no answer within 2 s; driven again once, to no avail" in done.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["drives"]
    assert {row["driver"]: row["outcome"] == "broke_off" for row in rows} == {"faulty": True, "constant": False}
    assert "gave no answer within 2 s" in rows[0]["error"]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert len(kept) == 1
    (tmp_path / "mended").touch()
    done = run(quick, *arguments[:-1], "30")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_folder_of_another_suite_is_refused(quick: Path, tmp_path: Path) -> None:
    quick.write_text("\n".join(line for line in QUICK.splitlines() if "routes" not in line and "towns" not in line))
    one, other, wrong = (tmp_path / f"{name}.yaml" for name in ("one", "other", "wrong"))
    one.write_text("routes: {routes: 0, lane_routes: 1, towns: 1}\nparts: [{name: all}]")
    other.write_text("routes: {routes: 0, lane_routes: 2, towns: 1}\nparts: [{name: all}]")
    wrong.write_text("rutes: {routes: 0, lane_routes: 2, towns: 1}\nparts: [{name: all}]")
    arguments = ["--driver", "constant", "--out", str(tmp_path / "run")]
    assert run(quick, "--suite", one, *arguments).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    for suite, words in (
        (other, "holds an evaluation of other settings (suite.name is"),
        (wrong, "perhaps you meant 'routes'"),
    ):
        done = run(quick, "--suite", suite, *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    other.rename(one)  # the same name, with other routes in it
    done = run(quick, "--suite", one, *arguments)
    assert done.returncode == 2
    assert "holds an evaluation of other settings (fingerprint is" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_suite_by_its_path_and_an_unknown_one(quick: Path, tmp_path: Path) -> None:
    kept = [line for line in QUICK.splitlines() if "routes" not in line and "towns" not in line]
    quick.write_text("\n".join(kept))
    suite = tmp_path / "suite.yaml"
    parts = "[{name: right}, {name: none, simulation: {map_fault: {blank: true}}}]"
    suite.write_text(f"routes: {{routes: 1, lane_routes: 0, towns: 1}}\nparts: {parts}")
    done = run(quick, "--suite", suite, "--driver", "constant", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "| none: arrived |" in (tmp_path / "run" / "table.md").read_text()
    assert done.stdout.splitlines()[-1].startswith(f"all scores: {tmp_path / 'run' / 'report.html'}")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results["parts"]) == ["right", "none"]
    wrong = run(quick, "--suite", "standrd", "--driver", "constant", "--out", tmp_path / "other")
    assert wrong.returncode == 2
    assert "unknown suite 'standrd': give one of lanes, localization, quick" in wrong.stderr
    assert "Traceback" not in wrong.stderr
