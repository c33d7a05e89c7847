"""Runs over drives: stored results, refused settings, and the tables."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.localization.config import CASES, LocalizationCase, LocalizeConfig
from agents.localization.report import markdown, paired_score, paired_scores, summarise_score
from agents.localization.run import (
    LocalizationJob,
    identity,
    make_worker,
    open_policy,
    read_result,
    recorded_drive,
    result_path,
    run_drives,
    scenarios,
    spread_drives,
)
from agents.localization.tracking import Track
from agents.localization.tuning import summarise_trial, time_updates
from agents.policies.checkpoint import CheckpointInfo, save_checkpoint
from agents.policies.networks.config import PolicyConfig
from agents.policies.networks.observation_batch import observation_spec
from agents.policies.policy import build_policy
from navsim.config import load_config
from navsim.datasets.dataset import IDENTITY_NAME
from navsim.errors import CheckpointError, ConfigError, EpisodeError, ReplacedError, StorageError, TownError
from navsim.localization.likelihoods import ExponentConfig
from navsim.provenance import InputFile
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario
from tests.roads.osm.osm_documents import cross

ROOT = Path(__file__).parents[3]
CAMERAS, MAP = (Camera(width=32, height=32),), MapSpec(size_px=20, ego_row=14)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save an untrained policy that sees the unrouted map."""
    config = PolicyConfig(inputs=("camera", "road_map"), hidden=16)
    policy = build_policy(config, observation_spec(CAMERAS, MAP), seed=0)
    path = tmp_path_factory.mktemp("policy") / "best.safetensors"
    save_checkpoint(path, CheckpointInfo(config, CAMERAS, MAP), policy)
    return path


def small(checkpoint: Path, out: Path) -> LocalizeConfig:
    """Return settings for one drive of 120 m by three methods."""
    return LocalizeConfig(
        checkpoint=checkpoint,
        out=out,
        drives=1,
        length=120.0,
        town="village-test-0",
        cases=(LocalizationCase("gps10", 10.0), LocalizationCase("none")),
        methods=("gps", "roads", "network_roads"),
        workers=1,
    )


@pytest.fixture(scope="module")
def finished(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalizeConfig, dict[str, float]]:
    """Finish a small run; returns its settings and when its files were written."""
    config = small(checkpoint, tmp_path_factory.mktemp("run") / "out")
    run_drives(config)
    return config, {str(path): path.stat().st_mtime for path in config.out.rglob("*.*")}


def track(errors: list[float], levels: list[float] | None = None) -> Track:
    count = len(errors)
    zeros, steps = np.zeros(count), np.arange(float(count))
    return Track(
        times=steps,
        distances=5 * steps,
        junctions=np.floor(steps / 2),
        errors=np.array(errors),
        heading_errors=np.full(count, 0.1),
        fix_errors=np.full(count, np.nan),
        fix_heading_errors=np.full(count, np.nan),
        entropies=zeros + 3,
        levels=np.array(levels or [0.4] * count),
        near=zeros + 0.8,
        candidates=zeros + 500,
        seconds=zeros + 0.05,
    )


def test_a_run_stores_each_drives_tracks_and_skips_finished_drives(
    finished: tuple[LocalizeConfig, dict[str, float]],
) -> None:
    config, before = finished
    (scenario,) = scenarios(config)
    tracks = run_drives(config)[scenario]
    assert {str(path): path.stat().st_mtime for path in config.out.rglob("*.*")} == before
    assert {case: set(found) for case, found in tracks.items()} == {
        "gps10": {"gps", "roads", "network_roads"},
        "none": {"roads", "network_roads"},  # GPS alone has no information there
    }
    assert len({len(found.times) for case in tracks.values() for found in case.values()}) == 1
    assert tracks["gps10"]["roads"].errors[-1] < 10


def test_results_of_other_settings_are_not_mixed(finished: tuple[LocalizeConfig, dict[str, float]]) -> None:
    config, _ = finished
    with pytest.raises(ConfigError, match="exponents"):
        run_drives(replace(config, exponents=ExponentConfig(roads=0.5)))
    assert identity(replace(config, drives=9)) == identity(config)  # more drives may be added


