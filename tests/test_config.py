import dataclasses
import importlib
import pkgutil
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Lt, MinLen
from hypothesis import given
from hypothesis import strategies as st

import agents
import navsim
from navsim.config import (
    RENAMED_KEYS,
    RENAMED_VALUES,
    Constrained,
    chosen_task,
    from_mapping,
    load_config,
    parse_config,
    to_mapping,
    updated_keys,
)
from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.observation import GpsSpec

ROOT = Path(__file__).parents[1]


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Example:
    """An example."""

    count: int = 3
    rate: float = 0.5
    colour: Colour = Colour.RED
    cameras: tuple[Camera, ...] = (Camera(),)
    gps: GpsSpec = field(default_factory=GpsSpec)
    folder: Path = Path("runs")
    note: str | None = None


@dataclass(frozen=True)
class Numbers:
    """Numbers at several depths."""

    count: int = 0
    rate: float = 0.0
    gps: GpsSpec = field(default_factory=GpsSpec)
    free: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Folders:
    """Paths at several depths."""

    folder: Path = Path("runs")
    files: tuple[Path, ...] = ()
    more: dict[str, Path] = field(default_factory=dict)
    inner: "Folders | None" = None
    note: str = ""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_holds_only_what_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "count: 4\nrate: 2\ncolour: blue\ngps: {position_sigma: 5}\n")
    loaded = load_config(Example, path)
    assert loaded == Example(count=4, rate=2.0, colour=Colour.BLUE, gps=GpsSpec(position_sigma=5.0))


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load_config(Example, write(tmp_path / "a.yaml", "")) == Example()


def test_extends_merges_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "count: 4\ngps: {position_sigma: 5, position_time: 3}\n")
    path = write(tmp_path / "over.yaml", "extends: base.yaml\ngps: {position_time: 9}\n")
    assert load_config(Example, path) == Example(count=4, gps=GpsSpec(position_sigma=5.0, position_time=9.0))


def test_a_file_that_extends_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "extends: b.yaml\n")
    path = write(tmp_path / "b.yaml", "extends: a.yaml\n")
    with pytest.raises(ConfigError, match="extends itself"):
        load_config(Example, path)


def test_a_file_that_extends_itself_under_another_spelling_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", f"extends: ../{tmp_path.name}/a.yaml\n")
    with pytest.raises(ConfigError, match="extends itself"):
        load_config(Example, path)


def test_numbers_are_those_of_todays_yaml_at_any_depth(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "rate: 1e-3\ncount: 1_000\nfree: {a: [1E5, .5, -2.5e-1], b: {c: +1e-3}}\n")
    path = write(tmp_path / "over.yaml", "extends: base.yaml\ngps: {position_sigma: .5, position_time: 1E1}\n")
    loaded = load_config(Numbers, path)
    assert loaded == Numbers(1000, 0.001, GpsSpec(0.5, 10.0), {"a": [1e5, 0.5, -0.25], "b": {"c": 0.001}})
    assert load_config(Numbers, write(tmp_path / "b.yaml", "count: 1e3\nrate: 010\n")) == Numbers(1000, 10.0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_of_any_editor_are_read(encoding: str, newline: str, tmp_path: Path) -> None:
    path = tmp_path / "mit Leerzeichen und ü.yaml"
    path.write_bytes(newline.join(["count: 4", "folder: Läufe/neu ", "note: |", "  a", "  b", ""]).encode(encoding))
    assert load_config(Example, path) == Example(count=4, folder=Path("Läufe/neu"), note="a\nb\n")


def test_paths_are_expanded_in_files_and_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, data = tmp_path / "home", tmp_path / "my data"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))  # the same on Windows
    monkeypatch.setenv("DATA", str(data))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a$b", "a name with a dollar sign")
    write(home / "base.yaml", "folder: ${DATA}/base\n")
    write(home / "a.yaml", "extends: ~/base.yaml\nmore: {a: $DATA}\nfiles: [~/x, '~/y/', a$b]\nnote: ~/note $DATA\n")
    loaded = parse_config(Folders, "Try.", ["--config", "~/a.yaml"])
    assert loaded == Folders(data / "base", (home / "x", home / "y", Path("a$b")), {"a": data}, None, "~/note $DATA")
    assert load_config(Folders, Path("~/a.yaml")) == loaded
    assert parse_config(
        Folders, "Try.", ["--config=$HOME/a.yaml", "--folder=~/f", "--files", "$DATA/1", "~"]
    ) == replace(loaded, folder=home / "f", files=(data / "1", home))
    nested = parse_config(Folders, "Try.", ["inner:folders", "--inner.folder", "~/in"])
    assert nested.inner == Folders(home / "in")


