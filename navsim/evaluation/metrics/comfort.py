"""How a drive feels: accelerations and turning within what Bench2Drive calls comfortable; how calm its steering is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.evaluation.statistics.intervals import Share
from navsim.geometry import Array
from navsim.simulation.episode import Episode

WINDOW = 20
"""Control steps that are comfortable or not together, as in Bench2Drive (Jia et al. 2024)."""
STILL_HANDS = 1e-4
"""Changes of the command up to this are none [1/m]: no steering wheel is that exact."""


@dataclass(frozen=True)
class ComfortLimits:
    """What is comfortable, after Bench2Drive (PAPER.md, "Comfort"), which has it from nuPlan."""

    jerk: float = 8.37
    """Largest |change of the acceleration's magnitude| [m/s3]."""
    lateral_acceleration: float = 4.89
    """Largest |lateral acceleration| [m/s2]."""
    braking: float = -4.05
    """Least acceleration along the car [m/s2]."""
    acceleration: float = 2.40
    """Largest acceleration along the car [m/s2]."""
    yaw_rate: float = 0.95
    """Largest |yaw rate| [rad/s]."""
    yaw_acceleration: float = 1.93
    """Largest |yaw acceleration| [rad/s2]."""


@dataclass(frozen=True, eq=False)
class Ride:
    """What a passenger feels over each of the T control steps of a drive."""

    acceleration: Array
    """Along the car (T,) [m/s2]."""
    lateral_acceleration: Array
    """To the left (T,) [m/s2]."""
    jerk: Array
    """Change of the acceleration's magnitude since the step before (T,) [m/s3]; 0 for the first."""
    yaw_rate: Array
    """Counter-clockwise (T,) [rad/s]."""
    yaw_acceleration: Array
    """Change of the yaw rate since the step before (T,) [rad/s2]; 0 for the first."""


def ride(episode: Episode) -> Ride:
    """Take a drive's accelerations from its speeds and headings, by differences from one control step to the next.

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
    """For each control step (T,) whether all of the ride is within the limits."""
    bounds, felt = limits or ComfortLimits(), ride(episode)
    return np.asarray(
        (np.abs(felt.jerk) <= bounds.jerk)
        & (np.abs(felt.lateral_acceleration) <= bounds.lateral_acceleration)
        & (felt.acceleration >= bounds.braking)
        & (felt.acceleration <= bounds.acceleration)
        & (np.abs(felt.yaw_rate) <= bounds.yaw_rate)
        & (np.abs(felt.yaw_acceleration) <= bounds.yaw_acceleration)
    )


def comfort(episodes: Sequence[Episode], limits: ComfortLimits | None = None) -> Share:
    """Windows of `WINDOW` control steps, one after the other, whose every step is comfortable, of all such windows.

    What is left at the end of a drive fills no window and is left out. The interval of the share takes windows for
    independent, which those of one drive are not quite.
    """
    windows = [_windows(comfortable_steps(episode, limits)) for episode in episodes]
    return Share(sum(int(part.sum()) for part in windows), sum(len(part) for part in windows))


def steering_rate(episodes: Sequence[Episode]) -> float | None:
    """Mean |change of the commanded curvature| per second, of all drives together [1/(m s)]; None of no change."""
    changes = [np.abs(np.diff(episode.commands)) for episode in episodes]
    seconds = sum(float(episode.times[-2] - episode.times[0]) for episode in episodes)
    return float(sum(part.sum() for part in changes) / seconds) if seconds > 0 else None


def steering_reversals(episodes: Sequence[Episode]) -> float | None:
    """How often the steering turns back, per second of all drives together [1/s]; None of nothing driven.

    A reversal is a change of the command that has another sign than the change before it; changes of no more than
    `STILL_HANDS` are passed over. A car held on a steady curve has none, one that swings to and fro two per swing.
    """
    turns, seconds = 0, 0.0
    for episode in episodes:
        changes = np.diff(episode.commands)
        signs = np.sign(changes[np.abs(changes) > STILL_HANDS])
        turns += int((signs[1:] != signs[:-1]).sum())
        seconds += float(episode.times[-1] - episode.times[0])
    return turns / seconds if seconds > 0 else None


def _change(values: Array, elapsed: Array) -> Array:
    """Change from the step before over the time between the steps' middles; 0 for the first step."""
    return np.concatenate([np.zeros(1), np.diff(values) / ((elapsed[1:] + elapsed[:-1]) / 2)])


def _windows(steps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all steps of each whole window are so."""
    whole = len(steps) // WINDOW
    return np.asarray(steps[: whole * WINDOW].reshape(whole, WINDOW).all(axis=1))
