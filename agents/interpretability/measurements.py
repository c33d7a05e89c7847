"""Measurements of an inspection: sanity, deletion and insertion, regions. N: frames, C: cameras, S: side of a map."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.interpretability.checks import (
    SHARES,
    OutputSummary,
    RandomizedPart,
    area_under_curves,
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
"""Name of the random ranking, which a method must beat."""
SIDES: Mapping[Sense, int] = {"camera": 8, "map": 5}
"""Side of the squares that are removed at once [px]."""
NUM_DRAWS: Mapping[RandomizedPart, int] = {"decision": 1, "all": 3}
"""Number of networks with random weights to compare with, by which weights are random."""
_BATCH_SIZE = 16
_NUM_RANDOM_ORDERS = 4

SaliencyMaps = dict[str, dict[Sense, NDArray[np.float32]]]
"""Saliency by method and sense: of cameras (N, C, H, W), of maps (N, 1, S, S); a method that does not apply is
missing."""


@dataclass(frozen=True)
class SanityRow:
    """Similarity of a saliency map to that of a network with random weights."""

    method: str
    """Name of the saliency method."""
    sense: Sense
    """Kind of input that the saliency covers."""
    randomized: RandomizedPart
    """Weights that are random: all, or those after the convolutions."""
    correlation: Estimate
    """Rank correlation of the pixels with the trained network's map; near 0 is good."""


@dataclass(frozen=True)
class RemovalRow:
    """Effect of removing pixels in a method's order, averaged over the removed shares."""

    method: str
    """Name of the method that ranks the pixels."""
    sense: Sense
    """Kind of input whose pixels are removed; the other kind stays complete."""
    deletion: Estimate
    """Mean distance from the output for the whole image, in [0, 1]; higher is better."""
    deletion_gain: Estimate
    """Deletion distance minus that of random orders, frame by frame; above 0 the order beats chance."""
    deletion_steering: Estimate
    """Mean absolute change of the mean curvature [1/m]."""
    steering_gain: Estimate
    """Steering change minus that of random orders, frame by frame [1/m]."""
    insertion: Estimate
    """Mean distance while the pixels are restored; lower is better."""
    insertion_gain: Estimate
    """Insertion distance minus that of random orders, frame by frame; below 0 the order beats chance."""


@dataclass(frozen=True, eq=False)
class RemovalCurves:
    """Deletion and insertion for one kind of input."""

    rows: list[RemovalRow]
    """Results of the methods, chance last."""
    curves: dict[str, NDArray[np.float64]]
    """Mean distance at `SHARES`, by method: deletion and insertion (2, K)."""


def compute_saliency(policy: Policy, inputs: Inputs, advance: Callable[[float], None] | None = None) -> SaliencyMaps:
    """Compute the saliency of N frames by all methods.

    Args:
        policy: The policy, in evaluation mode.
        inputs: The frames.
        advance: Called with the number of finished frames, for each method.
    """
    found: SaliencyMaps = {}
    for name, method in METHODS.items():
        image_parts, map_parts = list[Tensor](), list[Tensor]()
        for start in range(0, len(inputs.images), _BATCH_SIZE):
            part = select_rows(inputs, slice(start, start + _BATCH_SIZE))
            saliency = method(policy, part)
            if saliency.images is not None:
                image_parts.append(saliency.images)
            if saliency.maps is not None:
                map_parts.append(saliency.maps[:, None])
            if advance is not None:
                advance(len(part.images))
        parts_by_sense: dict[Sense, list[Tensor]] = {"camera": image_parts, "map": map_parts}
        by_sense = {sense: torch.cat(parts).float().cpu().numpy() for sense, parts in parts_by_sense.items() if parts}
        if by_sense:
            found[name] = by_sense
    return found


def randomized_saliency(
    policy: Policy, inputs: Inputs, seed: int, advance: Callable[[float], None] | None = None
) -> dict[RandomizedPart, list[SaliencyMaps]]:
    """Compute the saliency of networks like `policy` with random weights: `NUM_DRAWS` of each kind."""
    return {
        part: [
            compute_saliency(
                with_random_weights(policy, derived_seed(seed, "forgotten", part, draw), part), inputs, advance
            )
            for draw in range(count)
        ]
        for part, count in NUM_DRAWS.items()
    }


def sanity_rows(
    trained: SaliencyMaps,
    randomized: Mapping[RandomizedPart, Sequence[SaliencyMaps]],
    inputs: Inputs,
    rng: np.random.Generator,
) -> list[SanityRow]:
    """Compare the trained network's saliency with the mean over networks with random weights.

    On maps only the pixels with content count: the empty ones have little saliency, whatever the weights.
    """
    has_content = (inputs.maps > 0).any(dim=1, keepdim=True).cpu().numpy()
    valid: dict[Sense, NDArray[np.bool_] | None] = {"camera": None, "map": has_content}
    rows = []
    for method, by_sense in trained.items():
        for sense, values in by_sense.items():
            for part, draws in randomized.items():
                correlations = [rank_correlations(values, other[method][sense], valid[sense]) for other in draws]
                rows.append(SanityRow(method, sense, part, mean_over_frames(np.mean(correlations, axis=0), rng)))
    return rows


