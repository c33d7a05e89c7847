"""Learning classes from small folders: it learns, repeats bit by bit, resumes, and refuses what it cannot use."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agents.segmentation.checkpoint import load_segmentation
from agents.segmentation.config import HeldOutConfig, SegmentationConfig
from agents.segmentation.network import SegmentationNetworkConfig
from agents.segmentation.pictures import load_segmentation_data
from agents.segmentation.prediction import predicted_classes, score_pictures
from agents.segmentation.training import (
    SegmentationTrainer,
    class_shares,
    class_weights,
    train_segmentation,
)
from agents.training.interruption import StopRequest
from agents.training.optimization import OptimizerConfig
from agents.training.run_folder import RunFolder
from navsim.config import load_config
from navsim.errors import CheckpointError, ConfigError, EpisodeError
from navsim.recording.plan import CollectConfig
from tests.agents.segmentation.labelled import SHOWN, labelled_folder, labelled_pictures
from tests.agents.small_runs import add_episode, small_episode, small_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three towns to learn from, two to validate on."""
    return labelled_folder(tmp_path_factory.mktemp("labelled") / "data")


def small_config(data: Path, run: Path, **changes: object) -> SegmentationConfig:
    """A run of four epochs of nine steps."""
    config = SegmentationConfig(
        data=data,
        run_dir=run,
        every=1,
        epochs=4,
        batch_size=4,
        network=SegmentationNetworkConfig((8, 16), 8),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        device="cpu",
        precision="float32",
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def silent(count: float = 1, note: str = "") -> None:
    """Progress that nobody looks at."""


def learn(config: SegmentationConfig) -> RunFolder:
    folder = RunFolder(config.run_dir)
    train_segmentation(config, load_segmentation_data(config.data, config.every), folder)
    return folder


@pytest.fixture(scope="module")
def learned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> SegmentationConfig:
    """A run that was made."""
    config = small_config(data, tmp_path_factory.mktemp("run") / "network")
    learn(config)
    return config


def test_pictures_are_each_so_many_th_frame_with_their_towns(data: Path) -> None:
    everything, some = load_segmentation_data(data, 1), load_segmentation_data(data, 5)
    assert (len(everything.train), len(everything.validation)) == (36, 24)
    assert len(some.train) == 9
    np.testing.assert_array_equal(some.train.images[:3], everything.train.images[[0, 5, 10]])
    np.testing.assert_array_equal(some.train.classes[3:6], everything.train.classes[[12, 17, 22]])
    assert some.train.towns.tolist() == ["train-0"] * 3 + ["train-1"] * 3 + ["train-2"] * 3


def test_it_learns_to_tell_classes_that_it_is_shown(learned: SegmentationConfig) -> None:
    network, info = load_segmentation(RunFolder(learned.run_dir).best)
    fresh = labelled_pictures(20, seed=77)
    scores = score_pictures(fresh, predicted_classes(network, fresh.images), np.random.default_rng(0))
    assert scores.mean_iou > 0.9
    assert scores.counted == tuple(info.class_names[member] for member in sorted(SHOWN))
    metrics = RunFolder(learned.run_dir).read_metrics()
    assert metrics["epochs"][-1]["loss"] < metrics["epochs"][0]["loss"] / 2
    assert metrics["best_epoch"] == 1 + np.argmax([row["validation"]["mean_iou"] for row in metrics["epochs"]])
    assert not metrics["finished"]


def test_the_same_seed_gives_the_same_bits_and_another_one_others(learned: SegmentationConfig, tmp_path: Path) -> None:
    again = learn(replace(learned, run_dir=tmp_path / "again"))
    other = learn(replace(learned, run_dir=tmp_path / "other", seed=1))
    weights = [load_file(folder.last) for folder in (RunFolder(learned.run_dir), again, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["network.scores.weight"], weights[2]["network.scores.weight"])


def test_a_run_that_is_resumed_ends_with_the_same_bits(learned: SegmentationConfig, tmp_path: Path) -> None:
    config = replace(learned, run_dir=tmp_path / "broken")
    loaded, folder = load_segmentation_data(config.data, 1), RunFolder(config.run_dir)
    trainer = SegmentationTrainer(config, loaded, folder)
    for _ in range(2):  # as much as a run that is broken off in its third epoch has saved
        loss = trainer.take_epoch(StopRequest(), silent)
        trainer.save(trainer.history.add(trainer.history.step, loss, trainer.validate(), 1.0))
    learn(replace(config, resume=True))
    there, here = load_file(RunFolder(learned.run_dir).last), load_file(folder.last)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)
    assert [row["step"] for row in folder.read_metrics()["epochs"]] == [9, 18, 27, 36]


def test_ctrl_c_keeps_the_last_whole_epoch(learned: SegmentationConfig, tmp_path: Path) -> None:
    config = replace(learned, run_dir=tmp_path / "stopped")
    trainer = SegmentationTrainer(config, load_segmentation_data(config.data, 1), RunFolder(config.run_dir))
    stop = StopRequest()
    stop.make()
    with pytest.raises(KeyboardInterrupt, match="stopped in epoch 1 of 4; the same command with --resume"):
        trainer.take_epoch(stop, silent)
    assert trainer.history.step == 0


def test_weights_of_classes_by_hand() -> None:
    shares = np.array([0.64, 0.36, 0.0])
    np.testing.assert_allclose(class_weights(shares, 0.0), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(class_weights(shares, 1.0), [1 / 1.28, 1 / 0.72, 0.0])
    half = class_weights(shares, 0.5)
    assert half[1] / half[0] == pytest.approx(0.8 / 0.6)
    assert (half * shares).sum() == pytest.approx(1.0)


def test_shares_are_of_pixels() -> None:
    shown = labelled_pictures(4)
    shares = class_shares(shown)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[SHOWN[0]] == pytest.approx((shown.classes == SHOWN[0]).mean())


def test_other_cameras_are_not_continued_with(learned: SegmentationConfig, tmp_path: Path) -> None:
    loaded = load_segmentation_data(learned.data, 1)
    turned = tuple(replace(camera, yaw_deg=5.0) for camera in loaded.simulation.cameras)
    other = replace(loaded, simulation=replace(loaded.simulation, cameras=turned))
    with pytest.raises(CheckpointError, match="was trained on other cameras"):
        SegmentationTrainer(learned, other, RunFolder(learned.run_dir))


def test_drives_without_classes_are_refused_with_what_helps(tmp_path: Path) -> None:
    small_folder(tmp_path / "plain")
    with pytest.raises(EpisodeError, match=r"train-0-.*without classes; collect with channels: \[classes\]"):
        load_segmentation_data(tmp_path / "plain", 1)
    mixed = labelled_folder(tmp_path / "mixed")
    add_episode(mixed, small_episode("validation-7"))
    with pytest.raises(EpisodeError, match=r"validation-7-.*without classes"):
        load_segmentation_data(mixed, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"balance": 1.5}, "balance must be 0 to 1, got 1.5"),
        ({"mirrored": -0.1}, "mirrored must be 0 to 1"),
        ({"every": 0}, "every must be 1 to 1000000, got 0"),
        ({"batch_size": 1}, "batch_size must be 2"),
    ],
)
def test_values_out_of_range_are_named(change: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SegmentationConfig(**change)  # type: ignore[arg-type]


def test_conditions_that_are_none_are_named() -> None:
    with pytest.raises(ConfigError, match="each once"):
        HeldOutConfig(conditions=("fog", "fog"))
    with pytest.raises(ConfigError, match="perhaps"):
        HeldOutConfig(conditions=("fogg",))


def test_the_projects_own_configuration_learns_from_the_projects_own_data() -> None:
    config = load_config(SegmentationConfig, ROOT / "configs" / "train" / "segmentation.yaml")
    collection = load_config(CollectConfig, ROOT / "configs" / "collect" / "segmentation.yaml")
    assert config.data == collection.out
    assert collection.channels == ("classes",)
    assert collection.generators == config.held_out.generators
    assert config.held_out.conditions[0] == ""
