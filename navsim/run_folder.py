"""Folders of runs: each belongs to the settings that it was claimed with, so that two runs never mix.

A run writes its settings into its folder first. A later run in that folder must have the same settings; then it
continues what is unfinished. Which file holds the settings is up to the kind of run.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navsim.config import from_mapping, to_mapping
from navsim.errors import ConfigError, StorageError
from navsim.storage import is_partial, write_json

Values = dict[str, Any]
"""Settings as plain values."""
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
    others = [path.name for path in folder.glob("*") if not is_partial(path)]
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
