import numpy as np
import pytest

from navsim.rendering.window.window_scene import CAPTION_HEIGHT, CAPTION_WIDTH, draw_caption
from navsim.roads.osm.town import ATTRIBUTION


def test_lines_stand_one_below_the_other() -> None:
    empty = draw_caption(())
    assert empty.shape == (CAPTION_HEIGHT, CAPTION_WIDTH, 3)
    rows = []
    for line in range(4):
        changed = (draw_caption([""] * line + ["8.0 m/s"]) != empty).any(axis=(1, 2))
        rows.append(np.flatnonzero(changed))
    assert 0 < rows[0].max() < rows[1].min()
    assert rows[1].max() < rows[2].min()
    assert rows[2].max() < rows[3].min() < rows[3].max() < CAPTION_HEIGHT


def test_a_scenario_name_fits() -> None:
    changed = (draw_caption(("", "policy   validation-12-route123-seed4567")) != draw_caption(())).any(axis=(0, 2))
    assert np.flatnonzero(changed).max() < CAPTION_WIDTH - 4


@pytest.mark.parametrize("text", ["expert   osm-west-oakland-175a7d9b-route610-seed0", 80 * "wide text ", "m" * 34])
def test_wide_lines_are_written_smaller_or_cut(text: str) -> None:
    changed = (draw_caption(("", text)) != draw_caption(())).any(axis=(0, 2))
    assert CAPTION_WIDTH - 60 < np.flatnonzero(changed).max() < CAPTION_WIDTH - 4


def test_the_credit_for_a_map_fits() -> None:
    changed = (draw_caption(("", "", "", ATTRIBUTION)) != draw_caption(())).any(axis=(0, 2))
    assert 200 < np.flatnonzero(changed).max() < CAPTION_WIDTH - 4


def test_more_than_four_lines_are_left_out() -> None:
    np.testing.assert_array_equal(draw_caption(["a"] * 5), draw_caption(["a"] * 4))
