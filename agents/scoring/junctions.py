"""Measures of steering distributions at junctions, for policies that do not see the route.

Each lawful exit needs some curvature (see `navsim.simulation.junction_exits`); the band of a given tolerance around it
belongs to the exit. Exits whose bands overlap are not distinct and count as one. A frame is a decision if at least two
distinct exits are still open, that is, if the car's pose does not yet rule them out. Over decisions:

* mode recall: the share of the open exits whose bands have at least a given probability;
* the mass on lawful exits: the probability of all bands together, open or not;
* the mass on missing exits: the probability of the bands of left, straight on and right where no such exit exists,
  without bands that overlap those of lawful exits.

Neighbouring frames are not independent, so every junction passage counts once, by the mean over its decisions, and
intervals are over passages.

Mode recall is also given by the distance past the junction's mouth. A policy that learns from drives rightly rules out
a turn that no driver has ever begun so late, although the pose alone would still allow it.

D: decisions, E: largest number of exits.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated

import numpy as np
import torch
from annotated_types import Gt, Lt
from numpy.typing import NDArray

from agents.policies.distributions.base import SteeringDistribution
from navsim.config import Constrained
from navsim.evaluation.statistics.intervals import Estimate, mean_estimate, share_estimate
from navsim.geometry import Array
from navsim.simulation.junction_exits import JunctionExits

DISTANCE_EDGES = (1.0, 2.0, 3.0)
"""Ends of the ranges of the distance past a junction's mouth, for mode recall by range [m]."""


@dataclass(frozen=True)
class DecisionRules(Constrained):
    """Rules for the exits of a junction: their bands, which are open, and which a distribution has as modes."""

    tolerance: Annotated[float, Gt(0)] = 0.02
    """Half the width of an exit's band [1/m]: the expert's command for 3 deg or 0.25 m at its shortest lookahead, which
    is about the precision of a pose from an image."""
    min_mass: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Smallest probability of an exit's band for the exit to count as a mode."""
    open_offset: Annotated[float, Gt(0)] = 0.25
    """Largest distance of the car from the way to an open exit [m]."""
    open_course_deg: Annotated[float, Gt(0)] = 3.0
    """Largest difference of the car's course from the way to an open exit [deg]. Within these two limits an image
    hardly shows which way the car follows, see `tolerance`; beyond them a policy should rule the exit out."""

    def _error_prefix(self) -> str:
        return "rules."


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions among some frames; NaN stands for an exit that does not exist."""

    rows: NDArray[np.int64]
    """Indices of their frames (D,)."""
    passages: NDArray[np.int64]
    """Index of each decision's junction passage in the episode (D,)."""
    distances: Array
    """Distance of the car past the junction's mouth (D,) [m]; negative before it."""
    lawful: Array
    """Curvatures of all lawful exits (D, E) [1/m], rising."""
    open: Array
    """Curvatures of the open exits (D, E) [1/m], rising."""
    missing: Array
    """Curvatures of the missing exits that are distinct from all lawful ones (D, 3) [1/m], rising."""

    def __len__(self) -> int:
        """Number of decisions, D."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class DecisionScores:
    """Scores of predictions for D decisions."""

    distances: Array
    """Distance of the car past the junction's mouth (D,) [m]; negative before it."""
    exits: NDArray[np.int64]
    """Number of distinct open exits (D,), at least 2."""
    seen: NDArray[np.int64]
    """Number of distinct open exits with the smallest mass or more (D,)."""
    lawful: Array
    """Probability of the lawful exits (D,)."""
    missing: Array
    """Probability of the missing exits (D,); NaN without a distinct one."""


@dataclass(frozen=True)
class RangeRecall:
    """Mode recall over the decisions in one range of the distance past a junction's mouth."""

    above: float | None
    """Distance above which the range begins [m]; None for the first range, which has no beginning."""
    up_to: float | None
    """Distance at which the range ends [m]; None for the last range, which has no end."""
    frames: int
    """Number of decisions in the range."""
    passages: int
    """Number of junction passages of these decisions."""
    recall: Estimate | None
    """Mode recall, where each passage counts once; None without any decision."""


@dataclass(frozen=True)
class JunctionMeasures:
    """Measures of a policy at junctions."""

    frames: int
    """Number of decisions."""
    passages: int
    """Number of junction passages of these decisions."""
    towns: int
    """Number of towns of these passages."""
    recall: Estimate | None
    """Mode recall; None without any decision."""
    recall_by_distance: tuple[RangeRecall, ...]
    """Mode recall by the distance past the mouth."""
    lawful_mass: Estimate | None
    """Mass on lawful exits."""
    missing_frames: int
    """Number of decisions with a distinct missing exit."""
    missing_passages: int
    """Number of junction passages of these decisions."""
    missing_mass: Estimate | None
    """Mass on missing exits."""


def find_decisions(exits: JunctionExits, rules: DecisionRules) -> Decisions:
    """Find the decisions among the frames of `exits`."""
    with np.errstate(invalid="ignore"):  # comparisons with NaN are false
        near = (np.abs(exits.offsets) <= rules.open_offset) & (
            np.abs(exits.course_errors) <= np.radians(rules.open_course_deg)
        )
    still_open = np.sort(np.where(near, exits.curvatures, np.nan), axis=1)  # NaN last
    rows = np.flatnonzero(_group_count(still_open, rules.tolerance) >= 2)
    lawful, missing = exits.curvatures[rows], exits.missing[rows]
    gaps = np.abs(missing[:, :, None] - lawful[:, None, :])  # (D, 3, E)
    apart = np.fmin.reduce(gaps, axis=2, initial=np.inf) > 2 * rules.tolerance
    return Decisions(
        rows,
        exits.passages[rows],
        exits.distances[rows],
        np.sort(lawful, axis=1),
        still_open[rows],
        np.sort(np.where(apart, missing, np.nan), axis=1),
    )


