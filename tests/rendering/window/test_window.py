"""PyBullet's window under Xvfb, judged by what is on the screen."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from navsim.errors import DisplayError
from navsim.geometry import Polyline, Pose
from navsim.rendering.road_fan import Fan
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.rendering.window.window import HEIGHT, WIDTH, Window
from navsim.roads.elements import Road
from navsim.roads.network import build_network
from navsim.seeding import generator
from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.scene import Scene, build_scene
from tests.imitated_windows import OtherSys
from tests.virtual_display import VirtualDisplay, wait_until

Picture = NDArray[np.uint8]

TITLE = "Bullet"
GRID = np.linspace(-0.2, 0.2, 201)
START = Pose(20.0, -1.75, 0.0)
CAPTION_ROWS = 110
PLAIN = Appearance(roughness=0.0, building_density=0.0, tree_spacing=1000.0)


def straight_town(appearance: Appearance = PLAIN) -> tuple[Scene, Polyline]:
    nodes = np.array([[0.0, 0.0], [200.0, 0.0], [200.0, 100.0], [0.0, 100.0]])
    ends = [(0, 1), (1, 2), (2, 3), (3, 0)]
    roads = [Road(a, b, Polyline(nodes[[a, b]])) for a, b in ends]
    network = build_network(nodes, roads)
    return build_scene(network, appearance, generator(1, "town")), Polyline(np.array([[15.0, -1.75], [180.0, -1.75]]))


@pytest.fixture(scope="module")
def window(display: VirtualDisplay) -> Iterator[Window]:
    opened = Window()
    opened.load(*straight_town())
    yield opened
    opened.close()


def seen(display: VirtualDisplay, window: Window, fan: Fan | None = None, view: Viewpoint = Viewpoint.CHASE) -> Picture:
    window.view = view
    window.show(START, fan, ("8.0 m/s", "expert", "driving"))
    window.wait_until_drawn()
    return display.picture()[:HEIGHT, :WIDTH]


def fan(curvature: float) -> Fan:
    return Fan(curvature, GRID, np.exp(-0.5 * ((GRID - curvature) / 0.02) ** 2))


def is_fan(picture: Picture) -> NDArray[np.bool_]:
    """Return the mask of orange to yellow pixels (H, W)."""
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    return np.asarray((red > 130) & (red > blue + 60) & (red >= green))


def is_asphalt(picture: Picture) -> NDArray[np.bool_]:
    """Return the mask of medium grey pixels (H, W)."""
    values = picture.astype(int)
    return np.asarray((np.ptp(values, axis=2) < 14) & (values.mean(axis=2) > 50) & (values.mean(axis=2) < 120))


@pytest.mark.parametrize("way", ["button", pytest.param("escape", marks=pytest.mark.slow)])
def test_a_window_closed_by_its_user_ends_politely(display: VirtualDisplay, way: str) -> None:
    opened = Window(width=320, height=240)
    try:
        opened.load(*straight_town())
        if way == "button":
            display.kill(TITLE)
        else:
            display.press("Escape", TITLE)

        def is_closed() -> bool:
            opened.show(START)
            return not opened.is_open

        wait_until(is_closed)
        opened.load(*straight_town())
        opened.wait_until_drawn()
    finally:
        opened.close()


def test_a_failure_in_the_windows_process_is_reported(display: VirtualDisplay) -> None:
    opened = Window(width=320, height=240)
    try:
        opened.show(START)  # no town was loaded
        with pytest.raises(RuntimeError, match="window's process failed"):
            opened.wait_until_drawn()
    finally:
        opened.close()


@pytest.mark.parametrize(
    ("name", "reason"), [(None, "DISPLAY is not set"), (":987", "nothing answers on DISPLAY=':987'")]
)
def test_without_a_display_one_line_says_so(monkeypatch: pytest.MonkeyPatch, name: str | None, reason: str) -> None:
    if name is None:
        monkeypatch.delenv("DISPLAY", raising=False)
    else:
        monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(DisplayError, match=reason) as caught:
        Window()
    assert "\n" not in str(caught.value)


def test_on_macos_a_window_that_does_not_open_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr("navsim.world.bullet.sys", OtherSys("darwin"))
    monkeypatch.setattr("navsim.rendering.window.window._RETRIES", (0.0,))
    with pytest.raises(DisplayError, match=r"^no window: a window needs a display"):  # its process runs on this system
        Window()


def test_the_fan_lies_on_the_road(display: VirtualDisplay, window: Window) -> None:
    without, having = seen(display, window), seen(display, window, fan(0.0))
    painted = is_fan(having) & ~is_fan(without)
    assert painted.sum() > 1000
    assert is_asphalt(without)[painted].mean() > 0.7
    assert abs(np.median(np.nonzero(painted)[1]) - WIDTH / 2) < 15


def test_the_road_is_there(display: VirtualDisplay, window: Window) -> None:
    picture = seen(display, window)
    assert is_asphalt(picture)[HEIGHT // 2 :].mean() > 0.2
    np.testing.assert_allclose(picture[10, WIDTH // 2], PLAIN.sky, atol=3)


def test_the_fan_turns_to_the_side_of_its_mode(display: VirtualDisplay, window: Window) -> None:
    columns = []
    for curvature in (0.1, -0.1):
        _, x = np.nonzero(is_fan(seen(display, window, fan(curvature), Viewpoint.TOP)))
        columns.append(np.median(x))
    assert columns[0] < WIDTH / 2 - 20
    assert columns[1] > WIDTH / 2 + 20


def test_a_command_without_a_distribution_is_a_white_band(display: VirtualDisplay, window: Window) -> None:
    without, having = seen(display, window), seen(display, window, Fan(0.0))
    new = (having != without).any(axis=2)
    assert new.sum() > 150
    assert having[new].min(axis=1).mean() > 190
    assert not (is_fan(having) & new).any()


@pytest.mark.parametrize("curvature", [-0.2, -0.1, 0.1, 0.2])
def test_every_command_can_be_shown(display: VirtualDisplay, window: Window, curvature: float) -> None:
    without, having = seen(display, window, view=Viewpoint.TOP), seen(display, window, Fan(curvature), Viewpoint.TOP)
    columns = np.nonzero((having != without).any(axis=2))[1]
    assert len(columns) > 150
    assert (np.median(columns) < WIDTH / 2) == (curvature > 0)


def test_the_fan_goes_when_there_is_none(display: VirtualDisplay, window: Window) -> None:
    before = seen(display, window)
    seen(display, window, fan(0.05))
    np.testing.assert_array_equal(seen(display, window), before)


def test_the_route_is_a_blue_band(display: VirtualDisplay, window: Window) -> None:
    picture = seen(display, window, view=Viewpoint.TOP).astype(int)
    ahead = picture[: HEIGHT // 3, WIDTH // 2]
    beside = picture[: HEIGHT // 3, WIDTH // 2 + 25]
    assert (ahead[:, 2] - ahead[:, 0]).mean() > 30
    assert abs(beside[:, 2] - beside[:, 0]).mean() < 15


def test_each_view_shows_another_picture(display: VirtualDisplay, window: Window) -> None:
    pictures = [seen(display, window, view=view)[CAPTION_ROWS:] for view in Viewpoint]
    blue = [(p[..., 2].astype(int) - p[..., 0] > 100).mean() for p in pictures]
    chase, hood, top = blue
    assert hood > chase > top > 0  # the car's coachwork, from near to far


def test_the_caption_is_legible(display: VirtualDisplay, window: Window) -> None:
    corner = seen(display, window)[:CAPTION_ROWS, :340]
    assert (corner.min(axis=2) > 200).sum() > 60
    assert (corner.max(axis=2) < 90).sum() > 10_000


def test_another_town_takes_the_place_of_the_first(display: VirtualDisplay, window: Window) -> None:
    before = seen(display, window)
    window.load(*straight_town(Appearance(sky=(40, 20, 60), ground=(160, 120, 60), tree_spacing=1000.0)))
    other = seen(display, window)
    window.load(*straight_town())
    np.testing.assert_allclose(other[10, WIDTH // 2], (40, 20, 60), atol=3)
    np.testing.assert_array_equal(seen(display, window), before)


def test_keys_arrive_once_and_by_name(display: VirtualDisplay, window: Window) -> None:
    seen(display, window)
    window.keys()
    for key, name in (("space", "space"), ("c", "c"), ("Return", "enter"), ("plus", "+"), ("minus", "-")):
        display.press(key, TITLE)
        got: list[str] = []

        def arrived(got: list[str] = got) -> bool:
            seen(display, window)
            got += window.keys()
            return bool(got)

        wait_until(arrived)
        assert [{"=": "+"}.get(key, key) for key in got] == [name]
    seen(display, window)
    assert window.keys() == ()


def test_two_windows_and_closing_twice(display: VirtualDisplay, window: Window) -> None:
    second = Window(width=320, height=240)
    second.load(*straight_town())
    second.show(START)
    second.wait_until_drawn()
    second.close()
    second.close()
    second.show(START)
    assert not second.is_open
    assert second.keys() == ()
    assert window.is_open
