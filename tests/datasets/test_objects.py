"""Boxes around cars, people and signs, recorded beside the images of real drives."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navsim.datasets.collection import collect
from navsim.datasets.collection_config import CollectConfig
from navsim.datasets.dataset import checked_episodes, open_dataset
from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.datasets.rerender import RerenderConfig, rerender
from navsim.errors import EpisodeError
from navsim.sensing.camera import Camera
from navsim.simulation.episode import OBJECT_COLUMNS
from navsim.simulation.episode_rerenderer import EpisodeRerenderer
from navsim.world.scenery.meshes import SemanticClass
from tests.datasets.synthetic_episodes import SHORT_COLLECTION, assert_same_episode, made_up_episode
from tests.datasets.test_collection import contents

CAMERAS = (Camera(width=64, height=32), Camera("left", width=64, height=32, yaw_deg=40.0))
STEPS = 5

pixels, shares = st.integers(0, 4096), st.floats(0, 1)
things = st.tuples(
    st.integers(0, STEPS - 1), st.integers(0, 1), st.integers(0, 2), pixels, pixels, pixels, pixels, shares
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> CollectConfig:
    """A drive with two cameras, their classes and their objects."""
    config = dataclasses.replace(
        SHORT_COLLECTION,
        out=tmp_path_factory.mktemp("recorded") / "data",
        simulation=dataclasses.replace(SHORT_COLLECTION.simulation, cameras=CAMERAS),
        routes_per_town=1,
        validation_towns=0,
        channels=("classes", "objects"),
    )
    collect(config)
    return config


@settings(max_examples=30)
@given(rows=st.lists(things, max_size=12))
def test_any_objects_read_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    table = np.array(sorted(rows, key=lambda row: row[0]), float).reshape(-1, len(OBJECT_COLUMNS))
    episode = dataclasses.replace(made_up_episode(steps=STEPS), objects=table)
    write_episode(episode, path, {})
    assert_same_episode(read_episode(path), episode)


def test_boxes_lie_around_pixels_of_their_class(recorded: CollectConfig) -> None:
    classes = {0: SemanticClass.VEHICLE, 1: SemanticClass.PEDESTRIAN, 2: SemanticClass.SIGN}
    found = 0
    for episode in open_dataset(recorded.out).episodes():
        assert episode.objects is not None
        assert (np.diff(episode.objects[:, 0]) >= 0).all()
        for frame, camera, kind, x0, y0, x1, y1 in episode.objects[:, :7].astype(int).tolist():
            inside = episode.classes[frame, camera, y0:y1, x0:x1] == classes[kind]
            assert inside.shape == (y1 - y0, x1 - x0)
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()
            found += 1
        assert ((episode.objects[:, 7] > 0) & (episode.objects[:, 7] <= 1)).all()
    assert found > 20


def test_other_programs_find_a_list_of_records_in_each_row(recorded: CollectConfig) -> None:
    path = next(iter(open_dataset(recorded.out).headers))
    assert read_header(path).object_names == ("car", "pedestrian", "sign")
    assert read_header(path).channels == ("images", "road_maps", "route_maps", "classes", "objects")
    objects = read_episode(path).objects
    column = pq.read_table(path)["objects"]
    assert column[len(column) - 1].as_py() is None
    assert objects is not None
    frame = int(objects[0, 0])
    first = column[frame].as_py()[0]
    assert list(first) == list(OBJECT_COLUMNS[1:])
    assert list(first.values()) == objects[0, 1:].tolist()


def test_drives_without_objects_and_files_from_before_them_have_none(recorded: CollectConfig, tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    write_episode(made_up_episode(), path, {})
    table = pq.read_table(path)
    assert "objects" not in table.column_names
    header = json.loads(table.schema.metadata[b"navsim"])
    assert header.pop("object_names") == []
    pq.write_table(table.replace_schema_metadata({b"navsim": json.dumps(header)}), path)
    assert read_episode(path).objects is None
    assert read_episode(next(iter(open_dataset(recorded.out).headers)), images=False).objects is None


def test_damaged_objects_are_found(recorded: CollectConfig, tmp_path: Path) -> None:
    episode = next(open_dataset(recorded.out).episodes())
    assert episode.objects is not None
    objects = episode.objects.copy()
    objects[1, 2] = 3
    write_episode(dataclasses.replace(episode, objects=objects), tmp_path / "beyond.parquet", {})
    with pytest.raises(EpisodeError, match=r"beyond\.parquet: .* objects must be of 3 classes, got number 3"):
        read_episode(tmp_path / "beyond.parquet")
    with pytest.raises(ValueError, match="objects need 8 numbers each"):
        dataclasses.replace(episode, objects=objects[:, 1:])
    assert {error for _, error in checked_episodes(recorded.out)} == {None}


def test_rerendering_keeps_and_drops_them(recorded: CollectConfig, tmp_path: Path) -> None:
    kept, dropped = (
        RerenderConfig(source=recorded.out, out=tmp_path / name, workers=1) for name in ("kept", "dropped")
    )
    rerender(kept)
    assert contents(kept.out) == contents(recorded.out)
    rerender(dataclasses.replace(dropped, channels=("classes",)))
    assert next(open_dataset(dropped.out).episodes()).objects is None


def test_other_cameras_see_other_boxes(recorded: CollectConfig) -> None:
    episode = next(open_dataset(recorded.out).episodes(images=False))
    rerenderer = EpisodeRerenderer(dataclasses.replace(recorded.simulation, cameras=(Camera(width=128, height=64),)))
    larger = rerenderer.objects(episode)
    rerenderer.close()
    assert larger[:, 5].max() > 64
    assert not larger[:, 1].any()
