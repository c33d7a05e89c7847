"""Studies: their settings are checked at the start, and a small one is run for real."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.experiments.study_config import StudyConfig, StudyContrast, Variant, check_networks
from agents.experiments.study_report import Finding, page, read_finding
from navsim.config import from_mapping, load_config, merged
from navsim.errors import ConfigError, EpisodeError

ROOT = Path(__file__).parents[3]
SIMULATION = {
    "cameras": [{"width": 48, "height": 40}],
    "map": {"size_px": 40, "ego_row": 28, "metres_per_pixel": 1.5},
}


def study(out: Path, **changes: Any) -> dict[str, Any]:
    """A small study as plain values."""
    values: dict[str, Any] = {
        "title": "Two networks",
        "out": str(out),
        "page": str(out / "page.md"),
        "data": {"data": {"train_towns": 1, "validation_towns": 1, "routes_per_town": 1, "simulation": SIMULATION}},
        "train": {"epochs": 1, "pictures": 0, "policy": {"hidden": 16}},
        "evaluate": {"routes": 2, "lane_routes": 0, "towns": 1, "film": False},
        "variants": {
            "seeing": {"label": "with a camera"},
            "blind": {"label": "blind", "train": {"policy": {"blind": True}}},
        },
        "tables": [{"title": "Seeing or not", "variants": ["seeing", "blind"]}],
        "contrasts": [{"title": "In pairs", "labels": ["seeing", "blind"], "first": ["seeing"], "second": ["blind"]}],
    }
    return merged(values, changes)


def test_variants_are_laid_over_the_recipe(tmp_path: Path) -> None:
    config = from_mapping(StudyConfig, study(tmp_path), "study")
    blind, seeing = config.training("blind"), config.training("seeing")
    assert blind.policy.blind
    assert not seeing.policy.blind
    assert blind.policy.hidden == seeing.policy.hidden == 16
    assert blind.data == seeing.data == tmp_path / "data"
    assert blind.run_dir != seeing.run_dir
    evaluation = config.evaluation("blind")
    assert evaluation.policy == blind.run_dir / "best.safetensors"
    assert evaluation.simulation == config.collection("data").simulation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"epoch": 3}}, r"variants.seeing.train: epoch = 3: unknown key; perhaps you meant 'epochs'"),
        ({"train": {"run_dir": "elsewhere"}}, r"variants.seeing.train.run_dir: the study decides it"),
        ({"variants": {"odd": {"label": "odd", "data": "other"}}}, r"variants.odd.data = 'other'; data sets are data"),
        ({"tables": [{"title": "T", "variants": ["nobody"]}]}, r"names 'nobody'; variants are seeing, blind"),
        ({"data": {"data": {"train_towns": -1}}}, r"data.data: .*train_towns"),
        ({"side_by_side": 0}, r"side_by_side must be at least 1, got 0"),
        ({"tables": []}, r"needs variants and tables"),
    ],
)
def test_mistakes_are_named_before_anything_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(StudyConfig, study(tmp_path, **changes), "study")


def test_a_network_that_the_cameras_do_not_suit_is_named_before_anything_runs(tmp_path: Path) -> None:
    values = study(tmp_path, variants={"blind": {"train": {"policy": {"network": "pilotnet", "hidden": None}}}})
    with pytest.raises(ConfigError, match=r"variants\.blind: images of 48x40 px are too small"):
        check_networks(from_mapping(StudyConfig, values, "study"))


def test_the_page_shows_every_table_with_its_rows_in_order(tmp_path: Path) -> None:
    config = from_mapping(StudyConfig, study(tmp_path), "study")
    findings = {
        "seeing": Finding("with a camera", 99, 100, (0.945, 0.998), 0.995, 0.04, 0.123, -3.456, 1_234_567, 7.04),
        "blind": Finding("blind", 0, 100, (0.0, 0.037), 0.1, None, None, -1.0, 10, 0.5),
    }
    text = page(config, findings, "On two cores.")
    assert text.startswith("# Two networks\n")
    assert "On two cores." in text
    assert "* `data`: 1 drives in 1 towns to learn from, 1 to validate on; 1 camera of 48x40" in text
    rows = [line for line in text.splitlines() if line.startswith(("| with", "| blind"))]
    first = "| with a camera | 99 of 100 | 94% to 100% | 99.5% | 0.04 | 0.12 m | -3.46 | 1,234,567 | 7.0 |"
    assert rows[0] == first
    assert rows[1] == "| blind | 0 of 100 | 0% to 4% | 10.0% | - | - | -1.00 | 10 | 0.5 |"


def test_a_variant_that_was_not_run_is_named(tmp_path: Path) -> None:
    config = from_mapping(StudyConfig, study(tmp_path), "study")
    with pytest.raises(EpisodeError, match=r"seeing/policy/metrics.json: missing"):
        read_finding(config, "seeing")


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "studies").glob("*.yaml")))
def test_the_projects_own_studies_are_sound(path: Path) -> None:
    config = load_config(StudyConfig, path)
    shown = {key for table in config.tables for key in table.variants}
    assert shown == set(config.variants), "every variant stands in a table"
    check_networks(config)


def test_the_ablation_gives_every_variant_the_same_network_and_budget() -> None:
    config = load_config(StudyConfig, ROOT / "configs" / "studies" / "ablation.yaml")
    assert len({config.training(key).policy for key in config.variants}) == 1
    for key, variant in config.variants.items():
        collection, training = config.collection(variant.data), config.training(key)
        drives = [collection.train_towns * collection.routes_per_town]
        drives += [training.dagger.routes] * training.dagger.rounds
        assert sum(drives) == 40, key
        epochs = [training.epochs] + [training.dagger.epochs] * training.dagger.rounds
        passes = sum(count * sum(drives[: number + 1]) for number, count in enumerate(epochs))
        assert passes == pytest.approx(320, rel=0.07), key
        driven = sum(sum(training.closed_loop.due(epoch, count) for epoch in range(1, count + 1)) for count in epochs)
        assert driven == 3, key
    clean = config.collection("clean")
    assert clean.noise.bursts_per_minute == clean.start.lateral_sigma == clean.start.heading_sigma_deg == 0.0
    assert config.collection("half_clean") == replace(clean, out=config.out / "half_clean", train_towns=10)


@pytest.mark.slow
def test_a_small_study_runs_and_running_it_again_repeats_nothing(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study(tmp_path / "out")))
    command = [sys.executable, "scripts/run_study.py", "--config", str(tmp_path / "study.yaml")]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    text = (tmp_path / "out" / "page.md").read_text()
    assert "| with a camera | " in text
    assert "| blind | " in text
    assert "## In pairs" in text
    assert "| all | " in text
    results = json.loads((tmp_path / "out" / "blind" / "drives" / "results.json").read_text())
    assert results["drivers"]["policy"]["routes"] == 2
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(times) == 4
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == times


def test_files_with_the_old_keys_stay_readable() -> None:
    old = {"title": "In pairs", "words": ["a", "b"], "first": ["one"], "second": ["two"]}
    assert from_mapping(StudyContrast, old, "study.yaml").labels == ("a", "b")
    assert from_mapping(Variant, {"words": "a way"}, "study.yaml").label == "a way"
