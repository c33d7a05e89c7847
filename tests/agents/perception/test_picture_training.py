"""Learning from small folders, whatever is learned: it repeats bit by bit, resumes, and refuses what it cannot use."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from agents.perception.config import HeldOutConfig, PerceptionConfig
from agents.perception.detection.task import DETECTORS, detection_task
from agents.perception.segmentation.network import SegmentationNetworkConfig
from agents.perception.segmentation.task import NETWORKS, SegmentationInfo, segmentation_task
from agents.perception.training import PictureTask, train_network
from agents.policies.checkpoint import read_info
from agents.training.optimization import OptimizerConfig
from agents.training.run_folder import RunFolder
from agents.training.trainer import Trainer
from navsim.errors import CheckpointError, ConfigError
from tests.agents.perception.detection.boxed import boxed_folder, small_detection
from tests.agents.perception.learning import SomeTask, learn
from tests.agents.perception.segmentation.labelled import labelled_folder, small_segmentation

Make = Callable[..., SomeTask]
"""Makes a task from the name of its run and changes of its configuration."""


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("segmentation")
    data = labelled_folder(folder / "data")
    return lambda run, **changes: segmentation_task(small_segmentation(data, folder / run, **changes))


@pytest.fixture(scope="module")
def detection(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("detection")
    data = boxed_folder(folder / "data")
    return lambda run, **changes: detection_task(small_detection(data, folder / run, **changes))


@pytest.fixture(scope="module", params=["segmentation", "detection"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="module")
def learned(make: Make) -> RunFolder:
    """A run that was made."""
    return learn(make("learned"))


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Press Ctrl-C in the middle of step number `steps`."""
    original = Trainer.step

    def step_and_interrupt(self: Trainer[Any], index: torch.Tensor, weights: torch.Tensor) -> None:
        original(self, index, weights)
        if self.history.step == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "step", step_and_interrupt)


def same(one: RunFolder, other: RunFolder) -> bool:
    """Whether the last checkpoints of two runs hold the same bits."""
    there, here = load_file(one.last), load_file(other.last)
    return there.keys() == here.keys() and all(torch.equal(there[name], here[name]) for name in there)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(make: Make, learned: RunFolder) -> None:
    assert same(learned, learn(make("again")))
    assert not same(learned, learn(make("other", seed=1, epochs=1)))


@pytest.mark.parametrize("steps", [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_that_is_resumed_ends_with_the_same_bits(
    make: Make, learned: RunFolder, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    task = make(f"broken-{steps}")
    with monkeypatch.context() as patched:
        interrupt_after(patched, steps)
        text = f"stopped after step {steps} of .*; the same command with --resume continues"
        with pytest.raises(KeyboardInterrupt, match=text):
            learn(task)
    resumed = learn(make(f"broken-{steps}", resume=True))
    assert same(learned, resumed)
    kept = [[dict(row, pictures_per_second=0) for row in run.read_metrics()["epochs"]] for run in (learned, resumed)]
    assert kept[0] == kept[1]


def test_checkpoints_of_earlier_versions_are_continued_after_their_last_epoch(segmentation: Make) -> None:
    task = segmentation("earlier", epochs=1)
    folder = learn(task)
    networks = task.objective.networks
    header, tensors = networks.read(folder.last)
    networks.write(folder.last, replace(header, progress={"history": header.progress["history"]}), tensors)
    longer = replace(task.config, epochs=2, resume=True)
    history = train_network(longer, task.objective, task.load(), folder)
    assert [record["epoch"] for record in history.epochs] == [1, 2]


def test_the_best_epoch_is_kept_for_use(make: Make, learned: RunFolder) -> None:
    objective, metrics = make("learned").objective, learned.read_metrics()
    scores = [*map(objective.score_key, metrics["epochs"])]
    assert metrics["best_epoch"] == 1 + scores.index(max(scores))
    assert [row["epoch"] for row in metrics["epochs"]] == [*range(1, len(scores) + 1)]
    assert not metrics["finished"]  # before it is judged
    network, info = objective.networks.load(learned.best)
    assert not network.training
    assert len(info.progress["history"]["epochs"]) == metrics["best_epoch"]
    assert info.run["epochs"] == len(scores)


def test_a_loss_that_is_not_finite_ends_the_run_with_what_helps(segmentation: Make) -> None:
    wild = segmentation("wild", optimizer=OptimizerConfig(learning_rate=0.5, max_gradient_norm=1e30))
    original = wild.objective.networks.build

    def broken(header: Any, seed: int) -> Any:
        network = original(header, seed)
        with torch.no_grad():
            next(network.parameters()).fill_(torch.nan)
        return network

    objective = replace(wild.objective, networks=replace(wild.objective.networks, build=broken))
    with pytest.raises(ConfigError, match=r"loss is nan at step 9; lower optimizer.learning_rate \(now 0.5\)"):
        train_network(wild.config, objective, wild.load(), RunFolder(wild.config.run_dir))


def test_other_pictures_are_not_continued_with(segmentation: Make) -> None:
    task = segmentation("pictures", epochs=1)
    folder, loaded = learn(task), task.load()
    other = replace(loaded, train=replace(loaded.train, images=255 - loaded.train.images))
    with pytest.raises(CheckpointError, match="was trained on other data"):
        Trainer(PictureTask(task.config, task.objective, other), task.config, folder)


def test_other_cameras_are_not_continued_with(segmentation: Make) -> None:
    task = segmentation("cameras", epochs=1)
    folder, loaded = learn(task), task.load()
    turned = tuple(replace(camera, yaw_deg=5.0) for camera in loaded.simulation.cameras)
    other = replace(loaded, simulation=replace(loaded.simulation, cameras=turned))
    with pytest.raises(CheckpointError, match="was trained on other cameras"):
        Trainer(PictureTask(task.config, task.objective, other), task.config, folder)


def test_what_is_learned_for_one_task_is_nothing_for_another(tmp_path: Path, checkpoint_file: Path) -> None:
    path, info = (
        tmp_path / "best.safetensors",
        SegmentationInfo(network=SegmentationNetworkConfig(), class_names=("a",)),
    )
    NETWORKS.save(path, info, NETWORKS.build(info, 0))
    for wrong in (lambda: DETECTORS.load(path), lambda: read_info(path), lambda: NETWORKS.load(checkpoint_file)):
        with pytest.raises(CheckpointError, match="not a checkpoint of this project"):
            wrong()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"mirrored": -0.1}, "mirrored must be at least 0 and at most 1"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
    ],
)
def test_values_out_of_range_are_named(change: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        PerceptionConfig(**change)  # type: ignore[arg-type]


def test_conditions_that_are_none_are_named() -> None:
    with pytest.raises(ConfigError, match="each once"):
        HeldOutConfig(conditions=("fog", "fog"))
    with pytest.raises(ConfigError, match="perhaps"):
        HeldOutConfig(conditions=("fogg",))
