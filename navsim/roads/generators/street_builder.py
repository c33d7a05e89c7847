"""Street builder: adds streets to a town one by one and rejects those that come too close to existing ones.

Functions below add links between two streets, dead ends and roundabouts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.elements import Road
from navsim.roads.generators.centre_lines import coarse_line
from navsim.roads.generators.layout import CrossSection, RoadLayout, arc_points, direction, link_line, spline_line


@dataclass(frozen=True)
class StreetPoint:
    """A vertex of a street, where another street may join it."""

    street: int
    """Index of the street in the builder."""
    station: float
    """Station of the vertex along the street [m]."""


@dataclass(frozen=True, eq=False)
class _PlacedStreet:
    """A street of the builder with the nodes along it."""

    centre: Polyline
    section: CrossSection
    stations: list[tuple[float, int]]
    """Station [m] and index of each node along the street, its two ends included."""
    shape: shapely.LineString
    """Coarse centre line, for distances between streets."""


@dataclass
class StreetBuilder:
    """Streets and the nodes where they meet."""

    clearance: float
    """Smallest distance between the kerbs of two streets, away from their common node [m]."""
    spacing: float
    """Smallest distance between two nodes along a street [m]."""
    reach: float
    """Distance from a common node within which two streets may be close to each other [m]."""
    min_radius: float
    """Smallest radius of a street's bends [m]."""
    nodes: list[Array] = field(default_factory=list)
    """Positions (2,) of the nodes [m]."""
    streets: list[_PlacedStreet] = field(default_factory=list)
    """Streets placed so far."""

    def add_node(self, position: Array) -> int:
        """Add a node at `position` (2,) [m] that no street uses yet; return its index."""
        self.nodes.append(position)
        return len(self.nodes) - 1

    def nearest_point(self, street: int, station: float) -> StreetPoint:
        """Return the vertex of a street that is closest to a station [m]."""
        stations = self.streets[street].centre.stations
        return StreetPoint(street, float(stations[int(np.abs(stations - station).argmin())]))

    def position(self, end: StreetPoint | int) -> Array:
        """Return the position (2,) of a street point or node [m]."""
        return self.nodes[end] if isinstance(end, int) else self.streets[end.street].centre.position(end.station)

    def heading(self, point: StreetPoint) -> float:
        """Return the heading of the street at a point [rad]."""
        return float(self.streets[point.street].centre.heading(point.station))

    def add_street(
        self, centre: Polyline, start: StreetPoint | int, end: StreetPoint | int, section: CrossSection
    ) -> int:
        """Add a street from `start` to `end` without checks; return its index."""
        stations = [(0.0, self._node_for(start)), (centre.length, self._node_for(end))]
        self.streets.append(_PlacedStreet(centre, section, stations, coarse_line(centre.points)))
        return len(self.streets) - 1

    def try_add_street(
        self, centre: Polyline, start: StreetPoint | int, end: StreetPoint | int, section: CrossSection
    ) -> int | None:
        """Add a street if it keeps all distances; return its index, or None if it does not."""
        if np.abs(centre.curvatures).max() > 1 / self.min_radius:
            return None
        if not all(self.is_free(point) for point in (start, end) if isinstance(point, StreetPoint)):
            return None
        at_start, at_end = self._streets_at(start), self._streets_at(end)
        whole = coarse_line(centre.points)
        for index, street in enumerate(self.streets):
            limit = self.clearance + section.half_width + street.section.half_width
            if not shapely.dwithin(whole, street.shape, limit):
                continue
            first = self.reach if index in at_start else 0.0
            last = centre.length - (self.reach if index in at_end else 0.0)
            rest = centre.points[(centre.stations >= first) & (centre.stations <= last)]
            if len(rest) < 2 or shapely.dwithin(coarse_line(rest), street.shape, limit):
                return None
        return self.add_street(centre, start, end, section)

    def is_free(self, point: StreetPoint) -> bool:
        """Return whether a point is a node of its street or far enough from all of them."""
        gaps = np.abs(np.array([station for station, _ in self.streets[point.street].stations]) - point.station)
        return bool(((gaps >= self.spacing) | (gaps == 0.0)).all())

    def is_clear(self, position: Array, radius: float) -> bool:
        """Return whether a disc of `radius` [m] around `position` (2,) keeps its distance from all streets."""
        limits = [radius + self.clearance + street.section.half_width for street in self.streets]
        shapes = [street.shape for street in self.streets]
        return bool((shapely.distance(shapes, shapely.Point(position)) >= limits).all())

    def layout(self, kerb_radius: float) -> RoadLayout:
        """Return the streets, cut into roads at their nodes."""
        roads: list[Road] = []
        for street in self.streets:
            for (a, first), (b, last) in pairwise(sorted(street.stations)):
                roads.append(street.section.road(first, last, street.centre.between(a, b)))
        return RoadLayout(np.array(self.nodes), roads, kerb_radius)

    def _streets_at(self, end: StreetPoint | int) -> set[int]:
        """Return the indices of the streets that meet at a point or node."""
        node = end if isinstance(end, int) else self._node_at(end)
        found = {index for index, street in enumerate(self.streets) if node in {other for _, other in street.stations}}
        return found | ({end.street} if isinstance(end, StreetPoint) else set())

    def _node_at(self, point: StreetPoint) -> int | None:
        """Return the node at a point, if there is one."""
        return next((node for station, node in self.streets[point.street].stations if station == point.station), None)

    def _node_for(self, end: StreetPoint | int) -> int:
        """Return the node at a point; add it if there is none."""
        if isinstance(end, int):
            return end
        node = self._node_at(end)
        if node is None:
            node = self.add_node(self.position(end))
            self.streets[end.street].stations.append((end.station, node))
        return node


