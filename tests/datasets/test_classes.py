"""The class of each pixel, recorded beside the images of real drives, and added to recorded drives by rerendering."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from navsim.datasets.collection import collect
from navsim.datasets.collection_config import CollectConfig, data_settings
from navsim.datasets.dataset import checked_episodes, open_dataset, read_description
from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.datasets.rerender import RerenderConfig, rerender
from navsim.errors import ConfigError, EpisodeError
from navsim.sensing.camera import Camera
from navsim.simulation.config import RendererName
from navsim.simulation.episode import Episode
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.world.scenery.meshes import CLASS_NAMES, SemanticClass
from tests.datasets.synthetic_episodes import SHORT_COLLECTION, made_up_episode
from tests.datasets.test_collection import contents
from tests.datasets.test_rerender import has_opengl

ROOT = Path(__file__).parents[2]
CAMERAS = (Camera(width=32, height=16), Camera("left", width=32, height=16, yaw_deg=40.0))


def collection(folder: Path, renderer: RendererName) -> CollectConfig:
    """Two drives with two cameras and their classes."""
    simulation = dataclasses.replace(SHORT_COLLECTION.simulation, cameras=CAMERAS, renderer=renderer)
    return dataclasses.replace(
        SHORT_COLLECTION, out=folder, simulation=simulation, routes_per_town=1, channels=("classes",)
    )


@pytest.fixture(scope="module", params=[pytest.param("tiny", marks=pytest.mark.slow), "opengl"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CollectConfig:
    """A collection that was made, with each renderer."""
    if request.param == "opengl" and not has_opengl():
        pytest.skip("needs OpenGL")
    config = collection(tmp_path_factory.mktemp("recorded") / "data", request.param)
    collect(config)
    return config


def first_episode(folder: Path) -> Episode:
    return next(open_dataset(folder).episodes())


def test_every_image_has_its_classes_and_they_fit_it(recorded: CollectConfig) -> None:
    for episode in open_dataset(recorded.out).episodes():
        assert episode.classes.shape == episode.images.shape[:-1]
        assert {SemanticClass.ROAD, SemanticClass.GROUND, SemanticClass.SKY} <= set(np.unique(episode.classes))
        assert (episode.classes[:, 0, -1, 14:18] <= SemanticClass.MARKING).mean() > 0.9  # the road before the car
        blue = episode.images[..., 2].astype(float) - episode.images[..., 1]
        assert blue[episode.classes == SemanticClass.SKY].mean() > blue[episode.classes == SemanticClass.GROUND].mean()


def test_they_are_what_the_renderer_measures_at_the_recorded_poses(recorded: CollectConfig) -> None:
    rerenderer = EpisodeRerenderer(recorded.simulation)
    try:
        for episode in open_dataset(recorded.out).episodes():
            frames = [0, len(episode) // 2, len(episode) - 1]
            seen = rerenderer.measure(episode, frames)
            np.testing.assert_array_equal(episode.classes[frames], seen.semantic)
            np.testing.assert_array_equal(episode.images[frames], seen.images)
            np.testing.assert_array_equal(rerenderer.classes(episode), episode.classes)
    finally:
        rerenderer.close()


def test_the_other_columns_are_those_of_a_collection_without_classes(recorded: CollectConfig, tmp_path: Path) -> None:
    plain = dataclasses.replace(recorded, out=tmp_path / "plain", channels=())
    collect(plain)
    for path in open_dataset(plain.out).headers:
        there, here = pq.read_table(path), pq.read_table(recorded.out / path.relative_to(plain.out))
        assert here.drop_columns(["classes"]).equals(there)
    with pytest.raises(ConfigError, match=r"channels is \['classes'\] there, None asked for"):
        collect(dataclasses.replace(recorded, channels=()))


def test_the_file_names_the_classes_and_drives_without_have_none(recorded: CollectConfig, tmp_path: Path) -> None:
    path = next(iter(open_dataset(recorded.out).headers))
    header = read_header(path)
    assert header.class_names == CLASS_NAMES == ("road", "marking", "kerb", *CLASS_NAMES[3:])
    assert header.shapes["classes"] == (2, 16, 32)
    assert "classes" in header.recorded
    assert read_episode(path, images=False).classes.shape[0] == 0
    write_episode(made_up_episode(), tmp_path / "plain.parquet", {})
    assert read_header(tmp_path / "plain.parquet").class_names == ()
    assert "classes" not in pq.read_schema(tmp_path / "plain.parquet").names


def test_files_from_before_there_were_classes_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    episode = made_up_episode()
    write_episode(episode, path, {})
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"navsim"])
    del header["class_names"]
    pq.write_table(table.replace_schema_metadata({b"navsim": json.dumps(header)}), path)
    np.testing.assert_array_equal(read_episode(path).images, episode.images)
    assert read_episode(path).classes.shape == (0, 0, 0, 0)


def test_damaged_classes_are_found(recorded: CollectConfig, tmp_path: Path) -> None:
    path = next(iter(open_dataset(recorded.out).headers))
    episode = read_episode(path)
    classes = episode.classes.copy()
    classes[1, 1, 2, 3] = len(CLASS_NAMES)
    write_episode(dataclasses.replace(episode, classes=classes), tmp_path / "beyond.parquet", {})
    with pytest.raises(EpisodeError, match=r"beyond\.parquet: .* classes must be below 10, got 10"):
        read_episode(tmp_path / "beyond.parquet")
    with pytest.raises(ValueError, match="need as many classes or none"):
        dataclasses.replace(episode, classes=classes[1:])
    assert {error for _, error in checked_episodes(recorded.out)} == {None}


def test_classes_of_another_size_are_refused(recorded: CollectConfig, tmp_path: Path) -> None:
    config = dataclasses.replace(recorded, out=tmp_path / "data", train_towns=0)
    collect(config)
    path = next(iter(open_dataset(config.out).headers))
    episode = read_episode(path)
    write_episode(dataclasses.replace(episode, classes=episode.classes[:, :1]), path, read_header(path).metadata)
    with pytest.raises(EpisodeError, match=r"classes are \(1, 16, 32\), the data folder has \(2, 16, 32\)"):
        open_dataset(config.out)


def test_rerendering_keeps_adds_and_drops_them(recorded: CollectConfig, tmp_path: Path) -> None:
    kept, dropped, added = (RerenderConfig(out=tmp_path / name, workers=1) for name in ("kept", "dropped", "added"))
    rerender(dataclasses.replace(kept, source=recorded.out))
    assert contents(kept.out) == contents(recorded.out)
    rerender(dataclasses.replace(dropped, source=recorded.out, channels=()))
    assert first_episode(dropped.out).classes.shape == (0, 0, 0, 0)
    assert "channels" not in read_description(dropped.out).collection
    rerender(dataclasses.replace(added, source=dropped.out, channels=("classes",)))
    assert contents(added.out) == contents(recorded.out)


def test_channels_are_a_setting_of_the_data_and_checked() -> None:
    assert data_settings(CollectConfig(channels=("classes",)))["channels"] == ["classes"]
    assert "channels" not in data_settings(CollectConfig())
    with pytest.raises(ConfigError, match=r"each channel once, got \['classes', 'classes'\]"):
        CollectConfig(channels=("classes", "classes"))
    with pytest.raises(ConfigError, match="drives without images have none"):
        CollectConfig(images=False, channels=("classes",))


def test_info_tells_that_they_are_there(recorded: CollectConfig) -> None:
    command = [sys.executable, "scripts/dataset.py", "info", str(recorded.out)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "2 classes" in output
