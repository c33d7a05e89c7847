"""The log of a drive so far: its latest events with their times, and the past path."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from navsim.drivers.action_selection import Mode, find_modes
from navsim.drivers.protocol import Decision
from navsim.geometry import Pose
from navsim.rendering.window.window_scene import TRAIL_MARKS, TRAIL_SPACING
from navsim.roads.routing import JunctionPassage
from navsim.simulation.rollout import RolloutStep

MAX_OFFSET = 1.0
"""Distance from the lane's centre above which the car is off its lane [m]."""
_BACK_OFFSET = 0.5  # below this distance the car is back in its lane; the gap avoids repeated events
_MAX_EVENTS = 3
_VALLEY = 0.8  # two maxima are two modes if the density between them falls below this fraction of the lower one
_MIN_MASS = 0.05  # modes with less probability are not reported


@dataclass(frozen=True)
class Event:
    """An event of a drive."""

    time: float
    """Time since the start of the drive [s]."""
    text: str
    """Description in a few words."""


@dataclass(frozen=True)
class DriveLog:
    """What has happened in a drive so far."""

    events: tuple[Event, ...] = ()
    """The latest events, the newest last."""
    trail: tuple[Pose, ...] = ()
    """Past poses of the car, `TRAIL_SPACING` apart, the latest last."""
    manual: bool = False
    """Whether a person steers by keyboard."""
    off_lane: bool = False
    """Whether the car is off its lane's centre."""
    passage: JunctionPassage | None = None
    """Junction that the car is driving through, if any."""
    num_modes: int = 0
    """Number of modes of the last distribution, 0 without one."""

    def after(self, step: RolloutStep, passages: Sequence[JunctionPassage] = (), manual: bool = False) -> "DriveLog":
        """Return the log one control step later.

        Args:
            step: Control step.
            passages: Junctions on the route.
            manual: Whether a person steers by keyboard.
        """
        progress, state = step.time_step.progress, step.time_step.state
        passage = next((p for p in passages if p.start <= progress.station < p.end), None)
        distance = abs(progress.offset)
        off_lane = distance > (_BACK_OFFSET if self.off_lane else MAX_OFFSET)
        num_modes = len(decision_modes(step.decision))
        texts = []
        if passage is not None and passage != self.passage:
            texts.append(f"junction: {str(passage.manoeuvre).replace('_', ' ')}")
        if off_lane != self.off_lane:
            texts.append(f"{distance:.1f} m off the lane" if off_lane else "back in the lane")
        if num_modes > 1 >= self.num_modes:
            texts.append(f"{num_modes} possible paths")
        if manual != self.manual:
            texts.append("manual steering" if manual else "driver steers again")
        events = (*self.events, *(Event(state.time, text) for text in texts))[-_MAX_EVENTS:]
        return replace(
            self,
            events=events,
            trail=_extended(self.trail, state.pose),
            manual=manual,
            off_lane=off_lane,
            passage=passage,
            num_modes=num_modes,
        )


def decision_modes(decision: Decision) -> tuple[Mode, ...]:
    """Return the modes of a decision's distribution with at least 5% of the probability, from right to left."""
    if decision.grid is None or decision.density is None:
        return ()
    modes = find_modes(decision.grid, decision.density, _VALLEY)
    total = max(sum(mode.mass for mode in modes), 1e-12)
    return tuple(Mode(mode.curvature, mode.mass / total) for mode in modes if mode.mass > _MIN_MASS * total)


def _extended(trail: tuple[Pose, ...], pose: Pose) -> tuple[Pose, ...]:
    """Return the trail with `pose` appended if that is far enough from the last one."""
    if trail and np.hypot(pose.x - trail[-1].x, pose.y - trail[-1].y) < TRAIL_SPACING:
        return trail
    return (*trail, pose)[-TRAIL_MARKS:]
