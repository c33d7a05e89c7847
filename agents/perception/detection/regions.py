"""The second stage: what each proposed region shows, and where exactly (Girshick 2015, arXiv 1504.08083).

B: pictures, R: regions of each, K: classes, P: side of a pooled region.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.perception.detection.features import FINE_STRIDE, IGNORED, STRIDE, Targets
from agents.perception.detection.proposals import drawn, offsets_of, overlaps

POOLED = 5
"""P."""
_HIDDEN = 128
_OBJECT = 0.5
_SAMPLES, _OBJECTS = 32, 16


def pool_regions(features: Tensor, boxes: Tensor, stride: int) -> Tensor:
    """Features of regions (B, R, C, P, P): means of 2 x 2 points in each of P x P parts, interpolated between features.

    As RoIAlign (He et al. 2017, arXiv 1703.06870), which rounds nothing.

    Args:
        features: (B, C, H, W).
        boxes: (B, R, 4) [px].
        stride: Pixels per feature.
    """
    height, width = features.shape[2:]
    points = 2 * POOLED
    share = (torch.arange(points, device=boxes.device) + 0.5) / points
    low, size = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
    spots = (low + share[:, None] * size) / stride  # (B, R, points, 2) in features, their middles at 0.5
    x, y = (2 * spots / spots.new_tensor([width, height]) - 1).unbind(dim=-1)
    grid = torch.stack([x[..., None, :].expand(-1, -1, points, -1), y[..., None].expand(-1, -1, -1, points)], dim=-1)
    sampled = functional.grid_sample(
        features.float(), grid.flatten(1, 2), padding_mode="border", align_corners=False
    )  # places of half precision would be off by a pixel
    pooled = functional.avg_pool2d(sampled, 2)  # (B, C, R * P, P)
    return pooled.reshape(*features.shape[:2], boxes.shape[1], POOLED, POOLED).transpose(1, 2)


class RegionHead(nn.Module):
    """Names regions and moves their boxes, for each class in its own way.

    People and signs are a few pixels wide: where exactly they are is seen in the fine features alone.
    """

    def __init__(self, channels: int, classes: int) -> None:
        """Draw the initial weights, for so many channels of both kinds of features together."""
        super().__init__()
        self._classes = classes
        self.shared = nn.Sequential(
            nn.Linear(channels * POOLED**2, _HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.ReLU(inplace=True),
        )
        self.name = nn.Linear(_HIDDEN, 1 + classes)
        self.move = nn.Linear(_HIDDEN, 4 * classes)
        nn.init.normal_(self.name.weight, std=0.01)
        nn.init.normal_(self.move.weight, std=0.001)

    def forward(self, fine: Tensor, features: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Judge regions (B, R, 4) of features as of `Backbone`.

        Returns:
            Logits (B, R, 1 + K), background first, and offsets (B, R, K, 4).
        """
        levels = (fine, FINE_STRIDE), (features, STRIDE)
        pooled = [pool_regions(level, boxes, stride).flatten(2) for level, stride in levels]
        hidden = self.shared(torch.cat(pooled, dim=2))
        return self.name(hidden).float(), self.move(hidden).unflatten(-1, (self._classes, 4)).float()


@torch.no_grad()
def sample_regions(proposals: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """Draw regions to learn from, the objects' own boxes among them.

    Returns:
        Boxes (B, R, 4), what they show (B, R): 0 background, 1 to K the classes, -1 not to be learned, and the boxes
        that they should be (B, R, 4).
    """
    regions = torch.cat([targets.boxes, proposals], dim=1)
    there = targets.classes >= 0
    overlap = overlaps(regions, targets.boxes)
    best, nearest = (overlap * there[:, None]).max(dim=2)
    ignored = (overlap * (targets.classes == IGNORED)[:, None]).amax(dim=2)
    empty = torch.zeros_like(best, dtype=torch.bool)
    empty[:, : there.shape[1]] = ~there  # rows of the table that hold no object, or an ignored one
    positive = drawn((best >= _OBJECT) & ~empty, _OBJECTS)
    others = (best < _OBJECT) & (ignored < _OBJECT) & ~empty
    negative = drawn(others, _SAMPLES, _SAMPLES - positive.sum(dim=1))
    names = torch.where(positive, targets.classes.gather(1, nearest) + 1, torch.where(negative, 0, -1))
    order = (names >= 0).to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :_SAMPLES]
    places = order[..., None].expand(-1, -1, 4)
    wanted = targets.boxes.gather(1, nearest[..., None].expand(-1, -1, 4))
    return regions.gather(1, places), names.gather(1, order), wanted.gather(1, places)


def region_losses(logits: Tensor, offsets: Tensor, boxes: Tensor, names: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of the class and smooth L1 of the offsets, over the regions of `sample_regions`."""
    learned, objects = names >= 0, names > 0
    named = functional.cross_entropy(logits[learned], names[learned])
    own = offsets[objects][torch.arange(int(objects.sum()), device=names.device), names[objects] - 1]
    goal = offsets_of(wanted[objects], boxes[objects])
    moved = functional.smooth_l1_loss(own, goal, reduction="sum", beta=1.0)
    return {"region": named, "region_box": moved / learned.sum().clamp(min=1)}
