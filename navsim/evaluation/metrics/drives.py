"""Measures of drives: pure functions over episodes, each with its definition and source.

Every drive counts up to its end, whatever ended it. Offsets are from the middle of the nearest lane of the route [m].
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from navsim.evaluation.metrics.calibration import Calibration, calibration
from navsim.evaluation.statistics.intervals import Share
from navsim.geometry import Array
from navsim.roads.elements import Manoeuvre
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome, Scenario

EXIT_LENGTH = 5.0
"""Distance past its end that still belongs to a junction [m]: about the length of the car."""
CLOSE = 0.5
"""Largest |lane offset| of a car that keeps to its lane [m]."""
ROUTE_LANE = 2.0
"""Largest distance from the route's own lane of a car that stays in it [m]."""


def arrivals(episodes: Sequence[Episode]) -> Share:
    """Return the share of drives that arrived: in time, nothing touched, within 2 m of the lane (VISTA, 2020)."""
    return Share(sum(episode.outcome is Outcome.ARRIVED for episode in episodes), len(episodes))


def route_completion(episodes: Sequence[Episode]) -> float | None:
    """Return the mean share of the route driven, as in the CARLA leaderboard; None of no drives."""
    return float(np.mean([episode.completion for episode in episodes])) if episodes else None


def kilometres(episodes: Sequence[Episode]) -> float:
    """Return the distance of all drives together [km]."""
    return sum(episode.distance for episode in episodes) / 1000


def offset_samples(episodes: Sequence[Episode]) -> tuple[Array, Array]:
    """Return lane offsets and the distance of each.

    Each control step gives one sample: the mean of |offset| at its two ends, over the distance between them. So a car
    that waits does not count more than one that drives, and long drives count more than short ones.

    Returns:
        offsets (N,) >= 0 [m] and distances (N,) [m], of all drives one after the other.
    """
    offsets = [(np.abs(episode.offsets[1:]) + np.abs(episode.offsets[:-1])) / 2 for episode in episodes]
    distances = [np.hypot(*np.diff(episode.poses[:, :2], axis=0).T) for episode in episodes]
    return np.concatenate([np.zeros(0), *offsets]), np.concatenate([np.zeros(0), *distances])


def mean_lane_offset(episodes: Sequence[Episode]) -> float | None:
    """Return the mean of |lane offset| over the distance driven [m]; None if nothing was driven."""
    offsets, distances = offset_samples(episodes)
    return float((offsets * distances).sum() / distances.sum()) if distances.sum() > 0 else None


def percentile_lane_offset(episodes: Sequence[Episode], percent: float = 95.0) -> float | None:
    """Return the |lane offset| that `percent` of the distance driven do not exceed [m]; None if nothing was driven."""
    offsets, distances = offset_samples(episodes)
    if not distances.sum() > 0:
        return None
    order = np.argsort(offsets)
    covered = np.cumsum(distances[order]) / distances.sum()
    index = int(np.searchsorted(covered, percent / 100 - 1e-12))
    return float(offsets[order][min(index, len(order) - 1)])


def largest_lane_offset(episode: Episode) -> float:
    """Return the largest |lane offset| of a drive, at any of its states [m]."""
    return float(np.abs(episode.offsets).max())


def kept_to_lane(episodes: Sequence[Episode], limit: float = CLOSE) -> Share:
    """Return the share of drives that arrived and never had a |lane offset| above `limit` [m]."""
    kept = [e.outcome is Outcome.ARRIVED and largest_lane_offset(e) <= limit for e in episodes]
    return Share(sum(kept), len(kept))


def kept_route_lane(episodes: Sequence[Episode], limit: float = ROUTE_LANE) -> Share:
    """Return the share of drives that arrived and never were more than `limit` [m] from the route's own lane.

    It is the rule of arrival by which other lanes of the right direction do not count.
    """
    kept = [e.outcome is Outcome.ARRIVED and bool(np.abs(e.route_offsets).max() <= limit) for e in episodes]
    return Share(sum(kept), len(kept))


def outcome_counts(episodes: Sequence[Episode]) -> dict[Outcome, int]:
    """Return the number of drives with each outcome; every outcome has an entry."""
    return {outcome: sum(episode.outcome is outcome for episode in episodes) for outcome in Outcome}


def per_kilometre(count: int, km: float) -> float | None:
    """Return events per kilometre driven [1/km]; None if nothing was driven."""
    return count / km if km > 0 else None


def junction_results(episode: Episode) -> tuple[tuple[Manoeuvre, bool], ...]:
    """Return the junctions that a drive entered, in order, each with whether it was passed.

    A junction is entered when the car reaches the station of its beginning, and passed when the car is `EXIT_LENGTH`
    past the station of its end, so that a bad exit counts for the junction. A wrong turn or lane is the failure of the
    last junction entered, wherever it was noticed. Junctions never reached do not count.
    """
    farthest = float(episode.stations.max())
    entered = [passage for passage in episode.passages if farthest >= passage.start]
    results = []
    for number, passage in enumerate(entered, start=1):
        failed_here = number == len(entered) and episode.outcome in (Outcome.WRONG_TURN, Outcome.WRONG_LANE)
        beyond = farthest >= min(passage.end + EXIT_LENGTH, episode.route_length)
        passed = episode.outcome is Outcome.ARRIVED or (beyond and not failed_here)
        results.append((passage.manoeuvre, passed))
    return tuple(results)


def junction_shares(episodes: Sequence[Episode]) -> tuple[Share, dict[Manoeuvre, Share]]:
    """Return the share of entered junctions that were passed: all together, and by manoeuvre."""
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
    """Times of single decisions of a driver."""

    median: float
    """Median of the times [s]."""
    p95: float
    """95th percentile of the times [s]."""
    longest: float
    """Longest of the times [s]."""


