"""Checks of saliency: removal of salient regions, removal of inputs, and networks with random weights.

Deletion and insertion (Petsiuk et al., "RISE", BMVC 2018) remove whole regions, as in Samek et al., "Evaluating the
visualization of what a deep neural network has learned" (TNNLS 2017): removing scattered pixels would change every edge
of an image. K: shares, N: frames, H and W: height and width [px].

Sanity checks (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018): if the saliency of a network with
random weights resembles that of the trained one, it shows the edges of the image and nothing that was learned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from agents.interpretability.saliency import blurred_baseline, steering
from agents.policies.networks.network import MAPS
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy, PolicyOutput, build_policy
from navsim.evaluation.statistics.intervals import Estimate, mean_over_frames
from navsim.geometry import Array

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Shares of an image's regions that are removed or restored."""
NUM_CELLS = 161
"""Number of cells over the vehicle's range for comparing two distributions, with one more on either side."""
DistanceFunction = Callable[[Tensor], Tensor]
"""Maps images (K, C, H, W, D) to the distance of the output from that for the whole image (K,)."""


@dataclass(frozen=True, eq=False)
class OutputChange:
    """Differences between outputs, each (B,)."""

    distance: Tensor
    """Total variation between the distributions, in [0, 1]: the probability that has moved elsewhere."""
    steering: Tensor
    """Absolute change of the mean curvature (and of the command, where there is one) [1/m]."""


@dataclass(frozen=True, eq=False)
class OutputSummary:
    """Values of B outputs that are compared."""

    masses: Tensor
    """Probabilities of the cells (B, NUM_CELLS + 2)."""
    steering: Tensor
    """Mean curvature and command (B,) [1/m]."""

    @staticmethod
    def of(output: PolicyOutput) -> "OutputSummary":
        """Summarise a policy's output."""
        distribution = output.distribution
        value = steering(output) * distribution.max_curvature
        edges = torch.linspace(-1, 1, NUM_CELLS + 1, device=value.device) * distribution.max_curvature
        below = distribution.cdf(edges[:, None].expand(-1, len(value))).T  # (B, CELLS + 1)
        ends = torch.zeros_like(below[:, :1]), torch.ones_like(below[:, :1])
        return OutputSummary(torch.cat([ends[0], below, ends[1]], dim=1).diff(dim=1), value)

    def change(self, other: "OutputSummary") -> OutputChange:
        """Return the difference of another summary, of the same number of outputs or of one."""
        distance = (self.masses - other.masses).abs().sum(dim=1) / 2
        return OutputChange(distance, (self.steering - other.steering).abs())


def region_order(saliency: NDArray[np.floating], side: int) -> NDArray[np.intp]:
    """Return the regions of images (C, H, W), squares of `side` [px], from the most salient to the least.

    Returns:
        Indices (R,) of the regions, row by row, image by image. Equal ones keep that order.
    """
    means = functional.avg_pool2d(torch.as_tensor(saliency)[None].double(), side, ceil_mode=True)
    return np.argsort(-means.flatten().numpy(), kind="stable")


