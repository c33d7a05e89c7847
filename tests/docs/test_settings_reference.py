"""The reference of settings is what the dataclasses say."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Lt
from settings_reference import field_texts, kind_text, paths_below, settings_of, settings_pages, value_text


class Split(Enum):
    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True)
class Camera:
    """A camera.

    More on it.
    """

    width: Annotated[int, Ge(1), Lt(4096)] = 128
    """Columns of the picture [px]."""


@dataclass(frozen=True)
class Base:
    """What both commands take."""

    out: Path = Path("runs/data")
    """Folder of the results."""


@dataclass(frozen=True)
class Collect(Base):
    """What to record."""

    cameras: tuple[Camera, ...] = (Camera(),)
    """The car's cameras,
    from left to right."""
    seed: int | None = None
    """Seed of all draws."""


@dataclass(frozen=True)
class Evaluate(Base):
    """What to measure."""

    camera: Camera = field(default_factory=Camera)
    """The one camera."""


@dataclass(frozen=True)
class Inspect:
    """What to examine."""

    base: Base = field(default_factory=Base)
    """Where things are."""


def test_fields_have_their_texts_and_those_of_the_base_class() -> None:
    assert field_texts(Collect) == {
        "out": "Folder of the results.",
        "cameras": "The car's cameras, from left to right.",
        "seed": "Seed of all draws.",
    }


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "integer"),
        (float | None, "number or none"),
        (Path, "path"),
        (Literal["a", "b"], "`a`, `b`"),
        (Split, "`train`, `test`"),
        (tuple[str, ...], "list of text"),
        (tuple[int, float], "list of 2: integer, number"),
        (dict[str, int], "dict of text, integer"),
        (Annotated[float, Ge(0)] | None, "number, at least 0 or none"),
        (Annotated[int, Ge(1), Lt(9)], "integer, at least 1, below 9"),
        (tuple[Camera, ...], "list of [Camera](#settings-camera)"),
    ],
)
def test_types_and_limits_are_written_in_words(hint: object, text: str) -> None:
    assert kind_text(hint) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "none"), (True, "`true`"), ((1, 2), "`1`, `2`"), ((), "empty"), ("", "empty"), (Split.TEST, "`test`")],
)
def test_values_are_written_as_yaml_has_them(value: object, text: str) -> None:
    assert value_text(value) == text


def test_a_setting_has_name_type_default_and_meaning() -> None:
    out, cameras, seed = settings_of(Collect)
    assert (out.name, out.kind, out.default, out.text) == ("out", "path", "`runs/data`", "Folder of the results.")
    assert (cameras.default, seed.default) == ("see there", "none")


def test_groups_are_found_with_their_paths() -> None:
    assert list(paths_below(Collect)) == [("cameras", Camera)]
    assert list(paths_below(Inspect)) == [("base", Base)]


def test_each_group_is_described_once() -> None:
    pages = settings_pages({"collect": Collect, "evaluate": Evaluate, "inspect": Inspect})
    assert list(pages) == ["collect", "evaluate", "inspect", "shared"]
    assert "## Camera" in pages["shared"]
    assert "## Camera" not in pages["collect"] + pages["evaluate"]
    assert "Used as `cameras` of collect; `camera` of evaluate." in pages["shared"]
    assert "## Base" in pages["inspect"]
    assert "A camera.\n" in pages["shared"]
    assert "More on it." not in pages["shared"]
