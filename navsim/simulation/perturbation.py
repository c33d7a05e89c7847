"""Steering noise in bursts, so that recorded drives hold recoveries from where an expert alone never goes.

Triangular pulses added to the command, as in conditional imitation learning (Codevilla et al., ICRA 2018,
section VI-B); the label stays the expert's own command.
"""

from dataclasses import dataclass

import numpy as np

from navsim.errors import ConfigError
from navsim.geometry import Array


@dataclass(frozen=True)
class SteeringNoise:
    """How often, how long and how hard the steering is pulled aside."""

    bursts_per_minute: float = 15.0
    """Mean number of pulses per minute; 0 switches the noise off."""
    duration: tuple[float, float] = (0.3, 1.2)
    """Shortest and longest pulse [s]."""
    lateral_acceleration: float = 9.0
    """Largest peak of a pulse, as lateral acceleration [m/s2], so that it pulls as hard at any speed."""

    def __post_init__(self) -> None:
        low, high = self.duration
        if not 0 < low <= high or not self.bursts_per_minute >= 0 or not self.lateral_acceleration >= 0:
            raise ConfigError(
                "steering noise needs 0 < duration[0] <= duration[1], bursts_per_minute >= 0 and "
                f"lateral_acceleration >= 0, got {self}"
            )


def steering_noise(spec: SteeringNoise, steps: int, control_step: float, rng: np.random.Generator) -> Array:
    """Draw the pulses of one drive.

    Args:
        spec: How often, how long and how hard.
        steps: Number of control steps.
        control_step: Their length [s].
        rng: Source of the draws.

    Returns:
        Lateral acceleration (steps,) [m/s2] to add; divide by the squared speed for curvature.
    """
    signal = np.zeros(steps)
    if spec.bursts_per_minute == 0:
        return signal
    times = np.arange(steps) * control_step
    start = 0.0
    while True:
        start += rng.exponential(60.0 / spec.bursts_per_minute)
        if start >= steps * control_step:
            return signal
        duration = rng.uniform(*spec.duration)
        peak = rng.uniform(-1.0, 1.0) * spec.lateral_acceleration
        signal += peak * np.clip(1.0 - np.abs(times - start - duration / 2) / (duration / 2), 0.0, None)
        start += duration


def noisy_command(command: float, lateral_acceleration: float, speed: float, max_curvature: float) -> float:
    """Add a pull to a command.

    Args:
        command: The driver's curvature [1/m].
        lateral_acceleration: The pull [m/s2].
        speed: Speed of the car [m/s]; below 3 m/s the pull is taken as at 3 m/s.
        max_curvature: Bound of the sum [1/m].
    """
    return float(np.clip(command + lateral_acceleration / max(speed, 3.0) ** 2, -max_curvature, max_curvature))
