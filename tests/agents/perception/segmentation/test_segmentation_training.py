"""Learning classes from small folders."""

from pathlib import Path

import numpy as np
import pytest

from agents.perception.segmentation.pictures import CLASSES
from agents.perception.segmentation.scores import predicted_classes, score_pictures
from agents.perception.segmentation.task import (
    NETWORKS,
    SegmentationConfig,
    class_shares,
    class_weights,
    segmentation_task,
)
from navsim.config import load_config
from navsim.datasets.collection_config import CollectConfig
from navsim.errors import ConfigError, EpisodeError
from tests.agents.perception.learning import learn
from tests.agents.perception.segmentation.labelled import SHOWN, labelled_folder, labelled_pictures, small_segmentation
from tests.agents.small_runs import add_episode, small_episode, small_folder

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three towns to learn from, two to validate on."""
    return labelled_folder(tmp_path_factory.mktemp("labelled") / "data")


def test_pictures_are_every_nth_frame_with_their_towns(data: Path) -> None:
    everything, some = CLASSES.load(data, 1, 1), CLASSES.load(data, 5, 5)
    assert (len(everything.train), len(everything.validation)) == (36, 24)
    assert len(some.train) == 9
    np.testing.assert_array_equal(some.train.images[:3], everything.train.images[[0, 5, 10]])
    np.testing.assert_array_equal(some.train.labels[3:6], everything.train.labels[[12, 17, 22]])
    assert some.train.towns.tolist() == ["train-0"] * 3 + ["train-1"] * 3 + ["train-2"] * 3


def test_it_learns_the_classes_that_it_is_shown(data: Path, tmp_path: Path) -> None:
    folder = learn(segmentation_task(small_segmentation(data, tmp_path / "network")))
    network, info = NETWORKS.load(folder.best)
    fresh = labelled_pictures(20, seed=77)
    scores = score_pictures(fresh, predicted_classes(network, fresh.images), np.random.default_rng(0))
    assert scores.mean_iou > 0.9
    assert scores.counted == tuple(info.class_names[member] for member in sorted(SHOWN))
    epochs = folder.read_metrics()["epochs"]
    assert epochs[-1]["loss"] < epochs[0]["loss"] / 2


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
    assert shares[SHOWN[0]] == pytest.approx((shown.labels == SHOWN[0]).mean())


def test_drives_without_classes_are_refused_with_what_helps(tmp_path: Path) -> None:
    small_folder(tmp_path / "plain")
    with pytest.raises(EpisodeError, match=r"train-0-.*without classes; collect with channels: \[classes\]"):
        CLASSES.load(tmp_path / "plain", 1, 1)
    mixed = labelled_folder(tmp_path / "mixed")
    add_episode(mixed, small_episode("validation-7"))
    with pytest.raises(EpisodeError, match=r"validation-7-.*without classes"):
        CLASSES.load(mixed, 1, 1)


def test_a_balance_out_of_range_is_named() -> None:
    with pytest.raises(ConfigError, match=r"balance must be at least 0 and at most 1, got 1\.5"):
        SegmentationConfig(balance=1.5)


def test_the_projects_own_configuration_learns_from_the_projects_own_data() -> None:
    config = load_config(SegmentationConfig, ROOT / "configs" / "train" / "segmentation.yaml")
    collection = load_config(CollectConfig, ROOT / "configs" / "collect" / "segmentation.yaml")
    assert config.data == collection.out
    assert collection.channels == ("classes",)
    assert collection.generators == config.held_out.generators
    assert config.held_out.conditions[0] == ""
