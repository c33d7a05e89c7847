"""What a car is doing in each frame of a drive, so that scores can be given apart for each kind of driving."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from navsim.roads.elements import JunctionKind, Manoeuvre
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route
from navsim.simulation.episode import Episode

CURVE = 0.01
"""From this curvature of the route's lane on a frame counts as in a curve [1/m]: a radius of 100 m."""


class FrameManoeuvre(StrEnum):
    """What a frame shows; every frame shows one."""

    STRAIGHT = "straight"
    """On a road that leads straight ahead."""
    CURVE = "curve"
    """On a road that curves."""
    LEFT = "left"
    """Turning left at a junction."""
    RIGHT = "right"
    """Turning right at a junction."""
    STRAIGHT_ON = "straight_on"
    """Going straight on at a junction."""
    ROUNDABOUT = "roundabout"
    """On a roundabout's ring, or on the way onto it or off it."""


_AT_JUNCTIONS = {
    Manoeuvre.LEFT: FrameManoeuvre.LEFT,
    Manoeuvre.STRAIGHT: FrameManoeuvre.STRAIGHT_ON,
    Manoeuvre.RIGHT: FrameManoeuvre.RIGHT,
    Manoeuvre.ROUNDABOUT: FrameManoeuvre.ROUNDABOUT,
}


def manoeuvre_of_frames(episode: Episode, network: RoadNetwork, route: Route) -> NDArray[np.str_]:
    """Say what the car is doing in each of an episode's T frames.

    This is told by where the car is along its route, never by its label: groups chosen by label would favour whoever
    predicts the label's own group. Where only two roads meet there is nothing to choose, so such a bend counts as road.

    Args:
        episode: The drive; images are not looked at.
        network: The roads of its scenario's town.
        route: The route that was to be driven, see `navsim.simulation.town.scenario_route`.

    Returns:
        Values of `FrameManoeuvre` (T,).
    """
    stations = episode.stations[:-1]
    bent = np.abs(route.path.curvature(stations)) >= CURVE
    found = np.where(bent, FrameManoeuvre.CURVE, FrameManoeuvre.STRAIGHT).astype("U11")
    ends = [0.0, *(passage.end for passage in route.passages)]
    begins = [*(passage.start for passage in route.passages), np.inf]
    for lane, first, last in zip(route.lanes, ends, begins, strict=True):
        if network.roads[network.lanes[lane].road].ring:
            found[(stations >= first) & (stations <= last)] = FrameManoeuvre.ROUNDABOUT
    for passage in route.passages:
        if network.junctions[passage.junction].kind is not JunctionKind.BEND:
            inside = (stations >= passage.start) & (stations <= passage.end)
            found[inside] = _AT_JUNCTIONS[passage.manoeuvre]
    return found
