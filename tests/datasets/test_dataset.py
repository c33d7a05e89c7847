"""Data folders: what belongs together, and clear errors for what does not."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from navsim.config import to_mapping
from navsim.datasets.dataset import (
    DatasetDescription,
    checked_episodes,
    episode_path,
    open_dataset,
    read_description,
    write_description,
)
from navsim.datasets.episode_files import write_episode
from navsim.errors import ConfigError, EpisodeError, StorageError
from navsim.roads.generators.towns import Split
from navsim.run_folder import locked_folder
from navsim.simulation.scenario import Scenario
from tests.datasets.synthetic_episodes import TINY, assert_same_episode, made_up_episode, made_up_folder, spread


def test_folder_gives_its_episodes_back_split_by_split(tmp_path: Path) -> None:
    written = made_up_folder(tmp_path)
    everything = open_dataset(tmp_path)
    assert (len(everything), everything.frames) == (3, 3 + 4 + 5)
    for a, b in zip(everything.episodes(), written, strict=True):
        assert_same_episode(a, b)
    train, validation = (open_dataset(tmp_path, split) for split in (Split.TRAIN, Split.VALIDATION))
    assert [h.scenario.town for h in train.headers.values()] == ["train-0", "train-1"]
    assert [h.scenario.town for h in validation.headers.values()] == ["validation-0"]
    assert next(validation.episodes(images=False)).images.shape == (0, 1, 8, 16, 3)


def test_file_is_named_after_split_and_scenario() -> None:
    path = episode_path(Path("data"), Scenario("validation-3", route=7, seed=1))
    assert path == Path("data/validation/validation-3-route7-seed1.parquet")


def test_description_reads_back_and_tells_units(tmp_path: Path) -> None:
    description = DatasetDescription(TINY, {"seed": 3, "noise": {"duration": [0.5, 2.0]}}, {"numpy": "2"}, "abc")
    write_description(tmp_path, description)
    assert read_description(tmp_path) == description
    values = json.loads((tmp_path / "dataset.json").read_text())
    assert values["units"]["label"].startswith("1/m")
    assert "positive to the left" in values["units"]["label"]
    assert values["simulation"]["cameras"][0]["width"] == 16


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match=r"nowhere: is not a data folder \(it has no dataset\.json\)"):
        open_dataset(tmp_path / "nowhere")


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match="is not a data folder"):
        open_dataset(tmp_path)


def test_folder_without_episodes(tmp_path: Path) -> None:
    made_up_folder(tmp_path, train=1, validation=0)
    with pytest.raises(EpisodeError, match="holds no validation episodes; collect some"):
        open_dataset(tmp_path, Split.VALIDATION)
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(EpisodeError, match="holds no episodes"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is damaged"),
        ("[]", "dataset format None"),
        ('{"format": 7}', "dataset format 7; this version reads format 1"),
        ('{"format": 1}', "simulation"),
    ],
)
def test_damaged_description(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(EpisodeError, match=rf"dataset\.json: .*{words}"):
        open_dataset(tmp_path)


def test_half_written_file_is_no_episode(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    (tmp_path / "train" / ".train-9-route0-seed0.parquet.77.partial").write_bytes(b"half")
    assert len(open_dataset(tmp_path)) == 3


def test_episode_with_images_of_another_size(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    scenario = Scenario("train-5")
    write_episode(made_up_episode(scenario, shape=(1, 9, 16)), episode_path(tmp_path, scenario), {})
    with pytest.raises(EpisodeError, match=r"train-5.*images are \(1, 9, 16, 3\), the data folder has \(1, 8, 16, 3\)"):
        open_dataset(tmp_path)


def test_episode_with_maps_of_another_size(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    scenario = Scenario("train-5")
    write_episode(made_up_episode(scenario, map_size=12), episode_path(tmp_path, scenario), {})
    with pytest.raises(EpisodeError, match=r"road_maps are \(12, 12\), the data folder has \(10, 10\)"):
        open_dataset(tmp_path)


def test_episode_of_another_camera_or_map_of_the_same_size(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    scenario = Scenario("train-5")
    path = episode_path(tmp_path, scenario)
    episode, stored = made_up_episode(scenario), to_mapping(TINY)
    for kind, values, words in (
        (
            "cameras",
            [{**stored["cameras"][0], "fov_deg": 60.0}],
            r"cameras\.0\.fov_deg = 60\.0, the data folder has 115\.0",
        ),
        (
            "map",
            {**stored["map"], "metres_per_pixel": 2.0},
            r"map\.metres_per_pixel = 2\.0, the data folder has 1\.0",
        ),
    ):
        write_episode(episode, path, {"simulation": {**stored, kind: values}})
        with pytest.raises(EpisodeError, match=rf"train-5.*was recorded with {words}"):
            open_dataset(tmp_path)
    write_episode(episode, path, {"simulation": {"cameras": [{"width": 16}], "map": {}}})
    assert len(open_dataset(tmp_path)) == 4, "a file need not tell what later versions have added"


def test_validation_episode_moved_to_the_training_split(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    name = "validation-0-route0-seed0.parquet"
    (tmp_path / "validation" / name).rename(tmp_path / "train" / name)
    with pytest.raises(EpisodeError, match="holds the drive validation-0-route0-seed0; has it been renamed or moved"):
        open_dataset(tmp_path, Split.TRAIN)


def test_several_folders_are_one_with_the_episodes_of_all(tmp_path: Path) -> None:
    one, other, both = tmp_path / "one", tmp_path / "other", tmp_path / "both"
    made_up_folder(both, train=3, validation=2)
    spread(both, one, other)
    for split in (None, Split.TRAIN, Split.VALIDATION):
        expected = open_dataset(both, split)
        for folders in ((one, other), (other, one)):
            found = open_dataset(folders, split)
            assert [path.parts[-2:] for path in found.headers] == [path.parts[-2:] for path in expected.headers]
            assert list(found.headers.values()) == list(expected.headers.values())
            assert found.folders == (one, other)
    shutil.rmtree(other / "validation")
    assert len(open_dataset((one, other), Split.VALIDATION)) == 1
    shutil.rmtree(one / "validation")
    with pytest.raises(EpisodeError, match=r"one, .*other: holds no validation episodes; collect some: navsim collect"):
        open_dataset((one, other), Split.VALIDATION)


def test_folders_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    one, other, both = tmp_path / "one", tmp_path / "other", tmp_path / "both"
    made_up_folder(both)
    spread(both, one, other)
    with pytest.raises(ConfigError, match="must name one or more folders, each once"):
        open_dataset((one, other, tmp_path / "other" / ".." / "one"))
    with pytest.raises(ConfigError, match=r"data = \[\]: must name one or more folders"):
        open_dataset(())
    with pytest.raises(EpisodeError, match=r"nowhere: is not a data folder"):
        open_dataset((one, tmp_path / "nowhere"))
    with pytest.raises(EpisodeError, match=r"one/train/train-0-.*parquet: is also in .*both; .* different drives"):
        open_dataset((one, both))
    camera = dataclasses.replace(TINY.cameras[0], fov_deg=60.0)
    renderer = dataclasses.replace(TINY, renderer="opengl")
    for changed, text in (
        (dataclasses.replace(TINY, cameras=(camera,)), "cameras.0.fov_deg is 60.0, not 115.0"),
        (dataclasses.replace(TINY, map=dataclasses.replace(TINY.map, ego_row=6)), "map.ego_row is 6, not 7"),
        (renderer, "renderer is opengl, not tiny"),
    ):
        write_description(other, DatasetDescription(changed, {}, {}, "unknown"))
        with pytest.raises(EpisodeError, match=rf"other: was recorded in another simulation than .*one: {text}"):
            open_dataset((one, other))
    spread(both, other)
    shutil.rmtree(other / "train")
    name = "validation-0-route0-seed0.parquet"
    (other / "validation" / name).rename(one / "train" / name)
    with pytest.raises(EpisodeError, match="holds the drive validation-0-route0-seed0; has it been renamed or moved"):
        open_dataset((one, both), Split.TRAIN)


def test_foreign_file_among_the_episodes(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    (tmp_path / "train" / "notes.parquet").write_text("hello")
    with pytest.raises(EpisodeError, match=r"notes\.parquet: is damaged or not a Parquet file"):
        open_dataset(tmp_path)


def test_check_reads_every_file_and_names_the_bad_ones(tmp_path: Path) -> None:
    made_up_folder(tmp_path, train=3)
    bad = tmp_path / "train" / "train-1-route0-seed0.parquet"
    data = bytearray(bad.read_bytes())
    data[200] ^= 1  # in a column, where only reading all of it tells
    bad.write_bytes(data)
    found = dict(checked_episodes(tmp_path))
    assert len(found) == 4
    assert [path for path, error in found.items() if error is not None] == [bad]
    assert "is damaged" in str(found[bad])


def test_a_folder_that_is_being_recorded_is_not_learned_from(tmp_path: Path) -> None:
    made_up_folder(tmp_path)
    with locked_folder(tmp_path, part=(1, 2)):
        assert len(open_dataset(tmp_path)) == 3
        with pytest.raises(StorageError, match=f"{tmp_path.name}: is in use by process "):
            open_dataset(tmp_path, Split.TRAIN)
    assert len(open_dataset(tmp_path, Split.TRAIN)) == 2


def test_an_episode_that_is_replaced_after_its_header_was_read_is_named(tmp_path: Path) -> None:
    episodes = made_up_folder(tmp_path)
    dataset = open_dataset(tmp_path, Split.TRAIN)
    assert len(list(dataset.episodes())) == 2
    path = episode_path(tmp_path, episodes[1].scenario)
    write_episode(made_up_episode(episodes[1].scenario, steps=9), path, {})
    with pytest.raises(EpisodeError, match=r"train-1-route0-seed0\.parquet: has been replaced since the run began"):
        list(dataset.episodes())
