"""Episode files: exact round trips, and clear errors for other files."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from navsim.datasets.episode_files import read_episode, read_header, write_episode
from navsim.errors import EpisodeError
from navsim.roads.elements import DrivingSide, Manoeuvre
from navsim.roads.routing import JunctionPassage
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario, StartOffset
from navsim.world.obstacles import ObstacleKind
from navsim.world.scenery.meshes import SemanticClass
from tests.datasets.synthetic_episodes import assert_same_episode, made_up_episode

finite = st.floats(allow_nan=False, allow_infinity=False)
passages = st.builds(
    JunctionPassage, start=finite, end=finite, manoeuvre=st.sampled_from(Manoeuvre), junction=st.integers(0, 999)
)
scenarios = st.builds(
    Scenario,
    town=st.sampled_from(["train-0", "validation-17", "test-999999"]),
    route=st.integers(0, 10**6),
    seed=st.integers(0, 2**63 - 1),
    junctions=st.booleans(),
    start=st.builds(StartOffset, lateral=finite, heading_deg=finite),
)


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    """Any episode, also with odd numbers and without images or maps."""
    steps, cameras, height, width, size = (draw(st.integers(1, n)) for n in (4, 3, 5, 5, 6))

    def numbers(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return draw(arrays(np.float64, shape))

    def pictures(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return draw(arrays(np.uint8, (draw(st.sampled_from([0, steps])), *shape)))

    return Episode(
        scenario=draw(scenarios),
        driver=draw(st.text(max_size=8)),
        outcome=draw(st.sampled_from(Outcome)),
        route_length=draw(finite),
        passages=tuple(draw(st.lists(passages, max_size=3))),
        images=pictures(cameras, height, width, 3),
        road_maps=pictures(size, size),
        route_maps=pictures(size, size),
        gps=numbers(steps, 3),
        commands=numbers(steps),
        labels=numbers(steps),
        times=numbers(steps + 1),
        poses=numbers(steps + 1, 3),
        speeds=numbers(steps + 1),
        stations=numbers(steps + 1),
        offsets=numbers(steps + 1),
        heading_errors=numbers(steps + 1),
        side=draw(st.sampled_from(DrivingSide)),
        struck=draw(st.one_of(st.none(), st.sampled_from(ObstacleKind))),
        classes=draw(
            st.just(np.zeros((0, 0, 0, 0), np.uint8))
            | arrays(np.uint8, (steps, cameras, height, width), elements=st.sampled_from(list(SemanticClass)))
        ),
    )


@settings(max_examples=60, deadline=None)
@given(episode=episodes())
def test_any_episode_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, episode: Episode) -> None:
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    write_episode(episode, path, {})
    assert_same_episode(read_episode(path), episode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.parquet"


def test_header_tells_the_drive_without_its_columns(path: Path) -> None:
    episode = made_up_episode(steps=7)
    write_episode(episode, path, {"renderer": "tiny", "noise": {"duration": [0.5, 2.0]}})
    header = read_header(path)
    assert (header.scenario, header.outcome, header.steps) == (episode.scenario, Outcome.LEFT_ROAD, 7)
    assert header.passages == episode.passages
    assert header.shapes == {"images": (1, 8, 16, 3), "road_maps": (10, 10), "route_maps": (10, 10)}
    assert header.metadata == {"renderer": "tiny", "noise": {"duration": [0.5, 2.0]}}
    assert header.versions["numpy"] == np.__version__
    assert header.format == 1


def test_reading_without_images_leaves_the_rest(path: Path) -> None:
    episode = made_up_episode()
    write_episode(episode, path, {})
    states = read_episode(path, images=False)
    assert states.images.shape == (0, 1, 8, 16, 3)
    assert states.road_maps.shape == states.route_maps.shape == (0, 10, 10)
    np.testing.assert_array_equal(states.poses, episode.poses)
    np.testing.assert_array_equal(states.labels, episode.labels)


def test_other_programs_find_one_row_per_state_and_nulls_where_nothing_was_done(path: Path) -> None:
    episode = made_up_episode(steps=4)
    write_episode(episode, path, {})
    table = pq.read_table(path)
    assert table.num_rows == 5
    assert table["label"].null_count == table["images"].null_count == table["gps_x"].null_count == 1
    assert table["x"].null_count == 0
    assert table["label"][4].as_py() is None
    assert table["label"][2].as_py() == episode.labels[2]
    assert table["y"][4].as_py() == episode.poses[4, 1]
    assert table["images"][3].as_py() == episode.images[3].tobytes()


def test_drive_without_images_has_a_small_file_without_their_columns(path: Path) -> None:
    write_episode(made_up_episode(steps=50, images=False), path, {})
    assert "images" not in pq.read_schema(path).names
    assert path.stat().st_size < 20_000
    assert read_episode(path).images.shape == (0, 1, 8, 16, 3)


def test_same_episode_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_episode(made_up_episode(), tmp_path / name, {"renderer": "tiny"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_flat_images_shrink_more_than_tenfold(path: Path) -> None:
    episode = made_up_episode(steps=100, shape=(1, 48, 128), map_size=50)
    episode.images[:] = np.arange(48, dtype=np.uint8)[:, None, None] // 8
    episode.road_maps[:] = episode.route_maps[:] = 0
    write_episode(episode, path, {})
    assert path.stat().st_size < (episode.images.nbytes + 2 * episode.road_maps.nbytes) / 10


@pytest.mark.parametrize("read", [read_episode, read_header])
class TestBadFiles:
    """Every bad file is one clear error that names it."""

    def test_missing(self, path: Path, read: type) -> None:
        with pytest.raises(EpisodeError, match=r"a\.parquet: no such episode file"):
            read(path)

    def test_folder(self, tmp_path: Path, read: type) -> None:
        with pytest.raises(EpisodeError, match="is damaged or not a Parquet file"):
            read(tmp_path)

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
    def test_truncated(self, path: Path, read: type, share: float) -> None:
        write_episode(made_up_episode(), path, {})
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(EpisodeError, match=r"a\.parquet: is damaged or not a Parquet file: \S+"):
            read(path)

    def test_no_parquet(self, path: Path, read: type) -> None:
        path.write_text("town,route\n" * 100)
        with pytest.raises(EpisodeError, match="is damaged or not a Parquet file"):
            read(path)

    def test_parquet_of_something_else(self, path: Path, read: type) -> None:
        pq.write_table(pa.table({"price": [1, 2]}), path)
        with pytest.raises(EpisodeError, match="is a Parquet file, but not a recorded drive"):
            read(path)

    def test_other_format(self, path: Path, read: type) -> None:
        rewrite_header(path, format=2)
        with pytest.raises(EpisodeError, match=r"has episode format 2; this version reads format 1"):
            read(path)

    def test_header_that_is_no_json(self, path: Path, read: type) -> None:
        pq.write_table(pa.table({"x": [1.0]}).replace_schema_metadata({"navsim": "{"}), path)
        with pytest.raises(EpisodeError, match="unreadable header"):
            read(path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"outcome": "flew_away"}, "outcome = 'flew_away'"),
            ({"shapes": {"images": [1, 8, 16, 3]}}, "shapes must name"),
            ({"scenario": {"town": "atlantis-1"}}, "atlantis-1"),
            ({"colour": "red"}, "colour = 'red': unknown key"),
        ],
    )
    def test_header_with_wrong_values(self, path: Path, read: type, change: dict[str, object], words: str) -> None:
        rewrite_header(path, **change)
        with pytest.raises(EpisodeError, match=rf"a\.parquet: header.*{words}"):
            read(path)


def rewrite_header(path: Path, **change: object) -> None:
    """Write an episode whose header has other values."""
    write_episode(made_up_episode(), path, {})
    table = pq.read_table(path)
    values = json.loads(table.schema.metadata[b"navsim"]) | change
    pq.write_table(table.replace_schema_metadata({"navsim": json.dumps(values)}), path)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 4},
        {"steps": 6},
        {"shapes": {"images": [1, 8, 15, 3], "road_maps": [10, 10], "route_maps": [10, 10]}},
    ],
)
def test_columns_that_do_not_fit_the_header(path: Path, change: dict[str, object]) -> None:
    rewrite_header(path, **change)
    with pytest.raises(EpisodeError, match=r"a\.parquet: holds columns that do not fit its header"):
        read_episode(path)


def test_missing_column(path: Path) -> None:
    write_episode(made_up_episode(), path, {})
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["label"]), path)
    with pytest.raises(EpisodeError, match=r"do not fit its header: .*label"):
        read_episode(path)


def test_null_among_the_labels(path: Path) -> None:
    write_episode(made_up_episode(), path, {})
    table = pq.read_table(path)
    labels = pa.array([None, *table["label"].to_pylist()[1:]])
    pq.write_table(table.set_column(table.column_names.index("label"), "label", labels), path)
    with pytest.raises(EpisodeError, match="label must be numbers in the first 5 rows"):
        read_episode(path)


def test_flipped_bit_in_the_images_is_noticed(path: Path) -> None:
    write_episode(made_up_episode(steps=50, shape=(1, 48, 128)), path, {})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert read_header(path).steps == 50
    with pytest.raises(EpisodeError, match=r"a\.parquet: is damaged: .*CRC"):
        read_episode(path)


def test_a_file_from_before_contacts_were_kept_reads_as_touching_nothing(tmp_path: Path) -> None:
    path = tmp_path / "drive.parquet"
    write_episode(made_up_episode(), path, {})
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"navsim"])
    del header["struck"]
    pq.write_table(table.replace_schema_metadata({b"navsim": json.dumps(header)}), path)
    assert read_episode(path).struck is None
