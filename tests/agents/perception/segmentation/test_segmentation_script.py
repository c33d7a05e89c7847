"""Segmentation as a user runs it: real drives with classes, training, and held-out towns under real conditions."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from agents.commands.train import train
from agents.perception.config import HeldOutConfig
from agents.perception.run import held_out_drives, read_results
from agents.perception.segmentation.pictures import CLASSES
from agents.perception.segmentation.scores import SegmentationScores
from agents.training.run_folder import RunFolder
from navsim.datasets.collection import collect
from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.world.scenery.meshes import CLASS_NAMES, SemanticClass
from tests.commands import Finished, run_command
from tests.datasets.synthetic_episodes import SHORT_COLLECTION

ROOT = Path(__file__).parents[4]
SIMULATION = replace(SHORT_COLLECTION.simulation, cameras=(Camera(width=48, height=24),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short drives in `data`."""
    folder = tmp_path_factory.mktemp("segmentation")
    config = replace(SHORT_COLLECTION, out=folder / "data", simulation=SIMULATION, channels=("classes",))
    collect(replace(config, routes_per_town=1))
    return folder


def run(folder: Path) -> Finished:
    settings = {
        "task": "segmentation",
        "data": str(folder / "data"),
        "run_dir": str(folder / "network"),
        "every": 3,
        "epochs": 2,
        "batch_size": 4,
        "network": {"widths": [4, 8], "detail": 4},
        "held_out": {"towns": 1, "every": 10, "conditions": ["", "fog"], "overlays": 2},
        "device": "cpu",
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    return run_command("train", "--config", str(folder / "train.yaml"))


def test_training_then_scores_then_done(folder: Path) -> None:
    first = run(folder)
    assert first.returncode == 0, first.stderr
    assert "pictures to learn from" in first.stdout
    assert "95% from" in first.stdout
    there = RunFolder(folder / "network")
    results = read_results(there, SegmentationScores)
    assert list(results) == ["", "fog"]
    assert all(0 <= scores.low <= scores.mean_iou <= scores.high <= 1 for scores in results.values())
    assert results[""].pictures == results["fog"].pictures > 0
    assert "road" in results[""].counted
    page = (there.path / "results.md").read_text()
    assert "| IoU | training looks | fog |" in page
    assert f"| road | {results[''].classes[0].iou:.3f} | {results['fog'].classes[0].iou:.3f} |" in page
    assert json.loads(there.metrics.read_text())["finished"]
    for name in ("training-looks", "fog"):
        picture = cv2.imread(str(there.path / "overlays" / f"{name}.png"))
        assert picture is not None
        assert picture.std() > 20


def test_an_unknown_task_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["navsim train", "--task", "flying"])
    with pytest.raises(ConfigError, match="task must be one of driving, segmentation, detection, got 'flying'"):
        train()


def test_the_same_frames_are_rendered_under_every_condition() -> None:
    drives = held_out_drives(HeldOutConfig(towns=2), SIMULATION)
    assert len({episode.scenario.town for episode in drives}) == 2
    assert all("test" in episode.scenario.town for episode in drives)
    rerenderer = EpisodeRerenderer(SIMULATION)
    try:
        clear, night, again = (CLASSES.under(rerenderer, drives, spec, 7) for spec in ("", "night", ""))
    finally:
        rerenderer.close()
    assert len(clear) == sum(len(range(0, len(episode), 7)) for episode in drives)
    assert clear.images.shape == (len(clear), 24, 48, 3)
    np.testing.assert_array_equal(clear.images, again.images)
    np.testing.assert_array_equal(clear.towns, night.towns)
    assert night.images.mean() < clear.images.mean() - 20
    ground = [SemanticClass.ROAD, SemanticClass.MARKING]
    same = np.isin(clear.labels, ground) == np.isin(night.labels, ground)
    assert same.mean() > 0.97  # the roads stay where they are
    assert clear.labels.max() < len(CLASS_NAMES)
