"""Does a saliency map depend on what was learned (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018)?

If the map of a network with random weights looks like that of the trained one, it shows the picture's edges, not what
the network learned of them.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import nn

from agents.policies.policy import Policy, build_policy
from navsim.geometry import Array

Part = Literal["decision", "all"]


def with_random_weights(policy: Policy, seed: int, part: Part = "all") -> Policy:
    """A policy like `policy` whose weights were drawn anew, as before training; in evaluation mode.

    Args:
        policy: The trained one; it is left as it is.
        seed: Of the weights.
        part: `all`, or only those of the `decision`: the layers after the convolutions keep nothing of the training.
    """
    drawn = build_policy(policy.config, policy.spec, seed).to(policy.head.weight.device).eval()
    drawn.temperature = policy.temperature
    if part == "decision":
        trained = dict(policy.named_modules())
        with torch.no_grad():
            for name, module in drawn.named_modules():
                if isinstance(module, nn.Conv2d | nn.GroupNorm):
                    module.load_state_dict(trained[name].state_dict())
    return drawn


def rank_correlations(
    one: NDArray[np.floating], other: NDArray[np.floating], counted: NDArray[np.bool_] | None = None
) -> Array:
    """Spearman's rank correlation of N pairs of maps (N, ...): (N,), in [-1, 1]; 0 of a map that is the same all over.

    1 means the same order of pixels, 0 that the one tells nothing of the other.

    Args:
        one: Maps.
        other: As many.
        counted: Which pixels are looked at (N, ...); None takes all.
    """
    counted = np.ones(one.shape, bool) if counted is None else counted
    return np.array([_rank_correlation(a[c], b[c]) for a, b, c in zip(one, other, counted, strict=True)])


def _rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Rank correlation of two lists of values."""
    a, b = (rank - rank.mean() if len(rank) else rank for rank in (rankdata(one), rankdata(other)))
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0
