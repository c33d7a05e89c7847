"""Shapes of junctions: the setback of each road and the paved area with rounded kerb corners.

An arc of the kerb radius joins the kerbs of two neighbouring roads. Its centre is the intersection of their centre
lines, each shifted towards the other road by half its own width plus the radius. This also holds for curved roads and
roads of different widths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.errors import TownError
from navsim.geometry import Array, Polyline
from navsim.roads.elements import Road

REACH = 90.0
"""Largest distance from the node at which a kerb corner may end [m]."""
MIN_SETBACK = 4.0
"""Smallest distance from a node to a mouth [m]."""
RUN_OUT = 2.0
"""Distance from the end of a kerb corner to the mouth [m], so that turns can begin gently."""
FLAT_ANGLE = np.deg2rad(165.0)
"""Largest angle between neighbouring roads with a kerb corner [rad]."""
CRACK = 0.5
"""Half of the largest width of gaps between kerb corner and road that are paved over [m]."""
ARC_STEP = np.deg2rad(6.0)
"""Turn of the kerb between two vertices of a corner [rad]."""


@dataclass(frozen=True, eq=False)
class Approach:
    """One end of a road, seen from the node where it ends."""

    road: int
    """Index of the road."""
    at_start: bool
    """Whether the node is the road's start."""
    outward: Polyline
    """Centre line from the node outwards, at most `REACH` long [m]."""
    half_width: float
    """Distance from the centre line to either kerb [m]."""

    @property
    def heading(self) -> float:
        """Heading of the road at the node, away from it [rad]."""
        return float(np.arctan2(*(self.outward.points[1] - self.outward.points[0])[::-1]))


@dataclass(frozen=True, eq=False)
class Corner:
    """A rounded kerb corner between two neighbouring approaches."""

    stations: tuple[float, float]
    """Ends of the corner as stations on the outward centre lines of the first and second approach [m]."""
    arc: Array
    """Kerb points (K, 2) from the first road's kerb to the second's [m]."""


def approaches_by_node(node_count: int, roads: Sequence[Road]) -> list[list[Approach]]:
    """Return the road ends at each node, counter-clockwise by their heading."""
    ends: list[list[Approach]] = [[] for _ in range(node_count)]
    for index, road in enumerate(roads):
        reach = min(REACH, road.centre.length)
        first = road.centre.between(0.0, reach)
        last = road.centre.between(road.centre.length - reach, road.centre.length).reversed()
        ends[road.start].append(Approach(index, True, first, road.half_width))
        ends[road.end].append(Approach(index, False, last, road.half_width))
    return [sorted(here, key=lambda approach: approach.heading) for here in ends]


def corner_between(first: Approach, second: Approach, kerb_radius: float) -> Corner | None:
    """Round the kerb between `first` and `second`, the next approach counter-clockwise.

    Returns:
        The corner, or None if the angle between the two exceeds `FLAT_ANGLE`.

    Raises:
        TownError: If the roads run side by side for too long for a corner.
    """
    angle = (second.heading - first.heading) % (2 * np.pi)
    if angle > FLAT_ANGLE:
        return None
    left = _with_lead_in(first.outward.shifted(first.half_width + kerb_radius))
    right = _with_lead_in(second.outward.shifted(-second.half_width - kerb_radius))
    crossing = shapely.intersection(shapely.LineString(left), shapely.LineString(right))
    if crossing.is_empty:
        raise TownError(
            f"roads {first.road} and {second.road} leave their junction too close to each other "
            f"({np.rad2deg(angle):.0f} degrees) for kerb corners of {kerb_radius} m; separate them or reduce the radius"
        )
    candidates = shapely.get_coordinates(crossing)
    origin = first.outward.points[0]
    centre = candidates[np.hypot(*(candidates - origin).T).argmin()]
    stations = (first.outward.project(centre)[0], second.outward.project(centre)[0])
    begin = float(np.arctan2(*(first.outward.position(stations[0]) - centre)[::-1]))
    end = float(np.arctan2(*(second.outward.position(stations[1]) - centre)[::-1]))
    # The kerb takes the short way around its centre from the first road to the second.
    sweep = (end - begin + np.pi) % (2 * np.pi) - np.pi
    angles = begin + np.linspace(0.0, sweep, max(int(np.ceil(abs(sweep) / ARC_STEP)), 1) + 1)
    arc = centre + kerb_radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return Corner(stations, arc)


