"""The project's own two-stage detector: Faster R-CNN (Ren et al. 2015, arXiv 1506.01497) in plain torch, small."""

import torch
from torch import Tensor, nn

from agents.perception.detection.features import Backbone, Detections, Targets
from agents.perception.detection.proposals import (
    ProposalNetwork,
    anchors_for,
    boxes_at,
    clipped,
    not_suppressed,
    proposal_losses,
    propose,
)
from agents.perception.detection.regions import RegionHead, region_losses, sample_regions

MIN_SCORE = 0.05
"""Detections with a lower score are dropped."""
MAX_DETECTIONS = 50
"""Largest number of detections in one picture."""
_SUPPRESSION = 0.5


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
        boxes, names, wanted = sample_regions(proposed, targets)
        judged, moves = self.regions(fine, features, boxes)
        return terms | region_losses(judged, moves, boxes, names, wanted)

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[Detections]:
        """Find the objects in each picture; the detector must be in evaluation mode."""
        height, width = images.shape[2:]
        fine, features = self.backbone(images)
        logits, offsets = self.proposals(features)
        anchors = anchors_for(features.shape[2], features.shape[3], images.device)
        proposed = propose(logits, offsets, anchors, height, width)
        names, moves = self.regions(fine, features, proposed)
        scores = names.softmax(dim=-1)[..., 1:]  # (B, R, K)
        boxes = clipped(boxes_at(moves, proposed[:, :, None].expand_as(moves)), height, width)
        return best_of(boxes.flatten(1, 2), scores)


def best_of(boxes: Tensor, scores: Tensor) -> list[Detections]:
    """Keep the best of boxes (B, R * K, 4) with scores (B, R, K) in each picture; each class for itself."""
    classes = torch.arange(scores.shape[2], device=scores.device).expand_as(scores).flatten(1)
    best, order = scores.flatten(1).sort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    classes = classes.gather(1, order)
    solid = ((boxes[..., 2:] - boxes[..., :2]) > 0).all(dim=-1)
    alike = (classes[:, :, None] == classes[:, None]) & solid[:, :, None]
    kept = not_suppressed(boxes, _SUPPRESSION, alike) & (best >= MIN_SCORE) & solid
    return [
        Detections(box[mask][:MAX_DETECTIONS], score[mask][:MAX_DETECTIONS], kind[mask][:MAX_DETECTIONS])
        for box, score, kind, mask in zip(boxes, best, classes, kept, strict=True)
    ]
