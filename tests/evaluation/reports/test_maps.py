"""Maps of the page: paths in the colours of their offsets, ends of failed drives marked."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.maps import town_maps
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.simulation.scenario import Outcome
from tests.evaluation.drives import make_drive


@pytest.fixture(scope="module")
def network() -> RoadNetwork:
    return build_town("test-0")


def drive(driver: str, outcome: Outcome, offsets: list[float]) -> Drive:
    places = [(4.0 * i, 10.0) for i in range(len(offsets))]
    episode = make_drive(outcome, positions=places, offsets=offsets, driver=driver)
    return Drive(driver, episode.scenario, episode, 0.1)


def test_paths_change_colour_with_the_offset_and_y_points_down(network: RoadNetwork) -> None:
    shown = town_maps(network, [drive("policy", Outcome.ARRIVED, [0.0, 0.1, -0.7, 0.1, 0.1])], 3)
    (policy,) = shown.maps
    pieces = re.findall(r'<polyline class="o(\d)" points="([^"]*)"/>', str(policy.svg))
    # The steps to and from the state 0.7 m off have the third colour; pieces share their ends.
    assert pieces == [
        ("0", "0.0,-10.0 4.0,-10.0"),
        ("2", "4.0,-10.0 8.0,-10.0 12.0,-10.0"),
        ("0", "12.0,-10.0 16.0,-10.0"),
    ]
    assert 'class="end"' not in policy.svg
    assert '<use href="#town-3"/>' in policy.svg
    assert 'id="town-3"' in shown.roads


def test_each_driver_has_a_map_and_failures_a_mark(network: RoadNetwork) -> None:
    drives = [
        drive("policy", Outcome.ARRIVED, [0.0] * 4),
        drive("policy", Outcome.LEFT_ROAD, [0.0, 1.0, 2.0]),
        Drive("blind", make_drive(Outcome.ARRIVED).scenario, None, 0.0, "no decision"),
    ]
    policy, blind = town_maps(network, drives, 0).maps
    assert (policy.driver, policy.words) == ("policy", "1 of 2 arrived")
    assert policy.svg.count('class="end"') == 1
    assert "<title>left road</title>" in policy.svg
    assert (blind.words, blind.svg.count("polyline")) == ("0 of 1 arrived", 0)
    for picture in (policy.svg, blind.svg):
        ElementTree.fromstring(str(picture))  # noqa: S314 - our own; it is well formed


def test_long_paths_are_thinned_but_keep_their_ends(network: RoadNetwork) -> None:
    places = [(0.1 * i, 0.0) for i in range(401)]
    episode = make_drive(Outcome.ARRIVED, positions=places, offsets=np.zeros(401).tolist())
    (shown,) = town_maps(network, [Drive("policy", episode.scenario, episode, 0.1)], 0).maps
    (points,) = re.findall(r'points="([^"]*)"', str(shown.svg))
    places_shown = points.split()
    assert 20 <= len(places_shown) <= 22
    assert (places_shown[0], places_shown[-1]) == ("0.0,-0.0", "40.0,-0.0")
