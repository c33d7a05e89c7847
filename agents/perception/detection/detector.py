"""A two-stage detector: Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) in plain torch, small.

The first stage proposes regions (`agents.perception.detection.proposals`). The second stage, here, classifies them and
moves their boxes (Girshick 2015, arXiv 1504.08083). B: pictures, R: regions of each, K: classes, P: side of a pooled
region.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from agents.perception.detection.features import (
    FINE_STRIDE,
    IGNORED,
    STRIDE,
    Backbone,
    Detections,
    Targets,
)
from agents.perception.detection.proposals import (
    ProposalNetwork,
    anchors_for,
    boxes_at,
    clipped,
    draw_some,
    not_suppressed,
    offsets_of,
    overlaps,
    proposal_losses,
    propose,
)

MIN_SCORE = 0.05
"""Detections with a lower score are dropped."""
MAX_DETECTIONS = 50
"""Largest number of detections in one picture."""
_SUPPRESSION = 0.5
POOLED = 5
"""Side of a pooled region, P [features]."""
_HIDDEN = 128
_OBJECT_OVERLAP = 0.5
_MAX_SAMPLES, _MAX_OBJECTS = 32, 16  # regions of a picture that are learned from, and objects among them


class Detector(nn.Module):
    """Proposes regions, then classifies them; both stages share features and learn together.

    Pictures are (B, 3, H, W) in [-1, 1].
    """

    def __init__(self, classes: int) -> None:
        """Draw the initial weights for `classes` classes."""
        super().__init__()
        self.backbone = Backbone()
        self.proposals = ProposalNetwork(Backbone.out_channels)
        self.regions = RegionHead(Backbone.fine_channels + Backbone.out_channels, classes)

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the loss terms of both stages by name; samples are drawn from torch's own generator."""
        height, width = images.shape[2:]
        fine, features = self.backbone(images)
        logits, offsets = self.proposals(features)
        anchors = anchors_for(features.shape[2], features.shape[3], images.device)
        terms = proposal_losses(logits, offsets, anchors, targets)
        proposed = propose(logits.detach(), offsets.detach(), anchors, height, width)
        boxes, labels, wanted = sample_regions(proposed, targets)
        region_logits, moves = self.regions(fine, features, boxes)
        return terms | region_losses(region_logits, moves, boxes, labels, wanted)

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[Detections]:
        """Find the objects in each picture; the detector must be in evaluation mode."""
        height, width = images.shape[2:]
        fine, features = self.backbone(images)
        logits, offsets = self.proposals(features)
        anchors = anchors_for(features.shape[2], features.shape[3], images.device)
        proposed = propose(logits, offsets, anchors, height, width)
        region_logits, moves = self.regions(fine, features, proposed)
        scores = region_logits.softmax(dim=-1)[..., 1:]  # (B, R, K)
        boxes = clipped(boxes_at(moves, proposed[:, :, None].expand_as(moves)), height, width)
        return best_of(boxes.flatten(1, 2), scores)


def best_of(boxes: Tensor, scores: Tensor) -> list[Detections]:
    """Keep the best of boxes (B, R * K, 4) with scores (B, R, K) in each picture, separately for each class."""
    classes = torch.arange(scores.shape[2], device=scores.device).expand_as(scores).flatten(1)
    best, order = scores.flatten(1).sort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    classes = classes.gather(1, order)
    solid = ((boxes[..., 2:] - boxes[..., :2]) > 0).all(dim=-1)
    same_class = (classes[:, :, None] == classes[:, None]) & solid[:, :, None]
    kept = not_suppressed(boxes, _SUPPRESSION, same_class) & (best >= MIN_SCORE) & solid
    return [
        Detections(box[mask][:MAX_DETECTIONS], score[mask][:MAX_DETECTIONS], kind[mask][:MAX_DETECTIONS])
        for box, score, kind, mask in zip(boxes, best, classes, kept, strict=True)
    ]


