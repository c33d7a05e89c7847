"""Is what a saliency map calls important really so? Remove it and watch the answer. K: shares, H and W: size [px].

Deletion and insertion (Petsiuk et al., "RISE", BMVC 2018) by whole regions, as in Samek et al., "Evaluating the
visualization of what a deep neural network has learned" (TNNLS 2017): removing single pixels here and there changes a
picture's every edge and tells little of what is where.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from agents.interpretability.saliency import steering
from agents.policies.policy import Answer
from navsim.geometry import Array

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Shares of a picture's regions that are removed or put back."""
CELLS = 161
"""Cells over the vehicle's range by which two distributions are compared, and one more on either side."""

Respond = Callable[[Tensor], Tensor]
"""From pictures (K, C, H, W, D) to how far the answer is from that to the whole picture (K,)."""


@dataclass(frozen=True, eq=False)
class Change:
    """How far answers are from others, each (B,)."""

    distance: Tensor
    """Total variation between the distributions, in [0, 1]: the probability that has moved elsewhere."""
    steering: Tensor
    """Absolute change of the mean curvature (and of the command, where there is one) [1/m]."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What of B answers is compared."""

    masses: Tensor
    """Probabilities of the cells (B, CELLS + 2)."""
    steering: Tensor
    """Mean curvature and command (B,) [1/m]."""

    @staticmethod
    def of(answer: Answer) -> "Fingerprint":
        """Take it."""
        distribution = answer.distribution
        value = steering(answer) * distribution.max_curvature
        edges = torch.linspace(-1, 1, CELLS + 1, device=value.device) * distribution.max_curvature
        below = distribution.cdf(edges[:, None].expand(-1, len(value))).T  # (B, CELLS + 1)
        ends = torch.zeros_like(below[:, :1]), torch.ones_like(below[:, :1])
        return Fingerprint(torch.cat([ends[0], below, ends[1]], dim=1).diff(dim=1), value)

    def change(self, other: "Fingerprint") -> Change:
        """How far another one, of the same number of answers or of one, is from this."""
        distance = (self.masses - other.masses).abs().sum(dim=1) / 2
        return Change(distance, (self.steering - other.steering).abs())


def region_order(saliency: NDArray[np.floating], side: int) -> NDArray[np.intp]:
    """The regions of pictures (C, H, W), squares of `side` [px], from the most salient to the least.

    Returns:
        Numbers (R,) of the regions, counted row by row, picture by picture. Equal ones stay in that order.
    """
    means = functional.avg_pool2d(torch.as_tensor(saliency)[None].double(), side, ceil_mode=True)
    return np.argsort(-means.flatten().numpy(), kind="stable")


def region_masks(
    order: NDArray[np.intp], shape: tuple[int, int, int], side: int, shares: Sequence[float] = SHARES
) -> NDArray[np.bool_]:
    """Which pixels belong to the first regions of an order.

    Args:
        order: Numbers of all regions (R,), see `region_order`.
        shape: C, H and W of the pictures.
        side: Of a region [px].
        shares: How much of the order is taken, K shares in [0, 1].

    Returns:
        (K, C, H, W).
    """
    cameras, height, width = shape
    rows, columns = -(-height // side), -(-width // side)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    counts = np.round(np.array(shares) * len(order))
    taken = (place < counts[:, None]).reshape(len(shares), cameras, rows, columns)
    return np.asarray(taken.repeat(side, axis=2).repeat(side, axis=3)[:, :, :height, :width])


def removal_curves(respond: Respond, picture: Tensor, veil: Tensor, masks: NDArray[np.bool_]) -> Tensor:
    """How the answer departs as more is removed, and how far it is still away as more is put back.

    Args:
        respond: Tells how far answers are from that to the whole picture.
        picture: What is seen (C, H, W, D).
        veil: What stands where something was removed (C, H, W, D).
        masks: What is taken first, second ... (K, C, H, W), see `region_masks`.

    Returns:
        (2, K): deletion, insertion.
    """
    chosen = torch.as_tensor(masks, device=picture.device)[..., None]
    pictures = torch.cat([torch.where(chosen, veil, picture), torch.where(chosen, picture, veil)])
    return respond(pictures).reshape(2, len(masks))


def area(curves: Array, shares: Sequence[float] = SHARES) -> Array:
    """Area under curves (..., K) over the shares: their mean height where the shares go from 0 to 1."""
    return np.asarray(np.trapezoid(curves, np.array(shares), axis=-1))
