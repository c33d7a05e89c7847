"""The first stage of the detector: proposals of regions (Ren et al. 2015, arXiv 1506.01497, section 3.1), and boxes.

At each place of the features, anchors of several sizes and shapes are scored and moved. A box is x0, y0, x1, y1 [px],
edges counted from the picture's left and top. B: pictures, A: anchors, N and M: boxes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.perception.detection.features import IGNORED, STRIDE, Targets

OFFSET_SCALE = (10.0, 10.0, 5.0, 5.0)
"""Factors that bring offsets to a size of about 1 (the weights of torchvision and Detectron)."""
_MAX_LOG_GROWTH = 4.0  # largest logarithm of a box's size over its reference's


def areas(boxes: Tensor) -> Tensor:
    """Return the areas (...) [px^2] of boxes (..., 4); an empty box has 0."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return size[..., 0] * size[..., 1]


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union (..., N, M) of boxes (..., N, 4) and (..., M, 4); 0 where both are empty."""
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=-1)
    union = areas(a)[..., :, None] + areas(b)[..., None, :] - common
    return common / union.clamp(min=1e-9)


def offsets_of(boxes: Tensor, references: Tensor) -> Tensor:
    """Return the offsets (..., 4) of boxes (..., 4) from references (..., 4), all with an area.

    The parametrisation of Girshick et al. (2014, arXiv 1311.2524, appendix C): shifts in widths and heights of the
    reference, logarithms of the growth; scaled by OFFSET_SCALE.
    """
    size, reference = boxes[..., 2:] - boxes[..., :2], references[..., 2:] - references[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:] - references[..., :2] - references[..., 2:]) / 2
    return torch.cat([shift / reference, (size / reference).log()], dim=-1) * boxes.new_tensor(OFFSET_SCALE)


def boxes_at(offsets: Tensor, references: Tensor) -> Tensor:
    """Return the boxes (..., 4) at offsets (..., 4) from references (..., 4), the inverse of `offsets_of`."""
    offsets = offsets / offsets.new_tensor(OFFSET_SCALE)
    reference = references[..., 2:] - references[..., :2]
    middle = (references[..., :2] + references[..., 2:]) / 2 + offsets[..., :2] * reference
    half = offsets[..., 2:].clamp(max=_MAX_LOG_GROWTH).exp() * reference / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def clipped(boxes: Tensor, height: int, width: int) -> Tensor:
    """Clip boxes (..., 4) to a picture of `height` and `width` [px]."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def not_suppressed(boxes: Tensor, threshold: float, same_class: Tensor | None = None) -> Tensor:
    """Apply greedy non-maximum suppression: a box stays if no better box that stays overlaps it too much.

    Whether a box stays depends on better boxes alone. So repeating that rule from "all stay" settles at least one more
    box in each round, and mostly all within a few rounds (Cluster-NMS, Zheng et al. 2020, arXiv 2005.03572). The result
    is that of the loop over boxes.

    Args:
        boxes: Boxes (B, N, 4), the best first.
        threshold: Overlap above which the worse box is suppressed.
        same_class: Which pairs may suppress each other (B, N, N); None for all.

    Returns:
        Mask (B, N) of the boxes that stay.
    """
    rivals = (overlaps(boxes, boxes) > threshold).triu(diagonal=1)  # (B, better, worse)
    if same_class is not None:
        rivals &= same_class
    pairs = rivals.float()
    kept = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    while True:
        now = (kept[:, None].float() @ pairs)[:, 0] == 0  # a matrix product is faster than `any`
        if torch.equal(now, kept):
            return kept
        kept = now


HEIGHTS = (8.0, 14.0, 26.0, 48.0)
"""Heights of the anchors [px]."""
SHAPES = (0.33, 2.2)
"""Width over height of the anchors: people and signs, cars."""
_CONSIDERED, _KEPT, _MIN_SIDE = 256, 64, 1.0
_SUPPRESSION = 0.7
_OBJECT, _BACKGROUND = 0.5, 0.3
_SAMPLES = 96