def pool_regions(features: Tensor, boxes: Tensor, stride: int) -> Tensor:
    """Pool the features of regions (B, R, C, P, P) by RoIAlign (He et al. 2017, arXiv 1703.06870).

    Each of P x P parts is the mean of 2 x 2 points, interpolated between features; nothing is rounded.

    Args:
        features: Features (B, C, H, W).
        boxes: Regions (B, R, 4) [px].
        stride: Pixels per feature.
    """
    height, width = features.shape[2:]
    points = 2 * POOLED
    share = (torch.arange(points, device=boxes.device) + 0.5) / points
    low, size = boxes[..., None, :2], (boxes[..., 2:] - boxes[..., :2])[..., None, :]
    points_at = (low + share[:, None] * size) / stride  # (B, R, points, 2) in features, whose middles are at 0.5
    x, y = (2 * points_at / points_at.new_tensor([width, height]) - 1).unbind(dim=-1)
    grid = torch.stack([x[..., None, :].expand(-1, -1, points, -1), y[..., None].expand(-1, -1, -1, points)], dim=-1)
    sampled = functional.grid_sample(
        features.float(), grid.flatten(1, 2), padding_mode="border", align_corners=False
    )  # positions in half precision would be off by a pixel
    pooled = functional.avg_pool2d(sampled, 2)  # (B, C, R * P, P)
    return pooled.reshape(*features.shape[:2], boxes.shape[1], POOLED, POOLED).transpose(1, 2)


class RegionHead(nn.Module):
    """Classifies regions and moves their boxes, separately for each class.

    People and signs are a few pixels wide: only the fine features show their exact position.
    """

    def __init__(self, channels: int, classes: int) -> None:
        """Draw the initial weights.

        Args:
            channels: Channels of fine and coarse features together.
            classes: Number of classes, K.
        """
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
        """Classify regions (B, R, 4) of features as of `Backbone`, and move them.

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
        Boxes (B, R, 4), their labels (B, R) and the boxes that they should be (B, R, 4). Label 0 is background, 1 to K
        are the classes, -1 is not learned.
    """
    regions = torch.cat([targets.boxes, proposals], dim=1)
    there = targets.classes >= 0
    overlap = overlaps(regions, targets.boxes)
    best, nearest = (overlap * there[:, None]).max(dim=2)
    ignored = (overlap * (targets.classes == IGNORED)[:, None]).amax(dim=2)
    empty = torch.zeros_like(best, dtype=torch.bool)
    empty[:, : there.shape[1]] = ~there  # rows without an object, or with an ignored one
    positive = draw_some((best >= _OBJECT_OVERLAP) & ~empty, _MAX_OBJECTS)
    others = (best < _OBJECT_OVERLAP) & (ignored < _OBJECT_OVERLAP) & ~empty
    negative = draw_some(others, _MAX_SAMPLES, _MAX_SAMPLES - positive.sum(dim=1))
    labels = torch.where(positive, targets.classes.gather(1, nearest) + 1, torch.where(negative, 0, -1))
    order = (labels >= 0).to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :_MAX_SAMPLES]
    places = order[..., None].expand(-1, -1, 4)
    wanted = targets.boxes.gather(1, nearest[..., None].expand(-1, -1, 4))
    return regions.gather(1, places), labels.gather(1, order), wanted.gather(1, places)


def region_losses(logits: Tensor, offsets: Tensor, boxes: Tensor, labels: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Return the cross entropy of the class and the smooth L1 loss of the offsets, for regions of `sample_regions`."""
    learned, objects = labels >= 0, labels > 0
    classified = functional.cross_entropy(logits[learned], labels[learned])
    own = offsets[objects][torch.arange(int(objects.sum()), device=labels.device), labels[objects] - 1]
    goal = offsets_of(wanted[objects], boxes[objects])
    moved = functional.smooth_l1_loss(own, goal, reduction="sum", beta=1.0)
    return {"region": classified, "region_box": moved / learned.sum().clamp(min=1)}
