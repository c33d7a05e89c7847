"""The two stages of the detector: matching of anchors and regions, pooling, detections."""

import pytest
import torch

from agents.perception.detection.detector import MIN_SCORE, POOLED, Detector, best_of, pool_regions, sample_regions
from agents.perception.detection.features import ABSENT, IGNORED, STRIDE, Backbone, Targets
from agents.perception.detection.proposals import HEIGHTS, SHAPES, anchors_for, draw_some, match_anchors, propose
from agents.policies.policy import parameter_count

CPU = torch.device("cpu")


def targets_of(boxes: list[list[float]], classes: list[int]) -> Targets:
    return Targets.of([torch.tensor(boxes).reshape(-1, 4)], [torch.tensor(classes, dtype=torch.int64)])


def test_tables_are_as_long_as_the_longest_and_mark_absent_rows() -> None:
    boxes = [torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.zeros(0, 4)]
    table = Targets.of(boxes, [torch.tensor([2]), torch.zeros(0, dtype=torch.int64)])
    assert table.boxes.shape == (2, 1, 4)
    assert table.classes.tolist() == [[2], [ABSENT]]
    assert table.boxes[0, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert Targets.of(boxes[1:], [torch.zeros(0, dtype=torch.int64)]).classes.tolist() == [[ABSENT]]


def test_anchors_stand_around_the_middles_of_the_features() -> None:
    anchors = anchors_for(2, 3, CPU).view(2, 3, len(HEIGHTS), len(SHAPES), 4)
    middles = (anchors[..., :2] + anchors[..., 2:]) / 2
    assert middles[1, 2, 0, 0].tolist() == [2.5 * STRIDE, 1.5 * STRIDE]
    sizes = anchors[0, 0, ..., 2:] - anchors[0, 0, ..., :2]
    torch.testing.assert_close(sizes[:, 0, 1], torch.tensor(HEIGHTS))
    torch.testing.assert_close(sizes[0, :, 0] / sizes[0, :, 1], torch.tensor(SHAPES))


def test_anchors_are_matched_by_overlap() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [3.0, 0, 13, 10], [6.0, 0, 16, 10], [40.0, 0, 50, 10], [80.0, 0, 90, 10]])
    # Overlaps with the first object: 1, 7 / 13, 4 / 16, 0, 0. The second is small: 4 / 100 is the most it gets.
    targets = targets_of([[0, 0, 10, 10], [41, 1, 43, 3], [81, 0, 91, 10]], [1, 2, IGNORED])
    objects, background, nearest = match_anchors(anchors, targets)
    assert objects.tolist() == [[True, True, False, True, False]]
    assert background.tolist() == [[False, False, True, False, False]]  # the last one lies on what is ignored
    assert nearest[0, :4].tolist() == [0, 0, 0, 1]
    objects, background, _ = match_anchors(anchors, targets_of([], []))
    assert not objects.any()
    assert background.all()


def test_draws_are_among_the_candidates_and_at_most_the_maximum() -> None:
    torch.manual_seed(0)
    among = torch.rand(50, 40) < 0.3
    taken = draw_some(among, 5)
    assert not (taken & ~among).any()
    assert torch.equal(taken.sum(dim=1), among.sum(dim=1).clamp(max=5))
    count = torch.arange(50) % 4
    assert torch.equal(draw_some(among, 5, count).sum(dim=1), torch.minimum(among.sum(dim=1), count))
    often = sum(draw_some(torch.ones(1, 4, dtype=torch.bool), 1) for _ in range(400))
    assert torch.as_tensor(often).min() > 60  # each of four about a hundred times


def test_proposals_are_the_likeliest_anchors_clipped_to_the_picture() -> None:
    anchors = anchors_for(8, 16, CPU)
    logits = torch.full((1, len(anchors)), -5.0)
    chosen = 300  # of the whole list
    logits[0, chosen] = 3.0
    boxes = propose(logits, torch.zeros(1, len(anchors), 4), anchors, 32, 64)
    expected = torch.maximum(torch.minimum(anchors[chosen], torch.tensor([64.0, 32, 64, 32])), torch.zeros(4))
    torch.testing.assert_close(boxes[0, 0], expected)
    assert boxes.min() >= 0
    assert boxes[..., 2].max() <= 64
    assert boxes[..., 3].max() <= 32


