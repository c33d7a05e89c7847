"""Boxes as numbers: how far they overlap, how they are told relative to others, and which of many to keep.

A box is x0, y0, x1, y1 [px], edges counted from the picture's left and top. B: pictures, N and M: boxes.

The first stage: where anything might be (Ren et al. 2015, "Faster R-CNN", arXiv 1506.01497, section 3.1).

At each place of the features, anchors of several sizes and shapes are judged and moved. B: pictures, A: anchors.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.perception.detection.features import IGNORED, STRIDE, Targets

OFFSET_SCALE = (10.0, 10.0, 5.0, 5.0)
"""What offsets are multiplied by, so that they are about as large as 1 (torchvision's and Detectron's weights)."""
_LARGEST_GROWTH = 4.0  # logarithm of how much larger a box may get than its reference


def areas(boxes: Tensor) -> Tensor:
    """Areas (...) [px^2] of boxes (..., 4); an empty one has 0."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return size[..., 0] * size[..., 1]


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (..., N, M) of boxes (..., N, 4) and (..., M, 4); 0 where both are empty."""
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    union = areas(a)[..., :, None] + areas(b)[..., None, :] - common
    return common / union.clamp(min=1e-9)


def offsets_of(boxes: Tensor, references: Tensor) -> Tensor:
    """Tell boxes (..., 4) relative to references (..., 4), all with an area.

    The parametrisation of Girshick et al. (2014, arXiv 1311.2524, appendix C): shifts in widths and heights of the
    reference, logarithms of the growth; scaled by OFFSET_SCALE.
    """
    size, reference = boxes[..., 2:] - boxes[..., :2], references[..., 2:] - references[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - references[..., :2] - references[..., 2:]) / 2
    return torch.cat([shift / reference, (size / reference).log()], dim=-1) * boxes.new_tensor(OFFSET_SCALE)


def boxes_at(offsets: Tensor, references: Tensor) -> Tensor:
    """Boxes (..., 4) from offsets (..., 4) to references (..., 4), the inverse of `offsets_of`."""
    offsets = offsets / offsets.new_tensor(OFFSET_SCALE)
    reference = references[..., 2:] - references[..., :2]
    middle = (references[..., :2] + references[..., 2:]) / 2 + offsets[..., :2] * reference
    half = offsets[..., 2:].clamp(max=_LARGEST_GROWTH).exp() * reference / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes (..., 4) cut at the edges of a picture [px]."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def not_suppressed(boxes: Tensor, threshold: float, alike: Tensor | None = None) -> Tensor:
    """Greedy non-maximum suppression: which boxes overlap no better one that is kept by more than `threshold`.

    Whether a box stays depends on better ones alone, so that repeating "kept is who overlaps no kept better one" from
    "all are kept" settles one more box each time, and mostly all within a few rounds (Cluster-NMS, Zheng et al. 2020,
    arXiv 2005.03572): the result is that of the loop over boxes, without the loop.

    Args:
        boxes: (B, N, 4), the best first.
        threshold: Overlap above which the worse one goes.
        alike: Which pairs may suppress one another (B, N, N); None for all.

    Returns:
        Mask (B, N).
    """
    rivals = (overlaps(boxes, boxes) > threshold).triu(diagonal=1)  # (B, better, worse)
    if alike is not None:
        rivals &= alike
    pairs = rivals.float()
    kept = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    while True:
        now = (kept[:, None].float() @ pairs)[:, 0] == 0  # a product counts them faster than `any` looks for one
        if torch.equal(now, kept):
            return kept
        kept = now


HEIGHTS = (8.0, 14.0, 26.0, 48.0)
"""Of anchors [px]."""
SHAPES = (0.33, 2.2)
"""Width over height: people and signs, cars."""
_CONSIDERED, _KEPT, _LEAST_SIDE = 256, 64, 1.0
_SUPPRESSION = 0.7
_OBJECT, _BACKGROUND = 0.5, 0.3
_SAMPLES = 96


def anchors_for(height: int, width: int, device: torch.device) -> Tensor:
    """All anchors (A, 4) of a picture, place by place, row by row.

    Args:
        height: Of the features.
        width: Of the features.
        device: Where to make them.
    """
    sizes = torch.tensor([(high * shape, high) for high in HEIGHTS for shape in SHAPES], device=device)
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    middles = (torch.stack([x, y], dim=-1).reshape(-1, 1, 2) + 0.5) * STRIDE
    return torch.cat([middles - sizes / 2, middles + sizes / 2], dim=-1).reshape(-1, 4)


class ProposalNetwork(nn.Module):
    """Judges and moves anchors."""

    def __init__(self, channels: int) -> None:
        """Draw the initial weights, for features of so many channels."""
        super().__init__()
        self._kinds = len(HEIGHTS) * len(SHAPES)
        self.shared = nn.Conv2d(channels, channels, 3, padding=1)
        self.judge = nn.Conv2d(channels, self._kinds, 1)
        self.move = nn.Conv2d(channels, 4 * self._kinds, 1)
        for layer in (self.judge, self.move):
            nn.init.normal_(layer.weight, std=0.01)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the anchors over features (B, C, H, W): logits of being an object (B, A) and offsets (B, A, 4)."""
        shared = functional.relu(self.shared(features))
        logits = self.judge(shared).permute(0, 2, 3, 1).flatten(1)
        offsets = self.move(shared).permute(0, 2, 3, 1).reshape(len(features), -1, 4)
        return logits.float(), offsets.float()


