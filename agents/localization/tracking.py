"""One drive, localised from start to end. T: control steps, U: updates."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from agents.localization.cases import Case, Localiser
from agents.localization.likelihoods import Fix, Frame
from agents.localization.motion import OdometrySpec, composed, odometry
from agents.localization.posterior import PosePosterior
from agents.localization.roads import LanePoints
from navsim.driving.episode import Episode
from navsim.errors import ConfigError, EpisodeError
from navsim.geometry import Array, Pose, wrap_angle
from navsim.randomness import generator
from navsim.sensing.gps import GpsSensor, GpsSpec

LEAST_SECONDS = 1.0
"""Shortest drive that can be localised [s]."""
OFF_MAP = 30.0
"""A fix is ignored if it is farther from all roads than this and four standard deviations [m]."""
NEAR = 10.0
"""Within this of the truth a car counts as localised [m]."""


@dataclass(frozen=True)
class TrackingSpec:
    """When the belief is brought up to date, and with what errors the senses come."""

    every: float = 5.0
    """Distance between updates [m]; standing still brings nothing new."""
    odometry: OdometrySpec = field(default_factory=OdometrySpec)
    """Errors of the odometry."""
    gps_time: float = 8.0
    """Correlation time of the fixes' errors [s]."""
    compass_sigma_deg: float = 3.0
    """Standard deviation of the fixes' headings [deg]."""

    def __post_init__(self) -> None:
        for name in ("every", "gps_time", "compass_sigma_deg"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"tracking.{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Moment:
    """One update, for whoever watches."""

    index: int
    """Which control step of the drive."""
    truth: Pose
    """The true pose."""
    fix: Fix | None
    """The fix, if there is one."""
    posterior: PosePosterior
    """The belief."""


@dataclass(frozen=True, eq=False)
class Track:
    """What became of one drive; arrays (U,) with a value for each update, the first before anything was seen."""

    times: Array
    """Since the start [s]."""
    distances: Array
    """Driven, truly [m]."""
    junctions: Array
    """Passed, truly."""
    errors: Array
    """Distance of the estimate from the truth [m]."""
    heading_errors: Array
    """Of the estimate, at least 0 [rad]."""
    fix_errors: Array
    """Distance of the fix from the truth [m]; NaN without a fix."""
    fix_heading_errors: Array
    """Of the fix, at least 0 [rad]; NaN without a fix."""
    entropies: Array
    """Of the position [nats], see `PosePosterior.entropy`."""
    levels: Array
    """Credible level at which the true position lies, in [0, 1]."""
    near: Array
    """Probability of being within `NEAR` of the estimate."""
    candidates: Array
    """Number of candidates."""
    seconds: Array
    """Taken by the update [s]."""
    ignored_fixes: int = 0
    """Fixes that lay off the map."""

    def plain(self) -> dict[str, Any]:
        """Plain values, NaN as None."""
        values: dict[str, Any] = {"ignored_fixes": self.ignored_fixes}
        for name in _arrays():
            values[name] = [None if np.isnan(value) else round(value, 5) for value in getattr(self, name).tolist()]
        return values

    @staticmethod
    def of(values: dict[str, Any]) -> "Track":
        """The inverse of `plain`."""
        arrays = {name: np.array([np.nan if v is None else v for v in values[name]], float) for name in _arrays()}
        return Track(**arrays, ignored_fixes=values["ignored_fixes"])

    @property
    def found_at(self) -> int | None:
        """The update from which on the estimate stays within `NEAR` of the truth; None if it ends elsewhere."""
        wrong = np.flatnonzero(self.errors > NEAR)
        first = int(wrong[-1]) + 1 if len(wrong) else 0
        return first if first < len(self.errors) else None


def _arrays() -> list[str]:
    return [entry.name for entry in fields(Track) if entry.name != "ignored_fixes"]


def localise(
    episode: Episode,
    localiser: Localiser,
    lanes: LanePoints,
    case: Case,
    spec: TrackingSpec,
    watch: Callable[[Moment], None] | None = None,
) -> Track:
    """Follow a recorded drive.

    Args:
        episode: The drive, with images if the localiser looks at them.
        localiser: Who believes something; it is begun anew.
        lanes: Where cars can be.
        case: What is known of the position from outside.
        spec: When updates come, and the errors of the senses, which are drawn from the drive's seed.
        watch: Called after the start and after each update.

    Raises:
        EpisodeError: If the drive is shorter than `LEAST_SECONDS`.
    """
    if episode.times[len(episode) - 1] < LEAST_SECONDS:
        raise EpisodeError(
            f"drive {episode.scenario.name} lasts {episode.times[len(episode) - 1]:.1f} s; to localise, "
            f"at least {LEAST_SECONDS:g} s are needed"
        )
    steps = sensed_motion(episode, spec)
    fixes = sensed_fixes(episode, case, spec)
    usable = [fix is not None and _on_map(fix, lanes) for fix in fixes]
    log, last, started = TrackLog(episode, watch), 0, time.perf_counter()
    localiser.begin(fixes[0] if usable[0] else None)
    log.add(0, fixes[0], localiser.posterior, time.perf_counter() - started)
    for index in update_steps(steps, spec.every):
        started = time.perf_counter()
        localiser.move(composed(steps[last:index]))
        images = episode.images[index] if len(episode.images) else np.zeros((0, 0, 0, 3), np.uint8)
        frame = Frame(images, float(episode.speeds[index]), float(episode.commands[index]))
        localiser.observe(frame, _shared(fixes, usable, last, index, episode.times, spec))
        taken = time.perf_counter() - started
        log.add(index, fixes[index], localiser.posterior, taken)
        last = index
    ignored = sum(fix is not None and not fits for fix, fits in zip(fixes, usable, strict=True))
    return log.track(ignored)


def update_steps(steps: Array, every: float) -> list[int]:
    """Control steps before which at least `every` [m] were driven since the last one, by the odometry (T, 3)."""
    driven, chosen, mark = np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))]), list[int](), every
    for index in range(1, len(steps)):
        if driven[index] >= mark:
            chosen.append(index)
            mark = driven[index] + every
    return chosen


