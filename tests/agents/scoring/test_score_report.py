"""Tables, files and pictures of scores; the script as a user runs it."""

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from agents.drivers.policy_driver import PolicyDriver
from agents.policies.checkpoint import load_policy, read_info, save_checkpoint
from agents.policies.policy import Policy
from agents.scoring.calibration import SampleScores, score_samples
from agents.scoring.predictions import Predicted, ScoreConfig, predict, score_checkpoint
from agents.scoring.report import Report, figure_pixels, plot_calibration
from navsim.datasets.dataset import Dataset, open_dataset
from navsim.errors import CheckpointError, EpisodeError, ReplacedError
from navsim.evaluation.metrics.calibration import COVERAGE_Z, NOMINAL_COVERAGE
from navsim.roads.generators.towns import Split
from tests.agents.small_runs import (
    CAMERAS,
    MAP,
    add_episode,
    random_distribution,
    small_episode,
    small_folder,
    small_info,
    small_policy,
)
from tests.commands import run_command
from tests.datasets.synthetic_episodes import spread

ROOT = Path(__file__).parents[3]
KINDS = np.array([*["straight", "curve", "straight_on"] * 133, "straight"])


def made(folder: Path, head: str = "mixture") -> ScoreConfig:
    """A data folder with two validation drives and one test drive, and a checkpoint that knows nothing."""
    small_folder(folder / "data", train=1, validation=2)
    add_episode(folder / "data", small_episode("test-0", steps=7, seed=9))
    policy = small_policy(head=head)
    save_checkpoint(folder / "run" / "best.safetensors", small_info(policy), policy)
    return ScoreConfig(folder / "run" / "best.safetensors", folder / "data")


def test_several_folders_are_scored_as_one(tmp_path: Path) -> None:
    config = made(tmp_path)
    whole = score_checkpoint(config)
    one, other = tmp_path / "one", tmp_path / "other"
    spread(tmp_path / "data", one, other)
    report = score_checkpoint(ScoreConfig(config.checkpoint, (other, one)))
    assert report.mapping() == whole.mapping() | {"data": f"{other}, {one}"}


def some_samples(seed: int = 0) -> SampleScores:
    distribution = random_distribution("mixture", 400, seed)
    return score_samples(distribution, distribution.sample(torch.Generator().manual_seed(seed)))


def some_report() -> Report:
    samples = {"as trained": some_samples(0), "T = 1.500": some_samples(1)}
    return Report("best.safetensors", "data", "test", "mixture", 1.0, 1.5, "nll", samples, KINDS)


def test_every_temperature_and_manoeuvre_has_a_row() -> None:
    report = some_report()
    console = Console(width=80, record=True, file=StringIO())
    console.print(report.table().rich())
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    rows = [line.split("  ")[0] or line.split("  ")[1] for line in lines]
    for name in ("as trained", "T = 1.500", "straight", "curve", "straight on"):
        assert any(row.startswith(name) for row in rows), name
    assert all("…" not in line for line in lines)  # it fits into 80 columns
    first = next(line for line in lines if line.startswith("as trained"))
    assert first.split()[2] == "400"
    assert first.split()[3] == f"{report.scores['as trained']['all'].nll:.3f}"


def test_the_mapping_holds_all_and_can_be_json() -> None:
    report = some_report()
    values = json.loads(json.dumps(report.mapping(), allow_nan=False))
    assert values["frames"] == 400
    assert list(values["nominal_coverage"]) == [str(z) for z in COVERAGE_Z]
    assert list(values["nominal_coverage"].values()) == pytest.approx(NOMINAL_COVERAGE)
    assert list(values["scores"]) == ["as trained", "T = 1.500"]
    assert list(values["scores"]["as trained"]) == ["all", "straight", "curve", "straight_on"]
    assert values["scores"]["as trained"]["all"]["crps"] == pytest.approx(report.scores["as trained"]["all"].crps)
    assert sum(values["scores"]["T = 1.500"][name]["count"] for name in ("straight", "curve", "straight_on")) == 400


