"""The plain crossing that a junction could have been: ways out of a lane that need not exist.

Measures that ask what a driver believes of a junction need the exits that are not there as well as those that are. A
plain crossing has four roads like the one the car is on, at right angles, with mouths as far from the node as its own.
"""

import numpy as np
import shapely

from navsim.geometry import Polyline, Pose
from navsim.roads.connectors import Way, connector_paths
from navsim.roads.elements import Manoeuvre
from navsim.roads.network import RoadNetwork

DIRECTIONS = (Manoeuvre.LEFT, Manoeuvre.STRAIGHT, Manoeuvre.RIGHT)
"""The exits of a plain crossing."""
_TURNS = (np.pi / 2, 0.0, -np.pi / 2)
_ROOM = 1000.0
"""Half the side of the paved square on which the ways are laid [m]: no kerb is near."""


def plain_exits(network: RoadNetwork, lane: int, beyond: float = 20.0) -> tuple[Polyline, Polyline, Polyline]:
    """Ways out of a lane if it led to a plain crossing.

    Args:
        network: Where the lane is.
        lane: Its index.
        beyond: How far the ways go on past the crossing [m].

    Returns:
        For each of `DIRECTIONS` the path [m] from the end of the lane to `beyond` the imagined mouth.
    """
    path, setback, left = network.lanes[lane].path, _setback(network, lane), _left_of_centre(network, lane)
    mouth = path.pose(path.length)
    node = mouth.moved(forward=setback, left=-left)
    before = _line(mouth, setback)
    outward = [_line(node.moved(turn=turn).moved(left=left), setback + beyond) for turn in _TURNS]
    ways = [Way(before, after.between(0.0, setback)) for after in outward]
    square = shapely.box(mouth.x - _ROOM, mouth.y - _ROOM, mouth.x + _ROOM, mouth.y + _ROOM)
    inside = connector_paths(ways, square)
    onward = [after.between(setback, after.length) for after in outward]
    first, second, third = (Polyline.joined(pair) for pair in zip(inside, onward, strict=True))
    return first, second, third


def _line(start: Pose, length: float) -> Polyline:
    """A straight path ahead of a pose, with a vertex about every metre."""
    return Polyline(start.to_world([[0.0, 0.0], [length, 0.0]])).resampled(1.0)


def _setback(network: RoadNetwork, lane: int) -> float:
    """Distance from a lane's end to its junction's node [m], along the centre of its road."""
    road, (first, last) = network.roads[network.lanes[lane].road], network.mouths(network.lanes[lane].road)
    return road.centre.length - last if network.lanes[lane].forward else first


def _left_of_centre(network: RoadNetwork, lane: int) -> float:
    """Offset of a lane from the centre of its road [m], positive to the left as driven."""
    there = network.lanes[lane]
    offset = network.roads[there.road].lane_offset(there.forward, there.index)
    return offset if there.forward else -offset
