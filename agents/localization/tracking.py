"""One drive, localised from start to end, control step by control step."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from agents.localization.cases import Localiser, LocalizationCase
from agents.localization.likelihoods import Fix, LanePoints, ObservedFrame
from agents.localization.motion import Odometer, OdometrySpec, OdometryStep, composed
from agents.localization.track import Track, TrackLog, TrackPoint
from navsim.errors import ConfigError, EpisodeError
from navsim.geometry import Pose
from navsim.seeding import generator
from navsim.sensing.gps import GpsSensor, GpsSpec
from navsim.sensing.observation import Image
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Scenario

LEAST_SECONDS = 1.0
"""Shortest drive that can be localised [s]."""
OFF_MAP = 30.0
"""A fix is ignored if it is farther from all roads than this and four standard deviations [m]."""

_MOST_ALIKE = 1 - 1e-6  # correlation of two fixes; there is always a little that is new


@dataclass(frozen=True)
class TrackingConfig:
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
class LocalizationStep:
    """One control step of a drive: what is true, of which the senses are made, and what is seen and done."""

    index: int
    """Number of the step."""
    time: float
    """Since the start [s]."""
    pose: Pose
    """Where the car truly is."""
    speed: float
    """[m/s]."""
    steering: float
    """Curvature that is driven [1/m]."""
    images: Image
    """Camera images (C, H, W, 3) uint8; of no camera if none are there."""
    junctions: int
    """Passed so far."""


class FixSensor:
    """The position fixes of one drive; the same for all localisers."""

    def __init__(self, scenario: Scenario, case: LocalizationCase, spec: TrackingConfig) -> None:
        """Draw the errors at the start from the drive's seed."""
        self._case, self._compass = case, float(np.radians(spec.compass_sigma_deg))
        self._sensor: GpsSensor | None = None
        self._last: float | None = None
        if case.gps_sigma is not None:
            errors = GpsSpec(case.gps_sigma, spec.gps_time, spec.compass_sigma_deg, spec.gps_time)
            rng = generator(scenario.seed, scenario.name, "localisation gps", case.name)
            self._sensor = GpsSensor(errors, rng)

    def read(self, pose: Pose, time: float) -> Fix | None:
        """The fix of a car that is truly at `pose`, at `time` [s]; None if there is none in this case."""
        case, elapsed = self._case, time - (time if self._last is None else self._last)
        self._last = time
        if self._sensor is None or case.gps_sigma is None or (case.lost_after is not None and time > case.lost_after):
            return None
        seen = self._sensor.measure(pose, elapsed)
        return Fix(np.array([seen.x, seen.y, seen.heading]), case.gps_sigma, self._compass)


class Tracker:
    """Follows one drive; may be given its steps while it is driven."""

    def __init__(
        self, scenario: Scenario, localiser: Localiser, lanes: LanePoints, case: LocalizationCase, spec: TrackingConfig
    ) -> None:
        """Begin a drive.

        Args:
            scenario: What is driven; errors of the senses are drawn from its seed.
            localiser: Who believes something; it is begun anew.
            lanes: Where cars can be.
            case: What is known of the position from outside.
            spec: When updates come, and the errors of the senses.
        """
        self._localiser, self._lanes, self._spec = localiser, lanes, spec
        self._fixes = FixSensor(scenario, case, spec)
        self._odometer = Odometer(spec.odometry, generator(scenario.seed, scenario.name, "odometry"))
        self._steps: list[OdometryStep] = []  # since the last update
        self._way = self._distance = 0.0  # since the last update, as sensed; in all, truly
        self._last: LocalizationStep | None = None
        self._told: float | None = None  # when the last fix was believed
        self.ignored = 0
        """Fixes that lay off the map so far."""

    def follow(self, sight: LocalizationStep) -> TrackPoint | None:
        """Take the next control step; returns the update that it led to, if it did."""
        fix, motion = self._fixes.read(sight.pose, sight.time), self._odometer.read(sight.pose, sight.time)
        usable = fix is not None and self._lanes.distance(fix.pose[:2]) <= OFF_MAP + 4 * fix.sigma
        self.ignored += fix is not None and not usable
        first = self._last is None
        if self._last is not None:
            self._distance += float(np.hypot(*(sight.pose.position - self._last.pose.position)))
            self._steps.append(motion)
            self._way += motion.distance
        self._last = sight
        if not first and self._way < self._spec.every:
            return None
        believed = self._related(fix, sight.time) if fix is not None and usable else None
        started = time.perf_counter()
        if first:
            self._localiser.begin(believed)
        else:
            self._localiser.move(composed(self._steps))
            self._localiser.observe(ObservedFrame(sight.images, sight.speed, sight.steering), believed)
        posterior, taken = self._localiser.posterior, time.perf_counter() - started
        self._steps, self._way = [], 0.0
        return TrackPoint(sight.index, sight.time, self._distance, sight.junctions, sight.pose, fix, posterior, taken)

    def _related(self, fix: Fix, now: float) -> Fix:
        """A fix that is believed, with what its error has to do with that of the one before."""
        since, self._told = self._told, now
        if since is None:
            return fix
        return replace(fix, correlation=min(math.exp((since - now) / self._spec.gps_time), _MOST_ALIKE))


def localise(
    episode: Episode,
    localiser: Localiser,
    lanes: LanePoints,
    case: LocalizationCase,
    spec: TrackingConfig,
    watch: Callable[[TrackPoint], None] | None = None,
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
    check_lasts(episode)
    tracker, log = Tracker(episode.scenario, localiser, lanes, case, spec), TrackLog()
    for index in range(len(episode)):
        moment = tracker.follow(sight(episode, index))
        if moment is not None:
            log.add(moment)
            if watch is not None:
                watch(moment)
    return log.track(tracker.ignored)


def check_lasts(episode: Episode) -> None:
    """Refuse a drive that is too short to be localised.

    Raises:
        EpisodeError: If it is shorter than `LEAST_SECONDS`.
    """
    lasts = float(episode.times[len(episode) - 1])
    if lasts < LEAST_SECONDS:
        raise EpisodeError(
            f"drive {episode.scenario.name} lasts {lasts:.1f} s; to localise, at least {LEAST_SECONDS:g} s are needed"
        )


def sight(episode: Episode, index: int) -> LocalizationStep:
    """Control step `index` of a recorded drive."""
    return LocalizationStep(
        index=index,
        time=float(episode.times[index]),
        pose=episode.pose(index),
        speed=float(episode.speeds[index]),
        steering=float(episode.commands[index]),
        images=episode.images[index] if len(episode.images) else np.zeros((0, 1, 1, 3), np.uint8),
        junctions=sum(passage.end <= episode.stations[index] for passage in episode.passages),
    )
