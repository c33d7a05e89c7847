"""Comfort of drives: accelerations and turning within the limits of Bench2Drive, and how calm the steering is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.evaluation.statistics.intervals import Share
from navsim.geometry import Array
from navsim.simulation.episode import Episode

WINDOW = 20
"""Number of control steps of a window, as in Bench2Drive (Jia et al. 2024)."""
STEERING_DEADBAND = 1e-4
"""Changes of the command up to this are ignored [1/m]: no steering wheel is that exact."""


@dataclass(frozen=True)
class ComfortLimits:
    """Limits of comfort of Bench2Drive (PAPER.md, "Comfort"), which took them from nuPlan."""

    jerk: float = 8.37
    """Largest |change of the acceleration's magnitude| [m/s3]."""
    lateral_acceleration: float = 4.89
    """Largest |lateral acceleration| [m/s2]."""
    braking: float = -4.05
    """Smallest acceleration along the car [m/s2]."""
    acceleration: float = 2.40
    """Largest acceleration along the car [m/s2]."""
    yaw_rate: float = 0.95
    """Largest |yaw rate| [rad/s]."""
    yaw_acceleration: float = 1.93
    """Largest |yaw acceleration| [rad/s2]."""


@dataclass(frozen=True, eq=False)
class Ride:
    """Accelerations and turning over each of the T control steps of a drive."""

    acceleration: Array
    """Acceleration along the car (T,) [m/s2]."""
    lateral_acceleration: Array
    """Acceleration to the left (T,) [m/s2]."""
    jerk: Array
    """Change of the acceleration's magnitude since the step before (T,) [m/s3]; 0 for the first."""
    yaw_rate: Array
    """Counter-clockwise yaw rate (T,) [rad/s]."""
    yaw_acceleration: Array
    """Change of the yaw rate since the step before (T,) [rad/s2]; 0 for the first."""


def ride(episode: Episode) -> Ride:
    """Return a drive's accelerations, from differences of speeds and headings between control steps.

    The acceleration along the car is the change of speed over a step, the yaw rate that of the heading, the lateral
    acceleration the yaw rate times the mean speed of the step. Nothing is smoothed; Bench2Drive fits polynomials
    over a window first, which hides the shortest jolts.
    """
    elapsed = np.diff(episode.times)
    acceleration = np.diff(episode.speeds) / elapsed
    turned = np.diff(episode.poses[:, 2])
    yaw_rate = ((turned + np.pi) % (2 * np.pi) - np.pi) / elapsed
    lateral = yaw_rate * (episode.speeds[1:] + episode.speeds[:-1]) / 2
    return Ride(
        acceleration=acceleration,
        lateral_acceleration=lateral,
        jerk=_change(np.hypot(acceleration, lateral), elapsed),
        yaw_rate=yaw_rate,
        yaw_acceleration=_change(yaw_rate, elapsed),
    )


def comfortable_steps(episode: Episode, limits: ComfortLimits | None = None) -> NDArray[np.bool_]:
    """Return for each control step (T,) whether the ride is within all limits."""
    bounds, measured = limits or ComfortLimits(), ride(episode)
    return np.asarray(
        (np.abs(measured.jerk) <= bounds.jerk)
        & (np.abs(measured.lateral_acceleration) <= bounds.lateral_acceleration)
        & (measured.acceleration >= bounds.braking)
        & (measured.acceleration <= bounds.acceleration)
        & (np.abs(measured.yaw_rate) <= bounds.yaw_rate)
        & (np.abs(measured.yaw_acceleration) <= bounds.yaw_acceleration)
    )


def comfort(episodes: Sequence[Episode], limits: ComfortLimits | None = None) -> Share:
    """Return the share of comfortable windows: those whose `WINDOW` control steps are all comfortable.

    Windows follow one after the other; steps at the end of a drive that fill no window are left out. The interval of
    the share takes windows for independent, which those of one drive are not quite.
    """
    windows = [_windows(comfortable_steps(episode, limits)) for episode in episodes]
    return Share(sum(int(part.sum()) for part in windows), sum(len(part) for part in windows))


def steering_rate(episodes: Sequence[Episode]) -> float | None:
    """Return the mean |change of the command| per second of all drives [1/(m s)]; None without two commands."""
    changes = [np.abs(np.diff(episode.commands)) for episode in episodes]
    seconds = sum(float(episode.times[-2] - episode.times[0]) for episode in episodes)
    return float(sum(part.sum() for part in changes) / seconds) if seconds > 0 else None


def steering_reversals(episodes: Sequence[Episode]) -> float | None:
    """Return the number of steering reversals per second of all drives together [1/s]; None if nothing was driven.

    A reversal is a change of the command whose sign differs from that of the change before it. Changes of at most
    `STEERING_DEADBAND` are skipped. A car held on a steady curve has none; one that swings has two per swing.
    """
    turns, seconds = 0, 0.0
    for episode in episodes:
        changes = np.diff(episode.commands)
        signs = np.sign(changes[np.abs(changes) > STEERING_DEADBAND])
        turns += int((signs[1:] != signs[:-1]).sum())
        seconds += float(episode.times[-1] - episode.times[0])
    return turns / seconds if seconds > 0 else None


def _change(values: Array, elapsed: Array) -> Array:
    """Return the change from the step before over the time between the steps' middles; 0 for the first step."""
    return np.concatenate([np.zeros(1), np.diff(values) / ((elapsed[1:] + elapsed[:-1]) / 2)])


def _windows(steps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return whether each whole window has true steps only."""
    whole = len(steps) // WINDOW
    return np.asarray(steps[: whole * WINDOW].reshape(whole, WINDOW).all(axis=1))
