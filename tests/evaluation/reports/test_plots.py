"""Plots come out as pictures with something on them, also when there is little to show."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.plots import plot_scores, plot_town, save_figure, town_to_show
from navsim.evaluation.reports.results import driver_scores
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import sample_route
from navsim.simulation.scenario import Outcome, Scenario
from tests.evaluation.drives import make_drive


@pytest.fixture(scope="module")
def network() -> RoadNetwork:
    return build_town("test-0")


def drive(driver: str, outcome: Outcome | None, town: str = "test-0", junctions: bool = True) -> Drive:
    scenario = Scenario(town, 0, 0, junctions)
    episode = None if outcome is None else make_drive(outcome, scenario=scenario, driver=driver)
    return Drive(driver, scenario, episode, 0.1, "" if episode else "NaN")


def along_a_route(network: RoadNetwork, driver: str, outcome: Outcome) -> Drive:
    path = sample_route(network, np.random.default_rng(1)).path
    places = [(float(x), float(y)) for x, y in path.points[:400]]
    episode = make_drive(outcome, positions=places, offsets=list(np.linspace(0, 1.5, len(places))), driver=driver)
    return Drive(driver, episode.scenario, episode, 0.1)


def picture(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def test_scores_plot_has_a_column_per_score_that_there_is(tmp_path: Path) -> None:
    drives = [drive("policy", Outcome.ARRIVED), drive("expert", Outcome.ARRIVED), drive("blind", None)]
    only_routes = plot_scores(driver_scores(drives), "no lanes, no junctions")
    assert [ax.get_title(loc="left") for ax in only_routes.axes] == ["routes through junctions: arrived"]
    with_lanes = plot_scores(driver_scores([*drives, drive("policy", Outcome.STUCK, junctions=False)]), "lanes")
    assert len(with_lanes.axes) == 2
    save_figure(with_lanes, tmp_path / "scores.png")
    assert picture(tmp_path / "scores.png").std() > 10


def test_bars_show_arrivals_with_their_interval(tmp_path: Path) -> None:
    drives = [drive("policy", outcome) for outcome in (Outcome.ARRIVED, Outcome.ARRIVED, Outcome.COLLIDED)]
    (ax,) = plot_scores(driver_scores(drives), "three").axes
    (bar,) = ax.patches
    assert bar.get_width() == pytest.approx(100 * 2 / 3)  # type: ignore[attr-defined]
    low, high = driver_scores(drives)["policy"].routes.arrivals.interval
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_xdata()), [100 * low, 100 * high])
    assert "2 / 3" in [text.get_text() for text in ax.texts]


def test_town_plot_draws_paths_and_marks_failures(network: RoadNetwork, tmp_path: Path) -> None:
    drives = [along_a_route(network, "policy", Outcome.COLLIDED), along_a_route(network, "expert", Outcome.ARRIVED)]
    figure = plot_town(network, drives, "a town")
    policy, expert, *_ = figure.axes
    assert policy.get_title(loc="left") == "policy: 0 of 1 arrived"
    assert len(policy.lines) == len(expert.lines) + 1  # the failure's mark
    assert len(policy.collections[0].get_array()) == 399  # type: ignore[arg-type]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["start", "collided"]
    save_figure(figure, tmp_path / "town.png")
    assert picture(tmp_path / "town.png").std() > 10


def test_town_plot_of_drives_that_broke_off_is_an_empty_map(network: RoadNetwork, tmp_path: Path) -> None:
    save_figure(plot_town(network, [drive("policy", None)], "nothing"), tmp_path / "town.png")
    assert (tmp_path / "town.png").stat().st_size > 1000


def test_the_town_with_most_failures_of_the_first_driver_is_shown() -> None:
    drives = [
        drive("policy", Outcome.ARRIVED, "test-1"),
        drive("policy", Outcome.COLLIDED, "test-2"),
        drive("policy", Outcome.COLLIDED, "test-1", junctions=False),
        drive("blind", Outcome.COLLIDED, "test-3"),
        drive("blind", Outcome.COLLIDED, "test-1"),
    ]
    assert town_to_show(drives) == "test-2"
    assert town_to_show(drives[:1]) == "test-1"
    assert town_to_show([replace(drives[0], episode=None)]) == "test-1"
