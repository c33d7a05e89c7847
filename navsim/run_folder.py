"""Folders of runs: each belongs to the settings that it was claimed with, so that two runs never mix.

A run writes its settings into its folder first. A later run in that folder must have the same settings; then it
continues what is unfinished. Which file holds the settings is up to the kind of run. While a run writes, it holds a
lock of the operating system, which ends with the process, however that ends.
"""

import errno
import json
import logging
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from navsim.config import from_mapping, to_mapping
from navsim.errors import ConfigError, StorageError
from navsim.storage import is_partial, write_json, write_text

Values = dict[str, Any]
"""Settings as plain values."""
_LOCK_NAME = re.compile(r"\..+-(\d+)-of-(\d+)\.lock(\.holder)?")
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # of folders on some network file systems
_PATIENCE = 0.2  # time for which a lock is tried [s]; one that is just being released is free by then
_CLAIM_PATIENCE = 600.0  # time for which another process may claim or summarise a folder [s]
_log = logging.getLogger(__name__)
_LONGEST = 60  # characters of a value in a message
_SHOWN = 3  # differences in a message


@dataclass(frozen=True)
class Difference:
    """A setting whose stored value is not the wanted one."""

    key: str
    """Name of the setting, with dots between levels."""
    stored: Any
    """Value in the folder, None if it has none."""
    wanted: Any
    """Value of the new run, None if it has none."""

    def __str__(self) -> str:
        return f"{self.key} is {_short(self.stored)} there, {_short(self.wanted)} asked for"


def differences(stored: Any, wanted: Any, key: str = "") -> list[Difference]:
    """List where two structures of plain values differ, in the order of the wanted one."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        names = [*wanted, *(name for name in stored if name not in wanted)]
        parts = (differences(stored.get(name), wanted.get(name), f"{key}.{name}".strip(".")) for name in names)
        return [found for part in parts for found in part]
    if isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        pairs = enumerate(zip(stored, wanted, strict=True))
        return [found for i, (a, b) in pairs for found in differences(a, b, f"{key}.{i}")]
    return [] if stored == wanted else [Difference(key, stored, wanted)]


def current_settings(kind: type, stored: Values, source: Path) -> Values:
    """Return stored settings as today's version writes them.

    Renamed keys get today's names. Settings that were added later get their defaults.

    Args:
        kind: The dataclass of the settings; every field has a default.
        stored: Plain values of any earlier version.
        source: File that they were read from.

    Raises:
        ConfigError: If today's version has no such settings; names the key and its value.
    """
    return to_mapping(from_mapping(kind, stored, str(source)))


def check_settings(
    folder: Path,
    stored: Values,
    wanted: Values,
    content: str,
    advice: str,
    may_differ: Callable[[Difference], bool] = lambda _: False,
) -> None:
    """Make sure that a folder was claimed with the wanted settings.

    Args:
        folder: The folder, for the message.
        stored: Settings in the folder.
        wanted: Settings of the new run.
        content: What the folder holds, such as "data".
        advice: What helps, such as "give another --out".
        may_differ: Function that tells which differences do not matter.

    Raises:
        ConfigError: If they differ; names the first differences.
    """
    found = [each for each in differences(stored, wanted) if not may_differ(each)]
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        listed = "; ".join(map(str, found[:_SHOWN]))
        raise ConfigError(f"{folder}: holds {content} of other settings ({listed}{more}); {advice}")


def check_unused(folder: Path, content: str, advice: str) -> None:
    """Make sure that a folder without settings can be claimed: that it is missing or empty.

    Raises:
        StorageError: If it is a file, or holds files of another kind.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder}: is a file, not a folder; {advice}")
    others = [path.name for path in folder.glob("*") if not is_partial(path) and not _LOCK_NAME.fullmatch(path.name)]
    if others:
        raise StorageError(f"{folder}: holds other files ({others[0]}, ...) but no {content}; {advice}")


def check_resume(folder: Path, resume: bool, content: str = "an unfinished run") -> None:
    """Make sure that an unfinished run is only continued on request.

    Raises:
        StorageError: If `resume` is off.
    """
    if not resume:
        raise StorageError(f"{folder}: holds {content}; continue it with --resume")


