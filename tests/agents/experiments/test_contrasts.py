"""Two ways to learn set against each other: pairs are counted by part, from what evaluations have written."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.experiments.study_config import StudyConfig
from agents.experiments.study_report import ContrastRow, contrast_table, read_contrast
from navsim.config import from_mapping
from navsim.errors import ConfigError, EpisodeError
from navsim.evaluation.statistics.paired import PairedShare

KEYS = ("plain_0", "plain_1", "other_0", "other_1")
CONTRAST = {
    "title": "By part",
    "labels": ["plain", "other"],
    "first": ["plain_0", "plain_1"],
    "second": ["other_0", "other_1"],
}


def study(out: Path, **contrast: Any) -> StudyConfig:
    values = {
        "out": str(out),
        "variants": {key: {"label": key} for key in KEYS},
        "tables": [{"title": "All", "variants": list(KEYS)}],
        "contrasts": [CONTRAST | contrast],
    }
    return from_mapping(StudyConfig, values, "study")


def write_drives(config: StudyConfig, key: str, arrived: dict[str, list[bool]]) -> None:
    """Results as an evaluation writes them, as far as they are read: for each part, on which routes it arrived."""
    drives = [
        {
            "driver": "policy",
            "part": part,
            "name": f"test-{i}-route0",
            "outcome": "arrived" if there else "collided",
            "scenario": {"junctions": True},
        }
        for part, routes in arrived.items()
        for i, there in enumerate(routes)
    ]
    folder = config.evaluation(key).out
    folder.mkdir(parents=True)
    values = {"drives": drives, "drivers": {"policy": {}}, "fingerprint": "the same"}
    (folder / "results.json").write_text(json.dumps(values))


@pytest.fixture
def driven(tmp_path: Path) -> StudyConfig:
    config = study(tmp_path)
    write_drives(config, "plain_0", {"near": [True, True], "far": [True, False]})
    write_drives(config, "other_0", {"near": [True, False], "far": [True, True]})
    write_drives(config, "plain_1", {"near": [True, True], "far": [False, False]})
    write_drives(config, "other_1", {"near": [True, True], "far": [True, True]})
    return config


def test_pairs_are_counted_part_by_part_over_all_policies(driven: StudyConfig) -> None:
    rows = read_contrast(driven, driven.contrasts[0])
    assert rows == [
        ContrastRow("near", PairedShare(both=3, first_only=1, second_only=0, neither=0)),
        ContrastRow("far", PairedShare(both=1, first_only=0, second_only=3, neither=0)),
        ContrastRow("all", PairedShare(both=4, first_only=1, second_only=3, neither=0)),
    ]


def test_the_table_tells_both_shares_and_the_difference(driven: StudyConfig) -> None:
    lines = contrast_table(driven.contrasts[0], read_contrast(driven, driven.contrasts[0])).markdown().splitlines()
    assert lines[0] == "|  | plain | other | difference (95% interval) | p (McNemar) |"
    assert lines[3].startswith("| far | 1 of 4 (5% to 70%) | 4 of 4 (51% to 100%) | +75.0 (")
    assert lines[3].endswith("| 0.25 |")  # three routes, all of one side: 2 / 8


def test_variants_that_did_not_drive_the_same_are_named(driven: StudyConfig) -> None:
    path = driven.evaluation("other_1").out / "results.json"
    values = json.loads(path.read_text())
    values["drives"].pop()
    path.write_text(json.dumps(values))
    with pytest.raises(EpisodeError, match="did not drive the same routes: only one drove far test-1-route0"):
        read_contrast(driven, driven.contrasts[0])
    path.unlink()
    with pytest.raises(EpisodeError, match=r"variants\.other_1: was not run to its end"):
        read_contrast(driven, driven.contrasts[0])


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"contrast 'By part' names 'nobody'; variants are plain_0"):
        study(tmp_path, second=["other_0", "nobody"])
    with pytest.raises(ConfigError, match="as many second variants as first ones"):
        study(tmp_path, second=["other_0"])
