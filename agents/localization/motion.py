"""How the car moved: odometry with its errors, and candidates moved by it. N: candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from navsim.errors import ConfigError
from navsim.geometry import Array, Pose, wrap_angle


class OdometryStep(NamedTuple):
    """A movement in the frame of the pose it began at."""

    forward: float
    """[m]."""
    left: float
    """[m]."""
    turn: float
    """Counter-clockwise [rad]."""
    seconds: float = 0.0
    """Time that it took [s]."""

    @property
    def distance(self) -> float:
        """Length of the straight way [m]."""
        return float(np.hypot(self.forward, self.left))


@dataclass(frozen=True)
class OdometrySpec:
    """Errors of wheel ticks and a gyroscope, as of a road car."""

    scale_sigma: float = 0.01
    """Standard deviation between drives of the error of distance, as a share of it: worn tyres."""
    distance_sigma: float = 0.02
    """Standard deviation of the distance driven over 1 m [m]; grows with the root of the way."""
    bias_sigma_deg: float = 0.05
    """Standard deviation between drives of the gyroscope's drift [deg/s]."""
    turn_sigma_deg: float = 0.2
    """Standard deviation of the heading after 1 m [deg]; grows with the root of the way."""

    def __post_init__(self) -> None:
        for name in ("scale_sigma", "distance_sigma", "bias_sigma_deg", "turn_sigma_deg"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"odometry.{name} must be at least 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class MotionNoise:
    """What the filter holds possible of the odometry: errors that each candidate draws anew, and its persistent ones.

    The persistent ones are part of a candidate's state. They are forgotten over a long way, so that a few survivors'
    values are never all that is left.
    """

    distance: float = 0.03
    """Standard deviation of the distance after 1 m [m]; grows with the root of the way."""
    across: float = 0.03
    """Standard deviation of the sideways movement after 1 m [m]; likewise."""
    turn_deg: float = 0.25
    """Standard deviation of the heading after 1 m [deg]; likewise."""
    scale: float = 0.01
    """Standard deviation of the persistent error of distance, as a share of it."""
    bias_deg: float = 0.05
    """Standard deviation of the persistent drift of the gyroscope [deg/s]."""
    memory: float = 500.0
    """Way after which the persistent errors' correlation has fallen to 1/e [m]."""

    def __post_init__(self) -> None:
        for name in ("distance", "across", "turn_deg", "scale", "bias_deg"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"motion.{name} must be at least 0, got {getattr(self, name)}")
        if not self.memory > 0:
            raise ConfigError(f"motion.memory must be above 0, got {self.memory}")

    @property
    def persistent(self) -> Array:
        """Standard deviations (2,) of the errors that last: share of the distance, drift of the heading [rad/s]."""
        return np.array([self.scale, np.radians(self.bias_deg)])


class Odometer:
    """What the odometry of one drive says, reading by reading."""

    def __init__(self, spec: OdometrySpec, rng: np.random.Generator) -> None:
        """Draw the errors that stay the same over the drive.

        Args:
            spec: Its errors.
            rng: Draws them; owned by the odometer from here on.
        """
        self._spec, self._rng = spec, rng
        self._scale = 1 + spec.scale_sigma * rng.normal()
        self._bias = np.radians(spec.bias_sigma_deg) * rng.normal()
        self._last: tuple[Pose, float] | None = None

    def read(self, pose: Pose, time: float) -> OdometryStep:
        """The movement since the last reading, with errors; none at the first one.

        Args:
            pose: Where the car truly is.
            time: Since the start [s].
        """
        before, since = self._last or (pose, time)
        self._last = pose, time
        forward, left = before.to_vehicle(pose.position[None])[0].tolist()
        root, draws = np.sqrt(np.hypot(forward, left)), self._rng.normal(size=2)
        turn = float(wrap_angle(pose.heading - before.heading))
        turn += self._bias * (time - since) + np.radians(self._spec.turn_sigma_deg) * root * draws[1]
        forward = self._scale * forward + self._spec.distance_sigma * root * draws[0]
        return OdometryStep(float(forward), float(self._scale * left), float(turn), time - since)


def composed(motions: Sequence[OdometryStep]) -> OdometryStep:
    """Several movements one after the other, as one."""
    steps = np.array(motions, float).reshape(-1, 4)
    before = np.concatenate([[0.0], np.cumsum(steps[:, 2])])
    c, s = np.cos(before[:-1]), np.sin(before[:-1])
    forward = float((c * steps[:, 0] - s * steps[:, 1]).sum())
    left = float((s * steps[:, 0] + c * steps[:, 1]).sum())
    return OdometryStep(forward, left, float(before[-1]), float(steps[:, 3].sum()))


def drawn_drifts(count: int, noise: MotionNoise, rng: np.random.Generator) -> Array:
    """Persistent errors (count, 2) of candidates that know nothing of them: share of the distance, drift [rad/s]."""
    return noise.persistent * rng.normal(size=(count, 2))


def drifted(drifts: Array, distance: float, noise: MotionNoise, rng: np.random.Generator) -> Array:
    """Persistent errors (N, 2) after `distance` [m]: a first-order Gauss-Markov process over the way."""
    kept = np.exp(-distance / noise.memory)
    return np.asarray(kept * drifts + np.sqrt(1 - kept**2) * drawn_drifts(len(drifts), noise, rng))


def moved(poses: Array, drifts: Array, motion: OdometryStep, noise: MotionNoise, rng: np.random.Generator) -> Array:
    """Candidates (N, 3) after a movement, each with persistent errors (N, 2) and passing ones of its own.

    Half of the turn's error acts before the car has moved, so that the way bends with it.
    """
    draws = rng.normal(size=(3, len(poses))) * np.sqrt(motion.distance)
    scale = 1 + drifts[:, 0]
    forward, left = motion.forward / scale + noise.distance * draws[0], motion.left / scale + noise.across * draws[1]
    error = np.radians(noise.turn_deg) * draws[2] - drifts[:, 1] * motion.seconds
    c, s = np.cos(poses[:, 2] + error / 2), np.sin(poses[:, 2] + error / 2)
    x, y = poses[:, 0] + c * forward - s * left, poses[:, 1] + s * forward + c * left
    return np.stack([x, y, wrap_angle(poses[:, 2] + motion.turn + error)], axis=1)
