"""The longitudinal controller's plan: how fast each place of a route may be driven.

The policy steers; speed is the environment's business, as the pedals were the human's in the source.
"""

import numpy as np

from navsim.geometry import Array, Polyline


def speed_profile(path: Polyline, cruise_speed: float, lateral_acceleration: float, braking: float = 2.0) -> Array:
    """Plan the speed at each vertex of a path.

    Args:
        path: The middle of the lane to drive.
        cruise_speed: Speed on straights [m/s].
        lateral_acceleration: Bound in curves: v^2 |curvature| [m/s^2].
        braking: Deceleration with which slower places are approached [m/s^2].

    Returns:
        Speeds (N,) [m/s] over `path.stations`.
    """
    # A window of about 4 m keeps one sharp vertex from counting as a curve.
    spacing = path.length / (len(path.points) - 1)
    width = max(round(4.0 / spacing), 1)
    padded = np.pad(path.curvatures, (width // 2, width - 1 - width // 2), mode="edge")
    curvature = np.convolve(padded, np.ones(width) / width, mode="valid")
    allowed = np.minimum(cruise_speed, np.sqrt(lateral_acceleration / np.maximum(np.abs(curvature), 1e-6)))
    # Braking at a constant rate keeps v^2 + 2 b s constant: a slower place ahead bounds it from there back.
    energy = allowed**2 + 2 * braking * path.stations
    return np.asarray(np.sqrt(np.minimum.accumulate(energy[::-1])[::-1] - 2 * braking * path.stations))


def curve_speed(curvature: float, lateral_acceleration: float, cruise_speed: float) -> float:
    """Fastest speed [m/s] for a commanded curvature [1/m], at most `cruise_speed`."""
    return min(cruise_speed, float(np.sqrt(lateral_acceleration / max(abs(curvature), 1e-6))))
