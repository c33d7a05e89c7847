"""What a distribution over steering makes of a junction when it is not told the route.

Each lawful exit asks for some curvature (see `navsim.simulation.junction_exits`); a band of a stated tolerance about
it belongs to the exit. Exits whose bands overlap cannot be told apart by steering and count as one. A frame is a
decision if at least two exits that can be told apart are still open, that is, if the car's pose does not yet rule them
out. Over decisions:

* mode recall: the share of the open exits that are given at least a least share of the probability;
* the mass on lawful exits: the probability of all bands together, open or not;
* the mass on missing exits: the probability of the bands of left, straight on and right where no such exit exists, as
  far as these can be told apart from all lawful ones.

Neighbouring frames are no independent evidence, so every junction passage counts once, by the mean over its decisions,
and intervals are those of as many passages.

Mode recall is also given by how far past the junction's mouth the car is: a policy that learns from drives rightly
rules out a turn that no driver has ever begun so late, although the pose alone would still allow it.

D: decisions, E: largest number of exits.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from agents.policies.distributions.base import SteeringDistribution
from navsim.errors import ConfigError
from navsim.evaluation.statistics.intervals import Estimate, mean_estimate, share_estimate
from navsim.geometry import Array
from navsim.simulation.junction_exits import JunctionExits

DISTANCE_EDGES = (1.0, 2.0, 3.0)
"""Where the ranges of the distance past a junction's mouth end [m], by which mode recall is broken down."""


@dataclass(frozen=True)
class DecisionRules:
    """What counts as an exit, as open and as a mode."""

    tolerance: float = 0.02
    """Half the width of an exit's band [1/m]: what the expert commands for 3 deg or 0.25 m at its least lookahead,
    about how well a pose can be told from a picture."""
    min_mass: float = 0.05
    """Least probability of an exit's band for the exit to count as seen."""
    open_offset: float = 0.25
    """An exit is open while the car is no farther than this from the way to it [m] ..."""
    open_course_deg: float = 3.0
    """... and its course differs by no more than this [deg]. As far as that a picture hardly tells on which way the car
    is, the same measure as for the tolerance; farther off, a policy that sees well rules exits out, and should."""

    def __post_init__(self) -> None:
        for name in ("tolerance", "open_offset", "open_course_deg"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"rules.{name} must be above 0, got {getattr(self, name)}")
        if not 0 < self.min_mass < 1:
            raise ConfigError(f"rules.min_mass must lie within (0, 1), got {self.min_mass}")


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions among some frames; NaN where there is no such exit."""

    rows: NDArray[np.int64]
    """Which of the frames they are (D,)."""
    passages: NDArray[np.int64]
    """The passage of the episode that each belongs to (D,)."""
    distances: Array
    """How far past the junction's mouth the car is (D,) [m]; negative before it."""
    lawful: Array
    """Curvatures of all lawful exits (D, E) [1/m], rising."""
    open: Array
    """Those of the open ones (D, E) [1/m], rising."""
    missing: Array
    """Those of the missing exits that can be told apart from all lawful ones (D, 3) [1/m], rising."""

    def __len__(self) -> int:
        """Number of decisions, D."""
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class DecisionScores:
    """How D decisions were answered."""

    distances: Array
    """How far past the junction's mouth the car is (D,) [m]; negative before it."""
    exits: NDArray[np.int64]
    """Number of open exits that can be told apart (D,), at least 2."""
    seen: NDArray[np.int64]
    """How many of them got the least mass (D,)."""
    lawful: Array
    """Probability of the lawful exits (D,)."""
    missing: Array
    """Probability of the missing exits (D,); NaN where none can be told apart."""


@dataclass(frozen=True)
class RangeRecall:
    """Mode recall over the decisions in one range of the distance past a junction's mouth."""

    above: float | None
    """The range begins past this distance [m]; None for the first, which has no beginning ..."""
    up_to: float | None
    """... and ends at this one [m]; None for the last, which has no end."""
    frames: int
    """Decisions in it."""
    passages: int
    """Passages that they belong to."""
    recall: Estimate | None
    """Mode recall, where each passage counts once; None without any decision."""


@dataclass(frozen=True)
class JunctionMeasures:
    """What a policy makes of junctions."""

    frames: int
    """Decisions judged."""
    passages: int
    """Junction passages that they belong to."""
    towns: int
    """Towns that these lie in."""
    recall: Estimate | None
    """Mode recall; None without any decision."""
    recall_by_distance: tuple[RangeRecall, ...]
    """The same by the distance past the mouth."""
    lawful_mass: Estimate | None
    """Mass on lawful exits."""
    missing_frames: int
    """Decisions with a missing exit that can be told apart."""
    missing_passages: int
    """Passages that they belong to."""
    missing_mass: Estimate | None
    """Mass on missing exits."""


