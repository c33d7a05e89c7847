"""What has happened in a drive so far, for whoever watches: events with their times, and the way that was driven."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from navsim.drivers.action_selection import Mode, find_modes
from navsim.drivers.protocol import Decision
from navsim.geometry import Pose
from navsim.rendering.window.window_scene import TRAIL_MARKS, TRAIL_SPACING
from navsim.roads.routing import JunctionPassage
from navsim.simulation.rollout import RolloutStep

FAR_OFF = 1.0
"""Distance from the lane's centre that is an event [m]."""
_BACK = 0.5  # and the distance at which it is over [m]
_KEPT = 3  # events
_VALLEY = 0.8  # two maxima are two modes if the density between them falls below this share of the lower one
_LEAST_MASS = 0.05  # lesser modes are not worth a word


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    time: float
    """Since the start of the drive [s]."""
    words: str
    """What."""


@dataclass(frozen=True)
class DriveLog:
    """A drive so far."""

    events: tuple[Event, ...] = ()
    """The latest events, the newest last."""
    trail: tuple[Pose, ...] = ()
    """Where the car has been, every `TRAIL_SPACING`, the latest last."""
    by_hand: bool = False
    """Whether a person has the wheel."""
    far_off: bool = False
    """Whether the car is off its lane's centre."""
    passage: JunctionPassage | None = None
    """The junction that is being driven through."""
    ways: int = 0
    """How many modes the distribution has; 0 before there was one."""

    def after(self, moment: RolloutStep, passages: Sequence[JunctionPassage] = (), by_hand: bool = False) -> "DriveLog":
        """The story one moment later.

        Args:
            moment: The control step.
            passages: Junctions on the route.
            by_hand: Whether a person has the wheel.
        """
        progress, state = moment.step.progress, moment.step.state
        passage = next((p for p in passages if p.start <= progress.station < p.end), None)
        distance = abs(progress.offset)
        far_off = distance > (_BACK if self.far_off else FAR_OFF)
        ways = len(decision_modes(moment.decision))
        news = []
        if passage is not None and passage != self.passage:
            news.append(f"junction: {str(passage.manoeuvre).replace('_', ' ')}")
        if far_off != self.far_off:
            news.append(f"{distance:.1f} m off the lane" if far_off else "back in the lane")
        if ways > 1 >= self.ways:
            news.append(f"sees {ways} ways")
        if by_hand != self.by_hand:
            news.append("wheel in hand" if by_hand else "wheel handed back")
        events = (*self.events, *(Event(state.time, words) for words in news))[-_KEPT:]
        return replace(
            self,
            events=events,
            trail=_extended(self.trail, state.pose),
            by_hand=by_hand,
            far_off=far_off,
            passage=passage,
            ways=ways,
        )


def decision_modes(decision: Decision) -> tuple[Mode, ...]:
    """The modes of a decision's distribution that hold a fair share of the probability, from right to left."""
    if decision.grid is None or decision.density is None:
        return ()
    modes = find_modes(decision.grid, decision.density, _VALLEY)
    total = max(sum(mode.mass for mode in modes), 1e-12)
    return tuple(Mode(mode.curvature, mode.mass / total) for mode in modes if mode.mass > _LEAST_MASS * total)


def _extended(trail: tuple[Pose, ...], pose: Pose) -> tuple[Pose, ...]:
    """The trail with another place if the car has come far enough from the last one."""
    if trail and np.hypot(pose.x - trail[-1].x, pose.y - trail[-1].y) < TRAIL_SPACING:
        return trail
    return (*trail, pose)[-TRAIL_MARKS:]
