"""Infractions by kind and kilometre, interventions, autonomy, and driving scores.

The scores are that of the CARLA leaderboard, and a normalised one that stopping early cannot raise.

Of CARLA's infractions, only collisions exist here: the towns have neither red lights nor stop signs, and nobody drives
slower than the traffic or fails to give way. Leaving the route, standing still and being late end a route there as
here, and cost the rest of it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np

from navsim.evaluation.metrics.drives import kilometres, offset_samples
from navsim.evaluation.statistics.intervals import Rate
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from navsim.world.obstacles import ObstacleKind

INTERVENTION_OFFSET = 1.0
"""|Lane offset| at which a person would take the wheel [m] (PilotNet, Bojarski et al. 2016)."""
INTERVENTION_SECONDS = 6.0
"""Time that PilotNet counts for each intervention [s]."""


class Infraction(StrEnum):
    """Event that ended a drive before its end; each drive has at most one."""

    PEDESTRIAN = "pedestrian"
    """Collision with a person."""
    VEHICLE = "vehicle"
    """Collision with a car."""
    STATIC = "static"
    """Collision with a kerb, building, tree or sign, or with something that the drive's file does not name."""
    LEFT_ROAD = "left_road"
    """Lane offset above the limit."""
    WRONG_TURN = "wrong_turn"
    """Wrong way through a junction."""
    WRONG_LANE = "wrong_lane"
    """Junction entered in a lane that does not lead on along the route."""
    STUCK = "stuck"
    """Standstill for too long."""
    TIMED_OUT = "timed_out"
    """Time limit exceeded."""
    BROKE_OFF = "broke_off"
    """No outcome: an error, no decision, too slow a decision, or the end of the driver's process."""


_STRUCK = {ObstacleKind.PEDESTRIAN: Infraction.PEDESTRIAN, ObstacleKind.CAR: Infraction.VEHICLE}


def infraction(episode: Episode) -> Infraction | None:
    """Return the infraction that ended a drive; None if it arrived."""
    if episode.outcome is Outcome.ARRIVED:
        return None
    if episode.outcome is Outcome.COLLIDED:
        return Infraction.STATIC if episode.struck is None else _STRUCK.get(episode.struck, Infraction.STATIC)
    return Infraction(episode.outcome.value)


def infraction_rates(episodes: Sequence[Episode], errors: int = 0) -> dict[Infraction, Rate]:
    """Return infractions per kilometre of all drives together, by kind; every kind has an entry.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error: an infraction each, of unknown distance.
    """
    kinds, km = [infraction(episode) for episode in episodes], kilometres(episodes)
    kinds += [Infraction.BROKE_OFF] * errors
    return {kind: Rate(kinds.count(kind), km) for kind in Infraction}


def failure_rate(episodes: Sequence[Episode], errors: int = 0) -> Rate:
    """Return infractions of all kinds per kilometre: drives that did not arrive, over the distance of all.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error, see `infraction_rates`.
    """
    return Rate(sum(infraction(episode) is not None for episode in episodes) + errors, kilometres(episodes))


def interventions(episode: Episode) -> int:
    """Return the number of times that a person would have had to take over.

    An intervention begins when the |lane offset| exceeds `INTERVENTION_OFFSET`, as in PilotNet (Bojarski et al. 2016,
    section 7.1), and ends when it is below again. Drives here continue without help and end at a failure. A drive that
    did not arrive counts one more, unless it ended during an intervention. Turns at junctions count; PilotNet left
    turns from road to road out.
    """
    beyond = np.abs(episode.offsets) > INTERVENTION_OFFSET
    begun = int(beyond[0]) + int((beyond[1:] & ~beyond[:-1]).sum())
    return begun + (episode.outcome is not Outcome.ARRIVED and not bool(beyond[-1]))


