"""torchvision's detector behind the same interface where it can be imported, and one clear line where it cannot."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.perception.detection.faster_rcnn import why_no_torchvision
from agents.perception.detection.pictures import DetectionConfig
from agents.perception.detection.task import DETECTORS, build_detector, detection_task, found_objects, score_pictures
from agents.training.optimization import OptimizerConfig
from navsim.errors import ConfigError
from tests.agents.perception.detection.boxed import CAMERA, boxed_folder, boxed_pictures, small_detection
from tests.agents.perception.learning import learn

ROOT = Path(__file__).parents[4]
REASON = why_no_torchvision()
missing = pytest.mark.skipif(REASON is None, reason="torchvision can be imported here")
needed = pytest.mark.skipif(REASON is not None, reason=f"{REASON}")


@missing
def test_where_it_is_missing_the_run_is_skipped_with_one_line(tmp_path: Path) -> None:
    words = ["scripts/train.py", "--config", "configs/train/faster_rcnn.yaml", "--run-dir", str(tmp_path / "run")]
    ended = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = ended.stdout.strip().splitlines()
    assert line.startswith("skipped: torchvision cannot be imported (No module named 'torchvision')")
    assert "pip install -e '.[detection]'" in line
    assert not (tmp_path / "run").exists()


@missing
def test_where_it_is_missing_it_cannot_be_built() -> None:
    with pytest.raises(ConfigError, match="detector = 'torchvision': torchvision cannot be imported"):
        build_detector("torchvision", 3, CAMERA, 0)


@needed
def test_it_learns_to_find_what_it_is_shown(tmp_path: Path) -> None:
    config = small_detection(boxed_folder(tmp_path / "data"), tmp_path / "run", epochs=24, batch_size=8)
    config = replace(config, detector="torchvision", optimizer=OptimizerConfig(2e-3, max_gradient_norm=5.0))
    detector, info = DETECTORS.load(learn(detection_task(config)).best)
    assert info.detector == "torchvision"
    fresh = boxed_pictures(40, seed=77)
    scores = score_pictures(fresh, found_objects(detector, fresh.images), np.random.default_rng(0))
    assert scores.mean.ap50 is not None
    assert scores.mean.ap50.value > 0.5
    assert DetectionConfig().detector == "own"
