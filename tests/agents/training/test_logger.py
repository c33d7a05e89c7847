import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from agents.scoring.calibration import Scores
from agents.training.closed_loop import DriveScores
from agents.training.logger import History, TrainingLogger
from agents.training.run_folder import RunFolder
from agents.training.validation import epoch_record, score_key
from navsim.config import to_mapping


def scores(nll: float) -> Scores:
    return Scores(nll, None, 0.01, None, 1.0, 0.005, 0.1, (0.4, 0.7, 0.9, 0.95), 0.05, 0.01, 0.03, 12)


def add(history: History, nll: float, drives: DriveScores | None = None) -> bool:
    """Add an epoch to a history."""
    return history.add(
        epoch_record(len(history.epochs) + 1, history.step, scores(nll), {"nll": 0.0}, drives), score_key
    )


def logged(folder: RunFolder, name: str) -> list[tuple[int, float]]:
    log = EventAccumulator(str(folder.tensorboard))
    log.Reload()
    return [(event.step, event.value) for event in log.Scalars(name)]


def test_the_best_epoch_is_the_first_of_least_nll() -> None:
    history = History()
    assert history.best is None
    better = [add(history, nll) for nll in (3.0, 2.0, 2.0, 2.5, 1.0)]
    assert better == [True, True, False, False, True]
    assert history.best_epoch == 5
    assert history.best == history.epochs[4]
    assert [epoch["validation"]["nll"] for epoch in history.epochs] == [3.0, 2.0, 2.0, 2.5, 1.0]


def test_a_history_is_the_same_after_a_file() -> None:
    history = History(step=12)
    drives, seconds = DriveScores(3, 4, 0.9, 0), {"training": 1.23456}
    history.add(epoch_record(1, 12, scores(-1.25), {"nll": -1.5}, drives, seconds, 1234.56), score_key)
    assert History.of(json.loads(json.dumps(to_mapping(history) | {"best_nll": -1.25})), "test") == history
    row = history.epochs[0]
    assert (row["images_per_second"], row["seconds"], row["train_nll"]) == (1234.6, {"training": 1.235}, -1.5)
    assert row["closed_loop"] == {"arrived": 3, "routes": 4, "completion": 0.9, "unfinished": 0}


def test_once_epochs_have_driven_the_best_is_the_one_that_drove_best() -> None:
    history = History()
    epochs = [  # nll, and arrivals and completion of those that drove
        (1.0, None),
        (5.0, (1, 0.5)),  # worse NLL, but the first epoch with drives
        (0.5, None),
        (4.0, (2, 0.6)),
        (3.0, (2, 0.7)),  # as many arrivals, farther on the others
        (2.0, (2, 0.7)),  # the same drives, better prediction
        (0.1, (1, 0.9)),
    ]
    better = [add(history, nll, drives and DriveScores(drives[0], 4, drives[1], 0)) for nll, drives in epochs]
    assert better == [True, True, False, True, True, True, False]
    assert history.best_epoch == 6


def test_epochs_without_improvement_are_those_since_the_best() -> None:
    history, counts = History(), []
    for nll in (3.0, 2.0, 2.5, 2.0, 1.0, 1.5):
        add(history, nll)
        counts.append(history.epochs_without_improvement())
    assert counts == [0, 0, 1, 2, 0, 1]
    assert History().epochs_without_improvement() == 0


def test_epochs_without_drives_do_not_count_against_the_best() -> None:
    history, counts = History(), []
    for epoch in range(1, 7):
        drives = DriveScores(2, 4, 0.5, 0) if epoch % 2 == 0 else None
        add(history, 1.0, drives)
        counts.append(history.epochs_without_improvement())
    assert counts == [0, 0, 0, 1, 1, 2]


def test_metrics_hold_the_history_and_more(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    history = History()
    add(history, 0.5)
    with TrainingLogger(folder, 0) as logger:
        logger.save({"parameters": 7, **to_mapping(history)}, finished=False)
    assert not folder.finished
    metrics = folder.read_metrics()
    assert metrics["parameters"] == 7
    assert metrics["epochs"][0]["validation"]["nll_without_spike"] is None


def test_numbers_that_json_cannot_say_are_not_written(tmp_path: Path) -> None:
    with TrainingLogger(RunFolder(tmp_path), 0) as logger, pytest.raises(ValueError, match="JSON"):
        logger.save({"nll": math.nan}, finished=True)
    assert not RunFolder(tmp_path).metrics.exists()


def test_missing_scores_are_not_logged(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with TrainingLogger(folder, 0) as logger:
        logger.log_scalars("validation", {"nll": 2.0, "nll_without_spike": None}, 5)
    assert logged(folder, "validation/nll") == [(5, 2.0)]
    with pytest.raises(KeyError):
        logged(folder, "validation/nll_without_spike")


def test_a_silent_logger_writes_nothing(tmp_path: Path) -> None:
    with TrainingLogger(RunFolder(tmp_path), 0, silent=True) as logger:
        logger.log_scalars("train", {"nll": 1.0}, 1)
        logger.log_image("fans", np.zeros((4, 4, 3), np.uint8), 1)
        logger.log_histogram("activations", torch.ones(3), 1)
        logger.save({}, finished=True)
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_log_hides_what_was_lost(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with TrainingLogger(folder, 0) as logger:
        for step in (10, 20, 30):
            logger.log_scalars("train", {"nll": 1.0}, step)
    time.sleep(1.0)  # TensorBoard names and orders its files by the second
    with TrainingLogger(folder, 20) as logger:
        logger.log_scalars("train", {"nll": 2.0}, 30)
    assert logged(folder, "train/nll") == [(10, 1.0), (30, 2.0)]