MAX_SKEW = np.deg2rad(50.0)
"""Largest angle between the straight line of a link and the perpendiculars of the streets it joins [rad]."""
JITTER = np.deg2rad(8.0)
"""Largest deviation from the perpendicular with which a street leaves another [rad]."""
POINT_STEP = 6
"""Number of vertices from one candidate end of a link to the next along a street."""


def add_several(try_add: Callable[[], int | None], count: int, max_attempts: int) -> int:
    """Call `try_add` until it has added `count` streets, at most `max_attempts` times; return the number added."""
    added = 0
    for _ in range(max_attempts):
        if added == count:
            break
        added += try_add() is not None
    return added


def try_link(
    builder: StreetBuilder,
    streets: Sequence[int],
    lengths: tuple[float, float],
    winding: float,
    section: CrossSection,
    rng: np.random.Generator,
) -> int | None:
    """Try to join random points of two streets by a winding street.

    Args:
        builder: Streets placed so far, extended here.
        streets: Indices of the streets to be joined, at least two.
        lengths: Smallest and largest distance between the two points [m].
        winding: Largest sideways shift of the link, as a fraction of its length.
        section: Cross section of the new street.
        rng: Random generator of the draws.

    Returns:
        The index of the new street, or None if these two points do not fit.
    """
    candidates, positions, headings = free_points(builder, streets)
    shifts, jitter = rng.uniform(-winding, winding, size=2), rng.uniform(-JITTER, JITTER, size=2)
    first, pick = int(rng.integers(max(len(candidates), 1))), float(rng.uniform())
    if not candidates:
        return None
    gaps = positions - positions[first]
    distances, bearings = np.hypot(*gaps.T), np.arctan2(gaps[:, 1], gaps[:, 0])
    fit = (distances >= lengths[0]) & (distances <= lengths[1])
    fit &= np.array([point.street for point in candidates]) != candidates[first].street
    for heading in (headings, headings[first]):
        fit &= np.abs(np.abs(wrap_angle(bearings - heading)) - np.pi / 2) < MAX_SKEW
    if not fit.any():
        return None
    last = int(np.flatnonzero(fit)[int(pick * fit.sum())])
    departure = _perpendicular(float(headings[first]), float(bearings[last])) + float(jitter[0])
    arrival = _perpendicular(float(headings[last]), float(bearings[last]) + np.pi) + np.pi + float(jitter[1])
    bends = shifts[: max(int(distances[last] / 65.0) - 1, 0)]  # short links have no room for bends
    centre = link_line((positions[first], positions[last]), (departure, arrival), bends.tolist())
    return builder.try_add_street(centre, candidates[first], candidates[last], section)


