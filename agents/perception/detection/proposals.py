"""The first stage: where anything might be (Ren et al. 2015, "Faster R-CNN", arXiv 1506.01497, section 3.1).

At each place of the features, anchors of several sizes and shapes are judged and moved. B: pictures, A: anchors.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.perception.detection.backbone import STRIDE
from agents.perception.detection.boxes import boxes_at, clipped, not_suppressed, offsets_of, overlaps
from agents.perception.detection.interface import IGNORED, Targets

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
