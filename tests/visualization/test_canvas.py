"""Primitives of pictures: boxes fit, pixels are where they should be, nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from navsim.simulation.scenario import Outcome
from navsim.visualization.canvas import (
    ACCENT,
    BACKGROUND,
    BRIGHT,
    ROUTE,
    TRUTH,
    Rectangle,
    Text,
    blank,
    downsized,
    enlarged,
    fill,
    outcome_colour,
    paste,
    polygon,
    polyline,
    written,
)

SIZES = st.integers(1, 500)


def lit(canvas: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, int], np.dtype[np.intp]]:
    """Return the pixels (N, 2) as (row, column) that are not background."""
    return np.argwhere((canvas != BACKGROUND).any(axis=-1))


@given(width=SIZES, height=SIZES, box_width=SIZES, box_height=SIZES)
def test_fitted_box_is_inside_and_touches_two_sides(width: int, height: int, box_width: int, box_height: int) -> None:
    outer = Rectangle(3, 5, box_width, box_height)
    inner = outer.fitted(width, height)
    assert outer.x <= inner.x
    assert outer.y <= inner.y
    assert inner.x + inner.width <= outer.x + outer.width
    assert inner.y + inner.height <= outer.y + outer.height
    assert box_width - inner.width <= 1 or box_height - inner.height <= 1


def test_inset_box() -> None:
    assert Rectangle(10, 20, 100, 50).inset(5) == Rectangle(15, 25, 90, 40)


def test_fill_changes_only_the_box() -> None:
    canvas = blank(40, 30)
    fill(canvas, Rectangle(5, 6, 7, 8), ROUTE)
    places = lit(canvas)
    assert len(places) == 7 * 8
    assert (places.min(axis=0).tolist(), places.max(axis=0).tolist()) == ([6, 5], [13, 11])


def test_only_smooth_enlargement_blends_pixels() -> None:
    checks = np.zeros((2, 2, 3), np.uint8)
    checks[0, 0] = checks[1, 1] = 255
    hard, soft = (enlarged(checks, 20, 20, smooth) for smooth in (False, True))
    assert set(np.unique(hard)) == {0, 255}
    assert hard[5, 5, 0] == 255
    assert len(np.unique(soft)) > 10


def test_paste_covers_the_box() -> None:
    canvas = blank(40, 30)
    paste(canvas, Rectangle(10, 10, 20, 5), np.full((3, 3, 3), 200, np.uint8), smooth=False)
    assert len(lit(canvas)) == 100


def test_lines_and_polygons_are_where_they_should_be() -> None:
    canvas = blank(60, 40)
    polyline(canvas, [(10, 20), (50, 20)], BRIGHT, 1)
    assert lit(canvas)[:, 0].mean() == pytest.approx(20, abs=0.5)
    assert lit(canvas)[:, 1].min() == pytest.approx(10, abs=1)
    shape = blank(60, 40)
    polygon(shape, [(10, 10), (30, 10), (30, 30), (10, 30)], BRIGHT)
    assert len(lit(shape)) == pytest.approx(441, rel=0.25)  # the antialiased edge counts


@pytest.mark.parametrize(("anchor", "side"), [("la", 1), ("ra", -1)])
def test_text_grows_away_from_its_anchor(anchor: str, side: int) -> None:
    columns = lit(written(blank(200, 40), [Text("speed", 100, 10, 14, BRIGHT, anchor)]))[:, 1]
    assert (side * (columns - 100) >= -1).all()


def test_outlined_text_is_legible_on_its_own_colour() -> None:
    white = np.full((40, 100, 3), BRIGHT, np.uint8)
    plain = written(white, [Text("front", 10, 10, 16, BRIGHT)])
    outlined = written(white, [Text("front", 10, 10, 16, BRIGHT, outlined=True)])
    assert (plain == white).all()
    assert (outlined == BACKGROUND).all(axis=-1).sum() > 30


def test_colours_of_outcomes() -> None:
    assert outcome_colour(Outcome.ARRIVED) == TRUTH
    assert outcome_colour(Outcome.TIMED_OUT) == outcome_colour(Outcome.STUCK) == ACCENT
    assert outcome_colour(Outcome.COLLIDED) == outcome_colour(Outcome.LEFT_ROAD) == ROUTE


def test_a_smaller_picture_keeps_its_shape_and_averages() -> None:
    image = np.zeros((8, 12, 3), np.uint8)
    image[::2] = 100
    small = downsized(image, 6)
    assert small.shape == (4, 6, 3)
    assert (small == 50).all()