def free_points(builder: StreetBuilder, streets: Sequence[int]) -> tuple[list[StreetPoint], Array, Array]:
    """Return the street points where others may join, with their positions (N, 2) [m] and headings (N,) [rad]."""
    candidates: list[StreetPoint] = []
    positions, headings = [np.zeros((0, 2))], [np.zeros(0)]
    for index in streets:
        street = builder.streets[index]
        stations = street.centre.stations[::POINT_STEP]
        taken = np.array([station for station, _ in street.stations])
        free = np.abs(stations[:, None] - taken).min(axis=1) >= builder.spacing
        candidates += [StreetPoint(index, station) for station in stations[free].tolist()]
        positions.append(street.centre.points[::POINT_STEP][free])
        headings.append(street.centre.headings[::POINT_STEP][free])
    return candidates, np.concatenate(positions), np.concatenate(headings)


def try_dead_end(
    builder: StreetBuilder,
    point: StreetPoint,
    headings: tuple[float, float],
    length: float,
    section: CrossSection,
    turning_radius: float | None,
) -> int | None:
    """Try to add a slightly bent dead-end street.

    Args:
        builder: Streets placed so far, extended here.
        point: Start of the new street.
        headings: Headings at its start and end, less than a right angle apart [rad].
        length: Length without the turning circle [m].
        section: Cross section of the new street.
        turning_radius: Radius of the turning circle at its end [m]; None for a street without one.

    Returns:
        The index of the new street, or None if there is not enough room.
    """
    start, ahead = builder.position(point), direction(headings[0])
    left = np.array([-ahead[1], ahead[0]])
    # Straight for one half, then a parabola, whose sideways shift is half of its slope times its length.
    end = start + length * (ahead + np.tan(headings[1] - headings[0]) / 4 * left)
    centre = spline_line(np.array([start, start + 0.5 * length * ahead, end]), *headings)
    ahead = direction(headings[1])
    radius = 0.0 if turning_radius is None else turning_radius
    if not builder.is_clear(end + radius * ahead, radius + section.half_width):
        return None
    node = builder.add_node(end)
    added = builder.try_add_street(centre, point, node, section)
    if added is None:
        builder.nodes.pop()
    elif turning_radius is not None:
        points = arc_points(end + turning_radius * ahead, turning_radius, headings[1] - np.pi, 2 * np.pi)
        points[0] = points[-1] = end
        ring = CrossSection(1, 4.0, section.margin, section.speed_limit, ring=True)
        builder.add_street(Polyline(points), node, node, ring)
    return added


def add_roundabout(builder: StreetBuilder, radius: float, angles: Sequence[float], section: CrossSection) -> list[int]:
    """Add a one-way ring around the origin, driven counter-clockwise because traffic keeps right.

    Args:
        builder: Streets placed so far, extended here.
        radius: Radius of the ring's centre line [m].
        angles: Directions from the origin to the starts of the arms, counter-clockwise [rad].
        section: Cross section of the ring.

    Returns:
        Indices of the nodes at the starts of the arms.
    """
    nodes = [builder.add_node(radius * direction(angle)) for angle in angles]
    for i, angle in enumerate(angles):
        j = (i + 1) % len(angles)
        points = arc_points(np.zeros(2), radius, angle, float((angles[j] - angle) % (2 * np.pi)))
        points[0], points[-1] = builder.nodes[nodes[i]], builder.nodes[nodes[j]]
        builder.add_street(Polyline(points), nodes[i], nodes[j], section)
    return nodes


def _perpendicular(heading: float, towards: float) -> float:
    """Return the perpendicular of a heading that is closer to the direction `towards` [rad]."""
    side = 1.0 if wrap_angle(towards - heading) > 0 else -1.0
    return heading + side * np.pi / 2