def test_results_of_a_version_with_other_keys_are_continued(finished: tuple[LocalizeConfig, dict[str, float]]) -> None:
    config, _ = finished
    path = config.out / IDENTITY_NAME
    text = path.read_text()
    path.write_text(text.replace('"outlier_probability"', '"unforeseen"').replace('"kidnap_probability"', '"jump"'))
    assert path.read_text() != text
    run_drives(config)
    path.write_text(text)


def test_a_damaged_result_is_named(finished: tuple[LocalizeConfig, dict[str, float]], tmp_path: Path) -> None:
    config = replace(finished[0], out=tmp_path)
    (scenario,) = scenarios(config)
    path = result_path(config, scenario)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(StorageError, match="remove it"):
        read_result(config, scenario)


def test_drives_with_other_images_are_refused(finished: tuple[LocalizeConfig, dict[str, float]]) -> None:
    config, _ = finished
    (scenario,) = scenarios(config)
    wide = SimulationConfig(cameras=(Camera(width=64, height=32),), map=MAP)
    with pytest.raises(EpisodeError, match="trained with"):
        recorded_drive(config.out / "drives", scenario, wide)


def test_a_policy_without_the_unrouted_map_is_named(tmp_path: Path) -> None:
    config = PolicyConfig(inputs=("camera", "route_map"), hidden=16)
    path = tmp_path / "routed.safetensors"
    info = CheckpointInfo(config, CAMERAS, MAP)
    save_checkpoint(path, info, build_policy(config, observation_spec(CAMERAS, MAP), seed=0))
    with pytest.raises(CheckpointError, match=r"routed\.safetensors.*unrouted map"):
        open_policy(path)


def test_a_checkpoint_that_is_replaced_is_not_used(checkpoint: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(checkpoint, tmp_path / "policy.safetensors"))
    job = LocalizationJob(small(path, tmp_path / "out"), InputFile.of(path))
    make_worker(job)
    path.write_bytes(b"another policy")
    with pytest.raises(ReplacedError, match=r"policy\.safetensors: has changed since the run began"):
        make_worker(job)


def test_a_town_without_routes_is_refused_before_the_first_drive(checkpoint: Path, tmp_path: Path) -> None:
    town = f"osm:{cross().write(tmp_path / 'cross.osm')}"
    with pytest.raises(TownError, match=r"cross\.osm: found no route of 1900 to 2100 m .*\(wanted 2 routes through"):
        run_drives(replace(small(checkpoint, tmp_path / "out"), town=town, drives=2, length=2000.0))
    assert not (tmp_path / "out").exists()


def test_towns_take_turns_and_routes_differ() -> None:
    drives = spread_drives(["test-0", "grid-test-0"], 5, 1000.0)
    assert [(drive.town, drive.route) for drive in drives] == [
        ("test-0", 0), ("grid-test-0", 0), ("test-0", 1), ("grid-test-0", 1), ("test-0", 2),
    ]  # fmt: skip
    assert len({drive.name for drive in drives}) == 5
    assert all(isinstance(drive, Scenario) and drive.length == 1000.0 for drive in drives)


def test_scores_by_hand() -> None:
    tracks = [
        track([90.0, 8.0, 4.0, 2.0], [1.0, 0.95, 0.7, 0.2]),
        track([70.0, 60.0, 6.0, 6.0]),
        track([50.0, 5.0, 5.0, 80.0]),
    ]
    found = summarise_score("none", "roads", tracks)
    assert found.error.value == 6.0  # of 3, 6 and 42.5
    assert found.start_error.value == 70.0
    assert found.found.value == pytest.approx(2 / 3)
    assert found.found_after is not None
    assert found.found_after.value == 7.5  # of 5 and 10 m
    assert found.junctions is not None
    assert found.junctions.value == 0.5
    assert found.within_50.value == pytest.approx((0.25 + 1 + 1) / 3)
    assert found.within_90.value == pytest.approx((0.5 + 1 + 1) / 3)
    assert found.heading_error_deg.value == pytest.approx(np.degrees(0.1))
    assert found.fix_error is None
    assert found.updates_per_second == pytest.approx(20.0)
    assert found.error.low <= 6.0 <= found.error.high


