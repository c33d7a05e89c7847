"""Charts: what is drawn lies where its numbers say."""

import re
from xml.etree import ElementTree

import pytest

from navsim.evaluation.reports.charts import ChartAxis, Point, Series, chart, percent_axis, share_bar, value_axis
from navsim.evaluation.statistics.intervals import Share


def test_bars_say_what_they_show() -> None:
    bar = share_bar("policy", 7, Share(2, 3))
    assert (bar.name, bar.colour, bar.words) == ("policy", 1, "2 of 3 (21% to 94%)")
    assert bar.value == 2 / 3
    assert bar.low < 2 / 3 < bar.high
    assert share_bar("policy", 0, Share(0, 0)).words == "none"
    assert share_bar("policy", 0, Share(0, 0)).value is None


def test_axes_place_values_and_keep_them_inside() -> None:
    axis = ChartAxis("z", 0.0, 2.0, ())
    assert [axis.share(value) for value in (-1.0, 0.0, 0.5, 2.0, 3.0)] == [0.0, 0.0, 0.25, 1.0, 1.0]
    around = value_axis("nll", [-4.0, -3.0])
    assert around.low < -4.0 < -3.0 < around.high
    assert [words for _, words in around.ticks][2] == "-3.5"
    single = value_axis("nll", [2.0])
    assert single.low < 2.0 < single.high


def test_points_lie_where_their_numbers_say() -> None:
    series = [
        Series("ideal", -1, (Point(0.0, 0.0), Point(1.0, 1.0))),
        Series("a & b", 2, (Point(0.5, 0.5, (0.25, 0.75), "half <way>"),), joined=False),
    ]
    svg = str(chart(percent_axis("x"), percent_axis("y"), series, "two lines"))
    ElementTree.fromstring(svg)  # noqa: S314 - our own; it is well formed
    # The plot spans 46 to 348 px across and 250 to 12 px up.
    assert '<polyline points="46.0,250.0 348.0,12.0"/>' in svg
    assert '<circle cx="197.0" cy="131.0" r="4"><title>half &lt;way&gt;</title></circle>' in svg
    assert '<line class="error" x1="197.0" x2="197.0" y1="190.5" y2="71.5"/>' in svg
    assert len(re.findall("<circle", svg)) == 1
    assert svg.count("<polyline") == 1


@pytest.mark.parametrize("words", ["0%", "50%", "100%"])
def test_axes_are_labelled(words: str) -> None:
    assert f">{words}</text>" in str(chart(percent_axis("x"), percent_axis("y"), [], "empty"))
