"""GPS and compass with drift: first-order Gauss-Markov errors, as in a city.

Each error e follows de = -e / tau dt + noise with stationary standard deviation sigma, so that
E[e(t) e(t + s)] = sigma^2 exp(-s / tau). A network can average white noise out, but not this drift.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from navsim.config import Constrained
from navsim.geometry import Array, Pose


@dataclass(frozen=True)
class GpsSpec(Constrained):
    """Sizes and correlation times of the errors of GPS and compass."""

    position_sigma: Annotated[float, Ge(0)] = 2.0
    """Stationary standard deviation of the position error, east and north each [m]."""
    position_time: Annotated[float, Gt(0)] = 8.0
    """Correlation time of the position error [s]."""
    heading_sigma_deg: Annotated[float, Ge(0)] = 3.0
    """Stationary standard deviation of the heading error [deg]."""
    heading_time: Annotated[float, Gt(0)] = 8.0
    """Correlation time of the heading error [s]."""
    white_sigma: Annotated[float, Ge(0)] = 0.1
    """Standard deviation of the additional independent error of each fix, east and north [m]."""

    def _error_prefix(self) -> str:
        return "gps."


class GpsSensor:
    """GPS and compass of one drive."""

    def __init__(self, spec: GpsSpec, rng: np.random.Generator) -> None:
        """Draw the initial errors from their stationary distribution.

        Args:
            spec: Sizes and correlation times of the errors.
            rng: Random generator of the sensor's noise, for the sensor alone.
        """
        self._rng = rng
        self._sigmas = np.array([spec.position_sigma, spec.position_sigma, np.radians(spec.heading_sigma_deg)])
        self._times = np.array([spec.position_time, spec.position_time, spec.heading_time])
        self._white = spec.white_sigma
        self._errors: Array = rng.normal(size=3) * self._sigmas  # (3,): east, north, heading

    def measure(self, pose: Pose, elapsed: float = 0.0) -> Pose:
        """Advance the errors by `elapsed` [s] and return the measured pose of a car whose true pose is `pose`."""
        decay = np.exp(-elapsed / self._times)
        self._errors = decay * self._errors + self._sigmas * np.sqrt(1 - decay**2) * self._rng.normal(size=3)
        east, north = self._errors[:2] + self._white * self._rng.normal(size=2)
        return Pose(pose.x + float(east), pose.y + float(north), pose.heading + float(self._errors[2]))
