"""Recovery: does a driver that begins beside its lane, or turned, find back in time?

After VISTA (Amini et al. 2020; PAPER.md, "VISTA recovery"): starts off by metres or degrees, to be recovered from
within 5 s. VISTA does not say when a car is back; the bounds are ours. Where a kerb is so close to the lane that the
car touches it at the start, no driver can recover: such starts are not counted.

One driver's numbers by the protocols of the field, beside those of `navsim.evaluation.metrics.drives`.
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
"""Time to find back [s]."""
BACK_OFFSET = 0.3
"""|Lane offset| within which a car is back [m]."""
BACK_HEADING_DEG = 5.0
"""|Heading error| within which it is back [deg]."""
_FAILED = (Outcome.LEFT_ROAD, Outcome.WRONG_TURN, Outcome.COLLIDED, Outcome.STUCK)


def recovered(episode: Episode) -> bool:
    """Whether the car is back in its lane 5 s after the start, and nothing went wrong until then.

    Back is a |lane offset| of at most 0.3 m and a |heading error| of at most 5 degrees in the last state at or before
    5 s (the end of the drive, if it arrived before). A car that is back once and swings out again is not back.
    Going wrong is to leave the lane's middle by more than 2 m, to touch anything, or to stand.
    """
    within = np.flatnonzero(episode.times - episode.times[0] <= RECOVERY_SECONDS + 1e-6)
    last = int(within[-1])
    if episode.outcome in _FAILED and last == len(episode):
        return False
    if episode.outcome is Outcome.TIMED_OUT and episode.times[-1] - episode.times[0] < RECOVERY_SECONDS - 1e-6:
        return False  # cut before it could show
    offset, heading = abs(episode.offsets[last]), abs(np.degrees(episode.heading_errors[last]))
    return bool(offset <= BACK_OFFSET and heading <= BACK_HEADING_DEG)


def touches_at_start(episode: Episode) -> bool:
    """Whether the car touched something in the first control step, which nobody steers out of."""
    return episode.outcome is Outcome.COLLIDED and len(episode) == 1


def recovery(drives: Sequence[Drive]) -> Share:
    """Drives that recovered, of all asked for but those that touch something at the start.

    Those that broke off with an error have not recovered.
    """
    possible = [drive for drive in drives if drive.episode is None or not touches_at_start(drive.episode)]
    return Share(sum(drive.episode is not None and recovered(drive.episode) for drive in possible), len(possible))


def recovery_by_start(drives: Sequence[Drive]) -> Mapping[StartOffset, Share]:
    """The same for each start, in the order in which they first appear."""
    starts = dict.fromkeys(drive.scenario.start for drive in drives)
    return {start: recovery([drive for drive in drives if drive.scenario.start == start]) for start in starts}


@dataclass(frozen=True)
class ProtocolScores:
    """What other works report of their drivers; the simulators differ, so protocols compare and values do not."""

    driving_score: float | None
    """CARLA 2.1's, in [0, 1]."""
    normalised_score: float | None
    """The one that stopping early cannot raise, in [0, 1]."""
    failures: Rate
    """Infractions of all kinds per kilometre."""
    infractions: dict[Infraction, Rate]
    """The same by kind."""
    interventions: int
    """How often a person would have had to take the wheel."""
    autonomy: float | None
    """PilotNet's share of autonomous time, in [0, 1]."""
    beyond_metre: float | None
    """Share of the distance driven with a |lane offset| above 1 m."""
    ever_beyond_metre: Share
    """Drives that had one at any time, of those that came to an outcome."""
    comfort: Share
    """Comfortable windows of 20 control steps."""
    steering_rate: float | None
    """Mean |change of the command| per second [1/(m s)]."""
    steering_reversals: float | None
    """How often the steering turns back [1/s]."""


def beyond(episodes: Sequence[Episode], limit: float = INTERVENTION_OFFSET) -> float | None:
    """P(|lane offset| > limit) over the distance driven, after BarrierNet (Xiao et al. 2021); None of no distance.

    Args:
        episodes: Drives.
        limit: Of the |lane offset| [m].
    """
    offsets, distances = offset_samples(episodes)
    return float(distances[offsets > limit].sum() / distances.sum()) if distances.sum() > 0 else None


def protocol_scores(episodes: Sequence[Episode], errors: int = 0) -> ProtocolScores:
    """Measure one driver's drives by the protocols of the field.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error: both scores count them as lost, and each is an infraction
            and an intervention.
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
    """The numbers as plain values, under the names of `ProtocolScores`; numbers that nothing tells are null.

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
