"""Boxes as numbers: how far they overlap, how they are told relative to others, and which of many to keep.

A box is x0, y0, x1, y1 [px], edges counted from the picture's left and top. B: pictures, N and M: boxes.
"""

import torch
from torch import Tensor

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
