"""Localisation of one drive from start to end, and its result. U: number of updates."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from agents.localization.config import FixSensor, LocalizationCase, TrackingConfig
from navsim.errors import EpisodeError
from navsim.geometry import Array, Pose, wrap_angle
from navsim.localization.likelihoods import Fix, LanePoints, ObservedFrame
from navsim.localization.particles import Localiser, PoseTracker
from navsim.localization.posterior import PosePosterior
from navsim.seeding import generator
from navsim.sensing.observation import Image, Odometer
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Scenario

MIN_SECONDS = 1.0
"""Shortest drive that can be localised [s]."""
OFF_MAP = 30.0
"""Distance from all roads, in addition to four standard deviations, beyond which a fix is ignored [m]."""

NEAR = 10.0
"""Largest position error of a localised car [m]."""


@dataclass(frozen=True, eq=False)
class TrackPoint:
    """One update of the belief during a drive."""

    index: int
    """Number of the control step."""
    time: float
    """Time since the start [s]."""
    distance: float
    """Distance driven, true [m]."""
    junctions: int
    """Number of junctions passed, true."""
    truth: Pose
    """True pose of the car."""
    fix: Fix | None
    """Position fix, if there is one."""
    posterior: PosePosterior
    """Belief after the update."""
    seconds: float
    """Computing time of the update [s]."""


@dataclass(frozen=True, eq=False)
class Track:
    """Result of one drive; arrays (U,) with a value for each update, the first before any observation."""

    times: Array
    """Time of each update since the start [s]."""
    distances: Array
    """Distance driven at each update, true [m]."""
    junctions: Array
    """Number of junctions passed at each update, true."""
    errors: Array
    """Distance of the estimate from the truth [m]."""
    heading_errors: Array
    """Heading error of the estimate, at least 0 [rad]."""
    fix_errors: Array
    """Distance of the fix from the truth [m]; NaN without a fix."""
    fix_heading_errors: Array
    """Heading error of the fix, at least 0 [rad]; NaN without a fix."""
    entropies: Array
    """Entropy of the position [nats], see `PosePosterior.entropy`."""
    levels: Array
    """Credible level of the true position, in [0, 1]."""
    near: Array
    """Probability of a position within `NEAR` of the estimate."""
    candidates: Array
    """Number of particles at each update."""
    seconds: Array
    """Computing time of each update [s]."""
    ignored_fixes: int = 0
    """Number of fixes ignored because they were off the map."""

    def to_plain(self) -> dict[str, Any]:
        """Convert to plain values, with None for NaN."""
        values: dict[str, Any] = {"ignored_fixes": self.ignored_fixes}
        for name in _arrays():
            values[name] = [None if np.isnan(value) else round(value, 5) for value in getattr(self, name).tolist()]
        return values

    @staticmethod
    def from_plain(values: dict[str, Any]) -> "Track":
        """Invert `to_plain`."""
        arrays = {name: np.array([np.nan if v is None else v for v in values[name]], float) for name in _arrays()}
        return Track(**arrays, ignored_fixes=values["ignored_fixes"])

    @property
    def error(self) -> float:
        """Median of `errors` over the second half of the updates [m], which leaves out the search at the beginning."""
        return float(np.median(_later_half(self.errors)))

    @property
    def heading_error(self) -> float:
        """Median of `heading_errors` over the second half of the updates [rad]."""
        return float(np.median(_later_half(self.heading_errors)))

    @property
    def fix_error(self) -> float:
        """Median of `fix_errors` [m] over the updates with a fix; NaN without fixes."""
        return float(np.nanmedian(self.fix_errors))

    @property
    def fix_heading_error(self) -> float:
        """Median of `fix_heading_errors` [rad] over the updates with a fix; NaN without fixes."""
        return float(np.nanmedian(self.fix_heading_errors))

    @property
    def near_fraction(self) -> float:
        """Fraction of the updates with the estimate within `NEAR` of the truth."""
        return float(np.mean(self.errors <= NEAR))

    @property
    def found_at(self) -> int | None:
        """First update from which the estimate stays within `NEAR` of the truth; None if it ends farther away."""
        wrong = np.flatnonzero(self.errors > NEAR)
        first = int(wrong[-1]) + 1 if len(wrong) else 0
        return first if first < len(self.errors) else None


def _later_half(values: Array) -> Array:
    return values[len(values) // 2 :]


def _arrays() -> list[str]:
    return [entry.name for entry in fields(Track) if entry.name != "ignored_fixes"]


class TrackLog:
    """Collects a track, update by update."""

    def __init__(self) -> None:
        """Start without updates."""
        self._rows: list[tuple[float, ...]] = []

    def add(self, point: TrackPoint) -> None:
        """Add one update."""
        truth, belief = point.truth, point.posterior
        best = belief.estimate
        measured = None if point.fix is None else Pose(*point.fix.pose.tolist())
        self._rows.append(
            (
                point.time,
                point.distance,
                float(point.junctions),
                *_pose_errors(best, truth),
                *((np.nan, np.nan) if measured is None else _pose_errors(measured, truth)),
                belief.entropy,
                belief.credible_level(truth.position),
                belief.mass_within(best.position, NEAR),
                float(len(belief.weights)),
                point.seconds,
            )
        )

    def track(self, ignored: int) -> Track:
        """Return the track so far, with the number of `ignored` fixes."""
        columns = dict(zip(_arrays(), np.array(self._rows).T, strict=True))
        return Track(**columns, ignored_fixes=ignored)


def _pose_errors(pose: Pose, truth: Pose) -> tuple[float, float]:
    """Return the distance [m] and the difference of headings [rad], both at least 0."""
    turn = abs(float(wrap_angle(pose.heading - truth.heading)))
    return float(np.hypot(pose.x - truth.x, pose.y - truth.y)), turn


@dataclass(frozen=True, eq=False)
class LocalizationStep:
    """One control step of a drive: the true state, the observation and the command."""

    index: int
    """Number of the control step."""
    time: float
    """Time since the start [s]."""
    pose: Pose
    """True pose of the car."""
    speed: float
    """Speed of the car [m/s]."""
    steering: float
    """Curvature that the car drives [1/m]."""
    images: Image
    """Camera images (C, H, W, 3) uint8; C is 0 without images."""
    junctions: int
    """Number of junctions passed so far."""


class Tracker:
    """Localises one drive, recorded or under way."""

    def __init__(
        self,
        scenario: Scenario,
        localiser: Localiser,
        lanes: LanePoints,
        case: LocalizationCase,
        config: TrackingConfig,
    ) -> None:
        """Begin a drive.

        Args:
            scenario: Scenario of the drive; its seed determines the errors of the sensors.
            localiser: Localiser of the pose; it is reset.
            lanes: Lanes of the town.
            case: Position information from outside.
            config: Frequency of updates, and the errors of the sensors.
        """
        self._tracker, self._lanes = PoseTracker(localiser, config.every, config.gps_time), lanes
        self._fixes = FixSensor(scenario, case, config)
        self._odometer = Odometer(config.odometry, generator(scenario.seed, scenario.name, "odometry"))
        self._distance = 0.0  # true
        self._last_step: LocalizationStep | None = None
        self.ignored = 0
        """Number of fixes ignored so far because they were off the map."""

    def advance(self, step: LocalizationStep) -> TrackPoint | None:
        """Process the next control step; returns the update that it caused, or None."""
        fix, motion = self._fixes.read(step.pose, step.time), self._odometer.read(step.pose, step.time)
        is_on_map = fix is not None and self._lanes.distance(fix.pose[:2]) <= OFF_MAP + 4 * fix.sigma
        self.ignored += fix is not None and not is_on_map
        if self._last_step is not None:
            self._distance += float(np.hypot(*(step.pose.position - self._last_step.pose.position)))
        self._last_step = step
        started = time.perf_counter()
        frame = ObservedFrame(step.images, step.speed, step.steering)
        if not self._tracker.advance(motion, frame, fix if is_on_map else None, step.time):
            return None
        posterior, seconds = self._tracker.localiser.posterior, time.perf_counter() - started
        return TrackPoint(step.index, step.time, self._distance, step.junctions, step.pose, fix, posterior, seconds)


def localise(
    episode: Episode,
    localiser: Localiser,
    lanes: LanePoints,
    case: LocalizationCase,
    config: TrackingConfig,
    watch: Callable[[TrackPoint], None] | None = None,
) -> Track:
    """Localise a recorded drive.

    Args:
        episode: The drive, with images if the localiser needs them.
        localiser: Localiser of the pose; it is reset.
        lanes: Lanes of the town.
        case: Position information from outside.
        config: Frequency of updates, and the errors of the sensors, which follow from the drive's seed.
        watch: Called after the start and after each update.

    Raises:
        EpisodeError: If the drive is shorter than `MIN_SECONDS`.
    """
    check_duration(episode)
    tracker, log = Tracker(episode.scenario, localiser, lanes, case, config), TrackLog()
    for index in range(len(episode)):
        point = tracker.advance(recorded_step(episode, index))
        if point is not None:
            log.add(point)
            if watch is not None:
                watch(point)
    return log.track(tracker.ignored)


def check_duration(episode: Episode) -> None:
    """Refuse a drive that is too short to be localised.

    Raises:
        EpisodeError: If it is shorter than `MIN_SECONDS`.
    """
    duration = float(episode.times[len(episode) - 1])
    if duration < MIN_SECONDS:
        raise EpisodeError(
            f"drive {episode.scenario.name} lasts {duration:.1f} s; to localise, at least {MIN_SECONDS:g} s are needed"
        )


def recorded_step(episode: Episode, index: int) -> LocalizationStep:
    """Return control step `index` of a recorded drive."""
    return LocalizationStep(
        index=index,
        time=float(episode.times[index]),
        pose=episode.pose(index),
        speed=float(episode.speeds[index]),
        steering=float(episode.commands[index]),
        images=episode.images[index] if len(episode.images) else np.zeros((0, 1, 1, 3), np.uint8),
        junctions=sum(passage.end <= episode.stations[index] for passage in episode.passages),
    )