def latency(decision_seconds: Sequence[float]) -> Latency | None:
    """Summarise the times of single decisions (N,) [s]; None without a decision."""
    if not len(decision_seconds):
        return None
    median, p95 = np.percentile(decision_seconds, [50, 95])
    return Latency(float(median), float(p95), max(decision_seconds))


@dataclass(frozen=True)
class DriverSummary:
    """One driver's numbers over one set of routes."""

    arrivals: Share
    """Share of all drives that arrived, with as many independent ones as there are distinct ways; drives that broke off
    with an error have not arrived."""
    errors: int
    """Number of drives that broke off with an error: not completed, ended as `BROKE_OFF`, not in the numbers below."""
    completion: float | None
    """Mean share of the route driven, in [0, 1]; drives that broke off count as 0."""
    lane_offset_mean: float | None
    """Mean |lane offset| over the distance driven [m]."""
    lane_offset_p95: float | None
    """|Lane offset| that 95% of the distance driven do not exceed [m]."""
    lane_offset_max: float | None
    """Largest |lane offset| of all drives [m]."""
    kept_to_lane: Share
    """Share of drives that arrived and were never more than `CLOSE` from the lane's middle."""
    kept_route_lane: Share
    """Share of drives that arrived and were never more than `ROUTE_LANE` from the middle of the route's own lane."""
    km: float
    """Distance driven [km]."""
    outcomes: dict[Outcome, int]
    """Number of drives with each outcome."""
    junctions: Share
    """Share of entered junctions that were passed."""
    manoeuvres: dict[Manoeuvre, Share]
    """Share of entered junctions that were passed, by manoeuvre."""
    steps: int
    """Number of control steps driven."""
    seconds: float
    """Wall time of the drives, summed over the processes [s]."""
    latency: Latency | None = None
    """Times of single decisions; None if none was timed."""
    calibration: Calibration | None = None
    """Coverage of the expert's commands by its distributions; None for a driver without distributions."""

    @property
    def failures_per_km(self) -> float | None:
        """Drives that did not arrive, per kilometre [1/km]."""
        return per_kilometre(sum(self.outcomes.values()) - self.outcomes[Outcome.ARRIVED], self.km)

    @property
    def steps_per_second(self) -> float | None:
        """Control steps per second of wall time and process [1/s]; None if no time was taken."""
        return self.steps / self.seconds if self.seconds > 0 else None

    def rate(self, outcome: Outcome) -> float | None:
        """Return the drives with an outcome, per kilometre driven [1/km]."""
        return per_kilometre(self.outcomes[outcome], self.km)


def summarise(
    episodes: Sequence[Episode],
    errors: int = 0,
    seconds: float = 0.0,
    decision_seconds: Sequence[float] = (),
    transforms: Sequence[Array] = (),
    distinct: int | None = None,
) -> DriverSummary:
    """Summarise one driver's drives.

    Args:
        episodes: The drives that came to an outcome.
        errors: Number of further drives that broke off with an error.
        seconds: Wall time of `episodes` [s].
        decision_seconds: Times of single decisions [s].
        transforms: Transforms of the distributions of each drive (T,), see `navsim.evaluation.metrics.calibration`.
        distinct: Number of distinct ways, see `distinct_ways`; None if no two drives take the same.
    """
    junctions, manoeuvres = junction_shares(episodes)
    arrived, total = arrivals(episodes).count, len(episodes) + errors
    completion = route_completion(episodes)
    return DriverSummary(
        arrivals=Share(arrived, total, distinct),
        errors=errors,
        completion=completion if completion is None else completion * len(episodes) / total,
        lane_offset_mean=mean_lane_offset(episodes),
        lane_offset_p95=percentile_lane_offset(episodes),
        lane_offset_max=max((largest_lane_offset(episode) for episode in episodes), default=None),
        kept_to_lane=Share(kept_to_lane(episodes).count, total),
        kept_route_lane=Share(kept_route_lane(episodes).count, total),
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
    """One driver's drive of one scenario, or the error that ended it."""

    driver: str
    """Name of the driver."""
    scenario: Scenario
    """Scenario that was driven."""
    episode: Episode | None
    """The drive without images and distributions; None if it broke off with an error."""
    seconds: float
    """Wall time of the drive, town and rendering included [s]."""
    error: str = ""
    """Error with which it broke off."""
    decision_seconds: tuple[float, ...] = ()
    """Times of single decisions, of all or of some control steps [s]."""
    transforms: Array = field(default_factory=lambda: np.zeros(0))
    """Transforms of its distributions (T,), see `navsim.evaluation.metrics.calibration.label_transforms`; (0,) without
    distributions."""
    part: str = ""
    """Part of the suite to which it belongs; empty without parts."""

    @property
    def outcome(self) -> Outcome:
        """Outcome of the drive; `BROKE_OFF` if it has no episode."""
        return Outcome.BROKE_OFF if self.episode is None else self.episode.outcome


def distinct_ways(drives: Sequence[Drive]) -> int:
    """Return the number of distinct ways of drives, since small maps repeat a few.

    Drives of one part take the same way if they pass the same junctions of a town by the same manoeuvres, under the
    same conditions. Where on their first and last road they begin and end does not count. Drives without junctions
    all differ.
    """
    return len({_way(drive) for drive in drives})


def _way(drive: Drive) -> tuple[Hashable, ...]:
    passages = () if drive.episode is None else drive.episode.passages
    if not passages:
        return drive.part, drive.scenario
    junctions = tuple((passage.junction, passage.manoeuvre) for passage in passages)
    return drive.part, replace(drive.scenario, route=0), junctions
