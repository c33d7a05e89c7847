"""Rerendering real drives: the same settings give the same images, others give others, despite interruptions."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from navsim.datasets.collection import collect
from navsim.datasets.collection_config import CollectConfig, data_settings
from navsim.datasets.dataset import episode_path, open_dataset, read_description
from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.datasets.rerender import RerenderConfig, rerender
from navsim.errors import ConfigError, EpisodeError, StorageError
from navsim.rendering.opengl.renderer import OpenGLRenderer
from navsim.roads.generators.towns import Generator
from navsim.sensing.camera import Camera, MountError, Rig
from navsim.sensing.roadmap import MapFault, MapSpec
from navsim.simulation.config import RendererName
from tests.datasets.synthetic_episodes import SHORT_COLLECTION, assert_same_episode
from tests.datasets.test_collection import contents

CAMERAS = (Camera(width=16, height=8), Camera("left", width=16, height=8, yaw_deg=50.0))


def has_opengl() -> bool:
    try:
        OpenGLRenderer().close()
    except ConfigError:
        return False
    return True


def collection(folder: Path, renderer: RendererName = "tiny", images: bool = True) -> CollectConfig:
    """Six drives with two cameras that are not mounted quite right, and maps that are wrong."""
    simulation = dataclasses.replace(
        SHORT_COLLECTION.simulation,
        cameras=CAMERAS,
        mount_error=MountError(2.0, 0.05),
        map_fault=MapFault(shift=5.0, extra_roads=1),
        renderer=renderer,
    )
    generators = (Generator.SUBURB, Generator.TOWN)
    return dataclasses.replace(
        SHORT_COLLECTION, out=folder, simulation=simulation, images=images, generators=generators
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with images."""
    folder = tmp_path_factory.mktemp("recorded") / "data"
    collect(collection(folder))
    return folder


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same drives without images."""
    folder = tmp_path_factory.mktemp("states") / "data"
    collect(collection(folder, images=False))
    return folder


@pytest.fixture
def into(recorded: Path, tmp_path: Path) -> Callable[..., RerenderConfig]:
    """Rendering of `recorded` by one process."""
    config = RerenderConfig(source=recorded, out=tmp_path / "new", workers=1)
    return lambda **changes: dataclasses.replace(config, **changes)


def test_the_same_settings_give_the_same_files(recorded: Path, into: Callable[..., RerenderConfig]) -> None:
    result = rerender(into(workers=2))
    assert contents(into().out) == contents(recorded)
    assert result.recording.drives == 6
    assert sum(result.statistics.frames.values()) == result.recording.steps == open_dataset(recorded).frames


@pytest.mark.skipif(not has_opengl(), reason="needs OpenGL")
def test_the_same_settings_give_the_same_files_with_opengl(tmp_path: Path) -> None:
    collect(dataclasses.replace(collection(tmp_path / "data", "opengl"), routes_per_town=1))
    rerender(RerenderConfig(tmp_path / "data", tmp_path / "new", workers=1))
    assert contents(tmp_path / "new") == contents(tmp_path / "data")


def test_drives_without_images_are_small_and_get_the_images_that_they_would_have_had(
    recorded: Path, states: Path, tmp_path: Path
) -> None:
    for path, header in open_dataset(states).headers.items():
        assert header.recorded == ()
        assert header.metadata["renderer"] == "none"
        full = recorded / path.relative_to(states)
        assert path.stat().st_size < full.stat().st_size / 2
        assert_same_episode(read_episode(path), read_episode(full, images=False))
    rerender(RerenderConfig(states, tmp_path / "new", renderer="tiny", workers=1))
    for path in open_dataset(tmp_path / "new").headers:
        assert_same_episode(read_episode(path), read_episode(recorded / path.relative_to(tmp_path / "new")))


def test_whether_images_are_recorded_is_a_setting_of_the_data(states: Path) -> None:
    assert data_settings(CollectConfig(images=False))["images"] is False
    assert "images" not in data_settings(CollectConfig())
    with pytest.raises(ConfigError, match="images is False there, None asked for"):
        collect(collection(states))


def test_other_cameras_and_maps_see_the_same_drives(recorded: Path, into: Callable[..., RerenderConfig]) -> None:
    config = into(rig=Rig.PILOTNET, map=MapSpec(size_px=20, ego_row=14))
    rerender(config)
    old, new = open_dataset(recorded), open_dataset(config.out)
    assert new.description.simulation.cameras[0].width == 200
    assert [path.relative_to(config.out) for path in new.headers] == [p.relative_to(recorded) for p in old.headers]
    for path, header in new.headers.items():
        assert header.metadata["simulation"]["cameras"][0]["width"] == 200
        assert header.metadata["noise"] == read_header(recorded / path.relative_to(config.out)).metadata["noise"]
        episode, before = read_episode(path), read_episode(recorded / path.relative_to(config.out))
        assert episode.images.shape == (len(before), 1, 66, 200, 3)
        assert episode.road_maps.shape == episode.route_maps.shape == (len(before), 20, 20)
        assert episode.images.std() > 10
        for name in ("poses", "gps", "labels", "commands", "speeds"):
            np.testing.assert_array_equal(getattr(episode, name), getattr(before, name))


def test_the_new_folder_tells_where_it_comes_from(recorded: Path, into: Callable[..., RerenderConfig]) -> None:
    rerender(into(cameras=CAMERAS[:1]))
    description = read_description(into().out)
    assert description.collection["rendered_from"]["folder"] == str(recorded)
    assert description.collection["rendered_from"]["simulation"]["cameras"][1]["name"] == "left"
    assert description.collection["rendered_from"]["git_revision"] == read_description(recorded).git_revision
    assert description.collection["seed"] == 0
    again = dataclasses.replace(into(source=into().out), out=into().out.with_name("again"), cameras=CAMERAS)
    rerender(again)
    assert contents(again.out) == contents(recorded)
    nested = read_description(again.out).collection["rendered_from"]["collection"]["rendered_from"]
    assert nested["folder"] == str(recorded)


def test_other_conditions_change_the_images_alone(recorded: Path, into: Callable[..., RerenderConfig]) -> None:
    rerender(into(appearance="night+fog"))
    new = open_dataset(into().out)
    assert {header.scenario.appearance for header in new.headers.values()} == {"night+fog"}
    assert new.description.collection["appearance"] == "night+fog"
    for path, header in new.headers.items():
        scenario = dataclasses.replace(header.scenario, appearance="")
        before, episode = read_episode(episode_path(recorded, scenario)), read_episode(path)
        assert not np.array_equal(episode.images, before.images)
        np.testing.assert_array_equal(episode.road_maps, before.road_maps)
        np.testing.assert_array_equal(episode.route_maps, before.route_maps)
        np.testing.assert_array_equal(episode.poses, before.poses)


def test_what_is_there_is_not_rendered_again(recorded: Path, into: Callable[..., RerenderConfig]) -> None:
    rerender(into())
    whole = contents(into().out)
    first, *others = sorted(into().out.rglob("*.parquet"))
    (first.parent / f".{first.name}.77.partial").write_bytes(b"half")
    first.unlink()
    others[0].write_bytes(b"PAR1 damaged")
    before = {path: path.stat().st_mtime_ns for path in others[1:]}
    with pytest.raises(StorageError, match=r"holds 4 of 6 drives of an unfinished run; continue it with --resume"):
        rerender(into())
    assert rerender(into(resume=True)).recording.drives == 2
    assert contents(into().out) == whole
    assert {path: path.stat().st_mtime_ns for path in others[1:]} == before
    assert rerender(into()).recording.drives == 0


def test_other_settings_are_named_and_nothing_is_touched(into: Callable[..., RerenderConfig]) -> None:
    rerender(into())
    before = contents(into().out)
    with pytest.raises(ConfigError, match=r"simulation\.cameras is .* there, .* asked for"):
        rerender(into(rig=Rig.DEMO, resume=True))
    with pytest.raises(ConfigError, match="appearance is '' there, 'rain' asked for"):
        rerender(into(appearance="rain", resume=True))
    assert contents(into().out) == before


def test_the_source_stays_as_it_is(recorded: Path, into: Callable[..., RerenderConfig]) -> None:
    with pytest.raises(StorageError, match="is the source itself"):
        rerender(into(out=recorded / ".." / recorded.name, rig=Rig.DEMO))


def test_a_folder_in_use_is_refused(into: Callable[..., RerenderConfig]) -> None:
    into().out.mkdir()
    (into().out / "thesis.tex").write_text("precious")
    with pytest.raises(StorageError, match=r"holds other files \(thesis\.tex"):
        rerender(into())


def test_a_source_that_is_none_or_of_another_format_is_refused(
    recorded: Path, into: Callable[..., RerenderConfig], tmp_path: Path
) -> None:
    with pytest.raises(EpisodeError, match="is not a data folder"):
        rerender(into(source=tmp_path / "nowhere"))
    other = tmp_path / "other"
    shutil.copytree(recorded, other)
    values = json.loads((other / "dataset.json").read_text())
    (other / "dataset.json").write_text(json.dumps(values | {"format": 7}))
    with pytest.raises(EpisodeError, match="dataset format 7; this version reads format 1"):
        rerender(into(source=other))
    assert not into().out.exists()


def test_a_damaged_source_is_named_and_the_others_stay(
    recorded: Path, into: Callable[..., RerenderConfig], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(recorded, other)
    first, last = sorted(other.rglob("*.parquet"))[::5]
    data = bytearray(last.read_bytes())
    data[100] ^= 0xFF  # in the first column, the time
    last.write_bytes(data)
    with pytest.raises(EpisodeError, match=rf"{last.name}: is damaged"):
        rerender(into(source=other))
    name = str(first.relative_to(other))
    assert contents(into().out)[name] == contents(recorded)[name]


def test_drives_that_would_become_the_same_are_refused(
    recorded: Path, into: Callable[..., RerenderConfig], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(recorded, other)
    path = next(iter(open_dataset(other).headers))
    episode = read_episode(path)
    scenario = dataclasses.replace(episode.scenario, appearance="dusk")
    write_episode(
        dataclasses.replace(episode, scenario=scenario), episode_path(other, scenario), read_header(path).metadata
    )
    with pytest.raises(ConfigError, match=r"appearance = 'rain': .* would become the same drive"):
        rerender(into(source=other, appearance="rain"))
    assert not into().out.exists()


def test_cameras_of_two_sizes_are_refused(into: Callable[..., RerenderConfig]) -> None:
    with pytest.raises(ConfigError, match="cameras of one size"):
        rerender(into(cameras=(Camera(width=16, height=8), Camera("b", width=32, height=8))))


@pytest.mark.parametrize(("changes", "words"), [({"workers": 0}, "workers"), ({"appearance": "foggy"}, "'fog'")])
def test_impossible_renderings_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RerenderConfig(**changes)  # type: ignore[arg-type]  # wrong on purpose
