"""One driver's scores by the protocols of the field, and recovery from starts off the lane.

Recovery follows VISTA (Amini et al. 2020; PAPER.md, "VISTA recovery"): a start is off by metres or degrees, and the car
has 5 s to return to its lane. VISTA gives no bounds for that; they are ours. Where a kerb is so close that the car
touches it at the start, no driver can recover: such starts are not counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from navsim.evaluation.metrics.comfort import comfort, steering_rate, steering_reversals
from navsim.evaluation.metrics.drives import Drive, largest_lane_offset, offset_samples
from navsim.evaluation.metrics.infractions import (
    INTERVENTION_OFFSET,
    Infraction,
    autonomy,
    driving_score,
    failure_rate,
    infraction_rates,
    interventions,
    normalised_score,
)
from navsim.evaluation.statistics.intervals import Rate, Share
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, StartOffset

RECOVERY_SECONDS = 5.0
"""Time for a recovery [s]."""
RECOVERED_OFFSET = 0.3
"""Largest |lane offset| of a car that has recovered [m]."""
RECOVERED_HEADING_DEG = 5.0
"""Largest |heading error| of a car that has recovered [deg]."""
_FAILED = (Outcome.LEFT_ROAD, Outcome.WRONG_TURN, Outcome.WRONG_LANE, Outcome.COLLIDED, Outcome.STUCK)


def recovered(episode: Episode) -> bool:
    """Return whether the car is in its lane again 5 s after the start, without a failure until then.

    It is in its lane with a |lane offset| of at most 0.3 m and a |heading error| of at most 5 degrees. The state is the
    last one at or before 5 s (the end of the drive, if it arrived before). A car that swings out again by then has not
    recovered. Failures are to leave the lane's middle by more than 2 m, to touch anything, or to stand.
    """
    within = np.flatnonzero(episode.times - episode.times[0] <= RECOVERY_SECONDS + 1e-6)
    last = int(within[-1])
    if episode.outcome in _FAILED and last == len(episode):
        return False
    if episode.outcome is Outcome.TIMED_OUT and episode.times[-1] - episode.times[0] < RECOVERY_SECONDS - 1e-6:
        return False  # the time limit was too short for a recovery
    offset, heading = abs(episode.offsets[last]), abs(np.degrees(episode.heading_errors[last]))
    return bool(offset <= RECOVERED_OFFSET and heading <= RECOVERED_HEADING_DEG)


def touches_at_start(episode: Episode) -> bool:
    """Return whether the car touched something in the first control step, which no driver can avoid."""
    return episode.outcome is Outcome.COLLIDED and len(episode) == 1


def recovery(drives: Sequence[Drive]) -> Share:
    """Return the share of drives that recovered, without those that touch something at the start.

    Drives that broke off with an error have not recovered.
    """
    possible = [drive for drive in drives if drive.episode is None or not touches_at_start(drive.episode)]
    return Share(sum(drive.episode is not None and recovered(drive.episode) for drive in possible), len(possible))


def recovery_by_start(drives: Sequence[Drive]) -> Mapping[StartOffset, Share]:
    """Return the share of drives that recovered for each start, in the order in which the starts first appear."""
    starts = dict.fromkeys(drive.scenario.start for drive in drives)
    return {start: recovery([drive for drive in drives if drive.scenario.start == start]) for start in starts}


@dataclass(frozen=True)
class ProtocolScores:
    """Scores that other works report of their drivers; simulators differ, so only the protocols are comparable."""

    driving_score: float | None
    """CARLA 2.1's driving score, in [0, 1]."""
    normalised_score: float | None
    """Driving score that stopping early cannot raise, in [0, 1]."""
    failures: Rate
    """Infractions of all kinds per kilometre."""
    infractions: dict[Infraction, Rate]
    """Infractions per kilometre by kind."""
    interventions: int
    """Number of times that a person would have had to take over."""
    autonomy: float | None
    """PilotNet's share of autonomous time, in [0, 1]."""
    beyond_metre: float | None
    """Share of the distance driven with a |lane offset| above 1 m."""
    ever_beyond_metre: Share
    """Share of drives with a |lane offset| above 1 m at any time, of those that came to an outcome."""
    comfort: Share
    """Share of comfortable windows of 20 control steps."""
    steering_rate: float | None
    """Mean |change of the command| per second [1/(m s)]."""
    steering_reversals: float | None
    """Steering reversals per second [1/s]."""


def beyond(episodes: Sequence[Episode], limit: float = INTERVENTION_OFFSET) -> float | None:
    """Return P(|lane offset| > limit) over the distance driven (BarrierNet, Xiao et al. 2021); None of no distance.

    Args:
        episodes: Drives.
        limit: Limit of the |lane offset| [m].
    """
    offsets, distances = offset_samples(episodes)
    return float(distances[offsets > limit].sum() / distances.sum()) if distances.sum() > 0 else None


def protocol_scores(episodes: Sequence[Episode], errors: int = 0) -> ProtocolScores:
    """Score one driver's drives by the protocols of the field.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error: both scores count them as 0, and each is an
            infraction and an intervention.
    """
    far = [largest_lane_offset(episode) > INTERVENTION_OFFSET for episode in episodes]
    return ProtocolScores(
        driving_score=driving_score(episodes, errors),
        normalised_score=normalised_score(episodes, errors),
        failures=failure_rate(episodes, errors),
        infractions=infraction_rates(episodes, errors),
        interventions=sum(map(interventions, episodes)) + errors,
        autonomy=autonomy(episodes, errors),
        beyond_metre=beyond(episodes),
        ever_beyond_metre=Share(int(np.sum(far)), len(far)),
        comfort=comfort(episodes),
        steering_rate=steering_rate(episodes),
        steering_reversals=steering_reversals(episodes),
    )


def protocols_mapping(scores: ProtocolScores) -> dict[str, Any]:
    """Return the numbers as plain values, under the names of `ProtocolScores`; missing numbers are null.

    A rate is `count`, `per_km` and `interval` (95%, Poisson) [1/km]; a share is `count`, `total` and `interval` (95%,
    Wilson).
    """
    return {
        "driving_score": scores.driving_score,
        "normalised_score": scores.normalised_score,
        "failures": scores.failures.mapping(),
        "infractions": {kind.value: rate.mapping() for kind, rate in scores.infractions.items()},
        "interventions": scores.interventions,
        "autonomy": scores.autonomy,
        "beyond_metre": scores.beyond_metre,
        "ever_beyond_metre": scores.ever_beyond_metre.mapping(),
        "comfort": scores.comfort.mapping(),
        "steering_rate": scores.steering_rate,
        "steering_reversals": scores.steering_reversals,
    }
