"""What went wrong in drives: infractions by kind and kilometre, interventions, and the autonomy made of them.

The CARLA leaderboard's driving score, and a normalised one that stopping early cannot raise.

Of CARLA's infractions, collisions have counterparts here. Red lights and stop signs have none, for the towns have
neither; nor have its penalties for driving slower than the traffic or not giving way. Leaving the route, standing still
and being late end a route there as here, and cost what is left of it.
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
    """What ended a drive before its time; each drive has at most one."""

    PEDESTRIAN = "pedestrian"
    """Touched a person."""
    VEHICLE = "vehicle"
    """Touched a car."""
    STATIC = "static"
    """Touched a kerb, building, tree or sign, or something that the drive's file does not name."""
    LEFT_ROAD = "left_road"
    """Left the middle of its lane by more than the limit."""
    WRONG_TURN = "wrong_turn"
    """Took another way through a junction."""
    STUCK = "stuck"
    """Stood still."""
    TIMED_OUT = "timed_out"
    """Was too late."""
    BROKE_OFF = "broke_off"
    """Failed to drive to an end: an error, no decision, too slow a one, or the end of its process."""


_STRUCK = {ObstacleKind.PEDESTRIAN: Infraction.PEDESTRIAN, ObstacleKind.CAR: Infraction.VEHICLE}


def infraction(episode: Episode) -> Infraction | None:
    """What ended a drive; None if it arrived."""
    if episode.outcome is Outcome.ARRIVED:
        return None
    if episode.outcome is Outcome.COLLIDED:
        return Infraction.STATIC if episode.struck is None else _STRUCK.get(episode.struck, Infraction.STATIC)
    return Infraction(episode.outcome.value)


def infraction_rates(episodes: Sequence[Episode], errors: int = 0) -> dict[Infraction, Rate]:
    """Infractions per kilometre driven by all drives together, by kind; every kind has an entry.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error; each is an infraction, and their distance is not known.
    """
    kinds, km = [infraction(episode) for episode in episodes], kilometres(episodes)
    kinds += [Infraction.BROKE_OFF] * errors
    return {kind: Rate(kinds.count(kind), km) for kind in Infraction}


def failure_rate(episodes: Sequence[Episode], errors: int = 0) -> Rate:
    """Infractions of all kinds per kilometre: drives that did not arrive, over the distance of all.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error; see `infraction_rates`.
    """
    return Rate(sum(infraction(episode) is not None for episode in episodes) + errors, kilometres(episodes))


def interventions(episode: Episode) -> int:
    """How often a person would have had to take the wheel.

    An intervention is each time the |lane offset| comes to exceed `INTERVENTION_OFFSET`, as in PilotNet (Bojarski et
    al. 2016, section 7.1); it is over when the offset is within it again. Drives here go on without help, and end
    at a failure: a drive that did not arrive counts one more, unless it ended during such a time, which is the same
    mishap. Turns at junctions count; PilotNet left turns from road to road out.
    """
    beyond = np.abs(episode.offsets) > INTERVENTION_OFFSET
    begun = int(beyond[0]) + int((beyond[1:] & ~beyond[:-1]).sum())
    return begun + (episode.outcome is not Outcome.ARRIVED and not bool(beyond[-1]))


def autonomy(episodes: Sequence[Episode], errors: int = 0) -> float | None:
    """PilotNet's share of autonomous time (Bojarski et al. 2016, section 7.1), in [0, 1]; None of no drives.

    1 - 6 s times the interventions over the time driven, of all drives together, but never below 0. See
    `interventions` for what counts.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error: one intervention each.
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