def test_the_figure_shows_each_set_and_differs_with_the_numbers() -> None:
    first, second = (figure_pixels(plot_calibration({"a": some_samples(0)}, title)) for title in ("x", "x"))
    assert first.dtype == np.uint8
    assert first.shape == (490, 1100, 3)
    assert np.array_equal(first, second)
    flat = SampleScores(*(torch.full((9,), 0.5, dtype=torch.float64) for _ in range(7)))
    assert not np.array_equal(first, figure_pixels(plot_calibration({"a": flat}, "x")))
    figure = plot_calibration({"a": some_samples(0), "b": flat}, "two")
    labels = [text.get_text() for axes in figure.axes for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert labels[:4] == ["within 3 points", "nominal", "a", "b"]
    assert labels[-1] == "b, distance 0.500"


def test_predictions_come_drive_by_drive_in_the_datasets_order(tmp_path: Path) -> None:
    config = made(tmp_path)
    dataset = open_dataset(config.data, Split.VALIDATION)
    found = predict(load_policy(config.checkpoint, CAMERAS, MAP), dataset)
    labels = [episode.labels for episode in dataset.episodes(images=False)]
    assert len(found.predictions) == 2
    for (distribution, given), expected in zip(found.predictions, labels, strict=True):
        np.testing.assert_allclose(given.cpu(), expected, rtol=1e-6)
        assert distribution.mode.shape == given.shape
    assert len(found.manoeuvres) == 24


@pytest.mark.parametrize("head", ["mixture", "bins"])
def test_calibrating_writes_what_was_fitted_and_driving_uses_it(tmp_path: Path, head: str) -> None:
    config = made(tmp_path, head)
    before = load_file(config.checkpoint)
    report = score_checkpoint(ScoreConfig(config.checkpoint, config.data, calibrate=True))
    assert list(report.samples) == ["as trained", f"T = {report.fitted_temperature:.3f}", "levels"]
    assert read_info(config.checkpoint).temperature == report.fitted_temperature
    assert all(torch.equal(value, before[name]) for name, value in load_file(config.checkpoint).items())
    scores = [by_group["all"].nll for by_group in report.scores.values()]
    assert scores[1] < scores[0]
    again = score_checkpoint(config)
    assert again.stored_temperature == report.fitted_temperature
    assert again.fitted_temperature == pytest.approx(report.fitted_temperature)
    assert len(read_info(config.checkpoint).levels) > 2
    torch.testing.assert_close(again.samples["as stored"].pit, report.samples["levels"].pit)
    driver = PolicyDriver(config.checkpoint, CAMERAS, MAP)
    assert driver._policy.temperature == report.fitted_temperature


def test_another_checkpoint_in_its_place_is_not_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path)
    other = made(tmp_path / "other", "bins").checkpoint.read_bytes()

    def predict_and_replace(policy: Policy, dataset: Dataset) -> Predicted:
        found = predict(policy, dataset)
        config.checkpoint.write_bytes(other)
        return found

    monkeypatch.setattr("agents.scoring.predictions.predict", predict_and_replace)
    with pytest.raises(ReplacedError, match="has changed since the run began"):
        score_checkpoint(ScoreConfig(config.checkpoint, config.data, calibrate=True))
    assert config.checkpoint.read_bytes() == other


def test_a_test_split_is_scored_under_the_temperature_of_the_validation_split(tmp_path: Path) -> None:
    config = made(tmp_path)
    fitted = score_checkpoint(config).fitted_temperature
    report = score_checkpoint(ScoreConfig(config.checkpoint, config.data, split=Split.TEST))
    assert report.fitted_temperature == pytest.approx(fitted)
    assert len(report.manoeuvres) == 7
    assert read_info(config.checkpoint).temperature == 1.0  # nobody asked to write it


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    config = made(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        score_checkpoint(ScoreConfig(tmp_path / "none.safetensors", config.data))
    with pytest.raises(EpisodeError, match="not a data folder"):
        score_checkpoint(ScoreConfig(config.checkpoint, tmp_path))


def test_the_script_prints_a_table_and_writes_json_and_png(tmp_path: Path) -> None:
    config = made(tmp_path)
    options = ["--checkpoint", str(config.checkpoint), "--data", str(config.data), "--objective", "coverage"]
    options.append("--calibrate")
    done = run_command("evaluate-offline", *options, env={"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    assert "as trained" in done.stdout
    assert "temperature is now" in done.stdout
    values = json.loads((tmp_path / "run" / "best-validation-scores.json").read_text())
    assert values["objective"] == "coverage"
    assert read_info(config.checkpoint).temperature == values["fitted_temperature"]
    assert (tmp_path / "run" / "best-validation-scores.png").read_bytes().startswith(b"\x89PNG")
    wrong = run_command("evaluate-offline", *options, "--checkpoint", "none")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1] == "error: none: no such checkpoint file"
