"""Mirror images of towns, in which traffic drives on the other side.

Towns are built for traffic that keeps right. A town whose traffic keeps left is built as its mirror image, west and
east exchanged, and mirrored as a whole at the end: lanes, junctions, roundabouts and houses.
"""

from dataclasses import replace

import numpy as np
import shapely

from navsim.geometry import Array, Polyline
from navsim.roads.elements import Connector, DrivingSide, Footprint, Junction, Lane, Manoeuvre, Road
from navsim.roads.network import RoadNetwork

_MIRRORED = {Manoeuvre.LEFT: Manoeuvre.RIGHT, Manoeuvre.RIGHT: Manoeuvre.LEFT}


def mirrored_points(points: Array) -> Array:
    """Return points (..., 2) [m] with west and east exchanged."""
    return np.asarray(points * [-1.0, 1.0])


def mirrored_network(network: RoadNetwork) -> RoadNetwork:
    """Return the mirror image of a network, whose traffic drives on the other side; indices stay the same."""
    return RoadNetwork(
        mirrored_points(network.nodes),
        tuple(_road(road) for road in network.roads),
        tuple(_lane(lane) for lane in network.lanes),
        tuple(_connector(connector) for connector in network.connectors),
        tuple(_junction(junction) for junction in network.junctions),
        shapely.transform(network.carriageway, mirrored_points),
        network.trims.copy(),
    )


def mirrored_footprint(footprint: Footprint) -> Footprint:
    """Return the mirror image of a house's outline, again counter-clockwise."""
    return replace(footprint, outline=mirrored_points(footprint.outline)[::-1])


def _path(path: Polyline) -> Polyline:
    return Polyline(mirrored_points(path.points))


def _road(road: Road) -> Road:
    other = DrivingSide.LEFT if road.side is DrivingSide.RIGHT else DrivingSide.RIGHT
    return replace(road, centre=_path(road.centre), side=other)


def _lane(lane: Lane) -> Lane:
    return replace(lane, path=_path(lane.path))


def _connector(connector: Connector) -> Connector:
    manoeuvre = _MIRRORED.get(connector.manoeuvre, connector.manoeuvre)
    return replace(connector, path=_path(connector.path), manoeuvre=manoeuvre)


def _junction(junction: Junction) -> Junction:
    """Mirror a junction; its roads are counter-clockwise again."""
    headings = tuple((np.pi - heading + np.pi) % (2 * np.pi) - np.pi for heading in reversed(junction.headings))
    area = shapely.transform(junction.area, mirrored_points)
    return replace(junction, roads=junction.roads[::-1], headings=headings, area=area)
