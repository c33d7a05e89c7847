"""Generators by name: the same name draws the same, another name draws something else."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.seeding import derived_seed, generator

SEEDS = st.integers(0, 2**40)
NAMES = st.lists(st.one_of(st.text(max_size=8), st.integers(1, 2**32 - 1)), min_size=1, max_size=4)


def first_draws(seed: int, *names: str | int) -> list[int]:
    return [int(draw) for draw in generator(seed, *names).integers(2**32, size=4)]


@given(SEEDS, NAMES)
def test_same_name_draws_the_same(seed: int, names: list[str | int]) -> None:
    assert first_draws(seed, *names) == first_draws(seed, *names)


@given(SEEDS, NAMES, NAMES)
def test_other_names_draw_something_else(seed: int, names: list[str | int], others: list[str | int]) -> None:
    assert (first_draws(seed, *names) == first_draws(seed, *others)) == (names == others)


@given(SEEDS, SEEDS)
def test_other_seeds_draw_something_else(seed: int, other: int) -> None:
    assert (first_draws(seed, "town") == first_draws(other, "town")) == (seed == other)


def test_order_of_consumers_does_not_matter() -> None:
    alone = generator(7, "sensor").normal(size=3)
    generator(7, "trees").normal(size=100)
    np.testing.assert_array_equal(generator(7, "sensor").normal(size=3), alone)


def test_index_zero_is_a_name_too() -> None:
    assert first_draws(5, "route") != first_draws(5, "route", 0)


def test_strings_are_not_their_own_numbers() -> None:
    assert first_draws(1, "7") != first_draws(1, 7)


def test_draws_are_the_same_in_another_process() -> None:
    code = "from navsim.seeding import generator; print(generator(3, 'town', 2).integers(2**32, size=4).tolist())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(first_draws(3, "town", 2))


def test_derived_seeds_are_32_bits_and_differ() -> None:
    seeds = {derived_seed(5, "route", i) for i in range(1, 200)}
    assert len(seeds) == 199
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="non-negative integer, got -1"):
        generator(-1, "town")
