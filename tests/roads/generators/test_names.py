"""Names of towns, their seeds, and how towns are spread over generators."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.errors import ConfigError, TownError
from navsim.roads.elements import DrivingSide
from navsim.roads.generators.towns import (
    TOWNS_PER_SPLIT,
    Generator,
    Split,
    TownId,
    build_town,
    check_generators,
    spread_towns,
)

NAMES = st.builds(TownId, st.sampled_from(Split), st.integers(0, TOWNS_PER_SPLIT - 1), st.sampled_from(Generator))
SIDES = st.sampled_from(DrivingSide)


@given(NAMES, SIDES)
def test_names_are_read_back(right: TownId, side: DrivingSide) -> None:
    town = replace(right, side=side)
    assert TownId.parse(str(town)) == town
    assert town.seed == right.seed  # a mirror image


@given(NAMES, NAMES)
def test_no_seed_belongs_to_two_towns(one: TownId, other: TownId) -> None:
    assert (one.seed == other.seed) == (one == other)


def test_every_range_of_seeds_is_used_once() -> None:
    ends = [
        TownId(split, index, kind).seed for kind in Generator for split in Split for index in (0, TOWNS_PER_SPLIT - 1)
    ]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(Generator) * len(Split) * TOWNS_PER_SPLIT - 1


def test_names_by_hand() -> None:
    assert str(TownId(Split.TRAIN, 3)) == "train-3"
    assert TownId(Split.TRAIN, 3).seed == 3
    assert TownId.parse("test-7").seed == 2 * TOWNS_PER_SPLIT + 7
    assert str(TownId(Split.TEST, 7, Generator.GRID)) == "grid-test-7"
    assert TownId.parse("grid-test-7").seed == 5 * TOWNS_PER_SPLIT + 7
    assert TownId.parse("suburb-train-12") == TownId(Split.TRAIN, 12, Generator.SUBURB)
    assert str(TownId(Split.TEST, 7, Generator.GRID, DrivingSide.LEFT)) == "left-grid-test-7"


@pytest.mark.parametrize(
    "name",
    [
        *("", "train", "train-", "train--1", "train-03", "Train-3", "night-3", "test-1.0", " test-1", "test-1\n"),
        *("town-train-3", "grid-3", "grid-train", "grid-grid-train-3", "hamlet-train-3", "grid train-3", "-train-3"),
        *("left-", "right-train-3", "left-left-train-3", "grid-left-train-3"),
    ],
)
def test_wrong_names_are_refused(name: str) -> None:
    with pytest.raises(TownError, match=r"unknown town .*train, validation, test.*grid, suburb, village"):
        build_town(name)


@pytest.mark.parametrize("index", [-1, TOWNS_PER_SPLIT])
def test_wrong_indices_are_refused(index: int) -> None:
    with pytest.raises(TownError, match="from 0 to 999999"):
        TownId(Split.TEST, index)


def test_generators_take_turns() -> None:
    towns = spread_towns(Split.TEST, [4, 9, 2], (Generator.GRID, Generator.TOWN))
    assert list(map(str, towns)) == ["grid-test-4", "test-9", "grid-test-2"]


@pytest.mark.parametrize("wrong", [(), (Generator.GRID, Generator.GRID)])
def test_no_generator_or_one_twice_is_refused(wrong: tuple[Generator, ...]) -> None:
    words = r"generators must be one or more of town, grid, suburb, village, city, none twice"
    with pytest.raises(ConfigError, match=words):
        check_generators(wrong)
