"""Is what a saliency map calls important really so? Remove it and watch the answer. K: shares, H and W: size [px].

Deletion and insertion (Petsiuk et al., "RISE", BMVC 2018) by whole regions, as in Samek et al., "Evaluating the
visualization of what a deep neural network has learned" (TNNLS 2017): removing single pixels here and there changes a
picture's every edge and tells little of what is where.

What a decision depends on: the answer with one of the inputs taken away. N: frames.

Does a saliency map depend on what was learned (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018)?

If the map of a network with random weights looks like that of the trained one, it shows the picture's edges, not what
the network learned of them.
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
    def of(answer: PolicyOutput) -> "Fingerprint":
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


_AT_ONCE = 64


@dataclass(frozen=True)
class DependenceRow:
    """What one input is worth."""

    removed: str
    """The input."""
    how: str
    """`gone`: a camera's picture is veiled, a map is empty, the car stands still. `swapped`: it is that of another
    frame, which keeps it a picture such as the policy knows."""
    distance: Estimate
    """Total variation between the distributions with and without it, in [0, 1]."""
    steering: Estimate
    """Absolute change of the mean curvature (and command) [1/m]."""
    loss: Estimate
    """How much more surprised the policy is by the expert's command [nats]; below 0 it does better without."""


def removals(policy: Policy, inputs: Inputs, others: Inputs, cameras: Sequence[str]) -> dict[str, Inputs]:
    """Inputs with one part taken from `others`, for each part that the policy looks at.

    Args:
        policy: What looks.
        inputs: N frames.
        others: What stands where a part is taken away, as many.
        cameras: Names of the cameras.
    """
    seen, found = policy.config.inputs, dict[str, Inputs]()
    if "camera" in seen and not policy.config.blind:
        if len(cameras) > 1:
            for number, name in enumerate(cameras):
                found[f"{name} camera"] = replace(inputs, images=_with(inputs.images, others.images, number))
        found["all cameras" if len(cameras) > 1 else "camera"] = replace(inputs, images=others.images)
    maps = {name: number for number, name in enumerate(MAPS) if name in seen}
    for name, number in maps.items():
        found[name.replace("_", " ")] = replace(inputs, maps=_with(inputs.maps, others.maps, number))
    if len(maps) > 1:
        found["both maps"] = replace(inputs, maps=others.maps)
    if "speed" in seen:
        found["speed"] = replace(inputs, speed=others.speed)
    return found


def gone(inputs: Inputs) -> Inputs:
    """What stands where something is `gone`."""
    return replace(blurred_baseline(inputs), speed=torch.zeros_like(inputs.speed))


def swapped(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """The inputs of other frames: all moved on by one number of frames, so that none is its own."""
    step = int(rng.integers(1, max(len(inputs.images), 2)))
    return Inputs(*(part.roll(step, dims=0) for part in (inputs.images, inputs.maps, inputs.speed)))


@torch.no_grad()
def dependence_rows(
    policy: Policy, inputs: Inputs, labels: Tensor, cameras: Sequence[str], rng: np.random.Generator
) -> list[DependenceRow]:
    """Take away each input in turn.

    Args:
        policy: In evaluation mode.
        inputs: N frames.
        labels: The expert's curvatures (N,) [1/m].
        cameras: Names of the cameras.
        rng: Chooses the frames to swap with, and draws for the intervals.
    """
    whole, likely = _answers(policy, inputs, labels)
    rows = []
    for how, others in (("gone", gone(inputs)), ("swapped", swapped(inputs, rng))):
        for name, left in removals(policy, inputs, others, cameras).items():
            answer, now = _answers(policy, left, labels)
            change = answer.change(whole)
            values = (change.distance, change.steering, likely - now)
            rows.append(DependenceRow(name, how, *(mean_over_frames(v.double().cpu().numpy(), rng) for v in values)))
    return rows


def _with(values: Tensor, others: Tensor, number: int) -> Tensor:
    """Values (N, P, ...) with part `number` taken from `others`."""
    mixed = values.clone()
    mixed[:, number] = others[:, number]
    return mixed


def _answers(policy: Policy, inputs: Inputs, labels: Tensor) -> tuple[Fingerprint, Tensor]:
    """Answers and the labels' log density (N,), stretch by stretch."""
    prints, logs = [], []
    for start in range(0, len(labels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        answer = policy.predict(Inputs(inputs.images[part], inputs.maps[part], inputs.speed[part]))
        prints.append(Fingerprint.of(answer))
        logs.append(answer.distribution.log_prob(labels[part]))
    masses, values = torch.cat([each.masses for each in prints]), torch.cat([each.steering for each in prints])
    return Fingerprint(masses, values), torch.cat(logs)


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
