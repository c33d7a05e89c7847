"""What a driver is about in each frame of a drive, so that scores can be given for each kind by itself. T: frames."""

import numpy as np
from numpy.typing import NDArray

from navsim.driving.episode import Episode
from navsim.roads.elements import Manoeuvre

GROUPS = {0: "straight", 1: "curve", 2: "left", 3: "right", 4: "straight on", 5: "roundabout"}
"""Names of the groups by number: lane following first, then ways through junctions."""
BEFORE = 10.0
"""A junction is on a driver's mind from here before its mouth to its end [m]."""
AHEAD = 10.0
"""Length of the lane ahead that makes a curve of it [m]."""
CURVE = 0.01
"""Mean curvature of that length from which it is a curve [1/m]: a radius of 100 m."""

_STRAIGHT, _CURVE = 0, 1
_JUNCTION = {Manoeuvre.LEFT: 2, Manoeuvre.RIGHT: 3, Manoeuvre.STRAIGHT: 4, Manoeuvre.ROUNDABOUT: 5}


def manoeuvre_groups(episode: Episode) -> NDArray[np.int64]:
    """The group of each frame (T,), see `GROUPS`.

    It is told by the lane and by where the car is on it, never by the label: predictions are calibrated for what a
    driver can see, and no longer so once their outcome has been looked at.
    """
    stations = np.maximum.accumulate(episode.stations)  # (T + 1,); a car may roll back a little
    directions = np.unwrap(episode.poses[:, 2] - episode.heading_errors)  # of the lane [rad]
    ends = np.minimum(stations + AHEAD, stations[-1])
    turns = np.interp(ends, stations, directions) - np.interp(stations, stations, directions)
    curved = np.abs(turns) > CURVE * np.maximum(ends - stations, 1.0)
    groups = np.where(curved, _CURVE, _STRAIGHT)
    for passage in reversed(episode.passages):  # where two overlap, the nearer counts
        near = (episode.stations >= passage.start - BEFORE) & (episode.stations <= passage.end)
        groups[near] = _JUNCTION[passage.manoeuvre]
    return groups[:-1].astype(np.int64)
