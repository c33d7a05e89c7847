"""Hand-made filters with hand-computed values on tiny images."""

import numpy as np
import pytest
import torch

from agents.interpretability.figures import HAND_MADE, apply_filter, arrange_in_rows, filter_picture


def dot(value: int) -> np.ndarray:
    """Return a black image of 5x5 px with one grey pixel in the middle."""
    picture = np.zeros((5, 5, 3), np.uint8)
    picture[2, 2] = value
    return picture


@pytest.mark.parametrize(
    ("name", "middle", "beside", "corner"),
    [("sharpen", 100, 0, 0), ("edge detect", 0, 20, 0), ("strong edge detect", 160, 0, 0)],
)
def test_a_dot_of_20(name: str, middle: int, beside: int, corner: int) -> None:
    # 5 x 20; -4 x 20 is cut off at 0 and 1 x 20 lies beside; 8 x 20.
    found = apply_filter(dot(20), HAND_MADE[name])
    assert found[2, 2].tolist() == [middle] * 3
    assert found[2, 1].tolist() == found[1, 2].tolist() == [beside] * 3
    assert found[1, 1].tolist() == [corner] * 3
    assert (found[0] == 0).all()


def test_sums_are_cut_off_at_white() -> None:
    assert apply_filter(dot(200), HAND_MADE["sharpen"])[2, 2].tolist() == [255] * 3


def test_a_picture_of_one_colour_has_no_edges_not_even_at_its_border() -> None:
    flat = np.full((4, 6, 3), (10, 120, 250), np.uint8)
    assert (apply_filter(flat, HAND_MADE["sharpen"]) == flat).all()
    assert (apply_filter(flat, HAND_MADE["edge detect"]) == 0).all()
    assert (apply_filter(flat, HAND_MADE["strong edge detect"]) == 0).all()


def test_a_step_is_found_where_it_is() -> None:
    step = np.zeros((4, 6, 3), np.uint8)
    step[:, 3:] = 40
    found = apply_filter(step, HAND_MADE["edge detect"])[..., 0]
    assert (found[:, 2] == 40).all()  # one bright neighbour
    assert (np.delete(found, 2, axis=1) == 0).all()


def test_zero_weights_are_grey() -> None:
    weights = torch.zeros(4, 3, 3, 3)
    weights[0, :, 0, 0] = torch.tensor([0.5, -0.5, 0.0])
    picture = filter_picture(weights)
    assert picture.shape == (2 * 33 - 3, 2 * 33 - 3, 3)  # tiles of 30 px, two in a row
    assert picture[0, 0].tolist() == [255, 0, 128]
    assert picture[29, 29].tolist() == [128] * 3
    assert picture[0, 31].tolist() == [255] * 3  # the gap


def test_filters_over_maps_stand_below_each_other() -> None:
    weights = torch.zeros(3, 2, 3, 3)
    weights[:, 0], weights[:, 1] = 1.0, -1.0
    picture = filter_picture(weights, columns=3)
    assert picture.shape == (60, 3 * 33 - 3, 3)
    assert (picture[:30, :30] == 255).all()
    assert (picture[30:, :30] == 0).all()


def test_pictures_in_rows_are_in_order() -> None:
    pictures = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    sheet = arrange_in_rows(pictures, columns=2)
    assert sheet.shape == (7, 7, 3)
    assert [sheet[0, 0, 0], sheet[0, 5, 0], sheet[5, 0, 0], sheet[5, 5, 0]] == [0, 1, 2, 255]
