import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.config import chosen_task, from_mapping, load_config, parse_config, to_mapping
from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.gps import GpsSpec


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


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "count: 4\nrate: 2\n")
    words = ["--config", str(path), "--count", "7", "--gps.position-sigma", "1", "--cameras.0.width", "64"]
    expected = Example(count=7, rate=2.0, gps=GpsSpec(position_sigma=1.0), cameras=(Camera(width=64),))
    assert parse_config(Example, "Try.", words) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cuont: 4", ["cuont", "4", "perhaps you meant 'count'", "known keys: cameras, colour"]),
        ("gps: {position_tim: 4}", ["gps.position_tim", "perhaps you meant 'position_time'"]),
        ("cameras: [{widht: 4}]", ["cameras.0.widht", "perhaps you meant 'width'"]),
        ("count: many", ["count = 'many'", "valid integer"]),
        ("count: '4'", ["count = '4'", "valid integer"]),
        ("colour: green", ["colour = 'green'", "'red' or 'blue'"]),
        ("gps: {position_time: -1}", ["gps.position_time must be above 0", "-1"]),
        ("gps: 3", ["gps = 3"]),
        ("[1, 2]", ["must hold keys with values"]),
        ("a: [", ["is no YAML"]),
        ("count: 2024-01-01", ["no plain kind"]),
    ],
)
def test_a_mistake_is_one_line_with_file_key_and_value(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path / "bad.yaml", text)
    with pytest.raises(ConfigError) as error:
        load_config(Example, path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(Example, tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("words", [["--coutn", "3"], ["--count", "many"], ["--colour", "green"], ["loose"]])
def test_a_wrong_option_ends_with_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse_config(Example, "Try.", words)
    assert exit_.value.code == 2
    assert words[0] in "".join(capsys.readouterr())


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


def test_a_task_that_is_none_is_named(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.yaml", "task: [driving]\n"))
    with pytest.raises(ConfigError, match=r"task must be one of driving, flying, got \['driving'\]"):
        chosen_task(("driving", "flying"), ["--config", path])
    with pytest.raises(ConfigError, match="got 'swimming'"):
        chosen_task(("driving", "flying"), ["--task", "swimming"])
