"""Writing on a disk that is really full: a small file system of its own, mounted where that is permitted."""

import dataclasses
import gc
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agents.policies.networks.config import PolicyConfig
from agents.training.dataset import load_training_data
from navsim.datasets.collection import collect
from navsim.datasets.dataset import checked_episodes
from navsim.datasets.episode_files import read_episode, write_episode
from navsim.errors import StorageError
from navsim.storage import write_bytes
from navsim.visualization.video import GifWriter, Mp4Writer
from tests.agents.small_runs import small_folder
from tests.datasets.synthetic_episodes import SHORT_COLLECTION, assert_same_episode, made_up_episode


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system with room for 1 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("needs the programs mount and umount")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    yield folder
    subprocess.run([umount, "--lazy", str(folder)], check=True)


def test_plain_file(small_disk: Path) -> None:
    write_bytes(small_disk / "fits.bin", b"x" * 100_000)
    with pytest.raises(StorageError, match=r"big\.bin: cannot be written: No space left on device"):
        write_bytes(small_disk / "big.bin", b"x" * 10_000_000)
    assert [p.name for p in small_disk.iterdir()] == ["fits.bin"]
    assert (small_disk / "fits.bin").stat().st_size == 100_000
    write_bytes(small_disk / "also_fits.bin", b"x" * 100_000)  # the room is free again


def test_episode_keeps_the_old_file(small_disk: Path) -> None:
    path = small_disk / "a.parquet"
    small = made_up_episode()
    write_episode(small, path, {})
    with pytest.raises(StorageError, match=r"a\.parquet: cannot be written: .*No space left on device"):
        write_episode(made_up_episode(steps=200, shape=(1, 48, 128)), path, {})
    assert [p.name for p in small_disk.iterdir()] == ["a.parquet"]
    assert_same_episode(read_episode(path), small)


# imageio-ffmpeg does not close its pipe to an ffmpeg that has stopped early.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_films_keep_the_old_file(small_disk: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (360, 640, 3), np.uint8) for _ in range(10)]
    paths = [small_disk / "films" / name for name in ("drive.mp4", "drive.gif")]
    gif = GifWriter(paths[1], 10.0, every=1)
    for path in paths:
        write_bytes(path, b"old")
    for frame in frames:
        gif.add(frame)

    def write_mp4() -> None:
        with Mp4Writer(paths[0], 10.0) as mp4:
            for frame in frames:
                mp4.add(frame)

    with pytest.raises(StorageError, match=r"drive\.mp4: cannot be written: .*disk full"):
        write_mp4()
    with pytest.raises(StorageError, match=r"drive\.gif: cannot be written: .*disk full"):
        gif.save()
    gc.collect()
    assert {path.name: path.read_bytes() for path in (small_disk / "films").iterdir()} == {
        path.name: b"old" for path in paths
    }


def test_packing_training_data_needs_room_and_writes_nothing_without(small_disk: Path) -> None:
    folder = small_folder(small_disk / "data")
    with pytest.raises(StorageError, match=r"packed/train-\w+\.bin: needs 0\.00 GB .*, the disk has 0\.00 GB free"):
        load_training_data(folder, PolicyConfig(hidden=16), "mapped")
    assert not (folder / "packed").exists()


def test_collection_leaves_whole_episodes_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    out = small_disk / "data"
    config = dataclasses.replace(SHORT_COLLECTION, out=out, resume=True)
    filler = small_disk / "filler.bin"
    filler.write_bytes(b"x" * 1_000_000)
    with pytest.raises(StorageError, match=r"\.parquet: cannot be written: No space left on device"):
        collect(config)
    assert list(out.rglob("*.partial")) == []
    assert all(error is None for _, error in checked_episodes(out))
    filler.unlink()
    assert collect(config).statistics.episodes == {"train": 3, "validation": 3}
