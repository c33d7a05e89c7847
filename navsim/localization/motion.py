"""Motion of particles by the odometry, with the errors that the filter assumes. N: particles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from navsim.config import Constrained
from navsim.geometry import Array, wrap_angle
from navsim.sensing.observation import OdometryStep


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
