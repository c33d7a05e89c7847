"""Overlaps, offsets and suppression: by hand, and by what they must do."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from agents.perception.detection.proposals import areas, boxes_at, clipped, not_suppressed, offsets_of, overlaps

edges = st.floats(0, 100, width=32)
sides = st.floats(1, 50, width=32)
boxes = st.lists(st.tuples(edges, edges, sides, sides), min_size=1, max_size=20)


def as_boxes(rows: list[tuple[float, float, float, float]]) -> Tensor:
    table = torch.tensor(rows)
    return torch.cat([table[:, :2], table[:, :2] + table[:, 2:]], dim=1)


def test_overlaps_by_hand() -> None:
    a = torch.tensor([[0.0, 0.0, 4.0, 2.0], [10.0, 0.0, 12.0, 2.0]])
    b = torch.tensor([[2.0, 0.0, 6.0, 2.0], [0.0, 0.0, 4.0, 2.0], [5.0, 5.0, 5.0, 9.0]])
    # Half of each of two boxes of 8 px^2 is common: 4 / (8 + 8 - 4).
    torch.testing.assert_close(overlaps(a, b), torch.tensor([[1 / 3, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert areas(torch.tensor([[3.0, 3.0, 1.0, 9.0], [1.0, 1.0, 3.0, 9.0]])).tolist() == [0.0, 16.0]


@given(rows=boxes)
def test_overlaps_are_symmetric_shares(rows: list[tuple[float, float, float, float]]) -> None:
    some = as_boxes(rows)
    found = overlaps(some, some)
    torch.testing.assert_close(found, found.T)
    torch.testing.assert_close(found.diagonal(), torch.ones(len(some)))
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6


@given(rows=boxes)
def test_offsets_lead_back_to_the_boxes(rows: list[tuple[float, float, float, float]]) -> None:
    some = as_boxes(rows)
    references = some.flip(0)
    torch.testing.assert_close(boxes_at(offsets_of(some, references), references), some, atol=1e-3, rtol=1e-3)


def test_offsets_by_hand() -> None:
    reference, box = torch.tensor([0.0, 0.0, 10.0, 20.0]), torch.tensor([5.0, 0.0, 25.0, 20.0])
    # Its middle is 10 px, one width, to the right; it is twice as wide.
    torch.testing.assert_close(offsets_of(box, reference), torch.tensor([10.0, 0.0, 5 * 0.6931472, 0.0]))
    assert torch.isfinite(boxes_at(torch.full((4,), 1e4), reference)).all()


def test_boxes_are_cut_at_the_edges() -> None:
    assert clipped(torch.tensor([[-3.0, 5.0, 70.0, 40.0]]), 32, 64).tolist() == [[0.0, 5.0, 64.0, 32.0]]


def greedy(some: Tensor, threshold: float) -> list[bool]:
    """The loop that suppression is usually written as."""
    kept: list[int] = []
    for i in range(len(some)):
        if all(overlaps(some[i : i + 1], some[j : j + 1]) <= threshold for j in kept):
            kept.append(i)
    return [i in kept for i in range(len(some))]


@given(rows=boxes, threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7]))
def test_suppression_is_that_of_the_greedy_loop(
    rows: list[tuple[float, float, float, float]], threshold: float
) -> None:
    some = as_boxes(rows)
    both = torch.stack([some, some.flip(0)])
    assert not_suppressed(both, threshold).tolist() == [greedy(some, threshold), greedy(some.flip(0), threshold)]


def test_a_suppressed_box_suppresses_nothing() -> None:
    row = torch.tensor([[[0.0, 0, 10, 10], [4.0, 0, 14, 10], [8.0, 0, 18, 10]]])  # each overlaps the next by 6 / 14
    assert not_suppressed(row, 0.4).tolist() == [[True, False, True]]
    assert not_suppressed(row, 0.45).all()
    apart = torch.eye(3, dtype=torch.bool)[None]
    assert not_suppressed(row, 0.4, apart).all()


def test_boxes_that_are_only_just_alike_stay() -> None:
    pair = torch.tensor([[[0.0, 0, 4, 2], [2.0, 0, 6, 2]]])
    assert not_suppressed(pair, 1 / 3 + 1e-6).all()
    assert not_suppressed(pair, 1 / 3 - 1e-6).tolist() == [[True, False]]
    assert pytest.approx(1 / 3) == float(overlaps(pair[0, :1], pair[0, 1:]))
