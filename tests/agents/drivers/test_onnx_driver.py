"""An exported policy drives as its checkpoint does, needs no torch, and refuses other cameras and maps."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from agents.drivers.onnx_driver import ONNX_NAME, OnnxDriver, read_metadata
from agents.drivers.policy_driver import PolicyDriver
from navsim.drivers.action_selection import BATCH_CARS, ActingConfig
from navsim.drivers.protocol import BatchDriver
from navsim.errors import CheckpointError, ConfigError
from navsim.geometry import Pose
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from tests.agents.small_runs import CAMERAS, MAP, SIMULATION, small_episode, small_policy


def made_observations(count: int) -> dict[int, Observation]:
    episode = small_episode(steps=count)
    seen = zip(episode.images, episode.road_maps, episode.route_maps, strict=True)
    return {car: Observation(*frame, 5.0, Pose(0.0, 0.0, 0.0)) for car, frame in enumerate(seen)}


@pytest.mark.parametrize("acting", [ActingConfig("follow_mode"), ActingConfig("mean"), ActingConfig("sample_hold")])
def test_it_decides_as_the_checkpoint_does(exported: Path, checkpoint_file: Path, acting: ActingConfig) -> None:
    own = PolicyDriver(checkpoint_file, CAMERAS, MAP, acting=acting)
    other = OnnxDriver(exported, CAMERAS, MAP, acting=acting)
    assert (other.name, OnnxDriver(exported / ONNX_NAME, CAMERAS, MAP, "mine").name) == ("onnx", "mine")
    for driver in (own, other):
        driver.begin(3)
    for seen in made_observations(5).values():
        expected, found = own.drive(seen), other.drive(seen)
        assert found.curvature == pytest.approx(expected.curvature, abs=1e-5)
        assert expected.density is not None
        assert found.density is not None
        assert found.grid is not None
        assert expected.grid is not None
        np.testing.assert_allclose(found.grid, expected.grid, atol=1e-9)
        np.testing.assert_allclose(found.density, expected.density, rtol=1e-3, atol=1e-3)


def test_it_drives_several_cars_in_one_pass(exported: Path) -> None:
    driver, seen = OnnxDriver(exported, CAMERAS, MAP), made_observations(BATCH_CARS + 2)
    assert isinstance(driver, BatchDriver)
    for car in seen:
        driver.begin_car(car, 0)
    together = driver.drive_cars(seen)
    for car, observation in seen.items():
        assert together[car].curvature == pytest.approx(driver.drive(observation).curvature, abs=1e-5)


def test_it_drives_the_same_way_through_a_town(exported: Path, checkpoint_file: Path) -> None:
    scenario = Scenario("validation-0", junctions=False)
    with Simulation(SIMULATION) as simulation:
        own = drive(simulation, PolicyDriver(checkpoint_file, CAMERAS, MAP), scenario)
        other = drive(simulation, OnnxDriver(exported, CAMERAS, MAP), scenario)
    assert other.driver == "onnx"
    assert (own.outcome, len(own)) == (other.outcome, len(other))
    assert len(np.unique(own.commands)) > 1
    np.testing.assert_allclose(other.commands[:30], own.commands[:30], atol=1e-4)
    # Rounding differs, and the way driven feeds it back: later commands drift apart a little.
    np.testing.assert_allclose(other.commands, own.commands, atol=1e-2)
    np.testing.assert_allclose(other.poses, own.poses, atol=0.1)


def test_the_metadata_describe_the_policy(exported: Path) -> None:
    for path in (exported, exported / ONNX_NAME):
        metadata = read_metadata(path)
        assert (metadata.policy, metadata.cameras, metadata.map) == (small_policy().config, CAMERAS, MAP)


def test_other_cameras_and_maps_are_refused_naming_both(exported: Path) -> None:
    other = (replace(CAMERAS[0], pitch_deg=-3.0),)
    with pytest.raises(CheckpointError, match=r"policy.onnx: made for cameras .*pitch -8.*given .*pitch -3"):
        OnnxDriver(exported, other, MAP)
    with pytest.raises(CheckpointError, match=r"policy.onnx: made for the map MapSpec\(size_px=20.*given is"):
        OnnxDriver(exported, CAMERAS, MapSpec())


def test_foreign_files_are_refused_by_name(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(CheckpointError, match=r"a.onnx: no such exported policy"):
        OnnxDriver(path, CAMERAS, MAP)
    with pytest.raises(CheckpointError, match=r"policy.onnx: no such exported policy"):
        OnnxDriver(tmp_path, CAMERAS, MAP)
    whole = (exported / ONNX_NAME).read_bytes()
    for data in (b"", b"abc", np.random.default_rng(0).bytes(1000), whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"a.onnx: not an ONNX file that onnxruntime can run"):
            OnnxDriver(path, CAMERAS, MAP)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "foreign", value[:1], value[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    with pytest.raises(CheckpointError, match=r"a.onnx: an ONNX file, but not exported by this project"):
        OnnxDriver(path, CAMERAS, MAP)


def test_a_missing_onnxruntime_is_reported_with_its_installation(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"needs onnxruntime: pip install onnxruntime"):
        OnnxDriver(exported, CAMERAS, MAP)


def test_it_needs_no_torch(exported: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from navsim.sensing.observation import blank_observation
from agents.drivers.onnx_driver import OnnxDriver, read_metadata
path = Path({str(exported)!r})
metadata = read_metadata(path)
driver = OnnxDriver(path, metadata.cameras, metadata.map)
curvature = driver.drive(blank_observation(metadata.cameras, metadata.map.size_px)).curvature
print(abs(curvature) <= 0.2, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "True False\n", done.stderr