def test_pooling_averages_the_features_of_each_part() -> None:
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    features = torch.stack([x, y, 3 * x - y])[None]  # linear, so that the mean of a part is the value at its middle
    box = torch.tensor([[[8.0, 12.0, 38.0, 32.0]]])
    pooled = pool_regions(features, box, STRIDE)
    assert pooled.shape == (1, 1, 3, POOLED, POOLED)
    share = (torch.arange(POOLED) + 0.5) / POOLED
    columns, rows = (8 + 30 * share) / STRIDE - 0.5, (12 + 20 * share) / STRIDE - 0.5
    torch.testing.assert_close(pooled[0, 0, 0], columns.expand(POOLED, -1), atol=1e-4, rtol=0)
    torch.testing.assert_close(pooled[0, 0, 1], rows[:, None].expand(-1, POOLED), atol=1e-4, rtol=0)
    torch.testing.assert_close(pooled[0, 0, 2], 3 * columns[None] - rows[:, None], atol=1e-4, rtol=0)


def test_each_region_is_pooled_from_its_own_picture() -> None:
    features = torch.arange(2.0)[:, None, None, None].expand(2, 1, 8, 8)
    pooled = pool_regions(features, torch.tensor([[[0.0, 0, 9, 9], [5.0, 5, 9, 9]]]).repeat(2, 1, 1), 2)
    assert not pooled[0].any()
    assert (pooled[1] == 1).all()


def test_regions_get_the_class_of_the_object_that_they_overlap() -> None:
    torch.manual_seed(0)
    targets = targets_of([[0, 0, 10, 10], [30, 0, 40, 10]], [2, IGNORED])
    proposals = torch.tensor([[[1.0, 0, 11, 10], [30.0, 0, 40, 10], [60.0, 0, 70, 10]]])
    boxes, names, wanted = sample_regions(proposals, targets)
    labelled = {tuple(box): name for box, name in zip(boxes[0].tolist(), names[0].tolist(), strict=True)}
    assert labelled[0.0, 0.0, 10.0, 10.0] == 3  # its own box: class 2, counted from 1
    assert labelled[1.0, 0.0, 11.0, 10.0] == 3
    assert labelled[60.0, 0.0, 70.0, 10.0] == 0
    assert labelled[30.0, 0.0, 40.0, 10.0] == -1  # ignored objects are not learned
    assert wanted[0][names[0] == 3].tolist() == [[0, 0, 10, 10]] * 2


def test_detections_are_the_best_of_each_class() -> None:
    region, beside = [0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0]
    boxes = torch.tensor([[region, region, beside, beside]])  # two regions, two classes
    (found,) = best_of(boxes, torch.tensor([[[0.6, 0.3], [0.5, MIN_SCORE / 2]]]))
    assert found.classes.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.6, 0.3])
    assert found.boxes.tolist() == [region, region]


def test_the_detector_is_small_and_its_boxes_lie_in_the_picture() -> None:
    torch.manual_seed(0)
    detector = Detector(3).eval()
    assert parameter_count(detector) < 1_000_000
    fine, features = Backbone()(torch.zeros(2, 3, 48, 80))
    assert (fine.shape, features.shape) == ((2, 16, 24, 40), (2, 64, 12, 20))
    for found in detector.detect(torch.rand(2, 3, 32, 64) * 2 - 1):
        assert len(found.boxes) == len(found.scores) == len(found.classes)
        assert (found.scores.diff() <= 0).all()
        assert ((found.boxes >= 0) & (found.boxes <= torch.tensor([64, 32, 64, 32]))).all()


def test_pictures_without_objects_can_be_learned_from() -> None:
    torch.manual_seed(0)
    detector = Detector(3).train()
    terms = detector.losses(torch.rand(2, 3, 32, 64) * 2 - 1, Targets.of([torch.zeros(0, 4)] * 2, [torch.zeros(0)] * 2))
    assert set(terms) == {"proposal", "proposal_box", "region", "region_box"}
    assert terms["proposal_box"] == terms["region_box"] == 0
    total = torch.stack([*terms.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)