@torch.no_grad()
def propose(logits: Tensor, offsets: Tensor, anchors: Tensor, height: int, width: int) -> Tensor:
    """The best places to look at: _KEPT boxes (B, R, 4) within a picture of `height` and `width` [px].

    Where fewer are left after suppression, the last ones are suppressed ones, so that there are always as many.
    """
    count = min(_CONSIDERED, logits.shape[1])
    best = logits.topk(count, dim=1)
    places = best.indices[..., None].expand(-1, -1, 4)
    moved = boxes_at(offsets.gather(1, places), anchors.expand(len(logits), -1, -1).gather(1, places))
    boxes = clipped(moved, height, width)
    small = ((boxes[..., 2:] - boxes[..., :2]) < _LEAST_SIDE).any(dim=-1)
    kept = not_suppressed(boxes, _SUPPRESSION) & ~small
    order = kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :_KEPT]
    return boxes.gather(1, order[..., None].expand(-1, -1, 4))


def proposal_losses(logits: Tensor, offsets: Tensor, anchors: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Cross-entropy of being an object and smooth L1 of the offsets, over anchors drawn for each picture."""
    objects, background, nearest = match_anchors(anchors, targets)
    positive = drawn(objects, _SAMPLES // 2)
    negative = drawn(background, _SAMPLES, _SAMPLES - positive.sum(dim=1))
    chosen = positive | negative
    judged = functional.binary_cross_entropy_with_logits(logits[chosen], positive[chosen].float())
    wanted = offsets_of(targets.boxes.gather(1, nearest[..., None].expand(-1, -1, 4)), anchors.expand_as(offsets))
    moved = functional.smooth_l1_loss(offsets[positive], wanted[positive], reduction="sum", beta=1.0)
    return {"proposal": judged, "proposal_box": moved / chosen.sum().clamp(min=1)}


def match_anchors(anchors: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Which anchors are objects and which are background, both (B, A), and the number of the nearest object (B, A).

    An anchor is an object if it overlaps one by at least _OBJECT, or more than all others do, so that each object has
    one; it is background if it overlaps none by _BACKGROUND, ignored ones included.
    """
    there = targets.classes >= 0
    overlap = overlaps(anchors.expand(len(there), -1, -1), targets.boxes)  # (B, A, G)
    counted = overlap * there[:, None]
    best, nearest = counted.max(dim=2)
    most = counted.amax(dim=1, keepdim=True)
    favoured = ((counted == most) & (most > 0) & there[:, None]).any(dim=2)
    near = overlap * (there | (targets.classes == IGNORED))[:, None]
    objects = (best >= _OBJECT) | favoured
    return objects, (near.amax(dim=2) < _BACKGROUND) & ~objects, nearest


def drawn(among: Tensor, most: int, count: Tensor | None = None) -> Tensor:
    """Draw some of those that are true in each row (B, N): up to `most`, or up to `count` (B,), which is no more."""
    chance = torch.rand(among.shape, device=among.device).masked_fill(~among, -1.0)
    best = chance.topk(min(most, among.shape[1]), dim=1)
    rank = torch.arange(best.values.shape[1], device=among.device)
    taken = best.values >= 0
    if count is not None:
        taken &= rank < count[:, None]
    return torch.zeros_like(among).scatter(1, best.indices, taken)
