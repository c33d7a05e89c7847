"""Scoring recorded drives of a real town, from the files to the script's table."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.commands.analyse import evaluate_offline
from agents.policies.checkpoint import CheckpointInfo, save_checkpoint
from agents.policies.distributions.mixture import SteeringMixture
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import build_policy
from agents.scoring.junctions import (
    DecisionRules,
    JunctionMeasures,
    find_decisions,
    joined_scores,
    junction_measures,
    score_decisions,
)
from agents.scoring.policy_scores import FrameBatch, frame_batches, score_policy
from navsim.datasets.dataset import DatasetDescription, episode_path, open_dataset, write_description
from navsim.datasets.episode_files import write_episode
from navsim.errors import CheckpointError, EpisodeError
from navsim.geometry import Array
from navsim.roads.generators.towns import Split
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode, FrameManoeuvre
from navsim.simulation.expert import LaneExpert
from navsim.simulation.rollout import drive
from navsim.simulation.scenario import Scenario
from navsim.simulation.simulation import Simulation
from tests.agents.small_runs import small_folder

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "evaluate_offline.py"
SIMULATION = SimulationConfig(
    cameras=(Camera(width=32, height=32),), map=MapSpec(size_px=20, ego_row=14), renderer="tiny", cruise_speed=12.0
)
RULES = DecisionRules()
TOWNS = ("validation-1", "validation-1", "validation-2")
UNROUTED = PolicyConfig(hidden=16, inputs=("camera", "road_map"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drives of the expert through one validation town, one through another; the pictures are made up."""
    there = tmp_path_factory.mktemp("data")
    write_description(there, DatasetDescription(SIMULATION, {"seed": 0}, {"numpy": "2"}, "unknown"))
    with Simulation(SIMULATION) as simulation:
        for route, town in enumerate(TOWNS):
            scenario = Scenario(town, route)
            expert = LaneExpert(SIMULATION.expert, SIMULATION.vehicle)
            episode = with_pictures(drive(simulation, expert, scenario, sense=False))
            write_episode(episode, episode_path(there, scenario), {"renderer": "made up"})
    return there


def with_pictures(episode: Episode) -> Episode:
    """An episode with noise in place of images and maps."""
    steps, rng = len(episode), np.random.default_rng(0)
    images = rng.integers(0, 256, (steps, 1, 32, 32, 3)).astype(np.uint8)
    maps = rng.integers(0, 256, (2, steps, 20, 20)).astype(np.uint8)
    return replace(episode, images=images, road_maps=maps[0], route_maps=maps[1])


@pytest.fixture(scope="module")
def batches(folder: Path) -> list[FrameBatch]:
    return list(frame_batches(open_dataset(folder, Split.VALIDATION), 100))


def test_every_frame_comes_once_with_its_rows(folder: Path, batches: list[FrameBatch]) -> None:
    dataset = open_dataset(folder, Split.VALIDATION)
    assert sum(map(len, batches)) == dataset.frames
    assert max(map(len, batches)) == 100
    assert sorted({batch.episode for batch in batches}) == [0, 1, 2]
    assert {batch.episode: batch.town for batch in batches} == dict(enumerate(TOWNS))
    labels = np.concatenate([episode.labels for episode in dataset.episodes(images=False)])
    assert torch.cat([batch.labels for batch in batches]).numpy() == pytest.approx(labels, abs=1e-7)
    for batch in batches:
        assert len(batch.senses) == len(batch.exits) == len(batch.manoeuvres) == len(batch.labels)


def test_the_taken_exits_command_is_the_label_also_after_reading(batches: list[FrameBatch]) -> None:
    compared = 0
    for batch in batches:
        rows = np.flatnonzero(batch.exits.taken >= 0)
        found = batch.exits.curvatures[rows, batch.exits.taken[rows]]
        assert found == pytest.approx(batch.labels[rows].numpy(), abs=1e-7)
        compared += len(rows)
    assert compared > 50


def measured(batches: list[FrameBatch], means: list[Array], sigma: float) -> JunctionMeasures:
    """What distributions with equal peaks at `means` (D, K) [1/m], NaN for none, one for each batch, are worth."""
    parts, passages, towns = [], list[tuple[int, int]](), list[str]()
    for batch, centres in zip(batches, means, strict=True):
        decisions = find_decisions(batch.exits, RULES)
        if len(decisions):
            there = torch.tensor(np.where(np.isnan(centres), -1e4, 0.0), dtype=torch.float32)
            weights = torch.log_softmax(there, dim=1)
            at = torch.tensor(np.nan_to_num(centres) / 0.2, dtype=torch.float32)
            parts.append(
                score_decisions(SteeringMixture(weights, at, torch.full_like(at, sigma / 0.2), 0.2), decisions, RULES)
            )
            passages += [(batch.episode, passage) for passage in decisions.passages.tolist()]
            towns += [batch.town] * len(decisions)
    return junction_measures(joined_scores(parts), passages, towns, np.random.default_rng(0))


def test_who_knows_all_exits_recalls_them_and_who_knows_the_route_recalls_one(batches: list[FrameBatch]) -> None:
    rows = [find_decisions(batch.exits, RULES).rows for batch in batches]
    everything = measured(
        batches, [batch.exits.curvatures[row] for batch, row in zip(batches, rows, strict=True)], sigma=0.003
    )
    assert everything.frames == sum(map(len, rows)) >= 15
    assert everything.passages >= 4
    assert everything.towns == 2
    assert everything.recall is not None
    assert everything.recall.value == 1.0
    assert everything.lawful_mass is not None
    assert everything.lawful_mass.value > 0.999
    assert everything.missing_mass is not None
    assert everything.missing_mass.value < 1e-3
    route = measured(
        batches, [batch.labels[row][:, None].double().numpy() for batch, row in zip(batches, rows, strict=True)], 0.003
    )
    assert route.recall is not None
    assert 1 / 3 <= route.recall.value <= 1 / 2
    assert route.frames == everything.frames


