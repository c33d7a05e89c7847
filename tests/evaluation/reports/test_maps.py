"""Maps: paths in the colours of their offsets, ends of failed drives marked, also when there is little to show."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.charts import save_figure
from navsim.evaluation.reports.maps import path_pieces, plot_town, town_maps, town_to_show
from navsim.geometry import Polyline
from navsim.roads.generators.towns import build_town
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.roads.routing import sample_route
from navsim.simulation.scenario import Outcome, Scenario
from tests.evaluation.drives import make_drive


@pytest.fixture(scope="module")
def network() -> RoadNetwork:
    return build_town("test-0")


def drive(driver: str, outcome: Outcome, offsets: list[float]) -> Drive:
    places = [(4.0 * i, 10.0) for i in range(len(offsets))]
    episode = make_drive(outcome, positions=places, offsets=offsets, driver=driver)
    return Drive(driver, episode.scenario, episode, 0.1)


def test_paths_change_colour_with_the_offset() -> None:
    episode = drive("policy", Outcome.ARRIVED, [0.0, 0.1, -0.7, 0.1, 0.1]).episode
    assert episode is not None
    # The steps to and from the state 0.7 m off have the third colour; pieces share their ends.
    assert [(points.tolist(), step) for points, step in path_pieces(episode)] == [
        ([[0.0, 10.0], [4.0, 10.0]], 0),
        ([[4.0, 10.0], [8.0, 10.0], [12.0, 10.0]], 2),
        ([[12.0, 10.0], [16.0, 10.0]], 0),
    ]


def test_a_map_of_the_page_has_the_pieces_in_its_colours_and_the_same_bytes_each_time(network: RoadNetwork) -> None:
    shown = [drive("policy", Outcome.ARRIVED, [0.0, 0.1, -0.7, 0.1, 0.1])]
    (first,), (second,) = (town_maps(network, shown).maps for _ in range(2))
    assert first.svg == second.svg
    assert re.findall(r"fill: none; stroke: var\(--(o|c)(\d)\)", first.svg) == [("c", "0"), ("o", "2"), ("c", "0")]
    assert "var(--road)" in first.svg
    assert "var(--bad)" not in first.svg
    assert 'aria-label="paths of policy in test-1"' in first.svg


def test_each_driver_has_a_map_and_failures_a_mark(network: RoadNetwork) -> None:
    drives = [
        drive("policy", Outcome.ARRIVED, [0.0] * 4),
        drive("policy", Outcome.LEFT_ROAD, [0.0, 0.3, 0.4]),
        Drive("blind", make_drive(Outcome.ARRIVED).scenario, None, 0.0, "no decision"),
    ]
    policy, blind = town_maps(network, drives).maps
    assert (policy.driver, policy.text) == ("policy", "1 of 2 arrived")
    assert len(re.findall(r"<use [^>]*var\(--bad\)", policy.svg)) == 1
    assert len(re.findall(r"<use [^>]*var\(--ink\)", policy.svg)) == 2  # starts
    assert (blind.text, blind.svg.count("<use")) == ("0 of 1 arrived", 0)
    for picture in (policy.svg, blind.svg):
        text = str(picture).replace("<svg ", '<svg xmlns:xlink="x" ', 1)
        ElementTree.fromstring(text)  # noqa: S314 - our own; it is well formed


def test_long_paths_are_thinned_but_keep_their_ends() -> None:
    places = [(0.1 * i, 0.0) for i in range(401)]
    episode = make_drive(Outcome.ARRIVED, positions=places, offsets=np.zeros(401).tolist())
    ((points, _),) = path_pieces(episode)
    assert 20 <= len(points) <= 22
    assert (points[0].tolist(), points[-1].tolist()) == ([0.0, 0.0], [40.0, 0.0])


def ended(driver: str, outcome: Outcome | None, town: str = "test-0", junctions: bool = True) -> Drive:
    scenario = Scenario(town, 0, 0, junctions)
    episode = None if outcome is None else make_drive(outcome, scenario=scenario, driver=driver)
    return Drive(driver, scenario, episode, 0.1, "" if episode else "NaN")


def along_a_route(network: RoadNetwork, driver: str, outcome: Outcome) -> Drive:
    path = sample_route(network, np.random.default_rng(1)).path
    places = [(float(x), float(y)) for x, y in path.points[:400]]
    episode = make_drive(outcome, positions=places, offsets=list(np.linspace(0, 1.5, len(places))), driver=driver)
    return Drive(driver, episode.scenario, episode, 0.1)


def test_the_town_plot_draws_paths_and_marks_failures(network: RoadNetwork, tmp_path: Path) -> None:
    drives = [along_a_route(network, "policy", Outcome.COLLIDED), along_a_route(network, "expert", Outcome.ARRIVED)]
    figure = plot_town(network, drives, "a town")
    policy, expert = figure.axes
    assert policy.get_title(loc="left") == "policy: 0 of 1 arrived"
    assert len(policy.lines) == len(expert.lines) + 1  # the failure's mark
    assert len(policy.collections[0].get_paths()) == 4  # offsets from 0 to 1.5 m have four colours
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == "within 0.25 m of the lane's middle"
    assert labels[5:] == ["start", "collided"]
    save_figure(figure, tmp_path / "town.png")
    assert np.asarray(cv2.imread(str(tmp_path / "town.png")), np.uint8).std() > 10


def test_the_town_plot_of_drives_that_broke_off_is_an_empty_map(network: RoadNetwork, tmp_path: Path) -> None:
    save_figure(plot_town(network, [ended("policy", None)], "nothing"), tmp_path / "town.png")
    assert (tmp_path / "town.png").stat().st_size > 1000


@pytest.mark.parametrize("along", [(40_000.0, 0.0), (0.0, 40_000.0)])
def test_a_long_and_narrow_town_has_a_picture_of_common_shape(along: tuple[float, float]) -> None:
    street = Road(0, 1, Polyline(np.array([(0.0, 0.0), along])))
    figure = plot_town(build_network([(0.0, 0.0), along], [street]), [ended("policy", None)], "a street")
    width, height = figure.get_size_inches()
    assert max(width, height) < 25
    assert min(width, height) > 3


def test_the_town_with_most_failures_of_the_first_driver_is_shown() -> None:
    drives = [
        ended("policy", Outcome.ARRIVED, "test-1"),
        ended("policy", Outcome.COLLIDED, "test-2"),
        ended("policy", Outcome.COLLIDED, "test-1", junctions=False),
        ended("blind", Outcome.COLLIDED, "test-3"),
        ended("blind", Outcome.COLLIDED, "test-1"),
    ]
    assert town_to_show(drives) == "test-2"
    assert town_to_show(drives[:1]) == "test-1"
    assert town_to_show([replace(drives[0], episode=None)]) == "test-1"
