"""The benchmark of training: a plain loop that learns the same, honest counts, and figures that add up."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.experiments.plain_loop import (
    EpisodeDataset,
    PlainLoop,
    augmented_images,
    augmented_maps,
    decode,
    plain_policy,
)
from agents.experiments.training_benchmark import (
    LOOPS,
    Speed,
    TrainingBenchmark,
    fastest,
    loops_table,
    measure_loop,
    measure_ours,
    measure_plain,
    speed_of_training,
    steps_of,
    timed,
)
from agents.policies.networks.observation_batch import Inputs, scale_observations
from agents.training.augmentation import AugmentationConfig, Augmenter
from agents.training.dataset import load_training_data
from agents.training.policy_task import policy_trainer
from agents.training.run_folder import RunFolder
from navsim.datasets.dataset import open_dataset
from navsim.errors import ConfigError
from navsim.roads.generators.towns import Split
from tests.agents.small_runs import MAP, SPEC, small_config, small_data, small_folder

NONE = AugmentationConfig(brightness=0, contrast=0, colour=0, noise=0, map_shift=0, map_turn_deg=0, map_dropout=0)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> TrainingBenchmark:
    """A benchmark of a fraction of a second on 36 frames."""
    small_folder(tmp_path / "data", train=3)
    train = replace(small_config(tmp_path), batch_size=8)
    return TrainingBenchmark(tmp_path / "data", train=train, seconds=0.2, rounds=1, out=tmp_path / "figures.json")


def decoded(config: TrainingBenchmark, augmentation: AugmentationConfig) -> EpisodeDataset:
    dataset = open_dataset(config.data, Split.TRAIN)
    return EpisodeDataset(decode(dataset, config.data.parent / "decoded"), augmentation, MAP)


def test_the_plain_data_set_hands_out_the_same_frames(config: TrainingBenchmark) -> None:
    frames, ours = decoded(config, NONE), load_training_data(config.data, config.train.policy).train
    assert len(frames) == len(ours) == 36
    inputs = scale_observations(ours.observations, torch.float32)
    for index in (0, 11, 12, 35):  # first and last of episodes
        images, maps, speed, label = frames[index]
        torch.testing.assert_close(images.permute(0, 2, 3, 1), inputs.images[index])
        torch.testing.assert_close(maps, inputs.maps[index], atol=1e-5, rtol=0)
        torch.testing.assert_close(speed, inputs.speed[index])
        torch.testing.assert_close(label, ours.labels[index])


def test_the_plain_policy_predicts_what_ours_does_with_weights_in_the_usual_order(config: TrainingBenchmark) -> None:
    frames = decoded(config, NONE)
    policy = plain_policy(config.train, SPEC)
    assert all(parameter.is_contiguous() for parameter in policy.parameters())
    images, maps, speed, _ = (torch.stack(values) for values in zip(*(frames[i] for i in range(6)), strict=True))
    plain = Inputs(images.permute(0, 1, 3, 4, 2), maps, speed)
    first_layer = plain.images.flatten(0, 1).permute(0, 3, 1, 2)
    assert first_layer.is_contiguous(), "channels first in memory, without a copy"
    ours = scale_observations(
        load_training_data(config.data, config.train.policy).train[slice(0, 6)].observations, torch.float32
    )
    torch.testing.assert_close(policy(plain), policy(ours), atol=1e-4, rtol=1e-4)


def test_plain_augmentation_varies_as_ours_does() -> None:
    config, count = AugmentationConfig(map_dropout=0.25), 3000
    torch.manual_seed(0)
    images, maps = torch.full((1, 3, 8, 8), 0.5), torch.zeros(2, MAP.size_px, MAP.size_px)
    maps[:, :, 9:11] = 1.0
    plain_images = torch.stack([augmented_images(images, config) for _ in range(count)])
    plain_maps = torch.stack([augmented_maps(maps, config, MAP) for _ in range(count)])
    augment = Augmenter(config, MAP, 0, torch.device("cpu"))
    augment.restart(0)
    ours = augment(
        Inputs(
            images.permute(0, 2, 3, 1).expand(count, 1, 8, 8, 3), maps.expand(count, -1, -1, -1), torch.zeros(count, 1)
        )
    )
    assert float(plain_images.std()) == pytest.approx(float(ours.images.std()), rel=0.1)
    assert float(plain_images.mean()) == pytest.approx(float(ours.images.mean()), abs=0.02)
    torch.testing.assert_close(plain_maps.mean(dim=0), ours.maps.mean(dim=0), atol=0.06, rtol=0)
    blank = (plain_maps.flatten(1).amax(dim=1) == 0).float().mean()
    assert float(blank) == pytest.approx(0.25, abs=0.04)


def test_nothing_changes_without_augmentation() -> None:
    images, maps = torch.rand(1, 3, 8, 8), torch.rand(2, MAP.size_px, MAP.size_px)
    torch.testing.assert_close(augmented_images(images, NONE), images)
    torch.testing.assert_close(augmented_maps(maps, NONE, MAP), maps, atol=1e-5, rtol=0)


def test_the_plain_loop_learns(config: TrainingBenchmark) -> None:
    loop = PlainLoop(config.train, decoded(config, NONE), SPEC, workers=0)
    steps = loop.steps()
    losses = [next(steps) for _ in range(150)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.3


def test_steps_go_on_over_epochs_and_change_the_weights(tmp_path: Path) -> None:
    trainer = policy_trainer(small_config(tmp_path, batch_size=20), small_data(48), RunFolder(tmp_path / "run"))
    before = trainer.state.network.head.weight.clone()
    steps = steps_of(trainer)
    for _ in range(5):
        next(steps)
    assert trainer.history.step == 5
    assert not torch.equal(before, trainer.state.network.head.weight)


def test_time_is_taken_after_a_warm_up() -> None:
    taken = iter(range(10**6))
    count, seconds = timed(taken, 0.05)
    assert seconds >= 0.05
    assert next(taken) == count + 5


def test_the_parts_of_a_step_make_up_its_time(tmp_path: Path) -> None:
    speed = speed_of_training(small_config(tmp_path), small_data(), 0.3)
    assert set(speed.parts) == {"frames", "augmentation", "forward", "backward", "update"}
    assert sum(speed.parts.values()) == pytest.approx(speed.step)
    assert speed.images_per_second == pytest.approx(16 / speed.step)
    assert not (tmp_path / "run").exists()


def test_both_loops_are_measured(config: TrainingBenchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "agents.experiments.training_benchmark.available_cores", lambda: 0
    )  # workers of its own take seconds
    ours, plain = measure_ours(config), measure_plain(config)
    for speed in (ours, plain):
        assert speed.images_per_second * speed.step == pytest.approx(config.train.batch_size)
    assert plain.parts == {}


def test_a_loop_runs_in_a_process_of_its_own(config: TrainingBenchmark) -> None:
    assert measure_loop(config, "ours").images_per_second > 0


def test_the_best_round_of_each_loop_counts() -> None:
    def speed(rate: float) -> Speed:
        return Speed(rate, 1 / rate, {})

    rounds = [{"ours": speed(300), "plain": speed(90)}, {"ours": speed(200), "plain": speed(100)}]
    best = fastest(rounds)  # type: ignore[arg-type]  # the keys are loops
    assert {loop: best[loop].images_per_second for loop in LOOPS} == {"ours": 300, "plain": 100}
    title = str(loops_table(best, rounds).title)  # type: ignore[arg-type]
    assert "ours is 3.0 times as fast (round by round 3.3, 2.0)" in title


@pytest.mark.parametrize("changes", [{"seconds": 0.0}, {"rounds": 0}, {"gpu_batch": 1}, {"gpu_seconds": -1.0}])
def test_impossible_benchmarks_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        TrainingBenchmark(**changes)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.slow
def test_the_script_records_drives_prints_a_table_and_writes_the_same_as_json(tmp_path: Path) -> None:
    arguments = ("training", "--data", tmp_path / "data", "--towns", "1", "--rounds", "1", "--seconds", "1")
    done = subprocess.run(
        [sys.executable, "scripts/benchmark.py", *arguments, "--out", tmp_path / "figures.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"},
    )
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "figures.json").read_text())
    for loop in LOOPS:
        assert f"{values['best'][loop]['images_per_second']:.0f}" in done.stdout
    assert values["machine"]["cores"] >= 1
    assert "torch" in values["versions"]
    assert values["config"]["train"]["batch_size"] == 64
