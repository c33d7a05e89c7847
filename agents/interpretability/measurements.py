"""The numbers of an inspection: sanity, deletion and insertion, regions. N: frames, C: cameras, S: side of a map."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.interpretability.checks import (
    SHARES,
    Fingerprint,
    Part,
    area,
    rank_correlations,
    region_masks,
    region_order,
    removal_curves,
    with_random_weights,
)
from agents.interpretability.layers import Sense
from agents.interpretability.regions import Masks, RegionRow, region_rows
from agents.interpretability.saliency import METHODS, blurred_baseline
from agents.policies.networks.observation_batch import Inputs
from agents.policies.policy import Policy
from navsim.evaluation.statistics.intervals import Estimate, mean_over_frames
from navsim.seeding import derived_seed

RANDOM = "random order"
"""Name of the ranking that a method must beat."""
SIDES: Mapping[Sense, int] = {"camera": 8, "map": 5}
"""Side of the squares that are removed at a time [px]."""
DRAWS: Mapping[Part, int] = {"decision": 1, "all": 3}
"""Networks with random weights that the trained one is compared with, by what of them is random."""
_AT_ONCE = 16
_RANDOM_ORDERS = 4

Found = dict[str, dict[Sense, NDArray[np.float32]]]
"""Saliency by method and sense: of cameras (N, C, H, W), of maps (N, 1, S, S); what a method cannot find is missing."""


@dataclass(frozen=True)
class SanityRow:
    """How much of a saliency map is left of a network that has forgotten."""

    method: str
    """The way the saliency is found."""
    sense: Sense
    """Where."""
    forgotten: Part
    """What was drawn anew: all weights, or those after the convolutions."""
    correlation: Estimate
    """Rank correlation of the pixels with the trained network's map; near 0 is good."""


@dataclass(frozen=True)
class RemovalRow:
    """What removing pixels in a method's order does, on average over the shares that are removed."""

    method: str
    """Whose order."""
    sense: Sense
    """Of what pixels were removed; the other sense stays whole."""
    deletion: Estimate
    """Mean distance from the answer to the whole picture, in [0, 1]; the higher, the better the order."""
    deletion_gain: Estimate
    """The same minus that of random orders, frame by frame; above 0 the order beats chance."""
    deletion_steering: Estimate
    """Mean absolute change of the mean curvature [1/m]."""
    steering_gain: Estimate
    """The same minus that of random orders."""
    insertion: Estimate
    """Mean distance while the pixels are put back; the lower, the better."""
    insertion_gain: Estimate
    """The same minus that of random orders; below 0 the order beats chance."""


@dataclass(frozen=True, eq=False)
class Removal:
    """Deletion and insertion in one sense."""

    rows: list[RemovalRow]
    """The methods, chance last."""
    curves: dict[str, NDArray[np.float64]]
    """Mean distance at `SHARES`, by method: deletion and insertion (2, K)."""


def find_saliency(policy: Policy, inputs: Inputs, advance: Callable[[float], None] | None = None) -> Found:
    """Saliency of N frames by all methods.

    Args:
        policy: In evaluation mode.
        inputs: The frames.
        advance: Told how many frames are done, for each method.
    """
    found: Found = {}
    for name, method in METHODS.items():
        images, maps = list[Tensor](), list[Tensor]()
        for start in range(0, len(inputs.images), _AT_ONCE):
            part = some(inputs, slice(start, start + _AT_ONCE))
            saliency = method(policy, part)
            if saliency.images is not None:
                images.append(saliency.images)
            if saliency.maps is not None:
                maps.append(saliency.maps[:, None])
            if advance is not None:
                advance(len(part.images))
        kinds: dict[Sense, list[Tensor]] = {"camera": images, "map": maps}
        senses = {sense: torch.cat(parts).float().cpu().numpy() for sense, parts in kinds.items() if parts}
        if senses:
            found[name] = senses
    return found


def forgotten_saliency(
    policy: Policy, inputs: Inputs, seed: int, advance: Callable[[float], None] | None = None
) -> dict[Part, list[Found]]:
    """Saliency of networks like `policy` with random weights, by what of them is random: `DRAWS` of each."""
    return {
        part: [
            find_saliency(
                with_random_weights(policy, derived_seed(seed, "forgotten", part, draw), part), inputs, advance
            )
            for draw in range(count)
        ]
        for part, count in DRAWS.items()
    }


def sanity_rows(
    trained: Found, forgotten: Mapping[Part, Sequence[Found]], inputs: Inputs, rng: np.random.Generator
) -> list[SanityRow]:
    """Compare the trained network's saliency with that of forgetful ones, of which each frame takes the mean.

    On maps only the pixels with something on them count: whatever the weights, the empty ones are hardly salient.
    """
    drawn = (inputs.maps > 0).any(dim=1, keepdim=True).cpu().numpy()
    counted: dict[Sense, NDArray[np.bool_] | None] = {"camera": None, "map": drawn}
    rows = []
    for method, senses in trained.items():
        for sense, values in senses.items():
            for part, draws in forgotten.items():
                found = [rank_correlations(values, other[method][sense], counted[sense]) for other in draws]
                rows.append(SanityRow(method, sense, part, mean_over_frames(np.mean(found, axis=0), rng)))
    return rows


