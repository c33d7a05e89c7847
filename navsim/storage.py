"""Files that are complete or absent: written under another name, flushed to disk, then renamed.

A crash or a full disk at any moment leaves either the old file or the new one, never half of one. What a killed
process leaves behind is a hidden `.NAME.PID.partial` beside the file, which `remove_partial` sweeps up.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from navsim.errors import StorageError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for binary writing that appears at `path` when the block ends without an error.

    The folder is made if it is missing. A file that is already at `path` is replaced at the end, in one step.

    Args:
        path: Where the file shall be.

    Yields:
        The open file, under a temporary name in the same folder.

    Raises:
        StorageError: If the file cannot be written (no space, no permission, ...); nothing is left of it then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        _remove_quietly(partial)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Make a new folder that appears at `path`, with all that is in it, when the block ends without an error.

    Args:
        path: Where the folder shall be; an empty one may be there.

    Yields:
        The folder under a temporary name, to be filled.

    Raises:
        StorageError: If something is at `path`, or the folder cannot be written; nothing is left of it then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        if path.exists():
            raise StorageError(f"{path}: is there already; choose another folder or remove it")
        partial.mkdir(parents=True)
        yield partial
        partial.rename(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` at once or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, at once or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    write_bytes(path, text.encode())


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values to `path` as indented JSON, at once or not at all.

    Raises:
        StorageError: If it cannot be written.
        ValueError: If a number is not finite, which JSON cannot say.
    """
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values to `path` as YAML in the order given, at once or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    write_text(path, yaml.safe_dump(dict(values), sort_keys=False))


def remove_partial(path: Path) -> int:
    """Remove what killed processes left of `path`; call it only where nobody else is writing `path`.

    Args:
        path: The complete file's name; whether that exists does not matter.

    Returns:
        How many files were removed.
    """
    leftovers = list(path.parent.glob(f".{path.name}.*.partial"))
    for leftover in leftovers:
        _remove_quietly(leftover)
    return len(leftovers)


def is_partial(path: Path) -> bool:
    """Return whether `path` has the name of a file whose writing has not ended."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    """Remove a file if it is there and can be removed; the error that led here matters more."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