def find_decisions(exits: JunctionExits, rules: DecisionRules) -> Decisions:
    """Find the decisions among the frames of `exits`."""
    with np.errstate(invalid="ignore"):  # NaN is near nothing
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


def judge_decisions(distribution: SteeringDistribution, decisions: Decisions, rules: DecisionRules) -> DecisionScores:
    """Judge the distributions predicted for D decisions.

    Args:
        distribution: Predictions, in the order of the decisions.
        decisions: What was to be decided.
        rules: Those by which the decisions were found.
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
    """Sum up D decisions.

    Args:
        scores: How they were answered.
        passages: What tells each decision's junction passage from all others (D,).
        towns: Where each was made (D,).
        rng: Draws the intervals of the masses.
    """
    numbers = {passage: number for number, passage in enumerate(dict.fromkeys(passages))}
    owners = np.array([numbers[passage] for passage in passages], dtype=np.int64)
    told = ~np.isnan(scores.missing)
    return JunctionMeasures(
        frames=len(owners),
        passages=len(numbers),
        towns=len(set(towns)),
        recall=_recall(scores, owners),
        recall_by_distance=_recall_by_distance(scores, owners),
        lawful_mass=mean_estimate(_means(scores.lawful, owners), rng),
        missing_frames=int(told.sum()),
        missing_passages=len(set(owners[told].tolist())),
        missing_mass=mean_estimate(_means(scores.missing[told], owners[told]), rng),
    )


def joined_scores(parts: Sequence[DecisionScores]) -> DecisionScores:
    """The scores of several batches as one."""
    none, no_counts = np.zeros(0), np.zeros(0, np.int64)
    every = (DecisionScores(none, no_counts, no_counts, none, none), *parts)
    names = (item.name for item in fields(DecisionScores))
    return DecisionScores(*(np.concatenate([getattr(part, name) for part in every]) for name in names))


def _recall(scores: DecisionScores, owners: NDArray[np.int64]) -> Estimate | None:
    """Mode recall over decisions of the passages `owners` (D,), each of which counts once."""
    exits = np.bincount(owners, scores.exits)
    return share_estimate(np.bincount(owners, scores.seen)[exits > 0] / exits[exits > 0])


def _recall_by_distance(scores: DecisionScores, owners: NDArray[np.int64]) -> tuple[RangeRecall, ...]:
    """Mode recall in each range of the distance past the mouth."""
    found = []
    for above, up_to in pairwise((None, *DISTANCE_EDGES, None)):
        past = scores.distances > (-math.inf if above is None else above)
        mine = past & (scores.distances <= (math.inf if up_to is None else up_to))
        there = DecisionScores(*(getattr(scores, item.name)[mine] for item in fields(DecisionScores)))
        passages = len(set(owners[mine].tolist()))
        found.append(RangeRecall(above, up_to, int(mine.sum()), passages, _recall(there, owners[mine])))
    return tuple(found)


def _means(values: Array, owners: NDArray[np.int64]) -> Array:
    """Mean of the values of each owner that has any."""
    counts = np.bincount(owners)
    return np.asarray(np.bincount(owners, values)[counts > 0] / counts[counts > 0])


def _groups(curvatures: Array, tolerance: float) -> NDArray[np.int64]:
    """Number within its row of the group that each of the rising curvatures (D, E) belongs to; NaN joins the last."""
    apart = np.zeros(curvatures.shape, bool)
    apart[:, 1:] = np.diff(curvatures, axis=1) > 2 * tolerance
    return np.cumsum(apart, axis=1)


def _group_count(curvatures: Array, tolerance: float) -> NDArray[np.int64]:
    """Number of groups in each row (D,)."""
    if curvatures.shape[1] == 0:
        return np.zeros(len(curvatures), np.int64)
    return np.where(np.isnan(curvatures[:, 0]), 0, _groups(curvatures, tolerance)[:, -1] + 1)


def _band_masses(distribution: SteeringDistribution, centres: Array, tolerance: float) -> Array:
    """Probability of the bands about rising curvatures (D, E); where two overlap the first has it, NaN has none."""
    low, high = centres - tolerance, centres + tolerance
    low[:, 1:] = np.fmax(low[:, 1:], high[:, :-1])
    ends = np.stack([low, high]).transpose(0, 2, 1)  # (2, E, D)
    queries = torch.tensor(np.nan_to_num(ends), dtype=torch.float32, device=distribution.mean.device)
    below, up_to = distribution.cdf(queries).double().cpu().numpy()
    masses = np.clip(up_to - below, 0.0, 1.0).T
    return np.where(np.isnan(centres), 0.0, masses)
