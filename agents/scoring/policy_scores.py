"""Recorded frames of a split, batch by batch, with what they are to be judged by; one episode in memory at a time.

A policy on recorded drives: its scores for each kind of driving, and what it makes of junctions.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.networks.observation_batch import ObservationBatch
from agents.policies.policy import Policy
from agents.scoring.junctions import (
    DecisionRules,
    DecisionScores,
    JunctionMeasures,
    find_decisions,
    joined_scores,
    junction_measures,
    score_decisions,
)
from navsim.datasets.dataset import Dataset
from navsim.datasets.episode_files import read_episode
from navsim.errors import EpisodeError
from navsim.roads.elements import DrivingSide
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode, FrameManoeuvre, manoeuvre_of_frames, right_hand_view
from navsim.simulation.junction_exits import JunctionExits, episode_exits
from navsim.simulation.scenario import scenario_route
from navsim.simulation.town import load_town_map


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """B neighbouring frames of one episode."""

    town: str
    """Town of the episode."""
    episode: int
    """Index of the episode in the data set."""
    senses: ObservationBatch
    """Observations of the frames."""
    labels: Tensor
    """The expert's curvatures (B,) float32 [1/m]."""
    manoeuvres: NDArray[np.str_]
    """Manoeuvres of the frames (B,), values of `FrameManoeuvre`."""
    exits: JunctionExits
    """Exits open to the car, B rows."""

    def __len__(self) -> int:
        """Return the number of frames, B."""
        return len(self.labels)


def frame_batches(dataset: Dataset, size: int = 256) -> Iterator[FrameBatch]:
    """Read the frames of a data set in batches; each town is built once.

    Args:
        dataset: The episodes.
        size: Largest number of frames in a batch.

    Yields:
        Every frame once, in the order of the files.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    number = 0
    # Episodes of a town follow each other, since they are sorted by names that begin with the town's.
    for town, paths in groupby(dataset.headers, key=lambda path: dataset.headers[path].scenario.town):
        network = load_town_map(town).network
        for path in paths:
            episode = read_episode(path)
            if len(episode.images) != len(episode):
                raise EpisodeError(f"{path}: was recorded without images")
            yield from _batches(episode, number, network, dataset.description.simulation, size)
            number += 1


def _batches(
    episode: Episode, number: int, network: RoadNetwork, simulation: SimulationConfig, size: int
) -> Iterator[FrameBatch]:
    """Divide one episode into batches."""
    route = scenario_route(network, episode.scenario)
    exits = episode_exits(episode, network, route, simulation.expert, simulation.vehicle)
    manoeuvres = manoeuvre_of_frames(episode, network, route)
    if episode.side is DrivingSide.LEFT:  # policies are shown the mirror image
        episode = right_hand_view(episode, simulation.cameras)
        exits = replace(exits, curvatures=-exits.curvatures, missing=-exits.missing)
    for start in range(0, len(episode), size):
        part = slice(start, min(start + size, len(episode)))
        senses = ObservationBatch(
            torch.tensor(episode.images[part]),
            torch.tensor(episode.road_maps[part]),
            torch.tensor(episode.route_maps[part]),
            torch.tensor(episode.speeds[part], dtype=torch.float32),
        )
        labels = torch.tensor(episode.labels[part], dtype=torch.float32)
        yield FrameBatch(episode.scenario.town, number, senses, labels, manoeuvres[part], exits[part])


@dataclass(frozen=True)
class ManoeuvrePredictionScores:
    """Scores over the frames of one manoeuvre."""

    frames: int
    """Number of frames of the manoeuvre."""
    share: float
    """Share of these frames in all frames."""
    nll: float
    """Mean negative log-likelihood of the expert's commands [nats], of a density over curvature in 1/m."""
    curvature_error: float
    """Mean absolute error of the mode [1/m]."""


@dataclass(frozen=True)
class PolicyScores:
    """Scores of a policy on recorded drives."""

    frames: int
    """Number of frames."""
    manoeuvres: dict[FrameManoeuvre, ManoeuvrePredictionScores]
    """Scores by manoeuvre; only manoeuvres that occur."""
    junctions: JunctionMeasures
    """Measures at junctions."""


@dataclass
class _Tally:
    """Values collected so far, a few numbers for each frame."""

    log_probs: list[Tensor] = field(default_factory=list)
    errors: list[Tensor] = field(default_factory=list)
    manoeuvres: list[str] = field(default_factory=list)
    decisions: list[DecisionScores] = field(default_factory=list)
    passages: list[tuple[int, int]] = field(default_factory=list)
    towns: list[str] = field(default_factory=list)


@torch.inference_mode()
def score_policy(
    policy: Policy,
    dataset: Dataset,
    rules: DecisionRules,
    device: torch.device,
    advance: Callable[[float], None] | None = None,
) -> PolicyScores:
    """Score a policy on all frames of a data set; one episode is in memory at a time.

    Args:
        policy: In evaluation mode, on `device`.
        dataset: Drives recorded with the policy's cameras and map.
        rules: Rules for decisions at junctions.
        device: Device of the computation.
        advance: Called after each batch with its number of frames.

    Raises:
        EpisodeError: If an episode is damaged or was recorded without images.
        TownError: If a town cannot be built.
    """
    tally = _Tally()
    for batch in frame_batches(dataset):
        _add(tally, policy, batch, rules, device)
        if advance is not None:
            advance(len(batch))
    measures = junction_measures(
        joined_scores(tally.decisions), tally.passages, tally.towns, generator(0, "junction intervals")
    )
    return PolicyScores(len(tally.manoeuvres), _by_manoeuvre(tally), measures)


def _add(tally: _Tally, policy: Policy, batch: FrameBatch, rules: DecisionRules, device: torch.device) -> None:
    """Score one batch."""
    senses, labels = batch.senses.to(device), batch.labels.to(device)
    distribution = policy.steer(senses)
    tally.log_probs.append(distribution.log_prob(labels).cpu())
    tally.errors.append((distribution.mode - labels).abs().cpu())
    tally.manoeuvres += batch.manoeuvres.tolist()
    decisions = find_decisions(batch.exits, rules)
    if len(decisions):
        # Few frames are decisions: predicting them again costs little, and distributions need no indexing.
        repeated = policy.steer(senses[torch.tensor(decisions.rows, device=device)])
        tally.decisions.append(score_decisions(repeated, decisions, rules))
        tally.passages += [(batch.episode, passage) for passage in decisions.passages.tolist()]
        tally.towns += [batch.town] * len(decisions)


def _by_manoeuvre(tally: _Tally) -> dict[FrameManoeuvre, ManoeuvrePredictionScores]:
    """Return the scores of the frames of each manoeuvre that occurs."""
    log_probs, errors = (torch.cat(part).double().numpy() for part in (tally.log_probs, tally.errors))
    manoeuvres, found = np.array(tally.manoeuvres), {}
    for manoeuvre in FrameManoeuvre:
        own = manoeuvres == manoeuvre
        if own.any():
            nll, error = -float(log_probs[own].mean()), float(errors[own].mean())
            found[manoeuvre] = ManoeuvrePredictionScores(int(own.sum()), float(own.mean()), nll, error)
    return found
