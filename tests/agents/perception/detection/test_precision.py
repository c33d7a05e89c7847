"""Average precision by hand, against a plain reading of its definition, and its intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.perception.detection.precision import (
    RECALLS,
    THRESHOLDS,
    Ranked,
    average_precision,
    match,
    precisions,
    ranked,
)
from navsim.geometry import Array

OBJECTS = np.array([[0.0, 0, 10, 10], [20.0, 0, 30, 10]])
COUNTED = np.array([True, True])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def of_outcomes(outcomes: str, objects: int) -> Ranked:
    """A ranking of hits (h), misses (m) and what is left out (-), the same at every threshold, in one town."""
    hits, misses = (np.array([[letter == kind] * 10 for letter in outcomes]).reshape(-1, 10) for kind in "hm")
    scores = np.linspace(1, 0.5, len(outcomes))
    return Ranked(scores, hits, misses, np.zeros(len(outcomes), np.intp), np.array([objects]))


@pytest.mark.parametrize(
    ("outcomes", "objects", "expected"),
    [
        ("hh", 2, 1.0),
        ("", 3, 0.0),
        ("mm", 1, 0.0),
        ("mh", 1, 0.5),  # precision 1/2 at recall 1, and so at every recall
        ("h", 2, 51 / 101),  # recalls 0 to 0.5
        ("hmh", 2, (51 + 50 * 2 / 3) / 101),  # 1 up to recall 0.5, 2/3 up to 1
        ("mhh", 2, 2 / 3),  # the best precision at that recall or above
        ("h--h", 2, 1.0),
        ("hmmmh", 4, (26 + 25 * 2 / 5) / 101),
    ],
)
def test_average_precision_by_hand(outcomes: str, objects: int, expected: float) -> None:
    np.testing.assert_allclose(average_precision(of_outcomes(outcomes, objects)), expected)


def test_without_objects_there_is_no_precision() -> None:
    assert np.isnan(average_precision(of_outcomes("mm", 0))).all()


@given(outcomes=st.text("hm-", max_size=30), missed=st.integers(0, 5))
def test_it_is_what_its_definition_says(outcomes: str, missed: int) -> None:
    objects = max(outcomes.count("h") + missed, 1)
    points, hits, misses = [], 0, 0
    for letter in outcomes:
        hits, misses = hits + (letter == "h"), misses + (letter == "m")
        points.append((hits / objects, hits / max(hits + misses, 1)))
    best = [max((p for r, p in points if r >= recall - 1e-9), default=0.0) for recall in RECALLS]
    np.testing.assert_allclose(average_precision(of_outcomes(outcomes, objects)), np.mean(best))


def test_detections_hit_what_they_overlap_enough() -> None:
    found = np.array([[0.0, 0, 10, 8], [21.0, 0, 31, 10], [50.0, 0, 60, 10]])  # overlaps 0.8, 9 / 11, none
    scores, hits, misses = match(found, np.array([0.5, 0.9, 0.7]), OBJECTS, COUNTED)
    assert scores.tolist() == [0.9, 0.7, 0.5]
    enough = THRESHOLDS <= 9 / 11
    np.testing.assert_array_equal(hits, [enough, np.zeros(10, bool), THRESHOLDS <= 0.8 + 1e-12])
    np.testing.assert_array_equal(misses, np.logical_not(hits))


def test_an_object_is_hit_once_by_the_surer_one() -> None:
    found = np.array([[0.0, 0, 10, 9], [0.0, 0, 10, 10]])
    _, hits, misses = match(found, np.array([0.9, 0.8]), OBJECTS, COUNTED)
    assert hits[:, 0].tolist() == [True, False]
    assert misses[:, 0].tolist() == [False, True]
    # At 0.95 the surer one, of overlap 0.9, is a miss, and the other one hits.
    assert hits[:, -1].tolist() == [False, True]


def test_what_is_not_counted_is_neither_hit_nor_miss() -> None:
    found = np.array([[0.0, 0, 10, 10], [0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 50, 10]])
    _, hits, misses = match(found, np.array([0.9, 0.8, 0.7, 0.6]), OBJECTS, np.array([False, True]))
    assert hits[:, 0].tolist() == [False, False, True, False]
    assert misses[:, 0].tolist() == [False, False, False, True]


def test_a_counted_object_comes_before_one_that_is_not() -> None:
    objects = np.array([[0.0, 0, 10, 10], [0.0, 0, 10, 9]])
    _, hits, _ = match(objects[:1], np.array([0.9]), objects, np.array([False, True]))
    assert hits[0, :9].all()  # it overlaps the counted one by 0.9


def test_rankings_join_pictures_and_towns() -> None:
    one = match(OBJECTS, np.array([0.9, 0.3]), OBJECTS, COUNTED)
    none = match(np.zeros((0, 4)), np.zeros(0), OBJECTS, COUNTED)
    other = match(OBJECTS[:1], np.array([0.6]), np.zeros((0, 4)), np.zeros(0, bool))
    found = ranked([one, none, other], np.array([1, 0, 1]), np.array([2, 2, 0]), 2)
    assert found.scores.tolist() == [0.9, 0.6, 0.3]
    assert found.towns.tolist() == [1, 1, 1]
    assert found.objects.tolist() == [2, 2]
    assert average_precision(found)[0] == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert average_precision(found, np.array([0.0, 1.0]))[0] == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision(found, np.array([1.0, 0.0]))[0] == 0.0


def test_the_order_of_pictures_does_not_matter() -> None:
    draws = rng()
    pictures, objects, towns = [], [], []
    for town in range(6):
        boxes = as_boxes(draws.uniform(0, 50, (5, 2)))
        said = boxes + draws.normal(0, 1.5, boxes.shape)
        pictures.append(match(said, draws.uniform(size=5), boxes, np.ones(5, bool)))
        objects.append(5)
        towns.append(town % 3)
    order = draws.permutation(6)
    one = ranked(pictures, np.array(towns), np.array(objects), 3)
    other = ranked([pictures[i] for i in order], np.array(towns)[order], np.array(objects)[order], 3)
    np.testing.assert_allclose(average_precision(one), average_precision(other))


def as_boxes(corners: Array) -> Array:
    return np.concatenate([corners, corners + 10], axis=1)


def test_weights_of_towns_are_copies_of_them() -> None:
    one = match(OBJECTS, np.array([0.9, 0.3]), OBJECTS[:1], COUNTED[:1])
    other = match(OBJECTS + 6, np.array([0.8, 0.4]), OBJECTS, COUNTED)
    weighted = average_precision(ranked([one, other], np.array([0, 1]), np.array([1, 2]), 2), np.array([2.0, 1.0]))
    copied = average_precision(ranked([one, one, other], np.array([0, 1, 2]), np.array([1, 1, 2]), 3))
    np.testing.assert_allclose(weighted, copied)


def test_intervals_hold_the_value_and_the_mean_is_of_the_classes_that_are_there() -> None:
    right = match(OBJECTS, np.array([0.9, 0.8]), OBJECTS, COUNTED)
    wrong = match(OBJECTS + 50, np.array([0.9, 0.8]), OBJECTS, COUNTED)
    towns, counts = np.arange(8), np.full(8, 2)
    mixed = ranked([right, wrong] * 4, towns, counts, 8)
    empty = ranked([match(OBJECTS, np.array([0.9, 0.8]), OBJECTS[:0], COUNTED[:0])] * 8, towns, np.zeros(8, int), 8)
    sure = ranked([right] * 8, towns, counts, 8)
    (mixed_score, none, all_found), mean = precisions([mixed, empty, sure], rng())
    assert none.ap50 is None
    assert none.objects == 0
    assert all_found.ap50 is not None
    assert (all_found.ap50.low, all_found.ap50.value, all_found.ap50.high) == (1.0, 1.0, 1.0)
    assert mixed_score.ap50 is not None
    assert mixed_score.ap50.low < mixed_score.ap50.value < mixed_score.ap50.high
    assert mean.ap50 is not None
    assert mean.ap50.value == pytest.approx((mixed_score.ap50.value + 1) / 2)
    assert mean.objects == 32
    assert precisions([empty], rng())[1].ap is None
    assert precisions([mixed], rng()) == precisions([mixed], rng())
