"""Simulated odometry and position fixes of a drive, and particles moved by the odometry. N: particles."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from agents.localization.likelihoods import Fix
from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Array, Pose, wrap_angle
from navsim.seeding import generator
from navsim.sensing.observation import GpsSensor, GpsSpec, OdometrySpec, OdometryStep
from navsim.simulation.scenario import Scenario


@dataclass(frozen=True)
class MotionNoiseConfig(Constrained):
    """Errors that the filter assumes for the odometry: independent ones at each step, and persistent ones.

    Persistent errors are part of a particle's state. They decorrelate over the distance, so that the filter never
    retains only the values of a few survivors.
    """

    distance: Annotated[float, Ge(0)] = 0.03
    """Standard deviation of the distance after 1 m [m]; grows with the root of the distance."""
    across: Annotated[float, Ge(0)] = 0.03
    """Standard deviation of the sideways movement after 1 m [m]; grows with the root of the distance."""
    turn_deg: Annotated[float, Ge(0)] = 0.25
    """Standard deviation of the heading after 1 m [deg]; grows with the root of the distance."""
    scale: Annotated[float, Ge(0)] = 0.01
    """Standard deviation of the persistent relative error of distance."""
    bias_deg: Annotated[float, Ge(0)] = 0.05
    """Standard deviation of the persistent drift of the gyroscope [deg/s]."""
    memory: Annotated[float, Gt(0)] = 500.0
    """Distance after which the persistent errors' correlation has fallen to 1/e [m]."""

    @property
    def persistent(self) -> Array:
        """Standard deviations (2,) of the persistent errors: relative distance, drift of the heading [rad/s]."""
        return np.array([self.scale, np.radians(self.bias_deg)])


@dataclass(frozen=True)
class LocalizationCase:
    """Position information from outside: quality and duration of the fixes."""

    name: str = "none"
    """Name in tables and files."""
    gps_sigma: float | None = None
    """Standard deviation of fixes east and north, each [m]; None: no fixes and no prior."""
    lost_after: float | None = None
    """Time after which the fixes end [s]; None: never."""

    def __post_init__(self) -> None:
        if self.gps_sigma is not None and not self.gps_sigma > 0:
            raise ConfigError(f"case {self.name}: gps_sigma must be above 0, or left out, got {self.gps_sigma}")
        if self.lost_after is not None and (self.gps_sigma is None or not self.lost_after >= 0):
            raise ConfigError(f"case {self.name}: lost_after needs a gps_sigma and must be at least 0")


CASES = (
    LocalizationCase("gps5", 5.0),
    LocalizationCase("gps10", 10.0),
    LocalizationCase("gps20", 20.0),
    LocalizationCase("gps40", 40.0),
    LocalizationCase("lost", 10.0, lost_after=20.0),
    LocalizationCase("none"),
)
"""Cases of the standard table."""


@dataclass(frozen=True)
class TrackingConfig(Constrained):
    """Frequency of updates, and the errors of the sensors."""

    every: Annotated[float, Gt(0)] = 5.0
    """Distance between updates [m]; a standing car gains no information."""
    odometry: OdometrySpec = field(default_factory=OdometrySpec)
    """Errors of the odometry."""
    gps_time: Annotated[float, Gt(0)] = 8.0
    """Correlation time of the fixes' errors [s]."""
    compass_sigma_deg: Annotated[float, Gt(0)] = 3.0
    """Standard deviation of the fixes' headings [deg]."""


class FixSensor:
    """Position fixes of one drive, the same for all localisers."""

    def __init__(self, scenario: Scenario, case: LocalizationCase, config: TrackingConfig) -> None:
        """Draw the errors at the start from the drive's seed."""
        self._case, self._compass = case, float(np.radians(config.compass_sigma_deg))
        self._sensor: GpsSensor | None = None
        self._last: float | None = None
        if case.gps_sigma is not None:
            errors = GpsSpec(case.gps_sigma, config.gps_time, config.compass_sigma_deg, config.gps_time)
            rng = generator(scenario.seed, scenario.name, "localisation gps", case.name)
            self._sensor = GpsSensor(errors, rng)

    def read(self, pose: Pose, time: float) -> Fix | None:
        """Return the fix of a car that is truly at `pose`, at `time` [s]; None without a fix in this case."""
        case, elapsed = self._case, time - (time if self._last is None else self._last)
        self._last = time
        if self._sensor is None or case.gps_sigma is None or (case.lost_after is not None and time > case.lost_after):
            return None
        measured = self._sensor.measure(pose, elapsed)
        return Fix(np.array([measured.x, measured.y, measured.heading]), case.gps_sigma, self._compass)


def compose_motions(motions: Sequence[OdometryStep]) -> OdometryStep:
    """Combine consecutive movements into one."""
    steps = np.array(motions, float).reshape(-1, 4)
    headings = np.concatenate([[0.0], np.cumsum(steps[:, 2])])
    c, s = np.cos(headings[:-1]), np.sin(headings[:-1])
    forward = float((c * steps[:, 0] - s * steps[:, 1]).sum())
    left = float((s * steps[:, 0] + c * steps[:, 1]).sum())
    return OdometryStep(forward, left, float(headings[-1]), float(steps[:, 3].sum()))


def sample_drifts(count: int, noise: MotionNoiseConfig, rng: np.random.Generator) -> Array:
    """Sample persistent errors (count, 2) from their prior: relative distance, drift of the heading [rad/s]."""
    return noise.persistent * rng.normal(size=(count, 2))


def propagate_drifts(drifts: Array, distance: float, noise: MotionNoiseConfig, rng: np.random.Generator) -> Array:
    """Return persistent errors (N, 2) after `distance` [m]: a first-order Gauss-Markov process over the distance."""
    kept = np.exp(-distance / noise.memory)
    return np.asarray(kept * drifts + np.sqrt(1 - kept**2) * sample_drifts(len(drifts), noise, rng))


def propagate_poses(
    poses: Array, drifts: Array, motion: OdometryStep, noise: MotionNoiseConfig, rng: np.random.Generator
) -> Array:
    """Return poses (N, 3) after a movement, each with its persistent errors (N, 2) and with independent ones.

    Half of the error of the turn applies before the movement, so that the path bends with it.
    """
    draws = rng.normal(size=(3, len(poses))) * np.sqrt(motion.distance)
    scale = 1 + drifts[:, 0]
    forward, left = motion.forward / scale + noise.distance * draws[0], motion.left / scale + noise.across * draws[1]
    error = np.radians(noise.turn_deg) * draws[2] - drifts[:, 1] * motion.seconds
    c, s = np.cos(poses[:, 2] + error / 2), np.sin(poses[:, 2] + error / 2)
    x, y = poses[:, 0] + c * forward - s * left, poses[:, 1] + s * forward + c * left
    return np.stack([x, y, wrap_angle(poses[:, 2] + motion.turn + error)], axis=1)
