"""Atomic files and folders: written under a temporary name, flushed to disk, then renamed. Files of the project itself.

After a crash or with a full disk, either the old file or the complete new one exists. A killed process leaves a hidden
`.NAME.PID.partial` beside the file, which `remove_partial` removes.
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

BUNDLED = {name: Path(__file__).parent / name for name in ("configs", "policies")}
"""Folders with the configurations and policies that are part of the project, also where it is installed."""


def find_file(path: Path, kind: str) -> Path:
    """Return `path` if it exists, else the project's own file of that name if there is one, else `path`.

    Args:
        path: A path, or a name such as `demo/train.yaml` or `configs/demo/train.yaml`.
        kind: Key of `BUNDLED`.
    """
    parts = path.parts[1:] if path.parts[:1] == (kind,) else path.parts
    bundled = BUNDLED[kind].joinpath(*parts)
    return bundled if not path.exists() and bundled.exists() else path


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for binary writing that appears at `path` when the block ends without an error.

    A missing folder is created. An existing file at `path` is replaced at the end, in one step.

    Args:
        path: Final path of the file.

    Yields:
        The open file, under a temporary name in the same folder.

    Raises:
        StorageError: If the file cannot be written (no space, no permission, ...); the temporary file is removed.
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
    """Create a new folder that appears at `path`, with its content, when the block ends without an error.

    Args:
        path: Final path of the folder; an empty folder may exist there.

    Yields:
        The folder under a temporary name, to be filled.

    Raises:
        StorageError: If `path` exists, or the folder cannot be written; the temporary folder is removed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        if path.exists():
            raise StorageError(f"{path}: already exists; choose another folder or remove it")
        partial.mkdir(parents=True)
        yield partial
        partial.rename(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` completely or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, completely or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    write_bytes(path, text.encode())


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values to `path` as indented JSON, completely or not at all.

    Raises:
        StorageError: If it cannot be written.
        ValueError: If a number is not finite, because JSON has no text for it.
    """
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values to `path` as YAML in the order given, completely or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    write_text(path, yaml.safe_dump(dict(values), sort_keys=False))


def remove_partial(path: Path) -> int:
    """Remove the temporary files of killed processes; call it only while no process writes to `path`.

    Args:
        path: Final path of the file, which may be missing.

    Returns:
        The number of removed files.
    """
    leftovers = list(path.parent.glob(f".{path.name}.*.partial"))
    for leftover in leftovers:
        _remove_quietly(leftover)
    return len(leftovers)


def is_partial(path: Path) -> bool:
    """Return whether `path` is the temporary name of a file that is not complete."""
    return path.name.startswith(".") and path.name.endswith(".partial")


def _flush_folder(folder: Path) -> None:
    """Flush a rename in `folder` to disk, so that it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    """Remove a file if possible, without an error that would hide the one that led here."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
