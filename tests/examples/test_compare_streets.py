"""Measures of streets: by hand for plain towns, and as printed."""

import subprocess
import sys

import pytest

from examples.compare_streets import Streets, compare, divided, measures, skewed, town_names
from navsim.roads.elements import Road
from navsim.roads.network import build_network
from navsim.simulation.town import TownMap
from tests.roads.plain_networks import star, straight


def test_a_plain_cross() -> None:
    found = measures(Streets((TownMap(star([0, 90, 180, 270], length=100.0)),)))
    assert found["roads"] == "0.4 km"
    assert found["1 lane in a direction"] == "100%"
    assert found["2 lanes in a direction"] == found["one-way"] == found["divided"] == "0%"
    assert found["between junctions"] == "100 / 100 / 100 m"
    assert found["junctions: crossing"] == "100%"
    assert found["junctions per km"] == "2.5"
    assert found["houses per km"] == "drawn at random"
    assert found["lane width"] == "3.5 m"


def test_angles() -> None:
    assert skewed(TownMap(star([0, 90, 180, 270]))) == [False] * 4
    assert sorted(skewed(TownMap(star([0, 120, 240])))) == [True] * 3
    assert sorted(skewed(TownMap(star([0, 60, 180])))) == [False, True, True]


@pytest.mark.parametrize(
    ("gap", "opposite", "expected"), [(12.0, True, True), (12.0, False, False), (40.0, True, False)]
)
def test_carriageways_side_by_side_are_a_divided_road(gap: float, opposite: bool, expected: bool) -> None:
    ends = [(0.0, gap), (200.0, gap)]
    second = ends[::-1] if opposite else ends
    nodes = [(0.0, 0.0), (200.0, 0.0), *second]
    roads = [
        Road(0, 1, straight(nodes[0], nodes[1]), lanes_backward=0),
        Road(2, 3, straight(nodes[2], nodes[3]), lanes_backward=0),
    ]
    assert divided(TownMap(build_network(nodes, roads))) == [expected] * 2


def test_the_side_to_which_a_road_was_drawn_does_not_matter() -> None:
    roads = [
        Road(0, 1, straight((0.0, 0.0), (200.0, 0.0)), lanes_forward=0),
        Road(2, 3, straight((0.0, 12.0), (200.0, 12.0)), lanes_backward=0),
    ]
    nodes = [(0.0, 0.0), (200.0, 0.0), (0.0, 12.0), (200.0, 12.0)]
    assert divided(TownMap(build_network(nodes, roads))) == [True] * 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "error: give towns to compare, such as 'train*8' osm:maps/krems.osm"),
        (["train*x"], "error: train*x: give a number of towns after *, such as train*8"),
        (["train*0"], "error: train*0: give a number of towns after *, such as train*8"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], error: str) -> None:
    program = [sys.executable, "examples/compare_streets.py", *arguments]
    ended = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.strip()) == (2, error)


def test_towns_of_a_column() -> None:
    assert town_names("grid-train*2") == ["grid-train-0", "grid-train-1"]
    assert town_names("osm:maps/a.osm") == ["osm:maps/a.osm"]


def test_the_program_prints_one_column_for_each_argument() -> None:
    program = [sys.executable, "examples/compare_streets.py", "village-train*1", "train-0"]
    printed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == compare(["village-train*1", "train-0"]).markdown()
    assert printed.splitlines()[0].count("|") == 4