def claim_folder(
    folder: Path,
    name: str,
    settings: Mapping[str, Any],
    content: str,
    advice: str,
    update: Callable[[Values], Values] = lambda stored: stored,
) -> None:
    """Write settings into a folder, or make sure that it was claimed with the same ones.

    Args:
        folder: The folder. It may hold other files too.
        name: Name of the JSON file with the settings.
        settings: Settings of the new run, as plain values.
        content: What the folder holds, such as "results".
        advice: What helps if it belongs to another run.
        update: Turns the settings of an earlier version into today's.

    Raises:
        ConfigError: If the folder was claimed with other settings, or its file cannot be read.
        StorageError: If the file cannot be written.
    """
    path, wanted = folder / name, json.loads(json.dumps(settings))
    try:
        stored = json.loads(path.read_bytes())
    except FileNotFoundError:
        write_json(path, wanted)
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; {advice}") from None
    check_settings(folder, update(stored), wanted, content, advice)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


@contextmanager
def locked_folder(folder: Path, task: str = "run", part: tuple[int, int] = (0, 1)) -> Iterator[None]:
    """Hold a folder, so that no other process runs the same task in it. A missing folder is created.

    The lock vanishes with the process. If the block ends with the new folder empty, the folder is removed.

    Args:
        folder: Folder that the block writes to.
        task: Name of the task.
        part: Part of the work, i of n; parts that have no unit in common may run at the same time.

    Raises:
        StorageError: If another process holds the folder, or a part that overlaps; names the process.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with suppress(OSError):  # what cannot be created cannot be written either, which the block says better
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with one_at_a_time(folder):
            check_idle(folder, task, part)
            path = folder / f".{task}-{part[0]}-of-{part[1]}.lock"
            lock = _lock(path, _PATIENCE)
            if lock is not None:
                with suppress(StorageError):
                    text = f"process {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M')}"
                    write_text(_holder(path), text)
        try:
            yield
        finally:
            _release(path, lock)
    finally:
        for created in missing:
            with suppress(OSError):  # it holds something
                created.rmdir()


def check_idle(folder: Path, task: str = "run", part: tuple[int, int] = (0, 1)) -> None:
    """Make sure that no process works on a folder, see `locked_folder`; for what reads a folder as a whole.

    Raises:
        StorageError: If a process holds the folder, or a part that overlaps; names the process.
    """
    for path in folder.glob(f".{task}-*-of-*.lock"):
        if _overlap(path, part):
            _release(path, _lock(path, _PATIENCE))  # left by a process that has died


@contextmanager
def one_at_a_time(folder: Path, patience: float = _CLAIM_PATIENCE) -> Iterator[None]:
    """Wait for other processes in a block of this kind in the same folder.

    Args:
        folder: The folder, which exists.
        patience: Longest time to wait [s]; a negative number waits without end.

    Raises:
        StorageError: If another process takes longer.
    """
    path = folder / ".claim-0-of-1.lock"
    lock = _lock(path, patience)
    try:
        yield
    finally:
        _release(path, lock)


def _lock(path: Path, patience: float) -> FileLock | None:
    """Return a lock on a file, which is created; None if the folder cannot hold one.

    Raises:
        StorageError: If another process holds it for longer than `patience` [s].
    """
    lock = FileLock(path, patience, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        holder = "another process"
        with suppress(OSError):  # it is about to be written or removed
            holder = _holder(path).read_text(encoding="utf-8")
        raise StorageError(f"{path.parent}: is in use by {holder}; wait, or choose another folder") from None
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            _log.warning("%s: this file system has no locks: see that no other process writes there", path.parent)
        return None
    return lock


def _release(path: Path, lock: FileLock | None) -> None:
    """Give up a lock and remove its files."""
    if lock is not None:
        for file in (_holder(path), path):  # before the release: a process that waits notices that its file has gone
            with suppress(OSError):  # Windows keeps open files
                file.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> Path:
    """Return the file that tells which process holds a lock."""
    return path.with_name(f"{path.name}.holder")


def _overlap(path: Path, part: tuple[int, int]) -> bool:
    """Whether the part of the work in the name of a lock's file has units in common with another part."""
    match = _LOCK_NAME.fullmatch(path.name)
    return match is not None and (int(match[1]) - part[0]) % gcd(int(match[2]), part[1]) == 0
