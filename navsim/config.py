"""Configurations: frozen dataclasses are the schema, YAML files hold the differences, the command line overrides both.

`extends: other.yaml` in a file names its base file, relative to itself. This is the only composition. All other paths
are relative to the current directory; `~` and environment variables are replaced, see `navsim.storage.expand_path`.
"""

import argparse
import dataclasses
import difflib
import functools
import json
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

import annotated_types
import numpy as np
import tyro
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from navsim.errors import ConfigError
from navsim.storage import expand_path, find_file, read_yaml, with_expanded_paths

T = TypeVar("T")

RENAMED_KEYS: dict[str, dict[str, str]] = {
    "ClosedLoopConfig": {"worlds": "num_envs"},
    "CollectConfig": {"worlds": "num_envs"},
    "CountedConfig": {"least_height": "min_height", "least_visible": "min_visible"},
    "DaggerConfig": {"worlds": "num_envs"},
    "DecisionRules": {"least_mass": "min_mass"},
    "FilterConfig": {
        "jump": "kidnap_probability",
        "jumping": "injected_fraction",
        "least": "min_particles",
        "most": "max_particles",
        "per_metre": "particles_per_metre",
    },
    "LocalizeConfig": {"unforeseen": "outlier_probability"},
    "PageDriver": {"words": "label"},
    "SimulationBenchmark": {"worlds": "num_envs"},
    "SuitesPageConfig": {"again": "repeat", "redrawn": "other_renderer", "checked": "repeat_suite"},
    "StudyContrast": {"words": "labels"},
    "TrainConfig": {"quiet_share": "lane_keeping_fraction"},
    "Variant": {"words": "label"},
    "ViewerConfig": {"panel": "dashboard"},
}
"""Current name of each old key that stored files may use, by configuration class."""
RENAMED_VALUES: dict[str, dict[str, dict[str, str]]] = {"ActingConfig": {"rule": {"sticky": "follow_mode"}}}
"""Current name of each old value that stored files may use, by class and key."""


Conversion = Callable[[dict[str, Any]], dict[str, Any]]
"""Function from the plain values of a file to those of a configuration."""


def parse_config(
    kind: type[T], description: str, arguments: Sequence[str] | None = None, convert: Conversion = dict
) -> T:
    """Build a configuration from `--config FILE` and further options that override its fields.

    Args:
        kind: Dataclass of the configuration; every field has a default.
        description: One sentence for `--help`.
        arguments: Arguments of the command line; None for the program's own.
        convert: Function for the values of the file.

    Raises:
        ConfigError: If the file cannot be used.
        SystemExit: From the option parser, with 0 after `--help` and 2 after an unknown or mistyped option.
    """
    known, rest = _file_option().parse_known_args(arguments)
    default = kind() if known.config is None else load_config(kind, known.config, convert)
    text = (
        f"{description} Give --config FILE for a YAML file with fields that differ from the defaults below. "
        "A name such as demo/train.yaml means the project's own file, unless there is one of that name here."
    )
    config = tyro.cli(kind, default=default, args=rest, description=text, config=(tyro.conf.EnumChoicesFromValues,))
    return with_expanded_paths(config)


def chosen_task(tasks: Sequence[str], arguments: Sequence[str] | None = None) -> str:
    """Return the task that the file or the command line chooses with `task`.

    Args:
        tasks: Names of the tasks; the first is the default.
        arguments: Arguments of the command line; None for the program's own.

    Raises:
        ConfigError: If the file cannot be used, or the task does not exist.
    """
    options = _file_option()
    options.add_argument("--task")
    known, _ = options.parse_known_args(arguments)
    task = known.task
    if task is None:
        task = tasks[0] if known.config is None else _read_yaml(known.config).get("task", tasks[0])
    if task not in tasks:
        raise ConfigError(f"task must be one of {', '.join(tasks)}, got {task!r}")
    return str(task)


def load_config(kind: type[T], path: Path, convert: Conversion = dict) -> T:
    """Read a YAML file into the dataclass `kind`; fields that are not in the file keep their defaults.

    Raises:
        ConfigError: If the file is missing or not a YAML mapping, or has an unknown key or a wrong value.
    """
    config = from_mapping(kind, convert(_read_yaml(path)), str(path))
    return with_expanded_paths(config, f"{path}: ")


def from_mapping(kind: type[T], values: dict[str, Any], source: str) -> T:
    """Build the dataclass `kind` from plain values (as read from YAML or JSON) and check them.

    Raises:
        ConfigError: Naming `source`, the key, its value and what is allowed.
    """
    try:
        text = json.dumps(updated_keys(kind, values), default=_plain)
        return TypeAdapter(kind).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(kind, detail, source) for detail in error.errors())) from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not a plain value: {error}") from None


