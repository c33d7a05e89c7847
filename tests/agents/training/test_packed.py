"""Data that is mapped into memory instead of held there: the same batches, the same learning, nothing left behind."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agents.policies.networks.config import PolicyConfig
from agents.training import packed
from agents.training.dataset import load_training_data
from agents.training.packed import map_records, packed_path, records_of
from agents.training.policy_task import train
from agents.training.run_folder import RunFolder, open_run
from agents.training.samples import READ_AHEAD, BatchPrefetcher, MappedSamples, Samples, record_bytes
from navsim.datasets.dataset import Dataset, open_dataset
from navsim.errors import EpisodeError, StorageError
from navsim.roads.generators.towns import Split
from tests.agents.small_runs import SPEC, add_episode, small_config, small_episode, small_folder

POLICY = PolicyConfig(hidden=16)


def mounts_are_allowed() -> bool:
    """Whether this process may mount disks in a namespace of its own, as root on Linux may."""
    unshare = shutil.which("unshare")
    command = [str(unshare), "-m", "mount", "--bind", "/", "/"]
    return unshare is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder: 24 frames to learn from in two episodes, 12 to validate on."""
    return small_folder(tmp_path / "data")


def train_split(folder: Path) -> Dataset:
    return open_dataset(folder, Split.TRAIN)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "packed").glob("*"))


def assert_same(one: Samples, other: Samples) -> None:
    for name in ("images", "road_map", "route_map", "speed"):
        left, right = getattr(one.observations, name), getattr(other.observations, name)
        assert left.dtype is right.dtype, name
        assert torch.equal(left, right), name
        assert right.is_contiguous()
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.is_informative, other.is_informative)


def test_mapped_data_is_the_data_held_in_memory(folder: Path) -> None:
    held, mapped = (load_training_data(folder, POLICY, storage) for storage in ("device", "mapped"))
    assert isinstance(mapped.train, MappedSamples)
    assert not isinstance(held.train, MappedSamples)
    for one, other in ((held.train, mapped.train), (held.validation, mapped.validation)):
        assert len(one) == len(other)
        assert one.fingerprint == other.fingerprint
        assert_same(one[slice(0, None)], other[slice(0, None)])
        assert_same(one[torch.tensor([7, 2, 7])], other[torch.tensor([7, 2, 7])])
        assert_same(one[slice(8, 11)], other[slice(8, 11)])
        assert torch.equal(one.observations.images, other.observations.images)


@pytest.mark.parametrize("storage", ["device", "mapped"])
@pytest.mark.parametrize("count", [1, 3, 24])
def test_prefetched_batches_are_the_requested_ones(
    folder: Path, storage: Literal["device", "mapped"], count: int
) -> None:
    expected, samples = (load_training_data(folder, POLICY, kind).train for kind in ("device", storage))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:count]
    feed = BatchPrefetcher(samples)
    feed.prefetch(torch.split(order, 2))
    for first in range(0, count, 2):
        assert_same(feed.get(order[first : first + 2]), expected[order[first : first + 2]])
    assert_same(feed.get(order[:2]), expected[order[:2]])  # no longer announced
    feed.prefetch([])
    assert_same(feed.get(order[:1]), expected[order[:1]])


def test_batches_without_prefetch_come_between_prefetched_ones(folder: Path) -> None:
    held, mapped = (load_training_data(folder, POLICY, storage).train for storage in ("device", "mapped"))
    order, other = torch.arange(24), torch.tensor([5, 1])
    feed = BatchPrefetcher(mapped)
    feed.prefetch(torch.split(order, 4))
    for index in (order[:4], other, order[4:8], order[:4], order[8:12]):
        assert_same(feed.get(index), held[index])
    feed.prefetch([other])
    assert_same(feed.get(other), held[other])