def test_who_believes_in_all_missing_exits_is_found_out(batches: list[FrameBatch]) -> None:
    rows = [find_decisions(batch.exits, RULES).rows for batch in batches]
    dreams = measured(
        batches,
        [
            np.concatenate([batch.exits.curvatures[row], batch.exits.missing[row]], axis=1)
            for batch, row in zip(batches, rows, strict=True)
        ],
        sigma=0.003,
    )
    assert dreams.missing_frames >= 3
    assert dreams.missing_mass is not None
    # One or two missing exits beside two lawful ones.
    assert 1 / 3 - 1e-6 < dreams.missing_mass.value < 1 / 2


def test_a_policy_is_scored_by_manoeuvre_and_at_junctions(folder: Path) -> None:
    dataset = open_dataset(folder, Split.VALIDATION)
    policy = build_policy(UNROUTED, observation_spec(SIMULATION.cameras, SIMULATION.map), seed=0).eval()
    done: list[float] = []
    scores = score_policy(policy, dataset, RULES, torch.device("cpu"), done.append)
    assert sum(done) == scores.frames == dataset.frames
    assert sum(row.frames for row in scores.manoeuvres.values()) == dataset.frames
    assert sum(row.share for row in scores.manoeuvres.values()) == pytest.approx(1.0)
    assert FrameManoeuvre.STRAIGHT in scores.manoeuvres
    errors, log_probs = [], []
    with torch.no_grad():
        for batch in frame_batches(dataset, 1000):
            distribution = policy.steer(batch.senses)
            chosen = torch.tensor(batch.manoeuvres == FrameManoeuvre.CURVE)
            errors.append((distribution.mode - batch.labels).abs()[chosen])
            log_probs.append(distribution.log_prob(batch.labels)[chosen])
    curve = scores.manoeuvres[FrameManoeuvre.CURVE]
    assert curve.frames == len(torch.cat(errors))
    assert curve.curvature_error == pytest.approx(float(torch.cat(errors).mean()), rel=1e-4)
    assert curve.nll == pytest.approx(-float(torch.cat(log_probs).mean()), rel=1e-4)
    assert scores.junctions.recall is not None
    # Fresh weights know nothing: one broad hill about straight ahead.
    assert scores.junctions.lawful_mass is not None
    assert scores.junctions.lawful_mass.value < 0.8


def test_a_drive_without_images_is_refused(tmp_path: Path, folder: Path) -> None:
    small_folder(tmp_path)
    dataset = open_dataset(folder, Split.VALIDATION)
    (tmp_path / "validation" / "validation-0-route0-seed0.parquet").unlink()
    episode = next(dataset.episodes(images=False))
    path = episode_path(tmp_path, episode.scenario)
    write_episode(episode, path, {})
    with pytest.raises(EpisodeError, match="without images"):
        next(frame_batches(open_dataset(tmp_path, Split.VALIDATION)))


def checkpoint(path: Path, config: PolicyConfig, cameras: tuple[Camera, ...]) -> Path:
    """Save an untrained policy."""
    policy = build_policy(config, observation_spec(cameras, SIMULATION.map), seed=1)
    save_checkpoint(path, CheckpointInfo(config, cameras, SIMULATION.map), policy)
    return path


def command_arguments(policy: Path, folder: Path, out: Path) -> list[str]:
    """A command line without the program."""
    return ["--checkpoint", str(policy), "--data", str(folder), "--out", str(out)]


def test_the_script_prints_and_writes_the_numbers(tmp_path: Path, folder: Path) -> None:
    policy = checkpoint(tmp_path / "policy.safetensors", UNROUTED, SIMULATION.cameras)
    out = tmp_path / "scores"
    result = subprocess.run(
        [sys.executable, str(SCRIPT), *command_arguments(policy, folder, out), "--rules.tolerance", "0.015"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "mode recall (at least 5%)" in result.stdout
    assert "sees the route" not in result.stdout
    numbers = json.loads((out / "policy-validation-junctions.json").read_text())
    assert numbers["inputs"] == ["camera", "road_map"]
    assert numbers["config"]["rules"]["tolerance"] == 0.015
    assert 0 <= numbers["scores"]["junctions"]["recall"]["value"] <= 1
    manoeuvres = numbers["scores"]["manoeuvres"]
    assert {"straight", "curve", "left"} <= set(manoeuvres)
    assert all(f"\n{name.replace('_', ' ')} " in result.stdout for name in manoeuvres)


def test_the_script_says_when_the_policy_sees_the_route(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = checkpoint(tmp_path / "policy.safetensors", replace(UNROUTED, inputs=("route_map",)), SIMULATION.cameras)
    arguments = command_arguments(policy, folder, tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["navsim evaluate-offline", *arguments])
    evaluate_offline()
    assert "mode recall" not in capsys.readouterr().out
    assert not (tmp_path / "out" / "policy-validation-junctions.json").exists()
    monkeypatch.setattr(sys, "argv", ["navsim evaluate-offline", *arguments, "--junctions", "True"])
    evaluate_offline()
    assert "sees the route" in capsys.readouterr().out


def test_the_script_refuses_a_policy_for_other_cameras(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = checkpoint(tmp_path / "policy.safetensors", UNROUTED, (Camera(width=40, height=40),))
    monkeypatch.setattr(sys, "argv", ["navsim evaluate-offline", *command_arguments(policy, folder, tmp_path / "out")])
    with pytest.raises(CheckpointError, match="made for cameras"):
        evaluate_offline()
    assert not (tmp_path / "out").exists()
