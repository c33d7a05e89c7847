"""Collecting with the real simulation: whole drives, whatever interrupts it, and the same data each time."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from navsim.config import from_mapping
from navsim.datasets.collection import claim_data_folder, collect, prepare_folder
from navsim.datasets.collection_config import CollectConfig, planned_towns
from navsim.datasets.dataset import DatasetDescription, open_dataset, read_description
from navsim.datasets.statistics import Statistics
from navsim.errors import ConfigError, EpisodeError, StorageError
from navsim.roads.generators.towns import Split
from navsim.run_folder import locked_folder
from navsim.simulation.scenario import Outcome
from tests.datasets.synthetic_episodes import SHORT_COLLECTION
from tests.roads.osm.osm_documents import grid

REPOSITORY = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every episode file by its place in the folder, and of whatever else lies there by mistake."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder collected without interruption by two processes."""
    folder = tmp_path_factory.mktemp("unbroken") / "data"
    collect(dataclasses.replace(SHORT_COLLECTION, out=folder, workers=2))
    return folder


@pytest.fixture
def into(tmp_path: Path) -> Callable[..., CollectConfig]:
    """The same collection into another folder."""
    return lambda **changes: dataclasses.replace(SHORT_COLLECTION, out=tmp_path / "data", **changes)


def copy_files(source: Path, target: Path, *names: str) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((source / name).read_bytes())


def test_folder_holds_every_planned_drive_and_nothing_else(unbroken: Path) -> None:
    dataset = open_dataset(unbroken)
    planned = [drive for town in planned_towns(SHORT_COLLECTION) for drive in town]
    assert [header.scenario for header in dataset.headers.values()] == planned
    assert sorted(path.name for path in unbroken.iterdir()) == [
        "dataset.json",
        "statistics.json",
        "train",
        "validation",
    ]
    assert len(contents(unbroken)) == len(planned) == 6


def test_headers_tell_under_which_conditions(unbroken: Path) -> None:
    for header in open_dataset(unbroken).headers.values():
        assert header.driver == "expert"
        assert header.outcome is Outcome.TIMED_OUT
        assert header.metadata["renderer"] == "tiny"
        assert header.metadata["noise"]["bursts_per_minute"] == 60.0
        assert header.metadata["simulation"]["cameras"][0]["width"] == 16
        assert header.recorded == ("images", "road_maps", "route_maps")


def test_drives_start_off_centre_and_are_pulled_while_labels_are_the_experts_own(unbroken: Path) -> None:
    episodes = list(open_dataset(unbroken).episodes())
    for episode in episodes:
        assert episode.offsets[0] == pytest.approx(episode.scenario.start.lateral, abs=0.05)
        assert len(episode.images) == len(episode) > 15
        assert episode.images.std() > 5
    pulls = np.concatenate([episode.commands - episode.labels for episode in episodes])
    assert (pulls == 0).any()
    assert (np.abs(pulls) > 0.002).any()


def test_statistics_agree_with_the_files(unbroken: Path) -> None:
    values = json.loads((unbroken / "statistics.json").read_text())
    recording = values.pop("recording")
    statistics = from_mapping(Statistics, values, "statistics.json")
    assert statistics.episodes == {"train": 3, "validation": 3}
    assert sum(statistics.frames.values()) == open_dataset(unbroken).frames == sum(statistics.steering_counts)
    assert statistics.outcomes == {"timed_out": 6}
    assert recording["drives"] == 6
    assert recording["steps"] == open_dataset(unbroken).frames
    assert recording["steps_per_second"] == pytest.approx(recording["steps"] / recording["seconds"])


@pytest.mark.parametrize("num_envs", [1, 3])
def test_drives_recorded_side_by_side_are_those_recorded_alone(
    unbroken: Path, into: Callable[..., CollectConfig], num_envs: int
) -> None:
    config = into(num_envs=num_envs)
    collect(config)
    assert contents(config.out) == contents(unbroken)