def test_only_a_few_batches_are_read_ahead_and_reading_stops_with_the_reader(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = load_training_data(folder, POLICY, "mapped").train
    assert isinstance(mapped, MappedSamples)
    read = []
    original = MappedSamples._read

    def counted(self: MappedSamples, index: torch.Tensor | slice) -> torch.Tensor:
        read.append(index)
        return original(self, index)

    monkeypatch.setattr(MappedSamples, "_read", counted)
    batches = mapped.batches(torch.split(torch.arange(24), 1))
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert 1 < len(read) <= 1 + READ_AHEAD


def test_an_error_while_reading_ahead_is_raised_where_the_batch_is_asked_for(folder: Path) -> None:
    mapped = load_training_data(folder, POLICY, "mapped").train
    assert isinstance(mapped, MappedSamples)
    batches = mapped.batches([torch.tensor([0]), torch.tensor([99])])
    next(batches)
    with pytest.raises(IndexError):
        next(batches)


def test_the_same_seed_gives_the_same_weights_whatever_the_storage(folder: Path, tmp_path: Path) -> None:
    weights = []
    for storage in ("device", "mapped"):
        config = small_config(
            tmp_path, run_dir=tmp_path / storage, storage=storage, epochs=2, batch_size=5, accumulate=2
        )
        train(config, load_training_data(folder, config.policy, config.storage), open_run(config))
        weights.append(load_file(RunFolder(config.run_dir).last))
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_a_run_goes_on_with_the_data_stored_elsewhere(folder: Path, tmp_path: Path) -> None:
    config = small_config(tmp_path, storage="device", epochs=1)
    train(config, load_training_data(folder, config.policy, "device"), open_run(config))
    assert open_run(replace(config, storage="mapped")).finished


def test_packing_happens_once_and_again_for_other_episodes(folder: Path) -> None:
    map_records(train_split(folder), Split.TRAIN, SPEC)
    (name,) = files(folder)
    before = (folder / "packed" / name).stat()
    assert before.st_size == 24 * record_bytes(SPEC)
    map_records(train_split(folder), Split.TRAIN, SPEC)
    assert (folder / "packed" / name).stat().st_mtime_ns == before.st_mtime_ns
    mapped = load_training_data(folder, POLICY, "mapped").validation
    add_episode(folder, small_episode("train-5", seed=9))
    records = map_records(train_split(folder), Split.TRAIN, SPEC)
    assert len(records) == 36
    names = files(folder)
    assert name not in names, "what was packed of other episodes takes no room"
    assert [other.partition("-")[0] for other in names] == ["train", "validation"]
    assert mapped.fingerprint == load_training_data(folder, POLICY, "device").validation.fingerprint


def test_an_episode_recorded_again_is_packed_again(folder: Path) -> None:
    before = packed_path(train_split(folder), Split.TRAIN, SPEC)
    add_episode(folder, small_episode("train-0", seed=8))
    assert packed_path(train_split(folder), Split.TRAIN, SPEC) != before
    np.testing.assert_array_equal(
        map_records(train_split(folder), Split.TRAIN, SPEC)[:12].numpy(), records_of(small_episode("train-0", seed=8))
    )


def test_a_file_cut_short_is_written_again(folder: Path) -> None:
    expected = map_records(train_split(folder), Split.TRAIN, SPEC).clone()
    path = folder / "packed" / files(folder)[0]
    os.truncate(path, 1000)
    assert torch.equal(map_records(train_split(folder), Split.TRAIN, SPEC), expected)


def test_what_a_killed_process_left_is_swept_up(folder: Path) -> None:
    (folder / "packed").mkdir()
    leftovers = [folder / "packed" / ".train-0123.bin.77.partial", folder / "packed" / "train-0123.bin"]
    others = [folder / "packed" / ".validation-0123.bin.77.partial", folder / "packed" / "notes.txt"]
    for path in (*leftovers, *others):
        path.write_bytes(b"half")
    map_records(train_split(folder), Split.TRAIN, SPEC)
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in others)


def test_what_windows_keeps_while_it_is_mapped_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "packed").mkdir()
    mapped = folder / "packed" / "train-0123.bin"
    mapped.write_bytes(b"mapped")
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == mapped:
            raise PermissionError(13, "The process cannot access the file")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert len(map_records(train_split(folder), Split.TRAIN, SPEC)) == 24
    assert mapped.exists()


def test_data_larger_than_the_disk_is_refused_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = shutil.disk_usage(folder).total
    monkeypatch.setattr(packed, "DISK_RESERVE", total)  # now the disk is full, whatever others write and remove on it
    with pytest.raises(StorageError, match=r"train-.*\.bin: needs 0\.00 GB and .* GB to spare, the disk has .* free"):
        load_training_data(folder, POLICY, "mapped")
    assert files(folder) == []