@torch.no_grad()
def removal(
    policy: Policy,
    inputs: Inputs,
    found: Found,
    sense: Sense,
    rng: np.random.Generator,
    advance: Callable[[float], None] | None = None,
) -> Removal | None:
    """Delete and insert pixels of one sense in the methods' orders and in random ones; None if no method ranks it.

    Args:
        policy: In evaluation mode.
        inputs: N frames.
        found: Their saliency.
        sense: Of what pixels are removed.
        rng: Draws the random orders, and for the intervals.
        advance: Told of each frame that is done.
    """
    methods = {name: senses[sense] for name, senses in found.items() if sense in senses}
    if not methods:
        return None
    distances: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*methods, RANDOM)}
    steering: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*methods, RANDOM)}
    for row in range(len(inputs.images)):
        orders = {name: [region_order(values[row], SIDES[sense])] for name, values in methods.items()}
        regions = len(next(iter(orders.values()))[0])
        orders[RANDOM] = [rng.permutation(regions) for _ in range(_RANDOM_ORDERS)]
        for name, several in orders.items():
            both = np.mean(
                [_curves(policy, some(inputs, slice(row, row + 1)), order, sense) for order in several], axis=0
            )
            distances[name].append(both[0])
            steering[name].append(both[1])
        if advance is not None:
            advance(1)
    arrays = {name: np.stack(curves) for name, curves in distances.items()}  # (N, 2, K)
    bends = {name: np.stack(curves) for name, curves in steering.items()}
    rows = [_removal_row(name, sense, arrays, bends, rng) for name in arrays]
    return Removal(rows, {name: curves.mean(axis=0) for name, curves in arrays.items()})


def all_region_rows(
    trained: Found, untrained: Sequence[Found], masks: Mapping[Sense, Masks], rng: np.random.Generator
) -> dict[Sense, list[RegionRow]]:
    """On what each method's saliency lies, by sense; only of senses with parts."""
    return {
        sense: [
            row
            for method, senses in trained.items()
            if sense in senses
            for row in region_rows(method, senses[sense], [each[method][sense] for each in untrained], parts, rng)
        ]
        for sense, parts in masks.items()
    }


def some(inputs: Inputs, rows: slice) -> Inputs:
    """Some of the situations."""
    return Inputs(inputs.images[rows], inputs.maps[rows], inputs.speed[rows])


def _curves(policy: Policy, frame: Inputs, order: NDArray[np.intp], sense: Sense) -> NDArray[np.float64]:
    """Distances and changes of the steering (2, 2, K) of one frame as its pixels are deleted and inserted."""
    whole, veil = Fingerprint.of(policy.predict(frame)), blurred_baseline(frame)
    picture, nothing = (_pictures(each, sense)[0] for each in (frame, veil))
    shape = (picture.shape[0], picture.shape[1], picture.shape[2])
    changes = list[Tensor]()

    def respond(pictures: Tensor) -> Tensor:
        answer = Fingerprint.of(policy.predict(_with_pictures(frame, pictures, sense)))
        change = answer.change(whole)
        changes.append(change.steering)
        return change.distance

    distances = removal_curves(respond, picture, nothing, region_masks(order, shape, SIDES[sense]))
    return torch.stack([distances, changes[0].reshape(distances.shape)]).double().cpu().numpy()


def _pictures(inputs: Inputs, sense: Sense) -> Tensor:
    """Cameras' images (B, C, H, W, 3), or the maps as one picture (B, 1, S, S, 2)."""
    return inputs.images if sense == "camera" else inputs.maps.permute(0, 2, 3, 1)[:, None]


def _with_pictures(frame: Inputs, pictures: Tensor, sense: Sense) -> Inputs:
    """One frame as often as there are pictures for its sense."""
    count = len(pictures)
    images, maps = frame.images.expand(count, -1, -1, -1, -1), frame.maps.expand(count, -1, -1, -1)
    speed = frame.speed.expand(count, -1)
    if sense == "camera":
        return Inputs(pictures, maps, speed)
    return Inputs(images, pictures[:, 0].permute(0, 3, 1, 2), speed)


def _removal_row(
    name: str,
    sense: Sense,
    distances: Mapping[str, NDArray[np.float64]],
    steering: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
) -> RemovalRow:
    """Sum up one method's curves (N, 2, K)."""
    areas, chance = area(distances[name], SHARES), area(distances[RANDOM], SHARES)  # (N, 2)
    bends, plain = area(steering[name], SHARES)[:, 0], area(steering[RANDOM], SHARES)[:, 0]
    return RemovalRow(
        name,
        sense,
        mean_over_frames(areas[:, 0], rng),
        mean_over_frames(areas[:, 0] - chance[:, 0], rng),
        mean_over_frames(bends, rng),
        mean_over_frames(bends - plain, rng),
        mean_over_frames(areas[:, 1], rng),
        mean_over_frames(areas[:, 1] - chance[:, 1], rng),
    )
