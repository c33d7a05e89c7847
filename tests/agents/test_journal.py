import json
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from agents.scoring.calibration import Scores
from agents.training.journal import History, Journal
from agents.training.run_folder import RunFolder
from navsim.config import from_mapping, to_mapping


def scores(nll: float) -> Scores:
    return Scores(nll, None, 0.01, None, 1.0, 0.005, 0.1, (0.4, 0.7, 0.9, 0.95), 0.05, 0.01, 0.03, 12)


def logged(folder: RunFolder, name: str) -> list[tuple[int, float]]:
    log = EventAccumulator(str(folder.tensorboard))
    log.Reload()
    return [(event.step, event.value) for event in log.Scalars(name)]


def test_the_best_epoch_is_the_first_of_least_nll() -> None:
    history = History()
    assert [history.add(i + 1, scores(nll), 0.0, 1.0) for i, nll in enumerate((3.0, 2.0, 2.0, 2.5, 1.0))] == [
        True,
        True,
        False,
        False,
        True,
    ]
    assert (history.best_epoch, history.best_nll) == (5, 1.0)
    assert [epoch["validation"]["nll"] for epoch in history.epochs] == [3.0, 2.0, 2.0, 2.5, 1.0]


def test_a_history_survives_its_way_through_a_file() -> None:
    history = History(step=12)
    history.add(1, scores(-1.25), -1.5, 1234.56)
    assert from_mapping(History, json.loads(json.dumps(to_mapping(history))), "test") == history
    assert history.epochs[0]["images_per_second"] == 1234.6


def test_metrics_hold_history_and_facts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    history = History()
    history.add(1, scores(0.5), 0.6, 100.0)
    with Journal(folder, 0) as journal:
        journal.save(history, finished=False, facts={"parameters": 7})
    assert not folder.finished
    metrics = folder.read_metrics()
    assert metrics["parameters"] == 7
    assert metrics["epochs"][0]["validation"]["nll_without_spike"] is None


def test_numbers_that_json_cannot_say_are_not_written(tmp_path: Path) -> None:
    history = History()
    history.add(1, scores(math.nan), 0.0, 1.0)
    with Journal(RunFolder(tmp_path), 0) as journal, pytest.raises(ValueError, match="JSON"):
        journal.save(history, finished=True, facts={})
    assert not RunFolder(tmp_path).metrics.exists()


def test_scores_that_do_not_exist_are_not_drawn(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with Journal(folder, 0) as journal:
        journal.curves("validation", {"nll": 2.0, "nll_without_spike": None}, 5)
    assert logged(folder, "validation/nll") == [(5, 2.0)]
    with pytest.raises(KeyError):
        logged(folder, "validation/nll_without_spike")


def test_a_resumed_log_hides_what_was_lost(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with Journal(folder, 0) as journal:
        for step in (10, 20, 30):
            journal.curves("train", {"nll": 1.0}, step)
    with Journal(folder, 20) as journal:
        journal.curves("train", {"nll": 2.0}, 30)
    assert logged(folder, "train/nll") == [(10, 1.0), (30, 2.0)]