@torch.no_grad()
def measure_removal(
    policy: Policy,
    inputs: Inputs,
    saliency: SaliencyMaps,
    sense: Sense,
    rng: np.random.Generator,
    advance: Callable[[float], None] | None = None,
) -> RemovalCurves | None:
    """Delete and insert pixels in the methods' orders and in random ones; None if no method ranks them.

    Args:
        policy: The policy, in evaluation mode.
        inputs: N frames.
        saliency: Saliency of the frames.
        sense: Kind of input whose pixels are removed.
        rng: Generator for the random orders and the intervals.
        advance: Called for each finished frame.
    """
    by_method = {name: by_sense[sense] for name, by_sense in saliency.items() if sense in by_sense}
    if not by_method:
        return None
    distances: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*by_method, RANDOM)}
    steering: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*by_method, RANDOM)}
    for row in range(len(inputs.images)):
        orders = {name: [region_order(values[row], SIDES[sense])] for name, values in by_method.items()}
        regions = len(next(iter(orders.values()))[0])
        orders[RANDOM] = [rng.permutation(regions) for _ in range(_NUM_RANDOM_ORDERS)]
        for name, order_list in orders.items():
            mean_curves = np.mean(
                [_curves(policy, select_rows(inputs, slice(row, row + 1)), order, sense) for order in order_list],
                axis=0,
            )
            distances[name].append(mean_curves[0])
            steering[name].append(mean_curves[1])
        if advance is not None:
            advance(1)
    distance_curves = {name: np.stack(curves) for name, curves in distances.items()}  # (N, 2, K)
    steering_changes = {name: np.stack(curves) for name, curves in steering.items()}
    rows = [_removal_row(name, sense, distance_curves, steering_changes, rng) for name in distance_curves]
    return RemovalCurves(rows, {name: curves.mean(axis=0) for name, curves in distance_curves.items()})


def all_region_rows(
    trained: SaliencyMaps, untrained: Sequence[SaliencyMaps], masks: Mapping[Sense, Masks], rng: np.random.Generator
) -> dict[Sense, list[RegionRow]]:
    """Summarise each method's saliency by region, for each kind of input with regions."""
    return {
        sense: [
            row
            for method, by_sense in trained.items()
            if sense in by_sense
            for row in region_rows(method, by_sense[sense], [draw[method][sense] for draw in untrained], parts, rng)
        ]
        for sense, parts in masks.items()
    }


def select_rows(inputs: Inputs, rows: slice) -> Inputs:
    """Select some of the situations."""
    return Inputs(inputs.images[rows], inputs.maps[rows], inputs.speed[rows])


def _curves(policy: Policy, frame: Inputs, order: NDArray[np.intp], sense: Sense) -> NDArray[np.float64]:
    """Return distances and steering changes (2, 2, K) of one frame while its pixels are deleted and inserted."""
    reference, baseline = OutputSummary.of(policy.predict(frame)), blurred_baseline(frame)
    picture, baseline_picture = (_pictures(each, sense)[0] for each in (frame, baseline))
    shape = (picture.shape[0], picture.shape[1], picture.shape[2])
    changes = list[Tensor]()

    def distance_of(pictures: Tensor) -> Tensor:
        output = OutputSummary.of(policy.predict(_with_pictures(frame, pictures, sense)))
        change = output.change(reference)
        changes.append(change.steering)
        return change.distance

    distances = removal_curves(distance_of, picture, baseline_picture, region_masks(order, shape, SIDES[sense]))
    return torch.stack([distances, changes[0].reshape(distances.shape)]).double().cpu().numpy()


def _pictures(inputs: Inputs, sense: Sense) -> Tensor:
    """Return the cameras' images (B, C, H, W, 3), or the maps as one image (B, 1, S, S, 2)."""
    return inputs.images if sense == "camera" else inputs.maps.permute(0, 2, 3, 1)[:, None]


def _with_pictures(frame: Inputs, pictures: Tensor, sense: Sense) -> Inputs:
    """Repeat one frame for each of the images of one kind of input."""
    count = len(pictures)
    image_parts, map_parts = frame.images.expand(count, -1, -1, -1, -1), frame.maps.expand(count, -1, -1, -1)
    speed = frame.speed.expand(count, -1)
    if sense == "camera":
        return Inputs(pictures, map_parts, speed)
    return Inputs(image_parts, pictures[:, 0].permute(0, 3, 1, 2), speed)


def _removal_row(
    name: str,
    sense: Sense,
    distances: Mapping[str, NDArray[np.float64]],
    steering: Mapping[str, NDArray[np.float64]],
    rng: np.random.Generator,
) -> RemovalRow:
    """Summarise one method's curves (N, 2, K)."""
    areas, chance = area_under_curves(distances[name], SHARES), area_under_curves(distances[RANDOM], SHARES)  # (N, 2)
    steering_changes, chance_steering = (
        area_under_curves(steering[name], SHARES)[:, 0],
        area_under_curves(steering[RANDOM], SHARES)[:, 0],
    )
    return RemovalRow(
        name,
        sense,
        mean_over_frames(areas[:, 0], rng),
        mean_over_frames(areas[:, 0] - chance[:, 0], rng),
        mean_over_frames(steering_changes, rng),
        mean_over_frames(steering_changes - chance_steering, rng),
        mean_over_frames(areas[:, 1], rng),
        mean_over_frames(areas[:, 1] - chance[:, 1], rng),
    )