def sensed_motion(episode: Episode, spec: TrackingSpec) -> Array:
    """The odometry (T, 3) of a drive: the same for all localisers."""
    scenario = episode.scenario
    return odometry(spec.odometry, episode.poses, episode.times, generator(scenario.seed, scenario.name, "odometry"))


def sensed_fixes(episode: Episode, case: Case, spec: TrackingSpec) -> list[Fix | None]:
    """The fix at each control step: the same for all localisers."""
    if case.gps_sigma is None:
        return [None] * len(episode)
    scenario = episode.scenario
    errors = GpsSpec(case.gps_sigma, spec.gps_time, spec.compass_sigma_deg, spec.gps_time)
    sensor = GpsSensor(errors, generator(scenario.seed, scenario.name, "localisation gps", case.name))
    elapsed = np.diff(episode.times[:-1], prepend=episode.times[0])
    seen = [sensor.measure(episode.pose(index), float(elapsed[index])) for index in range(len(episode))]
    end = np.inf if case.lost_after is None else case.lost_after
    compass = float(np.radians(spec.compass_sigma_deg))
    return [
        Fix(np.array([fix.x, fix.y, fix.heading]), case.gps_sigma, compass) if time <= end else None
        for fix, time in zip(seen, episode.times[:-1].tolist(), strict=True)
    ]


def _on_map(fix: Fix, lanes: LanePoints) -> bool:
    """Whether a fix can be believed."""
    return lanes.distance(fix.pose[:2]) <= OFF_MAP + 4 * fix.sigma


def _shared(
    fixes: list[Fix | None], usable: list[bool], last: int, index: int, times: Array, spec: TrackingSpec
) -> Fix | None:
    """The fix at an update, with the share of it that is new.

    The mean of a fix whose errors have correlation time tau over a long time t is worth t / (2 tau) independent ones.
    """
    fix = fixes[index]
    if fix is None or not usable[index]:
        return None
    if not any(usable[: last + 1]):
        return fix
    share = min((times[index] - times[last]) / (2 * spec.gps_time), 1.0)
    return Fix(fix.pose, fix.sigma, fix.heading_sigma, float(share))


class TrackLog:
    """Gathers a track of a drive, update by update."""

    def __init__(self, episode: Episode, watch: Callable[[Moment], None] | None = None) -> None:
        """Begin with nothing; `watch` is called with each update."""
        self._episode, self._watch = episode, watch
        self._driven = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(episode.poses[:, :2], axis=0).T))])
        self._rows: list[tuple[float, ...]] = []

    def add(self, index: int, fix: Fix | None, posterior: PosePosterior, seconds: float) -> None:
        """Note one update."""
        episode, truth, best = self._episode, self._episode.pose(index), posterior.estimate
        passed = sum(passage.end <= episode.stations[index] for passage in episode.passages)
        seen = None if fix is None else Pose(*fix.pose.tolist())
        self._rows.append(
            (
                float(episode.times[index]),
                float(self._driven[index]),
                float(passed),
                *_apart(best, truth),
                *((np.nan, np.nan) if seen is None else _apart(seen, truth)),
                posterior.entropy,
                posterior.credible_level(truth.position),
                posterior.mass_within(best.position, NEAR),
                float(len(posterior.weights)),
                seconds,
            )
        )
        if self._watch is not None:
            self._watch(Moment(index, truth, fix, posterior))

    def track(self, ignored: int) -> Track:
        """What was gathered; `ignored` fixes lay off the map."""
        columns = dict(zip(_arrays(), np.array(self._rows).T, strict=True))
        return Track(**columns, ignored_fixes=ignored)


def _apart(pose: Pose, truth: Pose) -> tuple[float, float]:
    """Distance [m] and difference of headings [rad], both at least 0."""
    turn = abs(float(wrap_angle(pose.heading - truth.heading)))
    return float(np.hypot(pose.x - truth.x, pose.y - truth.y)), turn
