"""The CARLA leaderboard's driving score, and a normalised one that stopping early cannot raise.

Of CARLA's infractions, collisions have counterparts here. Red lights and stop signs have none, for the towns have
neither; nor have its penalties for driving slower than the traffic or not giving way. Leaving the route, standing still
and being late end a route there as here, and cost what is left of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from navsim.evaluation.metrics.drives import kilometres, offset_samples
from navsim.evaluation.metrics.infractions import Infraction, infraction
from navsim.simulation.episode import Episode

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
"""CARLA 2.0's factors p of the same, which the normalised score is made of."""
HEAVIEST = min(PENALTIES.values())
"""Factor of every failure that is no collision, in the normalised score: our choice, see there."""
HALF_LANE = 1.75
"""|Lane offset| beyond which the middle of the car is outside its lane [m]: half the width of the towns' lanes."""


def outside_share(episode: Episode) -> float:
    """Share of the distance driven with the middle of the car outside the route's lane, in [0, 1].

    CARLA's criterion `OutsideRouteLanesTest` looks at the same point of the car. A control step counts by the mean of
    |offset| at its two ends.
    """
    offsets, distances = offset_samples([episode])
    return float(distances[offsets > HALF_LANE].sum() / distances.sum()) if distances.sum() > 0 else 0.0


def drive_score(episode: Episode) -> float:
    """CARLA 2.1's driving score of one drive, in [0, 1].

    Completion x (1 - outside share) / (1 + sum_j c_j n_j) (PAPER.md, "CARLA driving score"), where n_j counts the
    infractions of kind j and the off-lane factor is 1 - `outside_share`. A drive here ends at its first infraction.
    """
    kind = infraction(episode)
    cost = COEFFICIENTS.get(kind, 0.0) if kind is not None else 0.0
    return episode.completion * (1 - outside_share(episode)) / (1 + cost)


def driving_score(episodes: Sequence[Episode], errors: int = 0) -> float | None:
    """Mean of `drive_score` over the drives, as the leaderboard takes it over its routes; None of no drives.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error; they count as 0.
    """
    total = len(episodes) + errors
    return sum(map(drive_score, episodes)) / total if total else None


def normalised_score(episodes: Sequence[Episode], errors: int = 0) -> float | None:
    """Completion x prod_j p_j^(n_j / km), in [0, 1] (PAPER.md, "Normalised driving score"); None of no drives.

    Completion is the mean over the drives; n_j / km is taken over all drives together, since one drive of a few
    hundred metres tells no rate. Drives here end at the first failure, so that one who stops before it would have
    nothing to answer for. Hence every drive that did not arrive counts one infraction, and those that are no
    collision weigh as much as the heaviest one. So stopping a drive earlier never raises the score: completion and
    distance shrink, and neither the number of failures nor their weight does.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error: no completion, no distance, and one failure each.
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