def score_decisions(distribution: SteeringDistribution, decisions: Decisions, rules: DecisionRules) -> DecisionScores:
    """Score the distributions predicted for D decisions.

    Args:
        distribution: Predictions, in the order of the decisions.
        decisions: The decisions.
        rules: Rules by which the decisions were found.
    """
    masses = _band_masses(distribution, decisions.open, rules.tolerance)
    groups = _groups(decisions.open, rules.tolerance)
    by_group = np.zeros_like(masses)
    np.add.at(by_group, (np.arange(len(groups))[:, None], groups), masses)
    missing = _band_masses(distribution, decisions.missing, rules.tolerance).sum(axis=1)
    return DecisionScores(
        distances=decisions.distances,
        exits=_group_count(decisions.open, rules.tolerance),
        seen=(by_group >= rules.min_mass).sum(axis=1),
        lawful=_band_masses(distribution, decisions.lawful, rules.tolerance).sum(axis=1),
        missing=np.where(np.isnan(decisions.missing).all(axis=1), np.nan, missing),
    )


def junction_measures(
    scores: DecisionScores, passages: Sequence[Hashable], towns: Sequence[str], rng: np.random.Generator
) -> JunctionMeasures:
    """Summarise D decisions.

    Args:
        scores: Scores of the predictions.
        passages: Identity of each decision's junction passage (D,).
        towns: Town of each decision (D,).
        rng: Draws the intervals of the masses.
    """
    numbers = {passage: number for number, passage in enumerate(dict.fromkeys(passages))}
    owners = np.array([numbers[passage] for passage in passages], dtype=np.int64)
    known = ~np.isnan(scores.missing)
    return JunctionMeasures(
        frames=len(owners),
        passages=len(numbers),
        towns=len(set(towns)),
        recall=_recall(scores, owners),
        recall_by_distance=_recall_by_distance(scores, owners),
        lawful_mass=mean_estimate(_means(scores.lawful, owners), rng),
        missing_frames=int(known.sum()),
        missing_passages=len(set(owners[known].tolist())),
        missing_mass=mean_estimate(_means(scores.missing[known], owners[known]), rng),
    )


def joined_scores(parts: Sequence[DecisionScores]) -> DecisionScores:
    """Return the scores of several batches as one."""
    none, no_counts = np.zeros(0), np.zeros(0, np.int64)
    every = (DecisionScores(none, no_counts, no_counts, none, none), *parts)
    names = (item.name for item in fields(DecisionScores))
    return DecisionScores(*(np.concatenate([getattr(part, name) for part in every]) for name in names))


def _recall(scores: DecisionScores, owners: NDArray[np.int64]) -> Estimate | None:
    """Return mode recall over decisions of the passages `owners` (D,), each of which counts once."""
    exits = np.bincount(owners, scores.exits)
    return share_estimate(np.bincount(owners, scores.seen)[exits > 0] / exits[exits > 0])


def _recall_by_distance(scores: DecisionScores, owners: NDArray[np.int64]) -> tuple[RangeRecall, ...]:
    """Return mode recall in each range of the distance past the mouth."""
    found = []
    for above, up_to in pairwise((None, *DISTANCE_EDGES, None)):
        past = scores.distances > (-math.inf if above is None else above)
        inside = past & (scores.distances <= (math.inf if up_to is None else up_to))
        own = DecisionScores(*(getattr(scores, item.name)[inside] for item in fields(DecisionScores)))
        passages = len(set(owners[inside].tolist()))
        found.append(RangeRecall(above, up_to, int(inside.sum()), passages, _recall(own, owners[inside])))
    return tuple(found)


def _means(values: Array, owners: NDArray[np.int64]) -> Array:
    """Return the mean of the values of each owner that has any."""
    counts = np.bincount(owners)
    return np.asarray(np.bincount(owners, values)[counts > 0] / counts[counts > 0])


def _groups(curvatures: Array, tolerance: float) -> NDArray[np.int64]:
    """Return each rising curvature's (D, E) index of its group of overlapping bands; NaN joins the last group."""
    apart = np.zeros(curvatures.shape, bool)
    apart[:, 1:] = np.diff(curvatures, axis=1) > 2 * tolerance
    return np.cumsum(apart, axis=1)


def _group_count(curvatures: Array, tolerance: float) -> NDArray[np.int64]:
    """Return the number of groups in each row (D,)."""
    if curvatures.shape[1] == 0:
        return np.zeros(len(curvatures), np.int64)
    return np.where(np.isnan(curvatures[:, 0]), 0, _groups(curvatures, tolerance)[:, -1] + 1)


def _band_masses(distribution: SteeringDistribution, centres: Array, tolerance: float) -> Array:
    """Return the probability of the bands around rising curvatures (D, E); an overlap counts for the first band."""
    low, high = centres - tolerance, centres + tolerance
    low[:, 1:] = np.fmax(low[:, 1:], high[:, :-1])
    ends = np.stack([low, high]).transpose(0, 2, 1)  # (2, E, D)
    queries = torch.tensor(np.nan_to_num(ends), dtype=torch.float32, device=distribution.mean.device)
    below, up_to = distribution.cdf(queries).double().cpu().numpy()
    masses = np.clip(up_to - below, 0.0, 1.0).T
    return np.where(np.isnan(centres), 0.0, masses)
