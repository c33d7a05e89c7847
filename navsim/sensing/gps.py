"""A position fix that drifts: first-order Gauss-Markov errors, as of an urban GPS and a compass.

Each error e follows de = -e / tau dt + noise with stationary standard deviation sigma, so that
E[e(t) e(t + s)] = sigma^2 exp(-s / tau). A net can average white noise away; it cannot average this one.
"""

from dataclasses import dataclass

import numpy as np

from navsim.errors import ConfigError
from navsim.geometry import Array, Pose


@dataclass(frozen=True)
class GpsSpec:
    """How far and how fast the fix drifts."""

    position_sigma: float = 2.0
    """Stationary standard deviation of the error east and north, each [m]."""
    position_time: float = 8.0
    """Correlation time of the position error [s]."""
    heading_sigma_deg: float = 3.0
    """Stationary standard deviation of the heading error [deg]."""
    heading_time: float = 8.0
    """Correlation time of the heading error [s]."""
    white_sigma: float = 0.1
    """Standard deviation of the additional independent error of each fix, east and north [m]."""

    def __post_init__(self) -> None:
        for name in ("position_sigma", "heading_sigma_deg", "white_sigma"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"gps.{name} must be at least 0, got {getattr(self, name)}")
        for name in ("position_time", "heading_time"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"gps.{name} must be above 0, got {getattr(self, name)}")


class GpsSensor:
    """The drifting errors of one drive."""

    def __init__(self, spec: GpsSpec, rng: np.random.Generator) -> None:
        """Draw the errors at the start from their stationary distribution.

        Args:
            spec: Sizes and correlation times of the errors.
            rng: Source of all the sensor's noise; owned by the sensor from here on.
        """
        self._rng = rng
        self._sigmas = np.array([spec.position_sigma, spec.position_sigma, np.radians(spec.heading_sigma_deg)])
        self._times = np.array([spec.position_time, spec.position_time, spec.heading_time])
        self._white = spec.white_sigma
        self._errors: Array = rng.normal(size=3) * self._sigmas  # (3,): east, north, heading

    def measure(self, pose: Pose, elapsed: float = 0.0) -> Pose:
        """Let the errors drift for `elapsed` [s] and return the fix of a car that is truly at `pose`."""
        decay = np.exp(-elapsed / self._times)
        self._errors = decay * self._errors + self._sigmas * np.sqrt(1 - decay**2) * self._rng.normal(size=3)
        east, north = self._errors[:2] + self._white * self._rng.normal(size=2)
        return Pose(pose.x + float(east), pose.y + float(north), pose.heading + float(self._errors[2]))
