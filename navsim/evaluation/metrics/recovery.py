"""Recovery: does a driver that begins beside its lane, or turned, find back in time?

After VISTA (Amini et al. 2020; PAPER.md, "VISTA recovery"): starts off by metres or degrees, to be recovered from
within 5 s. VISTA does not say when a car is back; the bounds are ours. Where a kerb is so close to the lane that the
car touches it at the start, no driver can recover: such starts are not counted.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.statistics.resampling import Share
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