def test_a_folder_that_cannot_be_written_to_is_one_line(folder: Path) -> None:
    (folder / "packed").write_text("a file in the way")
    with pytest.raises(StorageError, match=r"packed/train-.*cannot be written"):
        load_training_data(folder, POLICY, "mapped")


def test_another_folder_may_take_the_packed_pictures_of_several_data_sets(folder: Path, tmp_path: Path) -> None:
    (folder / "packed").write_text("a file in the way, as a disk that is mounted read-only is")
    with pytest.raises(StorageError, match=r"cannot be written: .*; give a folder .* with --packed-folder"):
        load_training_data(folder, POLICY, "mapped")
    place = tmp_path / "packs"
    held, mapped = (load_training_data(folder, POLICY, kind, packed_folder=place) for kind in ("device", "mapped"))
    assert isinstance(mapped.train, MappedSamples)
    assert mapped.train.fingerprint == held.train.fingerprint
    load_training_data(small_folder(tmp_path / "other", train=1), POLICY, "mapped", packed_folder=place)
    names = sorted(str(path.relative_to(place)) for path in place.rglob("*.bin"))
    assert [re.sub("[0-9a-f]{8,}", "*", name) for name in names] == [
        "data-*/train-*.bin",
        "data-*/validation-*.bin",
        "other-*/train-*.bin",
        "other-*/validation-*.bin",
    ]
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"file/data-.*cannot be written: Not a directory; give a folder"):
        load_training_data(folder, POLICY, "mapped", packed_folder=tmp_path / "file")


@pytest.mark.skipif(not mounts_are_allowed(), reason="needs the right to mount")
def test_data_on_a_disk_mounted_read_only_is_used_with_another_folder(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from navsim.errors import StorageError\n"
        "from tests.agents.training.test_packed import POLICY, load_training_data\n"
        "data, place = map(Path, sys.argv[1:])\n"
        "try: load_training_data(data, POLICY, 'mapped')\n"
        "except StorageError as error: print(error)\n"
        "print(len(load_training_data(data, POLICY, 'device').train))\n"
        "print(len(load_training_data(data, POLICY, 'mapped', packed_folder=place).train))\n"
    )
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1" "$4"'
    command = ["unshare", "-m", "sh", "-c", mount, "sh", str(folder), sys.executable, code, str(tmp_path / "packs")]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, check=True)
    error, *counts = [line for line in done.stdout.splitlines() if not line.startswith("packing")]
    assert "Read-only file system; give a folder for packed pictures with --packed-folder" in error
    assert counts == ["24", "24"]
    assert files(folder) == []


def test_a_damaged_episode_leaves_no_file(folder: Path) -> None:
    path = folder / "train" / "train-1-route0-seed0.parquet"
    dataset = train_split(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(EpisodeError, match=r"train-1-route0-seed0\.parquet"):
        map_records(dataset, Split.TRAIN, SPEC)
    assert files(folder) == []


def test_processes_that_want_the_same_file_pack_it_once(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from agents.training.packed import map_records\n"
        "from navsim.datasets.dataset import open_dataset\n"
        "from tests.agents.small_runs import SPEC\n"
        "records = map_records(open_dataset(Path(sys.argv[1]), 'train'), 'train', SPEC)\n"
        "print(int(records.sum()))\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    root = Path(__file__).parents[3]
    programs = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
        )
        for _ in range(2)
    ]
    outputs = [program.communicate(timeout=120)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0]
    assert sum("packing" in output for output in outputs) == 1
    assert outputs[0].splitlines()[-1] == outputs[1].splitlines()[-1]
    assert len(files(folder)) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mapped_batches_arrive_on_the_gpu(folder: Path) -> None:
    cuda = torch.device("cuda")
    held = load_training_data(folder, POLICY, "device", cuda).train
    mapped = load_training_data(folder, POLICY, "mapped", cuda).train
    order, feed = torch.randperm(24).to(cuda), BatchPrefetcher(mapped)
    feed.prefetch(torch.split(order, 4))
    for first in range(0, 24, 4):
        batch = feed.get(order[first : first + 4])
        assert batch.observations.images.is_cuda
        assert_same(batch, held[order[first : first + 4]])
