"""What is measured of drives: pure functions over episodes, each with its definition and source.

Every drive counts up to its end, whatever ended it. Offsets are from the middle of the route's lane [m].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from navsim.evaluation.metrics.calibration import Calibration, calibration
from navsim.evaluation.statistics.intervals import Share
from navsim.geometry import Array
from navsim.roads.elements import Manoeuvre
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario

EXIT_LENGTH = 5.0
"""How far past its mouth a junction still answers for what happens [m]: about the length of the car."""
CLOSE = 0.5
"""Within this of the lane's middle a car counts as keeping to its lane [m]."""


def arrivals(episodes: Sequence[Episode]) -> Share:
    """Drives that arrived: end of the route reached in time, nothing touched, the 2 m rule (VISTA, 2020) kept."""
    return Share(sum(episode.outcome is Outcome.ARRIVED for episode in episodes), len(episodes))


def route_completion(episodes: Sequence[Episode]) -> float | None:
    """Mean over the drives of the share of the route driven, as in the CARLA leaderboard; None of no drives."""
    return float(np.mean([episode.completion for episode in episodes])) if episodes else None


def kilometres(episodes: Sequence[Episode]) -> float:
    """Distance driven by all drives together [km]."""
    return sum(episode.distance for episode in episodes) / 1000


def offset_samples(episodes: Sequence[Episode]) -> tuple[Array, Array]:
    """Lane offsets and the distance over which each held.

    Each control step gives one sample: the mean of |offset| at its two ends, over the distance between them. So
    a car that waits does not count more than one that drives, and long drives count more than short ones.

    Returns:
        offsets (N,) >= 0 [m] and distances (N,) [m], of all drives one after the other.
    """
    offsets = [(np.abs(episode.offsets[1:]) + np.abs(episode.offsets[:-1])) / 2 for episode in episodes]
    distances = [np.hypot(*np.diff(episode.poses[:, :2], axis=0).T) for episode in episodes]
    return np.concatenate([np.zeros(0), *offsets]), np.concatenate([np.zeros(0), *distances])


def mean_lane_offset(episodes: Sequence[Episode]) -> float | None:
    """Mean of |lane offset| over the distance driven [m]; None if nothing was driven."""
    offsets, distances = offset_samples(episodes)
    return float((offsets * distances).sum() / distances.sum()) if distances.sum() > 0 else None


def percentile_lane_offset(episodes: Sequence[Episode], percent: float = 95.0) -> float | None:
    """|Lane offset| that was not exceeded on `percent` of the distance driven [m]; None if nothing was driven."""
    offsets, distances = offset_samples(episodes)
    if not distances.sum() > 0:
        return None
    order = np.argsort(offsets)
    covered = np.cumsum(distances[order]) / distances.sum()
    index = int(np.searchsorted(covered, percent / 100 - 1e-12))
    return float(offsets[order][min(index, len(order) - 1)])


def largest_lane_offset(episode: Episode) -> float:
    """The largest |lane offset| of a drive, at any of its states [m]."""
    return float(np.abs(episode.offsets).max())


def kept_to_lane(episodes: Sequence[Episode], limit: float = CLOSE) -> Share:
    """Drives that arrived and never had a |lane offset| above `limit` [m], of all."""
    kept = [e.outcome is Outcome.ARRIVED and largest_lane_offset(e) <= limit for e in episodes]
    return Share(sum(kept), len(kept))


def outcome_counts(episodes: Sequence[Episode]) -> dict[Outcome, int]:
    """How many drives ended in each way; every outcome has an entry."""
    return {outcome: sum(episode.outcome is outcome for episode in episodes) for outcome in Outcome}


def per_kilometre(count: int, km: float) -> float | None:
    """Events per kilometre driven [1/km]; None if nothing was driven."""
    return count / km if km > 0 else None


def junction_results(episode: Episode) -> tuple[tuple[Manoeuvre, bool], ...]:
    """The junctions that a drive entered, in order, each with whether it was passed.

    A junction is entered when the car reaches the station where it begins, and passed when the car comes
    `EXIT_LENGTH` beyond the station where it ends, so that a bad exit is the junction's. A wrong turn is the
    failure of the last junction entered, wherever it was noticed. Junctions never reached do not count.
    """
    farthest = float(episode.stations.max())
    entered = [passage for passage in episode.passages if farthest >= passage.start]
    results = []
    for number, passage in enumerate(entered, start=1):
        lost_here = number == len(entered) and episode.outcome is Outcome.WRONG_TURN
        beyond = farthest >= min(passage.end + EXIT_LENGTH, episode.route_length)
        passed = episode.outcome is Outcome.ARRIVED or (beyond and not lost_here)
        results.append((passage.manoeuvre, passed))
    return tuple(results)


def junction_shares(episodes: Sequence[Episode]) -> tuple[Share, dict[Manoeuvre, Share]]:
    """Junctions passed of those entered: all together, and by manoeuvre."""
    results = [result for episode in episodes for result in junction_results(episode)]
    by_manoeuvre = {
        manoeuvre: Share(
            sum(passed for kind, passed in results if kind is manoeuvre),
            sum(kind is manoeuvre for kind, _ in results),
        )
        for manoeuvre in Manoeuvre
    }
    return Share(sum(passed for _, passed in results), len(results)), by_manoeuvre


