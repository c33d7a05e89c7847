"""The dashboard: its parts are where they should be and show their values."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.drivers.protocol import Decision
from navsim.geometry import Pose
from navsim.roads.elements import Manoeuvre
from navsim.roads.routing import JunctionPassage, Progress
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image, Observation
from navsim.sensing.roadmap import MapSpec
from navsim.simulation.rollout import RolloutStep
from navsim.simulation.scenario import Outcome
from navsim.simulation.simulation import TimeStep
from navsim.viewer.controls import Capabilities, Choice
from navsim.viewer.dashboard_window import KEYS_HEIGHT, with_keys
from navsim.visualization.canvas import (
    ACCENT,
    BRIGHT,
    ROUTE,
    TRAIL,
    TRUTH,
    Rectangle,
    Text,
    blank,
    outcome_colour,
    written,
)
from navsim.visualization.dashboard import (
    HEIGHT,
    WIDTH,
    DashboardContext,
    compose_dashboard,
    excerpt,
    next_manoeuvre,
    tiles,
)
from navsim.visualization.drive_events import DriveLog, Event
from navsim.visualization.steering_plots import draw_curve
from navsim.world.vehicle import VehicleState

GRID = np.linspace(-0.2, 0.2, 161)
PASSAGES = (JunctionPassage(40.0, 60.0, Manoeuvre.LEFT, 0), JunctionPassage(90.0, 110.0, Manoeuvre.RIGHT, 1))
CONTEXT = DashboardContext("policy", "test-1-route2-seed0", (Camera(),), MapSpec(), 200.0, PASSAGES)


def bump(centre: float) -> Decision:
    density = np.exp(-(((GRID - centre) / 0.01) ** 2) / 2) / (0.01 * np.sqrt(2 * np.pi))
    return Decision(centre, GRID, density)


def make_step(
    decision: Decision | None = None, cameras: int = 1, looks: bool = True, station: float = 10.0
) -> RolloutStep:
    pose = Pose(0.0, 0.0, 0.0)
    road, route = np.zeros((50, 50), np.uint8), np.zeros((50, 50), np.uint8)
    road[:, 20:30] = 255
    route[:36, 23:27] = 255
    images = np.full((cameras, 48, 128, 3), 120, np.uint8)
    observation = Observation(images, road, route, 7.0, pose)
    state = VehicleState(3.0, pose, 7.0, 0.0, 0.0, 0.0, 0.0)
    step = TimeStep(
        observation if looks else None, state, Progress(station, 0.1, 0.0, station / 200, 0.1), None, images
    )
    return RolloutStep(step, decision or bump(0.05), 0.05, 0.04)


def count(image: Image, colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(axis=-1).sum())


def test_the_dashboard_has_its_size_and_is_deterministic() -> None:
    first, second = (compose_dashboard(make_step(), CONTEXT) for _ in range(2))
    assert first.shape == (HEIGHT, WIDTH, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)


def test_the_dashboard_does_not_change_the_observation() -> None:
    given = make_step()
    assert given.time_step.observation is not None
    before = given.time_step.observation.images.copy()
    compose_dashboard(given, CONTEXT)
    np.testing.assert_array_equal(given.time_step.observation.images, before)


def test_the_route_is_red_on_the_second_map_only() -> None:
    dashboard = compose_dashboard(make_step(), CONTEXT)
    assert count(dashboard[326:524, 16:214], ROUTE) == 0
    assert count(dashboard[326:524, 226:424], ROUTE) > 500


def test_the_outcome_is_written_in_its_colour() -> None:
    dashboards = {outcome: compose_dashboard(make_step(), CONTEXT, outcome) for outcome in Outcome}
    driving = compose_dashboard(make_step(), CONTEXT)
    for outcome, dashboard in dashboards.items():
        assert count(dashboard[:45, 700:], outcome_colour(outcome)) > count(driving[:45, 700:], outcome_colour(outcome))
    assert outcome_colour(Outcome.ARRIVED) == TRUTH


def test_progress_bar_grows_with_the_station() -> None:
    lengths = [
        count(compose_dashboard(make_step(station=s), CONTEXT)[285:310, 728:944], ACCENT) for s in (20.0, 100.0, 200.0)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_a_driver_without_observations_gets_a_dashboard_too() -> None:
    dashboard = compose_dashboard(make_step(Decision(0.0), looks=False), CONTEXT)
    assert dashboard.shape == (HEIGHT, WIDTH, 3)
    assert count(dashboard, ROUTE) == 0


def test_three_cameras_are_all_drawn() -> None:
    cameras = tuple(Camera(name, yaw_deg=yaw) for name, yaw in (("left", 50.0), ("front", 0.0), ("right", -50.0)))
    step = make_step(cameras=3)
    assert step.time_step.observation is not None
    step.time_step.observation.images[:] = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)[:, None, None]
    dashboard = compose_dashboard(replace(step, decision=Decision(0.2)), replace(CONTEXT, cameras=cameras))
    middles = [np.argwhere((dashboard == colour).all(axis=-1)).mean(axis=0) for colour in np.diag([200, 200, 200])]
    left, front, right = middles
    assert left[1] < front[1] < right[1]
    assert front[0] < left[0] == pytest.approx(right[0], abs=5)


@given(count_=st.integers(1, 6), width=st.integers(8, 400), height=st.integers(8, 400), room=st.integers(150, 800))
def test_tiles_are_inside_the_box_disjoint_and_in_shape(count_: int, width: int, height: int, room: int) -> None:
    box = Rectangle(10, 20, room, 262)
    places = tiles(box, count_, width, height)
    assert len(places) == count_
    for tile in places:
        assert box.x <= tile.x
        assert tile.x + tile.width <= box.x + box.width
        assert box.y <= tile.y
        assert tile.y + tile.height <= box.y + box.height
        assert abs(tile.width * height - tile.height * width) <= max(width, height)
    for a, b in combinations(places, 2):
        assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y


@pytest.mark.parametrize(
    ("station", "text"),
    [(10.0, "left in 30 m"), (45.0, "left now"), (61.0, "right in 29 m"), (150.0, "end of route")],
)
def test_next_manoeuvre(station: float, text: str) -> None:
    assert next_manoeuvre(PASSAGES, station) == text


@pytest.mark.parametrize(("curvature", "column"), [(0.2, 14), (0.1, 132), (0.0, 250), (-0.2, 486), (-9.0, 486)])
def test_left_is_left_on_the_curve(curvature: float, column: int) -> None:
    canvas = blank(500, 200)
    draw_curve(canvas, Rectangle(0, 0, 500, 200), Decision(curvature), None, 0.2)
    lit = np.flatnonzero((canvas[60:160] == BRIGHT).all(axis=(0, 2)))
    assert lit.mean() == pytest.approx(column, abs=1.5)


def test_the_density_peaks_where_it_should_and_fills_to_the_top() -> None:
    canvas = blank(500, 200)
    draw_curve(canvas, Rectangle(0, 0, 500, 200), replace(bump(0.1), curvature=-0.15), None, 0.2)
    height = (canvas == ACCENT).all(axis=-1)
    top_row = int(np.flatnonzero(height.any(axis=1))[0])
    assert top_row == pytest.approx(34, abs=2)
    assert np.flatnonzero(height[top_row]).mean() == pytest.approx(132, abs=3)


def test_text_is_written_on_a_copy() -> None:
    canvas = blank(120, 40)
    marked = written(canvas, [Text("speed", 5, 5, 16, BRIGHT)])
    assert count(canvas, BRIGHT) == 0
    assert count(marked, BRIGHT) > 10


def test_events_and_the_past_path_are_shown() -> None:
    trail = tuple(Pose(-2.0 * i, 0.0, 0.0) for i in range(6, 0, -1))
    log = DriveLog((Event(1.0, "junction: left"), Event(2.5, "manual steering")), trail, manual=True)
    plain, shown = compose_dashboard(make_step(), CONTEXT), compose_dashboard(make_step(), CONTEXT, log=log)
    for left in (16, 226):
        there = (shown[326:524, left : left + 198] == TRAIL).all(axis=-1)
        rows, columns = np.nonzero(there)
        assert len(rows) > 10
        assert columns.mean() == pytest.approx(99, abs=2)  # straight behind the car
        assert rows.min() > CONTEXT.map.ego_row * 198 / CONTEXT.map.size_px
        assert count(plain[326:524, left : left + 198], TRAIL) == 0
    assert count(shown[190:260, 728:944], BRIGHT) > 50
    assert count(plain[210:260, 728:944], BRIGHT) == 0
    assert count(shown[:45, 700:], ACCENT) > 50 > count(plain[:45, 700:], ACCENT)  # manual steering


def test_probabilities_of_two_modes_are_over_them() -> None:
    first, second = bump(0.1).density, bump(-0.1).density
    assert first is not None
    assert second is not None
    density = 0.75 * first + 0.25 * second
    texts = draw_curve(blank(500, 200), Rectangle(0, 0, 500, 200), Decision(0.1, GRID, density), None, 0.2)
    places = {text.text: text.x for text in texts}
    assert places["75%"] == pytest.approx(132, abs=2)
    assert places["25%"] == pytest.approx(368, abs=2)


def test_the_keys_are_under_the_dashboard_and_fit() -> None:
    dashboard = blank(WIDTH, HEIGHT)
    strip = with_keys(dashboard, Capabilities(tuple(Choice), steering=True, filming=True))[HEIGHT:]
    assert strip.shape == (KEYS_HEIGHT, WIDTH, 3)
    columns = np.flatnonzero((strip != dashboard[0, 0]).any(axis=(0, 2)))
    assert 5 < columns.min() < columns.max() < WIDTH - 5
    few = with_keys(dashboard, Capabilities())[HEIGHT:]
    assert 0 < count(few, BRIGHT) < count(strip, BRIGHT)


def test_an_excerpt_has_cameras_and_under_them_maps_and_curve() -> None:
    dashboard = blank(WIDTH, HEIGHT)
    dashboard[52:314, 16:716] = (10, 200, 10)  # where cameras are drawn
    dashboard[326:524, 16:944] = (10, 10, 200)  # where maps and curve are drawn
    dashboard[52:314, 728:944] = (200, 10, 10)  # the status, which is left out
    small = excerpt(dashboard)
    assert small.shape == (421, 700, 3)
    assert (small[:262] == (10, 200, 10)).all()
    assert (small[272:] == (10, 10, 200)).all()
