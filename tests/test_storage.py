"""Atomic writing: replaced whole or not at all; tests/datasets/test_full_disk.py has the disk that is full."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from navsim.errors import StorageError
from navsim.storage import (
    BUNDLED,
    atomic_file,
    atomic_folder,
    find_file,
    is_partial,
    read_yaml,
    remove_partial,
    write_bytes,
    write_json,
    write_text,
    write_yaml,
)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file beyond `size` bytes, as a full disk would."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    write_bytes(tmp_path / "new" / "folder" / "a.bin", b"\x00\x01")
    assert (tmp_path / "new" / "folder" / "a.bin").read_bytes() == b"\x00\x01"
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["a.bin"]


def test_text_json_and_yaml_read_back_equal(tmp_path: Path) -> None:
    values = {"z": 1, "a": [1.5, None, "ä"], "m": {"k": True}}
    write_text(tmp_path / "t.txt", "häuser\n")
    write_json(tmp_path / "t.json", values)
    write_yaml(tmp_path / "t.yaml", values)
    assert (tmp_path / "t.txt").read_text(encoding="utf-8") == "häuser\n"
    assert json.loads((tmp_path / "t.json").read_text()) == values
    assert yaml.safe_load((tmp_path / "t.yaml").read_text()) == values
    assert (tmp_path / "t.yaml").read_text().startswith("z:")  # the writer's order stays


def test_yaml_is_plain_and_reads_back_with_the_same_types(tmp_path: Path) -> None:
    values = {
        "a": 16,
        "b": 1e-5,
        "c": [True, None, -0.5, 2e20, 1.0],
        "d": {"e": "1e5", "f": "010", "g": "1_000", "h": ""},
    }
    write_yaml(tmp_path / "t.yaml", values)
    assert read_yaml(tmp_path / "t.yaml") == values
    assert "a: 16\nb: 1.0e-05\n" in (tmp_path / "t.yaml").read_text()
    assert "!!" not in (tmp_path / "t.yaml").read_text()
    assert yaml.safe_load((tmp_path / "t.yaml").read_text()) == values  # other programs read the same


def test_json_refuses_numbers_that_json_cannot_say(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "t.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_seen_whole_by_readers_while_it_is_replaced(tmp_path: Path) -> None:
    path, seen, stop = tmp_path / "a.bin", set[bytes](), threading.Event()
    old, new = b"o" * 300_000, b"n" * 200_000
    write_bytes(path, old)

    def read_all_the_time() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read_all_the_time)
    reader.start()
    for _ in range(10):
        write_bytes(path, new)
        write_bytes(path, old)
    stop.set()
    reader.join()
    assert seen <= {old, new}


def test_error_inside_the_block_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with suppress(RuntimeError), atomic_file(tmp_path / "a.txt") as file:
        file.write(b"new")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.linux
def test_limit_on_file_size_is_a_storage_error_and_leaves_nothing(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with largest_file(10_000), pytest.raises(StorageError, match=r"a\.txt: cannot be written: File too large"):
        write_bytes(tmp_path / "a.txt", b"x" * 100_000)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be written: (Not a directory|File exists)"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_folder_at_the_path_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        write_text(tmp_path / "a", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


_ENDLESS_WRITER = """
import sys
from pathlib import Path
from navsim.storage import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.linux
def test_killed_writer_leaves_a_partial_file_only_and_that_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    command = [sys.executable, "-c", _ENDLESS_WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert is_partial(left[0])
    assert not is_partial(path)
    assert remove_partial(tmp_path / "b.bin") == 0
    assert remove_partial(path) == 1
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_path_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    command = [sys.executable, "-c", _ENDLESS_WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        write_bytes(path, b"mine")
        assert path.read_bytes() == b"mine"
        process.communicate()
    assert path.read_bytes() == b"half"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_new_files_follow_the_users_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "a.txt").stat().st_mtime <= time.time() + 1


def test_a_folder_appears_with_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()  # an empty one is as good as none
    for name in ("new", "there"):
        with atomic_folder(tmp_path / name) as folder:
            (folder / "deep").mkdir()
            write_text(folder / "deep" / "a.txt", "a")
            assert not (tmp_path / name).exists()
        assert (tmp_path / name / "deep" / "a.txt").read_text() == "a"
    assert {path.name for path in tmp_path.iterdir()} == {"new", "there"}


@pytest.mark.linux
def test_a_folder_that_cannot_be_filled_does_not_appear(tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(KeyError), atomic_folder(new) as folder:
        raise KeyError((folder / "a.txt").write_text("a"))
    with largest_file(10), pytest.raises(StorageError, match="File too large"), atomic_folder(new) as folder:
        write_bytes(folder / "a.bin", bytes(1000))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "taken" / "mine.txt", "mine")
    with pytest.raises(StorageError, match="taken: already exists"), atomic_folder(tmp_path / "taken"):
        pytest.fail("the block must not run")
    write_text(tmp_path / "file", "mine")
    with pytest.raises(StorageError, match="file"), atomic_folder(tmp_path / "file" / "below"):
        pytest.fail("the block must not run")
    assert (tmp_path / "taken" / "mine.txt").read_text() == "mine"


def test_a_file_that_is_here_comes_before_the_projects_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundled = BUNDLED["configs"] / "demo" / "train.yaml"
    for name in ("demo/train.yaml", "configs/demo/train.yaml"):
        assert find_file(Path(name), "configs") == bundled
        assert find_file(Path(name), "policies") == Path(name)
    for name in ("demo/none.yaml", str(tmp_path / "demo" / "train.yaml"), "configs/configs/demo/train.yaml"):
        assert find_file(Path(name), "configs") == Path(name)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "train.yaml").touch()
    assert find_file(Path("demo/train.yaml"), "configs") == Path("demo/train.yaml")
    assert find_file(Path("configs/demo/train.yaml"), "configs") == bundled