@dataclass(frozen=True)
class Latency:
    """How long a driver takes for one decision."""

    median: float
    """Half of the decisions are taken within this time [s]."""
    p95: float
    """95% of them are [s]."""
    longest: float
    """All of them are [s]."""


def latency(decision_seconds: Sequence[float]) -> Latency | None:
    """Sum up how long single decisions took (N,) [s]; None of none."""
    if not len(decision_seconds):
        return None
    median, p95 = np.percentile(decision_seconds, [50, 95])
    return Latency(float(median), float(p95), max(decision_seconds))


@dataclass(frozen=True)
class DriverSummary:
    """One driver's numbers over one set of routes."""

    arrivals: Share
    """Drives that arrived, of all routes asked for; drives that broke off with an error have not arrived."""
    errors: int
    """Drives that broke off with an error: not completed, ended as `BROKE_OFF`, and in no other number below."""
    completion: float | None
    """Mean share of the route driven, in [0, 1]; drives that broke off count as 0."""
    lane_offset_mean: float | None
    """Mean |lane offset| over the distance driven [m]."""
    lane_offset_p95: float | None
    """|Lane offset| not exceeded on 95% of the distance driven [m]."""
    lane_offset_max: float | None
    """Largest |lane offset| of all drives [m]."""
    kept_to_lane: Share
    """Drives that arrived and were never more than `CLOSE` from the lane's middle."""
    km: float
    """Distance driven [km]."""
    outcomes: dict[Outcome, int]
    """How many drives ended in each way."""
    junctions: Share
    """Junctions passed of those entered."""
    manoeuvres: dict[Manoeuvre, Share]
    """The same by manoeuvre."""
    steps: int
    """Control steps driven."""
    seconds: float
    """Wall time of the drives, summed over the processes [s]."""
    latency: Latency | None = None
    """How long single decisions took; None where no time was taken."""
    calibration: Calibration | None = None
    """How its distributions held the expert's commands while it drove; None of a driver without distributions."""

    @property
    def failures_per_km(self) -> float | None:
        """Drives that ended otherwise than by arriving, per kilometre [1/km]."""
        return per_kilometre(sum(self.outcomes.values()) - self.outcomes[Outcome.ARRIVED], self.km)

    @property
    def steps_per_second(self) -> float | None:
        """Control steps per second of wall time and process [1/s]; None where no time was taken."""
        return self.steps / self.seconds if self.seconds > 0 else None

    def rate(self, outcome: Outcome) -> float | None:
        """Drives that ended so, per kilometre driven [1/km]."""
        return per_kilometre(self.outcomes[outcome], self.km)


def summarise(
    episodes: Sequence[Episode],
    errors: int = 0,
    seconds: float = 0.0,
    decision_seconds: Sequence[float] = (),
    transforms: Sequence[Array] = (),
) -> DriverSummary:
    """Take all measures of one driver's drives.

    Args:
        episodes: The drives that came to an outcome.
        errors: How many others broke off with an error.
        seconds: Wall time of `episodes` [s].
        decision_seconds: How long single decisions took [s].
        transforms: Of the distributions of each drive (T,), see `navsim.evaluation.metrics.calibration`.
    """
    junctions, manoeuvres = junction_shares(episodes)
    arrived, total = arrivals(episodes).count, len(episodes) + errors
    completion = route_completion(episodes)
    return DriverSummary(
        arrivals=Share(arrived, total),
        errors=errors,
        completion=completion if completion is None else completion * len(episodes) / total,
        lane_offset_mean=mean_lane_offset(episodes),
        lane_offset_p95=percentile_lane_offset(episodes),
        lane_offset_max=max((largest_lane_offset(episode) for episode in episodes), default=None),
        kept_to_lane=Share(kept_to_lane(episodes).count, total),
        km=kilometres(episodes),
        outcomes=outcome_counts(episodes) | {Outcome.BROKE_OFF: errors},
        junctions=junctions,
        manoeuvres=manoeuvres,
        steps=sum(len(episode) for episode in episodes),
        seconds=seconds,
        latency=latency(decision_seconds),
        calibration=calibration(transforms),
    )


@dataclass(frozen=True, eq=False)
class Drive:
    """One driver's drive of one scenario: how it went, or why there is none."""

    driver: str
    """Name of the driver."""
    scenario: Scenario
    """What it drove."""
    episode: Episode | None
    """The drive without images and distributions; None if it broke off with an error."""
    seconds: float
    """Wall time of the drive, town and rendering included [s]."""
    error: str = ""
    """Why it broke off."""
    decision_seconds: tuple[float, ...] = ()
    """How long single decisions took, of all or of some control steps [s]."""
    transforms: Array = field(default_factory=lambda: np.zeros(0))
    """Of its distributions, see `navsim.evaluation.metrics.calibration.label_transforms` (T,), or (0,) if it had
    none."""
    part: str = ""
    """Part of the suite that it belongs to; empty where there are no parts."""

    @property
    def outcome(self) -> Outcome:
        """How it ended; `BROKE_OFF` if it has no episode."""
        return Outcome.BROKE_OFF if self.episode is None else self.episode.outcome