def _plain(value: Any) -> Any:
    """Return a value of numpy as plain ones; other types raise TypeError."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} is of type {type(value).__name__}")


def updated_keys(kind: Any, values: Any) -> Any:
    """Return plain values with every renamed key and value under its current name, see `RENAMED_KEYS`.

    Args:
        kind: Type of the values: a dataclass, or a type that contains one.
        values: Plain values of any version, not changed.
    """
    if isinstance(values, list):
        inner = get_args(kind)
        return [updated_keys(inner[0], value) if inner else value for value in values]
    if not isinstance(values, dict):
        return values
    if get_origin(kind) is dict:
        return {key: updated_keys(get_args(kind)[1], value) for key, value in values.items()}
    known = next((option for option in (kind, *get_args(kind)) if dataclasses.is_dataclass(option)), None)
    if not isinstance(known, type):
        return values
    classes = [base.__name__ for base in known.__mro__]
    keys = {old: new for name in classes for old, new in RENAMED_KEYS.get(name, {}).items() if new not in values}
    choices = {key: table for name in classes for key, table in RENAMED_VALUES.get(name, {}).items()}
    hints = get_type_hints(known)
    renamed = {keys.get(str(key), key): value for key, value in values.items()}
    return {
        key: choices[key].get(value, value)
        if key in choices and isinstance(value, str)
        else updated_keys(hints.get(str(key)), value)
        for key, value in renamed.items()
    }


def to_mapping(config: Any) -> dict[str, Any]:
    """Return a configuration dataclass as plain values, the inverse of `from_mapping`."""
    values: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return values


class Constrained:
    """Base of dataclasses whose fields carry range constraints, such as `Annotated[float, Gt(0)]`.

    The constraints (of `annotated_types`) hold for objects created in code and for files read by pydantic. A class with
    further checks calls `super().__post_init__()` first. `_error_prefix` is the text before a field's name in errors.
    """

    def __post_init__(self) -> None:
        """Raise ConfigError if a field violates one of its constraints."""
        for name, constraints in _constraints(cast(Any, type(self))).items():
            value = getattr(self, name)
            if value is not None and not all(_holds(constraint, value) for constraint in constraints):
                limits = " and ".join(_limit_text(constraint) for constraint in constraints)
                raise ConfigError(f"{self._error_prefix()}{name} must be {limits}, got {value!r}")

    def _error_prefix(self) -> str:
        return ""


_LIMITS: dict[Any, tuple[str, Callable[[Any, Any], bool], str]] = {
    annotated_types.Gt: ("gt", operator.gt, "above"),
    annotated_types.Ge: ("ge", operator.ge, "at least"),
    annotated_types.Lt: ("lt", operator.lt, "below"),
    annotated_types.Le: ("le", operator.le, "at most"),
    annotated_types.MinLen: ("min_length", lambda value, bound: len(value) >= bound, "of length at least"),
    annotated_types.MaxLen: ("max_length", lambda value, bound: len(value) <= bound, "of length at most"),
}
"""Attribute, test and text of each constraint."""


@functools.cache
def _constraints(kind: Any) -> dict[str, tuple[Any, ...]]:
    """Return the constraints of a dataclass's fields by name, without fields that have none."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        options = [hint, *get_args(hint)]  # `Annotated[...] | None` holds its constraints one level down
        extras = [extra for option in options if get_origin(option) is Annotated for extra in option.__metadata__]
        limits = tuple(extra for extra in extras if type(extra) in _LIMITS)
        if limits:
            found[name] = limits
    return found


def _holds(constraint: Any, value: Any) -> bool:
    """Return whether a value satisfies a constraint; NaN satisfies none."""
    attribute, holds, _ = _LIMITS[type(constraint)]
    return bool(holds(value, getattr(constraint, attribute)))


def _limit_text(constraint: Any) -> str:
    attribute, _, text = _LIMITS[type(constraint)]
    return f"{text} {getattr(constraint, attribute):g}"


def _file_option() -> argparse.ArgumentParser:
    """Return a parser that finds `--config FILE` among other options."""
    files = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    files.add_argument("--config", type=Path)
    return files


def _read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a mapping and merge it into the file that it extends."""
    path = find_file(expand_path(path), "configs")
    if path.resolve() in seen:
        raise ConfigError(f"{path}: extends itself through {' -> '.join(map(str, seen))}")
    values = read_yaml(path)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be a mapping, got a {type(values).__name__}")
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends = {base!r}: must be the name of one file")
    return merged(_read_yaml(path.parent / expand_path(base, f"{path}: extends = "), (*seen, path.resolve())), values)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, merged recursively where both are mappings."""
    both = {
        key: merged(base[key], over[key])
        for key in base.keys() & over.keys()
        if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return base | over | both


_LIMIT_ERRORS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
    "too_short": ("min_length", "of length at least"),
    "too_long": ("max_length", "of length at most"),
}
"""Context key and text of each pydantic error that a violated limit causes, worded as `Constrained` words it."""


def _explain(kind: type, detail: ErrorDetails, source: str) -> str:
    """Return the text of one validation error; between keys pydantic names the options of a union: "tuple[...]"."""
    location = [part for part in detail["loc"] if isinstance(part, int) or "[" not in part]
    key = ".".join(map(str, location))
    if detail["type"] in _LIMIT_ERRORS:
        attribute, text = _LIMIT_ERRORS[detail["type"]]
        return f"{source}: {key} must be {text} {detail['ctx'][attribute]:g}, got {detail['input']!r}"
    if detail["type"] not in ("unexpected_keyword_argument", "extra_forbidden"):
        text = f"{source}: {key or 'file'} = {detail['input']!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
        quotes = detail["type"] == "string_type" and isinstance(detail["input"], int | float)
        return f"{text}; text that looks like a number needs quotes" if quotes else text
    known = _field_names(kind, location[:-1])
    given = str(location[-1])
    close = difflib.get_close_matches(given, known, n=1) or [name for name in known if given.lower() in name.lower()]
    hint = f"perhaps you meant {close[0]!r}; " if close else ""
    return f"{source}: {key} = {detail['input']!r}: unknown key; {hint}known keys: {', '.join(sorted(known))}"


def _field_names(kind: Any, location: Sequence[str | int]) -> list[str]:
    """Return the field names of the dataclass at `location` within `kind`."""
    for part in location:
        if isinstance(part, str) and dataclasses.is_dataclass(kind):
            kind = get_type_hints(kind).get(part, kind)
        elif get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    inner = next((option for option in (kind, *get_args(kind)) if dataclasses.is_dataclass(option)), None)
    return [] if inner is None else [field.name for field in dataclasses.fields(inner)]
