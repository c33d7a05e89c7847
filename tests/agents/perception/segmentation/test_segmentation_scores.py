"""Confusion and intersection over union, by hand and by their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.perception.run import score_page
from agents.perception.segmentation.scores import confusion, intersection_over_union, score_towns, town_counts
from agents.perception.segmentation.task import score_table
from tests.agents.perception.segmentation.labelled import labelled_pictures

NAMES = ("road", "line", "sign")
TRUTH = np.array([[0, 0, 0, 1], [0, 0, 1, 1]])
SAID = np.array([[0, 0, 1, 1], [0, 2, 1, 0]])
pictures = arrays(np.int64, (2, 3, 4), elements=st.integers(0, 2))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_pixels_are_counted_by_truth_and_answer() -> None:
    np.testing.assert_array_equal(confusion(TRUTH, SAID, 3), [[3, 1, 1], [1, 2, 0], [0, 0, 0]])


def test_iou_by_hand() -> None:
    # Road: 3 right, 2 missed, 1 taken for it: 3 / 6. Line: 2 right, 1 missed, 1 taken for it: 2 / 4. No sign is there.
    found = intersection_over_union(confusion(TRUTH, SAID, 3))
    np.testing.assert_allclose(found[:2], [3 / 6, 2 / 4])
    assert np.isnan(found[2])


@given(truth=pictures, said=pictures)
def test_iou_is_that_of_sets_of_pixels(truth: np.ndarray, said: np.ndarray) -> None:
    found = intersection_over_union(confusion(truth, said, 3))
    for k in range(3):
        there, answered = set(np.flatnonzero(truth == k)), set(np.flatnonzero(said == k))
        if there:
            assert found[k] == pytest.approx(len(there & answered) / len(there | answered))
        else:
            assert np.isnan(found[k])


@given(truth=pictures, said=pictures)
def test_counts_of_parts_add_up(truth: np.ndarray, said: np.ndarray) -> None:
    parts = sum(confusion(t, s, 3) for t, s in zip(truth, said, strict=True))
    np.testing.assert_array_equal(parts, confusion(truth, said, 3))


def test_scores_are_of_all_pixels_and_the_mean_of_the_classes_that_are_there() -> None:
    counts = np.stack([confusion(TRUTH, SAID, 3), confusion(TRUTH, TRUTH, 3)])
    scores = score_towns(counts, NAMES, pictures=4, rng=rng())
    assert (scores.pictures, scores.towns) == (4, 2)
    # Both towns together: road 8 right of 11, line 5 right of 7, sign not there.
    assert [score.iou for score in scores.classes] == [pytest.approx(8 / 11), pytest.approx(5 / 7), None]
    assert scores.mean_iou == pytest.approx((8 / 11 + 5 / 7) / 2)
    assert scores.counted == ("road", "line")
    assert scores.accuracy == pytest.approx(13 / 16)
    assert [score.pixels for score in scores.classes] == [pytest.approx(10 / 16), pytest.approx(6 / 16), 0.0]
    # Only three draws of two towns are possible; their ends are the towns alone.
    assert scores.low == pytest.approx((3 / 6 + 2 / 4) / 2)
    assert scores.high == 1.0


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Towns in which a class is right with some chance: the mean over many towns lies in most intervals of few."""
    draws = np.random.default_rng(3)

    def town() -> np.ndarray:
        right = round(100 * draws.beta(8, 2))
        return np.array([[right, 100 - right], [100 - right, right]])

    truth = float(np.mean(intersection_over_union(np.sum([town() for _ in range(4000)], axis=0))))
    held = 0
    for _ in range(100):
        scores = score_towns(np.stack([town() for _ in range(20)]), ("a", "b"), 20, draws)
        held += scores.low <= truth <= scores.high
    assert 85 <= held <= 100


def test_the_same_draws_give_the_same_interval_and_one_town_a_point() -> None:
    counts = np.stack([confusion(TRUTH, SAID, 3), confusion(TRUTH, TRUTH, 3)])
    assert score_towns(counts, NAMES, 4, rng()) == score_towns(counts, NAMES, 4, rng())
    alone = score_towns(counts[:1], NAMES, 2, rng())
    assert alone.low == alone.mean_iou == alone.high == 0.5


def test_each_town_is_counted_by_itself() -> None:
    shown = labelled_pictures(6, towns=2)
    said = shown.labels.copy()
    said[1::2] = 0  # all of the second town is called road
    counts = town_counts(shown, said)
    assert counts.sum() == shown.labels.size
    assert counts[0].sum() == np.trace(counts[0])
    np.testing.assert_array_equal(counts[1][:, 1:], 0)


def test_tables_name_the_classes_in_the_pictures_and_mark_conditions_without_them() -> None:
    both = score_towns(np.stack([confusion(TRUTH, SAID, 3)]), NAMES, 2, rng())
    plain = score_towns(np.stack([confusion(TRUTH * 0, SAID, 3)]), NAMES, 2, rng())
    table = score_table({"": both, "fog": plain})
    rows = table.rows
    assert table.headers == ["IoU", "training looks", "fog"]
    assert rows[:2] == [["road", "0.500", "0.500"], ["line", "0.500", "-"]]
    assert rows[2:5] == [[text, "0.500", "0.500"] for text in ("mean", "95% from", "to")]
    assert rows[5] == ["pixels right", "62.5%", "50.0%"]
    page = score_page(score_table({"": both}), "About it.")
    assert "| line | 0.500 |" in page
    assert "sign" not in page
    assert "2 pictures in each look of 1 held-out towns" in page
