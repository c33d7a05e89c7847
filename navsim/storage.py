"""Atomic files and folders, written under a temporary name, flushed to disk, then renamed; YAML files; paths.

After a crash or with a full disk, either the old file or the complete new one exists. A killed process leaves a hidden
`.NAME.PID.partial` beside the file, which `remove_partial` removes.
"""

import dataclasses
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import yaml

from navsim.errors import ConfigError, StorageError

T = TypeVar("T")
_RENAME_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # between attempts [s]


def linked_folder(path: Path) -> Path:
    """Return the folder at `path`, or the one that the text of a file there names, as git writes links on Windows."""
    return (path.parent / path.read_text(encoding="utf-8")).resolve() if path.is_file() else path


BUNDLED = {name: linked_folder(Path(__file__).parent / name) for name in ("configs", "policies")}
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


_VARIABLE = re.compile(r"\$(?:(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[^{}]*)\})")


def expand_path(path: Path | str, source: str = "") -> Path:
    """Return a path with `~`, `~user`, `$NAME` and `${NAME}` replaced; an existing name such as `a$b` stays.

    Args:
        path: The path.
        source: Text before it in errors, such as "out = ".

    Raises:
        ConfigError: If an environment variable is not set or is empty, or the user is unknown.
    """
    given = Path(path)
    is_name = any(
        folder.exists() for folder in (given, *given.parents) if folder.name.startswith("~") or "$" in folder.name
    )

    def value(match: re.Match[str]) -> str:
        name = match["bare"] or match["braced"]
        if not os.environ.get(name) and not is_name:
            raise ConfigError(f"{source}{path}: the environment variable {name!r} is not set")
        return os.environ.get(name) or match[0]

    replaced = Path(_VARIABLE.sub(value, str(path)))
    try:
        return replaced.expanduser()
    except RuntimeError:
        if is_name:
            return replaced
        raise ConfigError(f"{source}{path}: no home folder of {replaced.parts[0]!r} is known") from None


def with_expanded_paths(value: T, source: str = "", key: str = "") -> T:
    """Return a configuration with all its paths expanded, see `expand_path`.

    Args:
        value: A dataclass, mapping or tuple of any depth.
        source: Text before a key in errors, such as "train.yaml: ".
        key: Name of the value, with dots between levels.

    Raises:
        ConfigError: Naming the key, if a path cannot be expanded.
    """

    def inner(name: object, part: Any) -> Any:
        return with_expanded_paths(part, source, f"{key}.{name}".strip("."))

    expanded: Any = value
    if isinstance(value, Path):
        expanded = expand_path(value, f"{source}{key} = " if key else source)
    elif isinstance(value, tuple):
        expanded = tuple(inner(i, part) for i, part in enumerate(value))
    elif isinstance(value, dict):
        expanded = {name: inner(name, part) for name, part in value.items()}
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        changes = {name: new for name, part in parts.items() if (new := inner(name, part)) != part}
        expanded = dataclasses.replace(value, **changes) if changes else value
    return cast(T, expanded)


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
        _rename(partial, path)
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
        _rename(partial, path)
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


_NUMBERS = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*)\Z"),
    "tag:yaml.org,2002:float": re.compile(
        r"(?i:[-+]?(?:\.inf|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:e[-+]?[0-9]+)?)|\.nan)\Z"
    ),
}
_RESOLVERS = {
    first: [(tag, form) for tag, form in forms if tag not in _NUMBERS]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _first in "-+.0123456789":
    _RESOLVERS.setdefault(_first, []).extend(_NUMBERS.items())


class _YamlLoader(yaml.SafeLoader):
    """Reads YAML 1.1 with the numbers of YAML 1.2, such as `1e-3`, and refuses a key that occurs twice."""

    yaml_implicit_resolvers = _RESOLVERS

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set[tuple[str, str]]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    text = f"the key {key.value!r} is there twice"
                    raise yaml.MarkedYAMLError(problem=text, problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node

    def construct_yaml_number(self, node: yaml.ScalarNode) -> int | float:
        """Return a number; one with an exponent and without a fraction, such as `1e5`, is an integer."""
        text = node.value.replace("_", "").lower()
        if re.match(r"[-+]?0[xob]", text):
            return int(text, 0)
        if text.lstrip("-+").isdigit():
            return int(text)
        value = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        return int(value) if "e" in text and value.is_integer() else value


class _YamlDumper(yaml.SafeDumper):
    """Writes what `_YamlLoader` reads: text that looks like a number there is in quotes."""

    yaml_implicit_resolvers = _RESOLVERS


for _tag in _NUMBERS:
    _YamlLoader.add_constructor(_tag, _YamlLoader.construct_yaml_number)


def read_yaml(path: Path) -> Any:
    """Read plain values from a YAML file in UTF-8 or UTF-16.

    Raises:
        ConfigError: If the file cannot be read or is not YAML; names the line.
    """
    try:
        return yaml.load(path.read_bytes(), _YamlLoader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        advice = "; indent with spaces" if "'\\t'" in str(error.problem) else ""
        raise ConfigError(f"{path}: is not YAML: {where}{error.problem}{advice}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values to `path` as YAML in the order given, completely or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    write_text(path, yaml.dump(dict(values), Dumper=_YamlDumper, sort_keys=False))


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


def _rename(partial: Path, path: Path) -> None:
    """Give a finished file or folder its final name; a file of that name is replaced.

    Windows refuses while a program, such as a virus scanner, has either of them open; there it is tried for 1.5 s.
    """
    for pause in _RENAME_PAUSES if sys.platform == "win32" else ():
        try:
            partial.replace(path)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    partial.replace(path)


def _flush_folder(folder: Path) -> None:
    """Flush a rename in `folder` to disk, so that it survives a power failure; Windows cannot do that."""
    if sys.platform == "win32":
        return
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
