"""A checkpoint's offline scores are those of its own epoch."""

import json
from pathlib import Path

import pytest

from navsim.errors import CheckpointError
from navsim.evaluation.reports.compare_page import offline_score


def run_folder(folder: Path, scores: list[tuple[float, float]], best: int) -> Path:
    epochs = [{"validation": {"nll": nll, "curvature_error": error}} for nll, error in scores]
    (folder / "metrics.json").write_text(json.dumps({"best_epoch": best, "epochs": epochs}))
    return folder


def test_best_and_last_are_different_epochs(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, [(-3.0, 0.02), (-4.5, 0.01), (-4.0, 0.015)], 2)
    best, last = (offline_score(folder / f"{name}.safetensors") for name in ("best", "last"))
    assert best is not None
    assert last is not None
    assert (best.epoch, best.nll, best.curvature_error) == (2, -4.5, 0.01)
    assert (last.epoch, last.nll, last.curvature_error) == (3, -4.0, 0.015)


def test_what_comes_from_no_run_has_no_scores(tmp_path: Path) -> None:
    assert offline_score(tmp_path / "best.safetensors") is None
    run_folder(tmp_path, [], 0)
    assert offline_score(tmp_path / "best.safetensors") is None
    assert offline_score(tmp_path / "policy.onnx") is None
    assert offline_score(Path("the true state")) is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"epochs": [{}], "best_epoch": 1}')
    with pytest.raises(CheckpointError, match=r"metrics\.json: cannot be read"):
        offline_score(tmp_path / "best.safetensors")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"metrics\.json: cannot be read"):
        offline_score(tmp_path / "best.safetensors")
