"""Learning from small folders, whatever is learned: it repeats bit by bit, resumes, and refuses what it cannot use."""

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
from agents.perception.training import PictureTrainer
from agents.policies.checkpoint import read_info
from agents.training.optimization import OptimizerConfig
from agents.training.run_folder import RunFolder
from agents.training.runtime import StopRequest
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


def trainer(task: SomeTask) -> PictureTrainer[Any, Any]:
    return PictureTrainer(task.config, task.lesson, task.load(), RunFolder(task.config.run_dir))


def silent(count: float = 1, note: str = "") -> None:
    """Progress that nobody looks at."""


def same(one: RunFolder, other: RunFolder) -> bool:
    """Whether the last checkpoints of two runs hold the same bits."""
    there, here = load_file(one.last), load_file(other.last)
    return there.keys() == here.keys() and all(torch.equal(there[name], here[name]) for name in there)


def test_the_same_seed_gives_the_same_bits_and_another_one_others(make: Make, learned: RunFolder) -> None:
    assert same(learned, learn(make("again")))
    assert not same(learned, learn(make("other", seed=1, epochs=1)))


def test_a_run_that_is_resumed_ends_with_the_same_bits(make: Make, learned: RunFolder) -> None:
    task = make("broken")
    broken = trainer(task)
    for _ in range(task.config.epochs - 1):  # as much as a run that is broken off in its last epoch has saved
        broken.end_epoch(broken.take_epoch(StopRequest(), silent), 1.0)
    resumed = learn(make("broken", resume=True))
    assert same(learned, resumed)
    kept = [[dict(row, pictures_per_second=0) for row in run.read_metrics()["epochs"]] for run in (learned, resumed)]
    assert kept[0] == kept[1]


def test_the_best_epoch_is_kept_for_use(make: Make, learned: RunFolder) -> None:
    lesson, metrics = make("learned").lesson, learned.read_metrics()
    merits = [*map(lesson.score_key, metrics["epochs"])]
    assert metrics["best_epoch"] == 1 + merits.index(max(merits))
    assert [row["epoch"] for row in metrics["epochs"]] == [*range(1, len(merits) + 1)]
    assert not metrics["finished"]  # before it is judged
    network, info = lesson.networks.load(learned.best)
    assert not network.training
    assert len(info.progress["history"]["epochs"]) == metrics["best_epoch"]
    assert info.run["epochs"] == len(merits)


def test_ctrl_c_keeps_the_last_whole_epoch(segmentation: Make) -> None:
    stopped, stop = trainer(segmentation("stopped")), StopRequest()
    stop.make()
    with pytest.raises(KeyboardInterrupt, match="stopped in epoch 1 of 4; the same command with --resume"):
        stopped.take_epoch(stop, silent)
    assert stopped.history.step == 0
    assert not stopped.folder.last.exists()


def test_a_loss_that_is_not_finite_ends_the_run_with_what_helps(segmentation: Make) -> None:
    wild = segmentation("wild", optimizer=OptimizerConfig(learning_rate=0.5, max_gradient_norm=1e30))
    broken = trainer(wild)
    with torch.no_grad():
        next(broken.learned.network.parameters()).fill_(torch.nan)
    with pytest.raises(ConfigError, match=r"loss is nan at step 9; lower optimizer.learning_rate \(now 0.5\)"):
        broken.take_epoch(StopRequest(), silent)


def test_other_cameras_are_not_continued_with(segmentation: Make) -> None:
    task = segmentation("cameras", epochs=1)
    folder, loaded = learn(task), task.load()
    turned = tuple(replace(camera, yaw_deg=5.0) for camera in loaded.simulation.cameras)
    other = replace(loaded, simulation=replace(loaded.simulation, cameras=turned))
    with pytest.raises(CheckpointError, match="was trained on other cameras"):
        PictureTrainer(task.config, task.lesson, other, folder)


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
    ("change", "words"),
    [
        ({"mirrored": -0.1}, "mirrored must be 0 to 1"),
        ({"every": 0}, "every must be 1 to 1000000, got 0"),
        ({"batch_size": 1}, "batch_size must be 2"),
    ],
)
def test_values_out_of_range_are_named(change: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PerceptionConfig(**change)  # type: ignore[arg-type]


def test_conditions_that_are_none_are_named() -> None:
    with pytest.raises(ConfigError, match="each once"):
        HeldOutConfig(conditions=("fog", "fog"))
    with pytest.raises(ConfigError, match="perhaps"):
        HeldOutConfig(conditions=("fogg",))
