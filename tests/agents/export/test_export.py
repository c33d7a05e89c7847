"""An exported policy is the policy: the same numbers, the same weights, a card that tells the truth, or nothing."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from torch import Tensor

from agents.drivers.onnx_driver import (
    CARD_NAME,
    INPUTS,
    ONNX_NAME,
    ExportMetadata,
    OnnxDriver,
    from_metadata,
    open_session,
    to_metadata,
)
from agents.drivers.policy_driver import PolicyDriver
from agents.drivers.registry import policy_digest
from agents.export.bundle import ExportConfig, closed_loop_scores, epoch_scores, export
from agents.export.card import CardContents, model_card
from agents.export.graph import (
    TOLERANCE,
    DrivingGraph,
    check_graph,
    driven_observations,
    export_graph,
    largest_difference,
    random_observations,
)
from agents.policies import WEIGHTS_NAME
from agents.policies.checkpoint import CheckpointInfo, load_policy, save_checkpoint
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import ObservationBatch, observation_spec
from agents.policies.policy import HEADS, NETWORKS, build_policy
from navsim.drivers.action_selection import GRID_POINTS, ActingConfig
from navsim.errors import CheckpointError, ConfigError, StorageError
from navsim.geometry import Pose
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Observation
from navsim.sensing.roadmap import MapSpec
from tests.agents.small_runs import CAMERAS, MAP, SPEC, small_info, small_policy, small_samples


def run_graph(path: Path, batch: ObservationBatch) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    session = open_session(path.read_bytes(), path)
    values = (batch.images, batch.road_map, batch.route_map, batch.speed)
    names = [output.name for output in session.get_outputs()]
    fed = {name: value.numpy() for name, value in zip(INPUTS, values, strict=True)}
    return dict(zip(names, session.run(names, fed), strict=True))


def graph_of(checkpoint: Path) -> DrivingGraph:
    return DrivingGraph(load_policy(checkpoint, CAMERAS, MAP))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_graph_equals_the_policy_for_any_batch(exported: Path, count: int) -> None:
    policy, batch = small_policy(seed=4), small_samples(count, seed=9).observations
    found = run_graph(exported / ONNX_NAME, batch)
    with torch.no_grad():
        distribution = policy.steer(batch)
    grid = torch.linspace(-0.2, 0.2, GRID_POINTS)
    weights, means, scales = distribution.components  # type: ignore[attr-defined]
    expected = {
        "steering": distribution.mode,
        "mode": distribution.mode,
        "mean": distribution.mean,
        "density": distribution.density(grid),
        "weights": weights,
        "means": means,
        "scales": scales,
    }
    assert found.keys() == expected.keys() | {"outputs"}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
    assert found["outputs"].shape == (count, 9)


def test_the_difference_is_far_below_the_tolerance(export_contents: CardContents) -> None:
    assert 0 <= export_contents.difference < TOLERANCE / 5
    assert export_contents.outputs == ("steering", "mode", "mean", "density", "outputs", "weights", "means", "scales")


def tensors(path: Path) -> set[str]:
    with safe_open(path, framework="pt") as file:
        return {name.split(".")[0] for name in file.keys()}  # noqa: SIM118 - no dict


def test_weights_are_exported_without_training_state(exported: Path, checkpoint_file: Path) -> None:
    policy, again = (load_policy(path, CAMERAS, MAP) for path in (checkpoint_file, exported / WEIGHTS_NAME))
    for name, value in policy.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert (tensors(checkpoint_file), tensors(exported / WEIGHTS_NAME)) == ({"policy", "optimizer"}, {"policy"})


def test_the_metadata_are_those_of_the_checkpoint(exported: Path, export_contents: CardContents) -> None:
    session = open_session((exported / ONNX_NAME).read_bytes(), exported)
    metadata = from_metadata(session.get_modelmeta().custom_metadata_map, exported)
    assert metadata == export_contents.metadata
    assert (metadata.policy, metadata.cameras, metadata.map) == (small_policy().config, CAMERAS, MAP)
    assert (metadata.grid_points, metadata.commands) == (GRID_POINTS, False)
    assert metadata.versions == {"torch": "test"}
    assert metadata.exporters["onnxruntime"]


def test_metadata_of_another_format_are_refused() -> None:
    metadata = ExportMetadata(PolicyConfig(), CAMERAS, MAP, 5, False, {}, {})
    entries = to_metadata(metadata)
    assert from_metadata(entries, Path("a.onnx")) == metadata
    with pytest.raises(CheckpointError, match=r"a.onnx: an ONNX file, but not exported by this project"):
        from_metadata({}, Path("a.onnx"))
    with pytest.raises(CheckpointError, match="format 2, this version reads 1"):
        from_metadata(entries | {"format_version": "2"}, Path("a.onnx"))
    with pytest.raises(CheckpointError, match=r"damaged metadata: a.onnx: policy"):
        from_metadata(entries | {"facts": "{}"}, Path("a.onnx"))
    with pytest.raises(CheckpointError, match="damaged metadata"):
        from_metadata(entries | {"facts": "{"}, Path("a.onnx"))


def test_a_different_graph_is_refused(exported: Path, checkpoint_file: Path) -> None:
    data, batch = (exported / ONNX_NAME).read_bytes(), [random_observations(SPEC, 3)]
    assert check_graph(data, graph_of(checkpoint_file), batch) < TOLERANCE
    other = small_policy(seed=4)
    with torch.no_grad():
        other.head.bias.add_(3e-4)
    with pytest.raises(CheckpointError, match=r"differs from the policy by 0.00\d+, more than 0.0001"):
        check_graph(data, DrivingGraph(other), batch)
    with torch.no_grad():
        other.head.bias.fill_(float("nan"))
    assert largest_difference(data, DrivingGraph(other), batch[0]) > 1


def test_noise_is_the_same_each_time_and_fills_the_range() -> None:
    first, again, other = (
        random_observations(SPEC, 4),
        random_observations(SPEC, 4),
        random_observations(SPEC, 4, seed=1),
    )
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.spec == SPEC
    assert (int(first.images.min()), int(first.images.max())) == (0, 255)


def test_driven_observations_are_from_a_moving_car() -> None:
    batch = driven_observations(CAMERAS, MAP, 3, every=5)
    assert batch.spec == SPEC
    assert len(batch) == 3
    assert float(batch.speed.min()) > 1.0
    assert not torch.equal(batch.images[0], batch.images[2])
    assert (batch.road_map == 255).any()
    assert (batch.route_map == 255).any()


def test_failed_exports_leave_nothing(tmp_path: Path, checkpoint_file: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="taken: already exists"):
        export(ExportConfig(checkpoint_file, tmp_path / "taken"))
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        export(ExportConfig(tmp_path / "none.safetensors", tmp_path / "new"))
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "mine.txt"]


def test_the_cards_header_is_yaml_and_its_text_is_complete(exported: Path) -> None:
    card = (exported / CARD_NAME).read_text()
    _, header, text = card.split("---\n", 2)
    values = yaml.safe_load(header)
    assert values["license"] == "mit"
    assert {"compact", "mixture", "onnx"} <= set(values["tags"])
    assert "model-index" not in values
    assert "| front | 32x32 | 115 | 0.4, 0, 1.4 | 0 | -8 |" in text
    assert "patches of 20x20 px at 1 m/px" in text
    assert f"density's {GRID_POINTS} curvatures run evenly from -0.2 to 0.2" in text
    assert "| epochs | 3 |" in text
    assert "The scores of this checkpoint are unknown." in text
    for name in ("steering", "density", "weights"):
        assert f"| `{name}` |" in text


def test_the_cards_program_drives_from_its_folder_without_this_project(exported: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (exported / CARD_NAME).read_text(), flags=re.DOTALL)
    command = [sys.executable, "-I", "-c", program + "\nprint(steering.shape, abs(steering[0]) <= 0.2)"]
    done = subprocess.run(command, cwd=exported, capture_output=True, text=True, check=False)
    assert done.stdout == "(1,) True\n", done.stderr


def test_the_card_has_the_scores(export_contents: CardContents) -> None:
    loop = {
        "arrived": 38,
        "routes": 40,
        "interval": [0.83, 0.99],
        "km": 17.0,
        "lane_offset_mean": 0.07,
        "title": "40 routes",
    }
    known = dataclasses.replace(export_contents, scores={"nll": -4.4821}, closed_loop=loop)
    card = model_card(known)
    assert "| nll | -4.482 |" in card
    assert "In closed loop (40 routes):" in card
    assert "| arrived | 38 of 40 (95% interval 83% to 99%) |" in card
    assert "| mean lane offset | 0.07 m |" in card
    (result,) = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.95


def test_scores_are_those_of_the_checkpoints_own_epoch(tmp_path: Path) -> None:
    rows = [
        {"epoch": number, "validation": {"nll": -float(number), "share": None}, "closed_loop": drives}
        for number, drives in ((1, None), (2, {"arrived": 7, "routes": 8}), (3, None))
    ]
    info = small_info(small_policy())
    own = dataclasses.replace(info, progress={"history": {"epochs": rows[:2]}})
    assert epoch_scores(own, tmp_path / "best.safetensors") == {"nll": -2.0, "arrived": 7.0, "routes": 8.0}
    silent = dataclasses.replace(info, progress={})
    assert epoch_scores(silent, tmp_path / "best.safetensors") == {}
    (tmp_path / "metrics.json").write_text(json.dumps({"best_epoch": 1, "epochs": rows}))
    assert epoch_scores(silent, tmp_path / "best.safetensors") == {"nll": -1.0}
    assert epoch_scores(silent, tmp_path / "last.safetensors") == {}


def test_results_count_for_the_checkpoint_that_drove(tmp_path: Path) -> None:
    path, checkpoint = tmp_path / "results.json", tmp_path / "run" / "best.safetensors"
    values: dict[str, Any] = {
        "origins": {"expert": "the true state", "policy": str(tmp_path / "run" / ".." / "run" / "best.safetensors")},
        "config": {"routes": 40, "towns": 10, "split": "test", "seed": 0},
        "drivers": {"policy": {"arrived": 38}, "expert": {"arrived": 40}},
    }
    path.write_text(json.dumps(values))
    scores = closed_loop_scores(path, checkpoint)
    assert scores == {"arrived": 38, "title": "40 routes through junctions, 10 test towns, seed 0"}
    values["config"]["suite"] = "standard"
    path.write_text(json.dumps(values))
    assert closed_loop_scores(path, checkpoint)["title"] == "suite standard, seed 0"
    with pytest.raises(ConfigError, match=r"other.safetensors did not drive there, but expert \(the true state\)"):
        closed_loop_scores(path, tmp_path / "other.safetensors")
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"a policy")
    values["identity"] = {"drivers": {"policy": policy_digest(b"a policy", ActingConfig()), "expert": ""}}
    path.write_text(json.dumps(values))
    copy = Path(shutil.copy(checkpoint, tmp_path / "copy.safetensors"))
    assert closed_loop_scores(path, copy) == closed_loop_scores(path, checkpoint)
    checkpoint.write_bytes(b"another policy")
    with pytest.raises(ConfigError, match="did not drive there with its present content, but"):
        closed_loop_scores(path, checkpoint)
    for wrong in ("[]", "{}", "{"):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match="no results of an evaluation"):
            closed_loop_scores(path, checkpoint)


class FixedBatch(DrivingGraph):
    """Takes a length, which the exporter takes for a constant."""

    def forward(self, images: Tensor, road_map: Tensor, route_map: Tensor, speed: Tensor) -> dict[str, Tensor]:
        numbers = super().forward(images, road_map, route_map, speed)
        return numbers | {"ones": torch.ones(len(speed)) * speed}


@pytest.mark.slow
def test_a_network_with_a_fixed_batch_size_is_refused() -> None:
    metadata = ExportMetadata(small_policy().config, CAMERAS, MAP, GRID_POINTS, False, {}, {})
    with pytest.raises(ConfigError, match="fixes the batch size of images, road_map, route_map, speed"):
        export_graph(FixedBatch(small_policy()), metadata)


LARGER_MAP = MapSpec(size_px=24, ego_row=18)  # amini2019 takes no smaller one


def frames(batch: ObservationBatch) -> list[Observation]:
    return [
        Observation(images.numpy(), road_map.numpy(), route_map.numpy(), float(speed), Pose(0.0, 0.0, 0.0))
        for images, road_map, route_map, speed in zip(
            batch.images, batch.road_map, batch.route_map, batch.speed, strict=True
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "head"), list(product(NETWORKS, HEADS)))
def test_every_network_and_head_is_exported_correctly(network: str, head: str, tmp_path: Path) -> None:
    cameras = tuple(Camera(name, width=64, height=61) for name in ("left", "front"))
    config = PolicyConfig(network=cast(Any, network), head=cast(Any, head))
    policy = build_policy(config, observation_spec(cameras, LARGER_MAP), seed=2)
    save_checkpoint(tmp_path / "a.safetensors", CheckpointInfo(config, cameras, LARGER_MAP), policy)
    contents = export(ExportConfig(tmp_path / "a.safetensors", tmp_path / "out"))
    assert contents.difference < TOLERANCE
    seen = frames(random_observations(policy.spec, 4, seed=3))
    drivers = (
        PolicyDriver(tmp_path / "a.safetensors", cameras, LARGER_MAP),
        OnnxDriver(tmp_path / "out", cameras, LARGER_MAP),
    )
    own, other = ([driver.drive(observation).curvature for observation in seen] for driver in drivers)
    assert own == pytest.approx(other, abs=1e-5)
    assert contents.metadata.commands == (network == "amini2019")