def autonomy(episodes: Sequence[Episode], errors: int = 0) -> float | None:
    """Return PilotNet's share of autonomous time (Bojarski et al. 2016, section 7.1), in [0, 1]; None of no drives.

    It is 1 - 6 s times the number of `interventions` over the time driven, of all drives together, and at least 0.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error: one intervention each.
    """
    if not episodes:
        return None
    seconds = sum(float(episode.times[-1] - episode.times[0]) for episode in episodes)
    return max(0.0, 1 - INTERVENTION_SECONDS * (sum(map(interventions, episodes)) + errors) / seconds)


COEFFICIENTS: Mapping[Infraction, float] = {
    Infraction.PEDESTRIAN: 1.0,
    Infraction.VEHICLE: 0.7,
    Infraction.STATIC: 0.6,
}
"""CARLA 2.1's coefficients c of those infractions that have one (PAPER.md, "CARLA driving score")."""
PENALTIES: Mapping[Infraction, float] = {
    Infraction.PEDESTRIAN: 0.5,
    Infraction.VEHICLE: 0.6,
    Infraction.STATIC: 0.65,
}
"""CARLA 2.0's factors p of the same infractions, for the normalised score."""
HEAVIEST = min(PENALTIES.values())
"""Factor of every failure without a collision in the normalised score: our choice, see `normalised_score`."""
HALF_LANE = 1.75
"""|Lane offset| above which the middle of the car is outside its lane [m]: half the width of the towns' lanes."""


def outside_share(episode: Episode) -> float:
    """Return the share of the distance driven with the middle of the car outside the route's lane, in [0, 1].

    CARLA's criterion `OutsideRouteLanesTest` uses the same point of the car. A control step counts by the mean of
    |offset| at its two ends.
    """
    offsets, distances = offset_samples([episode])
    return float(distances[offsets > HALF_LANE].sum() / distances.sum()) if distances.sum() > 0 else 0.0


def drive_score(episode: Episode) -> float:
    """Return CARLA 2.1's driving score of one drive, in [0, 1].

    Completion x (1 - outside share) / (1 + sum_j c_j n_j) (PAPER.md, "CARLA driving score"), where n_j counts the
    infractions of kind j and the off-lane factor is 1 - `outside_share`. A drive here ends at its first infraction.
    """
    kind = infraction(episode)
    cost = COEFFICIENTS.get(kind, 0.0) if kind is not None else 0.0
    return episode.completion * (1 - outside_share(episode)) / (1 + cost)


def driving_score(episodes: Sequence[Episode], errors: int = 0) -> float | None:
    """Return the mean of `drive_score` over the drives, as the leaderboard does over routes; None of no drives.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error; they count as 0.
    """
    total = len(episodes) + errors
    return sum(map(drive_score, episodes)) / total if total else None


def normalised_score(episodes: Sequence[Episode], errors: int = 0) -> float | None:
    """Return completion x prod_j p_j^(n_j / km), in [0, 1] (PAPER.md, "Normalised driving score"); None of no drives.

    Completion is the mean over the drives; n_j / km is over all drives together, since one drive of a few hundred
    metres gives no rate. Drives here end at the first failure, so that a driver that stops before it would have no
    infraction. Hence every drive that did not arrive counts one infraction, and failures without a collision weigh as
    much as the heaviest one. So stopping earlier never raises the score: completion and distance shrink, and the
    number of failures and their weight stay.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error: no completion, no distance, one failure each.
    """
    total = len(episodes) + errors
    if not total:
        return None
    kinds = [kind for kind in map(infraction, episodes) if kind is not None]
    exponent = sum(-np.log(PENALTIES.get(kind, HEAVIEST)) for kind in kinds) - errors * np.log(HEAVIEST)
    km = kilometres(episodes)
    completion = sum(episode.completion for episode in episodes) / total
    if exponent == 0.0 or completion == 0.0:
        return completion
    return float(completion * np.exp(-exponent / km)) if km > 0 else 0.0
