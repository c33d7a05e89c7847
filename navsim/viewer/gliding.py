"""What lies between two moments, and a moment in words."""

from navsim.geometry import Pose, wrap_angle
from navsim.simulation.rollout import Moment


def motion_words(moment: Moment) -> str:
    """Speed and place in the lane, in words."""
    offset = moment.step.progress.offset
    return f"{moment.step.state.speed:.1f} m/s   {abs(offset):.2f} m {'left' if offset > 0 else 'right'}"


def between(a: Pose, b: Pose, share: float) -> Pose:
    """The pose at `share` of the way from `a` to `b`, turned the shorter way round; shares are cut to [0, 1]."""
    share = min(max(share, 0.0), 1.0)
    turn = float(wrap_angle(b.heading - a.heading))
    return Pose(a.x + share * (b.x - a.x), a.y + share * (b.y - a.y), a.heading + share * turn)