def test_collecting_again_finds_all_done_and_touches_nothing(unbroken: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")}
    again = collect(dataclasses.replace(SHORT_COLLECTION, out=unbroken))
    assert again.recording.drives == 0
    assert again.statistics.episodes == {"train": 3, "validation": 3}
    assert {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")} == before


def test_shards_together_give_the_same_bytes(unbroken: Path, into: Callable[..., CollectConfig]) -> None:
    for shard in ("0/2", "1/2"):
        collect(into(shard=shard))
    assert contents(into().out) == contents(unbroken)


def test_shards_at_the_same_time_give_the_same_bytes_and_the_statistics_of_all(
    unbroken: Path, into: Callable[..., CollectConfig]
) -> None:
    programs = [collecting_program(into(shard=shard, resume=True)) for shard in ("0/2", "1/2")]
    for program in programs:
        _, errors = program.communicate(timeout=240)
        assert program.returncode == 0, errors
    assert contents(into().out) == contents(unbroken)
    assert json.loads((into().out / "statistics.json").read_text())["episodes"] == {"train": 3, "validation": 3}


@pytest.mark.parametrize("shard", ["0/1", "0/2"])
def test_a_shard_that_is_being_recorded_is_refused(into: Callable[..., CollectConfig], shard: str) -> None:
    with locked_folder(into().out, part=(0, 2)):
        with pytest.raises(StorageError, match=r"data: is in use by process \d+ on "):
            collect(into(shard=shard))
        assert contents(into().out).keys() <= {".run-0-of-2.lock", ".run-0-of-2.lock.holder"}


def test_unfinished_folder_asks_for_resume_and_then_records_what_is_missing_or_damaged(
    unbroken: Path, into: Callable[..., CollectConfig]
) -> None:
    config = into(resume=True)
    names = sorted(contents(unbroken))
    copy_files(unbroken, config.out, "dataset.json", *names[:4])
    (config.out / names[0]).write_bytes(b"PAR1 damaged")
    leftover = (config.out / names[5]).with_name(f".{Path(names[5]).name}.77.partial")
    leftover.write_bytes(b"half")
    with pytest.raises(StorageError, match=r"3 of 6 drives of an unfinished run; continue it with --resume"):
        collect(into())
    assert collect(config).recording.drives == 3
    assert contents(config.out) == contents(unbroken)


def test_other_settings_are_named_and_nothing_is_touched(unbroken: Path) -> None:
    before = contents(unbroken)
    simulation = dataclasses.replace(SHORT_COLLECTION.simulation, cruise_speed=7.0)
    config = dataclasses.replace(SHORT_COLLECTION, out=unbroken, seed=1, simulation=simulation, resume=True)
    with pytest.raises(
        ConfigError, match=r"simulation\.cruise_speed is 8\.0 there, 7\.0 asked for; seed is 0 there, 1 asked for"
    ):
        collect(config)
    assert contents(unbroken) == before


def test_more_towns_and_routes_extend_a_folder_on_request(unbroken: Path, into: Callable[..., CollectConfig]) -> None:
    small = into(validation_towns=0, routes_per_town=2)
    prepare_folder(small)
    copy_files(unbroken, small.out, *[name for name in contents(unbroken) if re.search("train-0-route[01]", name)])
    before = contents(small.out)
    assert len(before) == 2
    with pytest.raises(StorageError, match=r"fewer drives \(validation_towns is 0 there, 1 asked for\); --resume adds"):
        collect(into())
    assert read_description(small.out).collection["routes_per_town"] == 2
    assert collect(into(resume=True)).recording.drives == 4
    assert contents(small.out) == contents(unbroken)
    assert read_description(small.out).collection == read_description(unbroken).collection
    assert json.loads((small.out / "statistics.json").read_text())["episodes"] == {"train": 3, "validation": 3}
    assert collect(into()).recording.drives == 0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train_towns": 2, "seed": 1}, r"settings \(seed is 0 there, 1 asked for\)"),
        ({"train_towns": 2, "routes_per_town": 2}, r"settings \(routes_per_town is 3 there, 2 asked for\)"),
        ({"validation_towns": 0}, r"settings \(validation_towns is 1 there, 0 asked for\)"),
        ({"train_towns": 2, "first_town": 1}, r"settings \(first_town is None there, 1 asked for\)"),
    ],
)
def test_a_folder_is_not_extended_by_another_collection(unbroken: Path, changes: dict[str, int], text: str) -> None:
    before = read_description(unbroken)
    with pytest.raises(ConfigError, match=text):
        collect(dataclasses.replace(SHORT_COLLECTION, out=unbroken, resume=True, **changes))  # type: ignore[arg-type]
    assert read_description(unbroken) == before


def test_a_rendering_goes_on_from_a_source_that_was_moved_or_extended(tmp_path: Path) -> None:
    def rendering(folder: str, towns: int, seed: int = 0) -> DatasetDescription:
        source = {"folder": folder, "collection": {"train_towns": towns}, "git_revision": "abc"}
        settings = {"train_towns": towns, "seed": seed, "rendered_from": source}
        return DatasetDescription(SHORT_COLLECTION.simulation, settings, {}, "abc")

    claim_data_folder(tmp_path / "data", rendering("here", 1))
    claim_data_folder(tmp_path / "data", rendering("there", 1))
    with pytest.raises(StorageError, match="train_towns is 1 there, 2 asked for"):
        claim_data_folder(tmp_path / "data", rendering("there", 2))
    claim_data_folder(tmp_path / "data", rendering("there", 2), resume=True)
    assert read_description(tmp_path / "data") == rendering("there", 2)
    with pytest.raises(ConfigError, match=r"settings \(seed is 0 there, 1 asked for\)"):
        claim_data_folder(tmp_path / "data", rendering("there", 3, seed=1), resume=True)