def anchors_for(height: int, width: int, device: torch.device) -> Tensor:
    """Return all anchors (A, 4) of a picture, place by place, row by row.

    Args:
        height: Height of the features.
        width: Width of the features.
        device: Device of the anchors.
    """
    sizes = torch.tensor([(high * shape, high) for high in HEIGHTS for shape in SHAPES], device=device)
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    middles = (torch.stack([x, y], dim=-1).reshape(-1, 1, 2) + 0.5) * STRIDE
    return torch.cat([middles - sizes / 2, middles + sizes / 2], dim=-1).reshape(-1, 4)


class ProposalNetwork(nn.Module):
    """Scores and moves anchors."""

    def __init__(self, channels: int) -> None:
        """Draw the initial weights, for features of `channels` channels."""
        super().__init__()
        self._kinds = len(HEIGHTS) * len(SHAPES)
        self.shared = nn.Conv2d(channels, channels, 3, padding=1)
        self.judge = nn.Conv2d(channels, self._kinds, 1)
        self.move = nn.Conv2d(channels, 4 * self._kinds, 1)
        for layer in (self.judge, self.move):
            nn.init.normal_(layer.weight, std=0.01)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of being an object (B, A) and offsets (B, A, 4) of the anchors over features (B, C, H, W)."""
        shared = functional.relu(self.shared(features))
        logits = self.judge(shared).permute(0, 2, 3, 1).flatten(1)
        offsets = self.move(shared).permute(0, 2, 3, 1).reshape(len(features), -1, 4)
        return logits.float(), offsets.float()


@torch.no_grad()
def propose(logits: Tensor, offsets: Tensor, anchors: Tensor, height: int, width: int) -> Tensor:
    """Return the _KEPT likeliest boxes (B, R, 4) in a picture of `height` and `width` [px].

    Where fewer are left after suppression, suppressed ones fill the rest, so that the number is constant.
    """
    count = min(_CONSIDERED, logits.shape[1])
    best = logits.topk(count, dim=1)
    places = best.indices[..., None].expand(-1, -1, 4)
    moved = boxes_at(offsets.gather(1, places), anchors.expand(len(logits), -1, -1).gather(1, places))
    boxes = clipped(moved, height, width)
    small = ((boxes[..., 2:] - boxes[..., :2]) < _MIN_SIDE).any(dim=-1)
    kept = not_suppressed(boxes, _SUPPRESSION) & ~small
    order = kept.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :_KEPT]
    return boxes.gather(1, order[..., None].expand(-1, -1, 4))


def proposal_losses(logits: Tensor, offsets: Tensor, anchors: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Return the cross entropy of being an object and the smooth L1 loss of the offsets, for some random anchors."""
    objects, background, nearest = match_anchors(anchors, targets)
    positive = draw_some(objects, _SAMPLES // 2)
    negative = draw_some(background, _SAMPLES, _SAMPLES - positive.sum(dim=1))
    chosen = positive | negative
    scored = functional.binary_cross_entropy_with_logits(logits[chosen], positive[chosen].float())
    wanted = offsets_of(targets.boxes.gather(1, nearest[..., None].expand(-1, -1, 4)), anchors.expand_as(offsets))
    moved = functional.smooth_l1_loss(offsets[positive], wanted[positive], reduction="sum", beta=1.0)
    return {"proposal": scored, "proposal_box": moved / chosen.sum().clamp(min=1)}


def match_anchors(anchors: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Match anchors to objects.

    An anchor is an object if it overlaps one by at least _OBJECT, or more than all other anchors do. It is background
    if it overlaps no object by _BACKGROUND, ignored ones included.

    Returns:
        Which anchors are objects and which are background, both (B, A), and the number of the nearest object (B, A).
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


def draw_some(candidates: Tensor, max_count: int, count: Tensor | None = None) -> Tensor:
    """Draw some of the true places in each row (B, N): up to `max_count`, or up to `count` (B,) if that is less."""
    chance = torch.rand(candidates.shape, device=candidates.device).masked_fill(~candidates, -1.0)
    best = chance.topk(min(max_count, candidates.shape[1]), dim=1)
    rank = torch.arange(best.values.shape[1], device=candidates.device)
    taken = best.values >= 0
    if count is not None:
        taken &= rank < count[:, None]
    return torch.zeros_like(candidates).scatter(1, best.indices, taken)
