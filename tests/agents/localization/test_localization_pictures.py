"""Pictures of beliefs: their content and its place."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.localization.pictures import HEIGHT, MAP_BOX, WIDTH, BeliefMap, compose_picture, plot_curves, plot_regions
from agents.localization.tracking import TrackPoint
from navsim.evaluation.reports.charts import save_figure
from navsim.geometry import Pose
from navsim.localization.likelihoods import Fix
from navsim.localization.posterior import PosePosterior
from navsim.visualization.canvas import TRUTH, Rectangle, blank
from tests.agents.localization.test_runs import track
from tests.localization.small_town import lanes, network

BELIEF_MAP = BeliefMap(network(), Rectangle(10, 20, 300, 200))


def belief(place: np.ndarray) -> PosePosterior:
    return PosePosterior(place + np.random.default_rng(0).normal(size=(200, 3)) * 0.5, np.full(200, 1 / 200))


def test_a_town_is_drawn_north_up_within_its_box() -> None:
    x0, y0, x1, y1 = network().bounds
    low, high = BELIEF_MAP.pixels(np.array([(x0, y0), (x1, y1)]))
    assert low[0] < high[0]
    assert low[1] > high[1]
    assert 10 <= low[0] <= 310
    assert 20 <= high[1] <= 220


def test_the_heat_map_peaks_at_the_belief() -> None:
    place = lanes().poses[700]
    empty, drawn = blank(330, 240), blank(330, 240)
    BELIEF_MAP.draw(empty, belief(np.array([1e6, 1e6, 0.0])))
    BELIEF_MAP.draw(drawn, belief(place))
    changed = np.argwhere(np.abs(drawn.astype(int) - empty).sum(axis=2) > 60)
    x, y = BELIEF_MAP.pixels(place[None, :2])[0]
    assert np.hypot(*(changed.mean(axis=0) - [y, x])) < 3


def test_a_frame_shows_the_truth_and_the_fix() -> None:
    place = lanes().poses[700]
    belief_there = belief(place + np.array([40.0, 0.0, 0.0]))
    moment = TrackPoint(3, 0.3, 2.0, 0, Pose(*place), Fix(place, 10.0, 0.1), belief_there, 0.05)
    camera = np.full((66, 200, 3), 200, np.uint8)
    belief_map = BeliefMap(network(), MAP_BOX)
    picture = compose_picture("a drive", belief_map, moment, track([40.0, 30.0, 4.0]), camera)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    x, y = belief_map.pixels(place[None, :2])[0].round().astype(int)
    near = picture[y - 6 : y + 7, x - 6 : x + 7].reshape(-1, 3)
    assert (np.abs(near.astype(int) - TRUTH).sum(axis=1) < 30).any()
    assert (picture == 200).all(axis=2).sum() > 5000  # the camera's picture
    unseen = compose_picture("a drive", belief_map, replace(moment, fix=None), track([4.0]), None)
    assert (unseen != picture).any()
    credited = BeliefMap(network(), MAP_BOX, "Map data © somebody")
    signed = compose_picture("a drive", credited, moment, track([40.0, 30.0, 4.0]), camera)
    assert set(np.unique(np.argwhere(signed != picture)[:, 0]).tolist()) <= set(range(HEIGHT - 20, HEIGHT))
    assert (signed != picture).any()


def test_a_long_title_does_not_cover_the_legend() -> None:
    place = lanes().poses[700]
    moment = TrackPoint(3, 0.3, 2.0, 0, Pose(*place), Fix(place, 10.0, 0.1), belief(place), 0.05)
    belief_map = BeliefMap(network(), MAP_BOX)
    short, long = (
        compose_picture(title, belief_map, moment, track([4.0]), None) for title in ("a", "a long title " * 12)
    )
    np.testing.assert_array_equal(short[:52, WIDTH - 330 :], long[:52, WIDTH - 330 :])
    assert (short[:52, WIDTH - 400 : WIDTH - 330] != long[:52, WIDTH - 400 : WIDTH - 330]).any()  # it takes its room


def test_curves_and_regions_are_written(tmp_path: Path) -> None:
    drives = {"roads": [track([90.0, 8.0, 4.0, 2.0]), track([70.0, 60.0])], "network": [track([5.0] * 6)] * 2}
    save_figure(plot_curves(drives, "two methods"), tmp_path / "curves.png")
    place = lanes().poses[700]
    save_figure(plot_regions(network(), belief(place), Pose(*place), "a belief"), tmp_path / "regions.png")
    for name in ("curves.png", "regions.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