@pytest.mark.parametrize("option", ["--folder=${NAVSIM_UNSET}/x", "--files=$NAVSIM_UNSET"])
def test_an_undefined_variable_is_one_line_with_the_option(option: str) -> None:
    name = option.removeprefix("--").split("=")[0]
    with pytest.raises(ConfigError, match=rf"^{name}.* the environment variable 'NAVSIM_UNSET' is not set"):
        parse_config(Folders, "Try.", [option])


def test_options_are_parsed_where_paths_are_expanded() -> None:
    modules = [path for top in ("navsim", "agents", "scripts") for path in (ROOT / top).rglob("*.py")]
    parsing = [path.name for path in modules if re.search(r"tyro\.(extras\.subcommand_)?cli", path.read_text())]
    assert sorted(parsing) == ["cli.py", "config.py"]


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "count: 4\nrate: 2\n")
    arguments = ["--config", str(path), "--count", "7", "--gps.position-sigma", "1", "--cameras.0.width", "64"]
    expected = Example(count=7, rate=2.0, gps=GpsSpec(position_sigma=1.0), cameras=(Camera(width=64),))
    assert parse_config(Example, "Try.", arguments) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("cuont: 4", ["cuont", "4", "perhaps you meant 'count'", "known keys: cameras, colour"]),
        ("gps: {position_tim: 4}", ["gps.position_tim", "perhaps you meant 'position_time'"]),
        ("cameras: [{widht: 4}]", ["cameras.0.widht", "perhaps you meant 'width'"]),
        ("count: many", ["count = 'many'", "valid integer"]),
        ("count: '4'", ["count = '4'", "valid integer"]),
        ("colour: green", ["colour = 'green'", "'red' or 'blue'"]),
        ("gps: {position_time: -1}", ["gps.position_time must be above 0, got -1"]),
        ("gps: 3", ["gps = 3"]),
        ("[1, 2]", ["must be a mapping"]),
        ("a: [", ["is not YAML"]),
        ("count: 2024-01-01", ["not a plain value"]),
        ("count: 4\nrate: 1\ncount: 5", ["line 3: the key 'count' is there twice"]),
        ("gps: {position_time: 4, position_time: 5}", ["line 1: the key 'position_time' is there twice"]),
        ("gps:\n\tposition_time: 4", ["line 2", "indent with spaces"]),
        ("extends: [a.yaml, b.yaml]", ["extends = ['a.yaml', 'b.yaml']: must be the name of one file"]),
        ("note: &note [*note]", ["not a plain value"]),
        ("note: 1e5", ["note = 100000", "valid string", "needs quotes"]),
        ("count: 1.5e0", ["count = 1.5", "valid integer"]),
        ("folder: $NAVSIM_UNSET/a", ["folder", "$NAVSIM_UNSET/a", "variable 'NAVSIM_UNSET' is not set"]),
        ("folder: ~no-such-user/a", ["folder", "~no-such-user/a", "no home folder"]),
        ("extends: ${NAVSIM_UNSET}/a.yaml", ["variable 'NAVSIM_UNSET' is not set"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_value(tmp_path: Path, content: str, expected: list[str]) -> None:
    path = write(tmp_path / "bad.yaml", content)
    with pytest.raises(ConfigError) as error:
        load_config(Example, path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    with pytest.raises(ConfigError):
        parse_config(Example, "Try.", ["--config", str(path)])
    for text in expected:
        assert text in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(Example, tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("arguments", [["--coutn", "3"], ["--count", "many"], ["--colour", "green"], ["loose"]])
def test_a_wrong_option_ends_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse_config(Example, "Try.", arguments)
    assert exit_.value.code == 2
    assert arguments[0] in "".join(capsys.readouterr())


def test_help_names_every_field_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse_config(Example, "Try.", ["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    for name in ("--count", "--rate", "--colour", "--gps.position-sigma", "--folder", "--config"):
        assert name in text


@given(
    count=st.integers(-1000, 1000),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    colour=st.sampled_from(Colour),
    note=st.none() | st.text(),
    width=st.integers(8, 4096),
)
def test_plain_values_and_back(count: int, rate: float, colour: Colour, note: str | None, width: int) -> None:
    config = Example(count, rate, colour, (Camera(width=width), Camera(name="b")), note=note)
    assert from_mapping(Example, to_mapping(config), "memory") == config


def test_plain_values_hold_every_field() -> None:
    assert set(to_mapping(Example())) == {item.name for item in dataclasses.fields(Example)}


def test_the_task_is_the_options_then_the_files_then_the_first(tmp_path: Path) -> None:
    tasks = ("driving", "flying")
    write(tmp_path / "base.yaml", "task: flying\nspeed: 3\n")
    inherits = str(write(tmp_path / "over.yaml", "extends: base.yaml\nspeed: 4\n"))
    silent = str(write(tmp_path / "silent.yaml", "speed: 3\n"))
    assert chosen_task(tasks, []) == "driving"
    assert chosen_task(tasks, ["--config", silent, "--speed", "3"]) == "driving"
    assert chosen_task(tasks, ["--config", inherits]) == "flying"
    assert chosen_task(tasks, ["--speed", "3", "--task", "flying"]) == "flying"
    assert chosen_task(tasks, ["--config", inherits, "--task=driving"]) == "driving"


def test_an_unknown_task_is_named(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.yaml", "task: [driving]\n"))
    with pytest.raises(ConfigError, match=r"task must be one of driving, flying, got \['driving'\]"):
        chosen_task(("driving", "flying"), ["--config", path])
    with pytest.raises(ConfigError, match="got 'swimming'"):
        chosen_task(("driving", "flying"), ["--task", "swimming"])


@dataclass(frozen=True)
class Limited(Constrained):
    """An example with limits."""

    share: Annotated[float, Ge(0), Lt(1)] = 0.5
    count: Annotated[int, Gt(0)] | None = None
    names: Annotated[tuple[str, ...], MinLen(1)] = ("a",)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"share": 1.0}, "share must be at least 0 and below 1, got 1.0"),
        ({"share": float("nan")}, "share must be at least 0 and below 1, got nan"),
        ({"count": 0}, "count must be above 0, got 0"),
        ({"names": ()}, r"names must be of length at least 1, got \(\)"),
    ],
)
def test_a_field_outside_its_limits_is_one_clear_line(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Limited(**changes)
    with pytest.raises(ConfigError, match=f"^file.yaml: {next(iter(changes))}"):
        from_mapping(Limited, changes, "file.yaml")


def test_limits_include_what_they_say() -> None:
    assert Limited(0.0, 1, ("b",)) == Limited(share=0.0, count=1, names=("b",))


@dataclass(frozen=True)
class ClosedLoopConfig:
    """A configuration with a renamed key, under the name that the table knows."""

    num_envs: int = 1


@dataclass(frozen=True)
class Nested:
    """Configurations within others."""

    loops: tuple[ClosedLoopConfig, ...] = ()
    named: dict[str, ClosedLoopConfig] = field(default_factory=dict)
    one: ClosedLoopConfig | None = None
    free: dict[str, Any] = field(default_factory=dict)


def test_renamed_keys_are_read_wherever_they_stand() -> None:
    old: dict[str, Any] = {
        "loops": [{"worlds": 2}],
        "named": {"a": {"worlds": 3}},
        "one": {"worlds": 4},
        "free": {"worlds": 5},
    }
    loop = ClosedLoopConfig
    wanted = Nested((loop(2),), {"a": loop(3)}, loop(4), {"worlds": 5})
    assert from_mapping(Nested, old, "old.yaml") == wanted
    assert from_mapping(Nested, to_mapping(wanted), "new.yaml") == wanted


def test_a_key_under_both_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="worlds = 2: unknown key"):
        from_mapping(ClosedLoopConfig, {"worlds": 2, "num_envs": 3}, "both.yaml")


def configurations() -> dict[str, type]:
    """All configuration classes of the project by name."""
    modules = [
        importlib.import_module(module.name)
        for package in (navsim, agents)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    everything = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {value.__name__: value for value in everything if dataclasses.is_dataclass(value)}


@pytest.mark.torch
def test_the_table_of_renamed_keys_names_what_there_is() -> None:
    known = configurations()
    for kind, keys in RENAMED_KEYS.items():
        names = {entry.name for entry in dataclasses.fields(known[kind])}
        assert set(keys.values()) <= names
        assert not set(keys) & names
        for old, new in keys.items():
            assert updated_keys(known[kind], {old: 1}) == {new: 1}
    for kind, choices in RENAMED_VALUES.items():
        for key, values in choices.items():
            for old, new in values.items():
                assert to_mapping(from_mapping(known[kind], {key: old}, "old"))[key] == new