def junction_shape(approaches: Sequence[Approach], kerb_radius: float) -> tuple[list[float], shapely.Polygon]:
    """Return the setbacks of the roads at a node and the paved area between them.

    Args:
        approaches: Two or more road ends, counter-clockwise.
        kerb_radius: Radius of the kerb corners [m].

    Returns:
        Distance of each approach's mouth from the node [m], and the paved area.

    Raises:
        TownError: If two roads run too close to each other, or a road is shorter than its setback.
    """
    count = len(approaches)
    setbacks = [MIN_SETBACK] * count
    origin = approaches[0].outward.points[0]
    pieces = [shapely.Point(origin).buffer(min(approach.half_width for approach in approaches))]
    for i, approach in enumerate(approaches):
        j = (i + 1) % count
        corner = corner_between(approach, approaches[j], kerb_radius)
        if corner is None:
            continue
        setbacks[i] = max(setbacks[i], corner.stations[0])
        setbacks[j] = max(setbacks[j], corner.stations[1])
        pieces.append(shapely.Polygon(np.vstack([origin, corner.arc])).buffer(0))
    setbacks = [end.outward.snapped(setback + RUN_OUT) for end, setback in zip(approaches, setbacks, strict=True)]
    for approach, setback in zip(approaches, setbacks, strict=True):
        if setback >= approach.outward.length:
            raise TownError(
                f"road {approach.road} is too short for its junctions: one end is cut back by {setback:.1f} m "
                f"but has only {approach.outward.length:.1f} m; lengthen it or reduce the kerb radius"
            )
        pieces.append(strip(approach.outward.between(0.0, setback), approach.half_width))
    # Rounding may leave cracks between the pieces; a junction has no islands, so its exterior is the whole area.
    # Where a road curves, a wedge thinner than a kerb stone remains between its edge and the corner: closing fills it.
    whole = shapely.union_all(pieces).buffer(CRACK, join_style="mitre").buffer(-CRACK, join_style="mitre")
    return setbacks, shapely.Polygon(_largest(whole).exterior)


def strip(centre: Polyline, half_width: float) -> shapely.Polygon:
    """Return the band within `half_width` [m] of a centre line, with square ends."""
    left, right = centre.shifted(half_width).points, centre.shifted(-half_width).points
    band = shapely.Polygon(np.concatenate([right, left[::-1]]))
    if band.is_valid:
        return band
    return _largest(shapely.LineString(centre.points).buffer(half_width, cap_style="flat"))


def paved(areas: Sequence[shapely.Polygon]) -> shapely.Polygon | shapely.MultiPolygon:
    """Return the union of paved areas: several polygons if the network is not connected."""
    parts = [part for part in shapely.get_parts(shapely.union_all(areas)) if isinstance(part, shapely.Polygon)]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _largest(shape: shapely.Geometry) -> shapely.Polygon:
    """Return the largest polygon of a shape."""
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)]
    return max(parts, key=lambda part: float(part.area))


def _with_lead_in(path: Polyline, length: float = 15.0) -> Array:
    """Return the path's points (N+1, 2) after a straight lead-in of `length` [m]."""
    heading = path.headings[0]
    return np.vstack([path.points[0] - length * np.array([np.cos(heading), np.sin(heading)]), path.points])


MIN_LANE_LENGTH = 5.0
"""Smallest length of a road between its two mouths [m]."""


def check_trims(roads: Sequence[Road], trims: Array) -> None:
    """Raise TownError if a road is too short between its junctions."""
    for index, (first, last) in enumerate(trims):
        if last - first < MIN_LANE_LENGTH:
            raise TownError(
                f"road {index} is too short for its junctions: {last - first:.1f} m of its "
                f"{roads[index].centre.length:.1f} m lie between them, at least {MIN_LANE_LENGTH} m are needed"
            )
