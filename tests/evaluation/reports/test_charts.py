"""Charts: what is drawn lies where its numbers say, in the colours of the page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from navsim.evaluation.metrics.calibration import calibration, calibration_mapping
from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.charts import (
    Point,
    calibration_chart,
    plot_scores,
    save_figure,
    scatter_chart,
    share_bar,
)
from navsim.evaluation.reports.results import results_mapping
from navsim.evaluation.statistics.intervals import Share
from navsim.simulation.scenario import Outcome, Scenario
from navsim.visualization.palette import driver_colours
from tests.evaluation.drives import make_drive


def drive(driver: str, outcome: Outcome | None, junctions: bool = True, route: int = 0) -> Drive:
    scenario = Scenario("test-1", route, 0, junctions)
    episode = None if outcome is None else make_drive(outcome, scenario=scenario, driver=driver)
    return Drive(driver, scenario, episode, 0.1, "" if episode else "NaN")


def test_bars_say_what_they_show() -> None:
    bar = share_bar("policy", 1, Share(2, 3))
    assert (bar.name, bar.colour, bar.text) == ("policy", 1, "2 of 3 (21% to 94%)")
    assert bar.value == 2 / 3
    assert bar.low < 2 / 3 < bar.high
    assert share_bar("policy", 0, Share(0, 0)).text == "-"
    assert share_bar("policy", 0, Share(0, 0)).value is None


POINTS = [Point("low", 1.0, 0.25), Point("half & half", 2.0, 0.5, (0.0, 1.0)), Point("high", 3.0, 0.75)]
COLOURS = {"low": 0, "half & half": 2, "high": 0}


def drawn_paths(svg: str, colour: str) -> list[list[tuple[float, float]]]:
    """Points of the lines in a colour of the page."""
    found = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none;[^"]* stroke: var\(--{colour}\)', svg)
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] ?([-\d.]+) ([-\d.]+)", path)] for path in found]


def places(svg: str) -> list[tuple[float, float]]:
    """Places of all marks."""
    return [(float(x), float(y)) for x, y in re.findall(r'<use xlink:href="#[^"]*" x="([^"]*)" y="([^"]*)"', svg)]


def test_points_lie_where_their_numbers_say() -> None:
    svg = str(scatter_chart("nll [nats]", "arrivals", POINTS, COLOURS))
    ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="x" ', 1))  # noqa: S314 - our own; it is well formed
    (low_x, low_y), (half_x, half_y), (high_x, high_y) = places(svg)
    assert half_x == pytest.approx((low_x + high_x) / 2, abs=0.02)
    assert half_y == pytest.approx((low_y + high_y) / 2, abs=0.02)
    assert low_x < high_x
    assert low_y > high_y  # y points down there
    ((bottom, top),) = drawn_paths(svg, "c2")
    assert bottom[1] - top[1] == pytest.approx(2 * (low_y - high_y), abs=0.05)  # from 0 to 100%
    assert bottom[0] == top[0] == pytest.approx(half_x, abs=0.02)
    assert "half &amp; half" in svg
    assert 'aria-label="arrivals over nll [nats]"' in svg


@pytest.mark.parametrize("text", ["0%", "50%", "100%", "arrivals", "nll [nats]"])
def test_axes_are_labelled(text: str) -> None:
    assert f">{text}</text>" in str(scatter_chart("nll [nats]", "arrivals", POINTS, COLOURS))


def test_small_values_keep_their_digits() -> None:
    points = [Point("a", 0.0011, 0.5), Point("b", 0.0019, 0.5)]
    svg = str(scatter_chart("error [1/m]", "arrivals", points, {"a": 0, "b": 1}))
    assert ">0.0015<" in svg
    assert not re.search(r"[ \"]\d+\.\d{3}", "".join(re.findall(r' d="[^"]*"', svg)))


def test_the_same_input_gives_the_same_bytes_without_a_date() -> None:
    first, second = (str(scatter_chart("nll", "arrivals", POINTS, COLOURS)) for _ in range(2))
    assert first == second
    assert "<metadata" not in first
    assert "#2f6fde" not in first  # a colour of light pages alone


def test_the_calibration_chart_has_a_line_per_driver_and_the_nominal_one() -> None:
    draws = np.random.default_rng(0)
    found = {}
    for name in ("policy", "other"):
        values = calibration_mapping(calibration([draws.uniform(size=50) for _ in range(5)]))
        assert values is not None
        found[name] = values
    svg = str(calibration_chart(found, {"policy": 0, "other": 4}))
    for colour in ("c0", "c4"):
        line, *intervals = sorted(drawn_paths(svg, colour), key=len, reverse=True)
        assert len(line) == len(intervals) == 4
    assert [len(line) for line in drawn_paths(svg, "ink")] == [5]
    assert 'aria-label="coverage over z"' in svg


def results(*drives: Drive) -> dict[str, object]:
    return results_mapping(drives, {})


def test_the_scores_plot_has_a_column_per_score_that_there_is(tmp_path: Path) -> None:
    drives = [drive("policy", Outcome.ARRIVED), drive("expert", Outcome.ARRIVED), drive("blind", None)]
    colours = driver_colours(("policy", "expert", "blind"))
    only_routes = plot_scores(results(*drives), colours, "no lanes, no junctions")
    assert [ax.get_title(loc="left") for ax in only_routes.axes] == ["routes through junctions: arrived"]
    with_lanes = plot_scores(results(*drives, drive("policy", Outcome.STUCK, junctions=False)), colours, "lanes")
    assert len(with_lanes.axes) == 2
    save_figure(with_lanes, tmp_path / "scores.png")
    assert np.asarray(cv2.imread(str(tmp_path / "scores.png")), np.uint8).std() > 10


def test_bars_show_arrivals_with_their_interval() -> None:
    outcomes = (Outcome.ARRIVED, Outcome.ARRIVED, Outcome.COLLIDED)
    drives = [drive("policy", outcome, route=route) for route, outcome in enumerate(outcomes)]
    (ax,) = plot_scores(results(*drives), {"policy": 0}, "three").axes
    (bar,) = ax.patches
    assert bar.get_width() == pytest.approx(100 * 2 / 3)  # type: ignore[attr-defined]
    low, high = Share(2, 3).interval
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_xdata()), [100 * low, 100 * high])
    assert "2 / 3" in [text.get_text() for text in ax.texts]