def region_masks(
    order: NDArray[np.intp], shape: tuple[int, int, int], side: int, shares: Sequence[float] = SHARES
) -> NDArray[np.bool_]:
    """Return the pixels of the first regions of an order.

    Args:
        order: Indices of all regions (R,), see `region_order`.
        shape: C, H and W of the images.
        side: Side of a region [px].
        shares: Shares of the order that are taken, K values in [0, 1].

    Returns:
        (K, C, H, W).
    """
    cameras, height, width = shape
    rows, columns = -(-height // side), -(-width // side)
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    counts = np.round(np.array(shares) * len(order))
    masks = (rank < counts[:, None]).reshape(len(shares), cameras, rows, columns)
    return np.asarray(masks.repeat(side, axis=2).repeat(side, axis=3)[:, :, :height, :width])


def removal_curves(
    distance_of: DistanceFunction, picture: Tensor, baseline: Tensor, masks: NDArray[np.bool_]
) -> Tensor:
    """Return the distance of the output while regions are removed, and while they are restored.

    Args:
        distance_of: Distance of outputs from that for the whole image.
        picture: The image (C, H, W, D).
        baseline: Values of removed pixels (C, H, W, D).
        masks: Regions in their order (K, C, H, W), see `region_masks`.

    Returns:
        (2, K): deletion, insertion.
    """
    mask = torch.as_tensor(masks, device=picture.device)[..., None]
    pictures = torch.cat([torch.where(mask, baseline, picture), torch.where(mask, picture, baseline)])
    return distance_of(pictures).reshape(2, len(masks))


def area_under_curves(curves: Array, shares: Sequence[float] = SHARES) -> Array:
    """Return the area under curves (..., K) over the shares: the mean height for shares from 0 to 1."""
    return np.asarray(np.trapezoid(curves, np.array(shares), axis=-1))


_BATCH_SIZE = 64


@dataclass(frozen=True)
class DependenceRow:
    """Effect of removing one input."""

    removed: str
    """Name of the removed input."""
    how: str
    """`gone`: a camera's image is blurred, a map is empty, the speed is 0. `swapped`: the input is that of another
    frame, which is still a plausible image."""
    distance: Estimate
    """Total variation between the distributions with and without the input, in [0, 1]."""
    steering: Estimate
    """Absolute change of the mean curvature (and command) [1/m]."""
    loss: Estimate
    """Increase of the negative log-likelihood of the expert's command [nats]; below 0 it is better without."""


def ablated_inputs(policy: Policy, inputs: Inputs, others: Inputs, cameras: Sequence[str]) -> dict[str, Inputs]:
    """Return inputs with one part replaced by that of `others`, for each part that the policy uses.

    Args:
        policy: The policy.
        inputs: N frames.
        others: Replacements, as many.
        cameras: Names of the cameras.
    """
    used_inputs, ablated = policy.config.inputs, dict[str, Inputs]()
    if "camera" in used_inputs and not policy.config.blind:
        if len(cameras) > 1:
            for number, name in enumerate(cameras):
                ablated[f"{name} camera"] = replace(inputs, images=_replaced(inputs.images, others.images, number))
        ablated["all cameras" if len(cameras) > 1 else "camera"] = replace(inputs, images=others.images)
    maps = {name: number for number, name in enumerate(MAPS) if name in used_inputs}
    for name, number in maps.items():
        ablated[name.replace("_", " ")] = replace(inputs, maps=_replaced(inputs.maps, others.maps, number))
    if len(maps) > 1:
        ablated["both maps"] = replace(inputs, maps=others.maps)
    if "speed" in used_inputs:
        ablated["speed"] = replace(inputs, speed=others.speed)
    return ablated


def removed_baseline(inputs: Inputs) -> Inputs:
    """Return replacements for inputs that are `gone`."""
    return replace(blurred_baseline(inputs), speed=torch.zeros_like(inputs.speed))


def swapped_inputs(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """Return the inputs of other frames: all rotated by the same number of frames, so that none keeps its own."""
    step = int(rng.integers(1, max(len(inputs.images), 2)))
    return Inputs(*(part.roll(step, dims=0) for part in (inputs.images, inputs.maps, inputs.speed)))


@torch.no_grad()
def dependence_rows(
    policy: Policy, inputs: Inputs, labels: Tensor, cameras: Sequence[str], rng: np.random.Generator
) -> list[DependenceRow]:
    """Remove each input in turn.

    Args:
        policy: The policy, in evaluation mode.
        inputs: N frames.
        labels: The expert's curvatures (N,) [1/m].
        cameras: Names of the cameras.
        rng: Chooses the frames to swap with, and draws for the intervals.
    """
    reference, log_prob = _summarise(policy, inputs, labels)
    rows = []
    for how, others in (("gone", removed_baseline(inputs)), ("swapped", swapped_inputs(inputs, rng))):
        for name, remaining in ablated_inputs(policy, inputs, others, cameras).items():
            output, new_log_prob = _summarise(policy, remaining, labels)
            change = output.change(reference)
            values = (change.distance, change.steering, log_prob - new_log_prob)
            rows.append(DependenceRow(name, how, *(mean_over_frames(v.double().cpu().numpy(), rng) for v in values)))
    return rows


def _replaced(values: Tensor, others: Tensor, index: int) -> Tensor:
    """Return values (N, P, ...) with part `index` from `others`."""
    mixed = values.clone()
    mixed[:, index] = others[:, index]
    return mixed


def _summarise(policy: Policy, inputs: Inputs, labels: Tensor) -> tuple[OutputSummary, Tensor]:
    """Return the outputs and the labels' log density (N,), batch by batch."""
    summaries, logs = [], []
    for start in range(0, len(labels), _BATCH_SIZE):
        part = slice(start, start + _BATCH_SIZE)
        output = policy.predict(Inputs(inputs.images[part], inputs.maps[part], inputs.speed[part]))
        summaries.append(OutputSummary.of(output))
        logs.append(output.distribution.log_prob(labels[part]))
    masses, values = torch.cat([each.masses for each in summaries]), torch.cat([each.steering for each in summaries])
    return OutputSummary(masses, values), torch.cat(logs)


RandomizedPart = Literal["decision", "all"]


def with_random_weights(policy: Policy, seed: int, part: RandomizedPart = "all") -> Policy:
    """Return a policy like `policy` with random weights, as before training; in evaluation mode.

    Args:
        policy: The trained policy, which stays unchanged.
        seed: Seed of the weights.
        part: `all` weights, or only those of the `decision`: the layers after the convolutions.
    """
    random_policy = build_policy(policy.config, policy.spec, seed).to(policy.head.weight.device).eval()
    random_policy.temperature = policy.temperature
    if part == "decision":
        trained = dict(policy.named_modules())
        with torch.no_grad():
            for name, module in random_policy.named_modules():
                if isinstance(module, nn.Conv2d | nn.GroupNorm):
                    module.load_state_dict(trained[name].state_dict())
    return random_policy


def rank_correlations(
    first: NDArray[np.floating], other: NDArray[np.floating], valid: NDArray[np.bool_] | None = None
) -> Array:
    """Return Spearman's rank correlation of N pairs of maps (N, ...): (N,), in [-1, 1]; 0 for a constant map.

    1 means the same order of pixels, 0 no relation.

    Args:
        first: Maps.
        other: As many.
        valid: Pixels that count (N, ...); None takes all.
    """
    valid = np.ones(first.shape, bool) if valid is None else valid
    return np.array([_rank_correlation(a[c], b[c]) for a, b, c in zip(first, other, valid, strict=True)])


def _rank_correlation(first: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the rank correlation of two lists of values."""
    a, b = (rank - rank.mean() if len(rank) else rank for rank in (rankdata(first), rankdata(other)))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