def test_real_towns_are_driven_beside_the_generated_ones_and_belong_to_the_split_that_is_asked_for(
    tmp_path: Path,
) -> None:
    file = grid(4, 4, 121.0).write(tmp_path / "map.osm")
    small = dataclasses.replace(SHORT_COLLECTION, train_towns=1, validation_towns=0, images=False)
    real = dataclasses.replace(small, out=tmp_path / "data", real_towns=(f"osm:{file}",), routes_per_real_town=2)
    collect(real)
    train = open_dataset(real.out, Split.TRAIN)
    assert [path.parent.name for path in train.headers] == ["train"] * real.routes_per_town + ["streets"] * 2
    assert len(open_dataset(real.out)) == len(train)
    with pytest.raises(EpisodeError, match="holds no validation episodes"):
        open_dataset(real.out, Split.VALIDATION)
    before = contents(real.out)
    moved = f"osm:{file.rename(tmp_path / 'moved.osm')}"  # the same map at another place is the same collection
    collect(dataclasses.replace(real, real_towns=(moved,)))
    assert contents(real.out) == before

    other = dataclasses.replace(
        real,
        out=tmp_path / "other",
        train_towns=0,
        real_towns=(moved,),
        real_towns_split="validation",
        routes_per_real_town=1,
        seed=1,
    )
    collect(other)
    assert list(open_dataset((real.out, other.out), Split.TRAIN).headers) == list(train.headers)
    assert len(open_dataset((real.out, other.out), Split.VALIDATION)) == 1


@pytest.mark.parametrize(
    ("towns", "text"),
    [
        (("train-1",), "real_towns must be extracts, each osm:FILE, got 'train-1'"),
        (("osm:a.osm", "osm:a.osm"), "real_towns must name each map once, got osm:a.osm, osm:a.osm"),
    ],
)
def test_real_towns_that_are_none_or_named_twice_are_refused(towns: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        CollectConfig(real_towns=towns)


def test_folder_with_other_files_is_refused(into: Callable[..., CollectConfig]) -> None:
    config = into()
    config.out.mkdir()
    (config.out / "thesis.tex").write_text("precious")
    with pytest.raises(StorageError, match=r"holds other files \(thesis\.tex, \.\.\.\) but no data"):
        prepare_folder(config)
    assert [path.name for path in config.out.iterdir()] == ["thesis.tex"]


def test_file_instead_of_a_folder_is_refused(into: Callable[..., CollectConfig]) -> None:
    config = into()
    config.out.write_text("precious")
    with pytest.raises(StorageError, match="is a file"):
        prepare_folder(config)


def test_folder_that_a_kill_left_empty_is_taken(into: Callable[..., CollectConfig]) -> None:
    config = into()
    config.out.mkdir()
    (config.out / ".dataset.json.77.partial").write_text("half")
    prepare_folder(config)
    assert [path.name for path in config.out.iterdir()] == ["dataset.json"]


def collecting_program(config: CollectConfig) -> "subprocess.Popen[str]":
    """The collection as a program of its own, in a group of processes of its own."""
    code = (
        "import dataclasses; from pathlib import Path; from tests.datasets.synthetic_episodes import SHORT_COLLECTION\n"
        "from navsim.datasets.collection import collect; from navsim.cli import run_command\n"
        f"out, shard = Path({str(config.out)!r}), {config.shard!r}\n"
        "config = dataclasses.replace(SHORT_COLLECTION, out=out, shard=shard, resume=True)\n"
        "run_command(lambda: print(collect(config)))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, text=True, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for_first_drive(folder: Path) -> None:
    until = time.monotonic() + 60
    while not any(folder.rglob("*.parquet")) and time.monotonic() < until:
        time.sleep(0.005)


@pytest.mark.linux
def test_killed_collection_goes_on_and_gives_the_same_bytes(unbroken: Path, into: Callable[..., CollectConfig]) -> None:
    config = into(resume=True)
    with collecting_program(config) as program:
        wait_for_first_drive(config.out)
        os.killpg(program.pid, signal.SIGKILL)
    recorded = {name: data for name, data in contents(config.out).items() if name.endswith(".parquet")}
    assert 0 < len(recorded) < 6
    assert recorded.items() <= contents(unbroken).items()
    collect(config)
    assert contents(config.out) == contents(unbroken)


@pytest.mark.linux
def test_interrupted_collection_leaves_whole_files_and_says_how_to_go_on(
    unbroken: Path, into: Callable[..., CollectConfig]
) -> None:
    config = into(resume=True)
    with collecting_program(config) as program:
        wait_for_first_drive(config.out)
        os.killpg(program.pid, signal.SIGINT)  # what Ctrl-C does in a terminal
        _, errors = program.communicate(timeout=60)
    assert program.returncode == 130
    assert f"interrupted; give --resume to go on with the drives in {config.out}" in errors
    assert "Traceback" not in errors
    assert contents(config.out).items() <= contents(unbroken).items()
    collect(config)
    assert contents(config.out) == contents(unbroken)