def test_methods_are_compared_with_their_baselines(finished: tuple[LocalizeConfig, dict[str, float]]) -> None:
    config, _ = finished
    rows = paired_scores(config, run_drives(config))
    # Odometry alone was not run, so that map matching has no baseline.
    assert [(row.case, row.method, row.baseline) for row in rows] == [
        ("gps10", "network_roads", "roads"), ("none", "network_roads", "roads"),
    ]  # fmt: skip
    page = markdown("A title", [], rows, "Map data © somebody")
    assert page.rstrip().endswith("Map data © somebody")
    assert "| gps10 | odometry, map matching, network | odometry, map matching |" in page


def test_paired_scores_by_hand() -> None:
    drives = [
        {"network_roads": track([90.0, 9.0, 4.0, 2.0]), "roads": track([90.0, 11.0, 5.0, 4.0])},  # 3 - 4.5 m
        {"network_roads": track([90.0, 9.0, 7.0, 7.0]), "roads": track([90.0, 9.0, 6.0, 8.0])},  # 7 - 7 m
        {"network_roads": track([90.0, 9.0, 60.0, 30.0]), "roads": track([90.0, 9.0, 6.0, 8.0])},  # 45 - 7 m
    ]
    found = paired_score("none", "network_roads", "roads", drives)
    assert found.drives == 3
    assert found.error.value == 0.0
    assert (found.error.low, found.error.high) == (-1.5, 38.0)
    assert found.near.value == pytest.approx((0.25 + 0.0 - 0.5) / 3)
    assert (found.entropy.value, found.entropy.low, found.entropy.high) == (0.0, 0.0, 0.0)


def test_the_table_names_cases_and_methods() -> None:
    page = markdown("A title", [summarise_score("none", "roads", [track([20.0, 30.0]), track([20.0, 40.0])])])
    assert page.startswith("# A title")
    assert "| none | odometry, map matching | 35.0 (30.0 to 40.0) |" in page
    assert "| 0% (" in page


def test_overconfidence_lowers_the_score_in_tuning() -> None:
    scenario = Scenario()
    sure = summarise_trial("roads", 1.0, {scenario: {"none": {"roads": track([50.0, 50.0], [1.0, 1.0])}}})
    right = summarise_trial("roads", 0.1, {scenario: {"none": {"roads": track([5.0, 5.0], [0.3, 0.8])}}})
    assert sure.miscalibration == pytest.approx((0.5 + 0.9) / 2)
    assert right.miscalibration == pytest.approx((0.0 + 0.1) / 2)
    assert (sure.near, right.near) == (0.0, 1.0)
    assert sure.log_score == pytest.approx(np.log(0.2))
    assert right.log_score == pytest.approx(np.log(0.8))


def test_updates_can_be_timed(checkpoint: Path, tmp_path: Path) -> None:
    rows = time_updates(small(checkpoint, tmp_path))
    assert {row.maps for row in rows} == {"new", "remembered"}
    assert all(row.updates_per_second > 0 and row.candidates == 2000 for row in rows)


@pytest.mark.parametrize("name", ["calibrate", "network", "quick", "standard", "streets", "tune"])
def test_configurations_are_valid(name: str) -> None:
    config = load_config(LocalizeConfig, ROOT / "configs" / "localize" / f"{name}.yaml")
    assert len(scenarios(replace(config, town=config.town and "test-0"))) == config.drives
    split = "validation" if config.action in ("tune", "calibrate") else "test"
    assert config.town or all(split in town for town in config.town_names)


def test_the_standard_run_has_its_published_size() -> None:
    config = load_config(LocalizeConfig, ROOT / "configs" / "localize" / "standard.yaml")
    assert config.drives >= 50
    assert config.length == 1000.0
    assert [case.gps_sigma for case in config.cases[:4]] == [5.0, 10.0, 20.0, 40.0]
    assert config.cases == CASES


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"drives": 0}, "drives"),
        ({"length": 20.0}, "length"),
        ({"cases": (LocalizationCase(), LocalizationCase())}, "must differ"),
        ({"tried": (2.0,)}, "tried"),
        ({"workers": 0}, "workers"),
    ],
)
def test_invalid_settings_are_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        LocalizeConfig(**changes)  # type: ignore[arg-type]
