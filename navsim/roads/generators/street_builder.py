"""A town being sketched street by street: each joins streets that are there, and is refused where it has no room.

Kinds of streets that a sketch is made of: links between two streets, culs-de-sac, roundabouts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.elements import Road
from navsim.roads.generators.centre_lines import coarse
from navsim.roads.generators.layout import SPACING, Draft, Profile, direction, flowing_line, spline_line


@dataclass(frozen=True)
class Spot:
    """A place along a street, where another may join it."""

    line: int
    """Index of the street in the sketch."""
    station: float
    """Station of one of its vertices [m]."""


@dataclass(frozen=True, eq=False)
class _Line:
    """A street of the sketch with the nodes along it."""

    centre: Polyline
    profile: Profile
    stops: list[tuple[float, int]]
    """Stations and nodes, the two ends among them."""
    shape: shapely.LineString
    """About the same line, for distances."""


@dataclass
class Sketch:
    """Streets and the places where they meet."""

    clearance: float
    """Least distance between the kerbs of two streets, away from where they meet [m]."""
    spacing: float
    """Least distance along a street between two places where others join it [m]."""
    reach: float
    """How far along itself a street may be close to the one that it joins [m]."""
    min_radius: float
    """Least radius of a street's bends [m]."""
    places: list[Array] = field(default_factory=list)
    """The nodes."""
    lines: list[_Line] = field(default_factory=list)
    """The streets."""

    def node(self, place: Array) -> int:
        """Add a node of no street at `place` (2,) [m]."""
        self.places.append(place)
        return len(self.places) - 1

    def spot(self, line: int, station: float) -> Spot:
        """The vertex of a street that is closest to a station [m]."""
        stations = self.lines[line].centre.stations
        return Spot(line, float(stations[int(np.abs(stations - station).argmin())]))

    def place(self, end: Spot | int) -> Array:
        """Where a spot or node is (2,) [m]."""
        return self.places[end] if isinstance(end, int) else self.lines[end.line].centre.position(end.station)

    def heading(self, spot: Spot) -> float:
        """Heading of the street at a spot [rad]."""
        return float(self.lines[spot.line].centre.heading(spot.station))

    def add(self, centre: Polyline, start: Spot | int, end: Spot | int, profile: Profile) -> int:
        """Add a street from `start` to `end`, whether or not it has room; return its index."""
        stops = [(0.0, self._joined(start)), (centre.length, self._joined(end))]
        self.lines.append(_Line(centre, profile, stops, coarse(centre.points)))
        return len(self.lines) - 1

    def try_add(self, centre: Polyline, start: Spot | int, end: Spot | int, profile: Profile) -> int | None:
        """Add a street if it has room; return its index, or None if it has not."""
        if np.abs(centre.curvatures).max() > 1 / self.min_radius:
            return None
        if not all(self.is_free(spot) for spot in (start, end) if isinstance(spot, Spot)):
            return None
        at_start, at_end = self._touching(start), self._touching(end)
        whole = coarse(centre.points)
        for index, line in enumerate(self.lines):
            limit = self.clearance + profile.half_width + line.profile.half_width
            if not shapely.dwithin(whole, line.shape, limit):
                continue
            first = self.reach if index in at_start else 0.0
            last = centre.length - (self.reach if index in at_end else 0.0)
            rest = centre.points[(centre.stations >= first) & (centre.stations <= last)]
            if len(rest) < 2 or shapely.dwithin(coarse(rest), line.shape, limit):
                return None
        return self.add(centre, start, end, profile)

    def is_free(self, spot: Spot) -> bool:
        """Whether a spot keeps its distance from the nodes along its street; it may be on one."""
        gaps = np.abs(np.array([station for station, _ in self.lines[spot.line].stops]) - spot.station)
        return bool(((gaps >= self.spacing) | (gaps == 0.0)).all())

    def has_room(self, place: Array, radius: float) -> bool:
        """Whether a disc of `radius` [m] around `place` (2,) keeps its distance from all streets."""
        limits = [radius + self.clearance + line.profile.half_width for line in self.lines]
        shapes = [line.shape for line in self.lines]
        return bool((shapely.distance(shapes, shapely.Point(place)) >= limits).all())

    def draft(self, kerb_radius: float) -> Draft:
        """Cut the streets into roads where others join them."""
        roads: list[Road] = []
        for line in self.lines:
            stops = sorted(line.stops)
            for (a, first), (b, last) in pairwise(stops):
                roads.append(line.profile.road(first, last, line.centre.between(a, b)))
        return Draft(np.array(self.places), roads, kerb_radius)

    def _touching(self, end: Spot | int) -> set[int]:
        """Indices of the streets that meet at a spot or node."""
        node = end if isinstance(end, int) else self._node_at(end)
        found = {index for index, line in enumerate(self.lines) if node in {stop for _, stop in line.stops}}
        return found | ({end.line} if isinstance(end, Spot) else set())

    def _node_at(self, spot: Spot) -> int | None:
        """The node at a spot, if there is one."""
        return next((node for station, node in self.lines[spot.line].stops if station == spot.station), None)

    def _joined(self, end: Spot | int) -> int:
        """The node at a spot; a new one if there is none."""
        if isinstance(end, int):
            return end
        node = self._node_at(end)
        if node is None:
            node = self.node(self.place(end))
            self.lines[end.line].stops.append((end.station, node))
        return node


SQUARENESS = np.deg2rad(50.0)
"""Largest angle between a link as the crow flies and the perpendiculars of the streets it joins [rad]."""
JITTER = np.deg2rad(8.0)
"""Largest deviation from the perpendicular with which a street leaves another [rad]."""
LEAD = 18.0
"""How far streets lead straight away from others [m]: about as far as the junction reaches."""
SPOT_STEP = 6
"""Every so many vertices along a street are looked at as ends of links."""
FIRST_LEG = 0.24
"""Distance from either end of a street to its first corner, as a part of its length."""


def add_several(attempt: Callable[[], int | None], wanted: int, tries: int) -> int:
    """Repeat an attempt to add a street until `wanted` were added, at most `tries` times; return how many were."""
    found = 0
    for _ in range(tries):
        if found == wanted:
            break
        found += attempt() is not None
    return found


def try_link(
    sketch: Sketch,
    hosts: Sequence[int],
    lengths: tuple[float, float],
    winding: float,
    profile: Profile,
    rng: np.random.Generator,
) -> int | None:
    """Join two random places of two streets by a winding street, where there is room.

    Args:
        sketch: What is there.
        hosts: Indices of the streets to be joined, at least two.
        lengths: Least and greatest distance of the places [m].
        winding: Largest sideways shift of the link, as a part of its length.
        profile: Its cross section.
        rng: Source of all that is random here.

    Returns:
        The index of the new street, or None if these two places were unfit.
    """
    spots, places, headings = free_spots(sketch, hosts)
    shifts, jitter = rng.uniform(-winding, winding, size=2), rng.uniform(-JITTER, JITTER, size=2)
    first, pick = int(rng.integers(max(len(spots), 1))), float(rng.uniform())
    if not spots:
        return None
    gaps = places - places[first]
    reach, crows = np.hypot(*gaps.T), np.arctan2(gaps[:, 1], gaps[:, 0])
    fit = (reach >= lengths[0]) & (reach <= lengths[1]) & (np.array([spot.line for spot in spots]) != spots[first].line)
    for heading in (headings, headings[first]):
        fit &= np.abs(np.abs(wrap_angle(crows - heading)) - np.pi / 2) < SQUARENESS
    if not fit.any():
        return None
    last = int(np.flatnonzero(fit)[int(pick * fit.sum())])
    out = _square(float(headings[first]), float(crows[last])) + float(jitter[0])
    arrival = _square(float(headings[last]), float(crows[last]) + np.pi) + np.pi + float(jitter[1])
    wound = shifts[: max(int(reach[last] / 65.0) - 1, 0)]  # short ones have no room to wind
    centre = led_line((places[first], places[last]), (out, arrival), wound.tolist())
    return sketch.try_add(centre, spots[first], spots[last], profile)


def free_spots(sketch: Sketch, hosts: Sequence[int]) -> tuple[list[Spot], Array, Array]:
    """Spots of the streets where others may join them, with their places (N, 2) [m] and headings (N,) [rad]."""
    spots: list[Spot] = []
    places, headings = [np.zeros((0, 2))], [np.zeros(0)]
    for index in hosts:
        line = sketch.lines[index]
        stations = line.centre.stations[::SPOT_STEP]
        stops = np.array([station for station, _ in line.stops])
        free = np.abs(stations[:, None] - stops).min(axis=1) >= sketch.spacing
        spots += [Spot(index, station) for station in stations[free].tolist()]
        places.append(line.centre.points[::SPOT_STEP][free])
        headings.append(line.centre.headings[::SPOT_STEP][free])
    return spots, np.concatenate(places), np.concatenate(headings)


def led_line(ends: tuple[Array, Array], headings: tuple[float, float], shifts: Sequence[float]) -> Polyline:
    """A line between two places that leaves and arrives straight and winds on its way.

    Args:
        ends: The two places (2,) [m].
        headings: On leaving the first and on arriving at the last [rad].
        shifts: Of points spread evenly on the way, sideways to the left, as parts of its length.
    """
    length = float(np.hypot(*(ends[1] - ends[0])))
    first = max(FIRST_LEG * length, LEAD + 12.0)
    start, end = ends[0] + first * direction(headings[0]), ends[1] - first * direction(headings[1])
    gap = end - start
    left = np.array([-gap[1], gap[0]]) * length / max(float(np.hypot(*gap)), 1e-6)
    shares = np.arange(1, len(shifts) + 1) / (len(shifts) + 1)
    inner = [start + share * gap + shift * left for share, shift in zip(shares, shifts, strict=True)]
    return flowing_line(np.array([ends[0], start, *inner, end, ends[1]]), LEAD)


def try_dead_end(
    sketch: Sketch,
    spot: Spot,
    headings: tuple[float, float],
    length: float,
    profile: Profile,
    circle: float | None,
) -> int | None:
    """Add a street that leads nowhere, slightly bent, where there is room.

    Args:
        sketch: What is there.
        spot: Where it begins.
        headings: Its direction where it begins and where it ends, less than a right angle apart [rad].
        length: How long it is, without the turning circle [m].
        profile: Its cross section.
        circle: Radius of the turning circle at its end [m]; None for none.

    Returns:
        The index of the new street, or None if there is no room.
    """
    start, ahead = sketch.place(spot), direction(headings[0])
    left = np.array([-ahead[1], ahead[0]])
    # Straight for one half, then a bend: a parabola's end is half as far aside as it is steep.
    end = start + length * (ahead + np.tan(headings[1] - headings[0]) / 4 * left)
    centre = spline_line(np.array([start, start + 0.5 * length * ahead, end]), *headings)
    ahead = direction(headings[1])
    radius = 0.0 if circle is None else circle
    if not sketch.has_room(end + radius * ahead, radius + profile.half_width):
        return None
    node = sketch.node(end)
    added = sketch.try_add(centre, spot, node, profile)
    if added is None:
        sketch.places.pop()
    elif circle is not None:
        points = arc_points(end + circle * ahead, circle, headings[1] - np.pi, 2 * np.pi)
        points[0] = points[-1] = end
        sketch.add(Polyline(points), node, node, Profile(1, 4.0, profile.margin, profile.speed_limit, ring=True))
    return added


def add_roundabout(sketch: Sketch, radius: float, angles: Sequence[float], profile: Profile) -> list[int]:
    """Add a one-way ring around the origin, driven counter-clockwise as traffic keeps right.

    Args:
        sketch: What is there.
        radius: Of the ring's centre line [m].
        angles: Where its arms begin, counter-clockwise [rad].
        profile: Cross section of the ring.

    Returns:
        The nodes where the arms begin.
    """
    nodes = [sketch.node(radius * direction(angle)) for angle in angles]
    for i, angle in enumerate(angles):
        j = (i + 1) % len(angles)
        points = arc_points(np.zeros(2), radius, angle, float((angles[j] - angle) % (2 * np.pi)))
        points[0], points[-1] = sketch.places[nodes[i]], sketch.places[nodes[j]]
        sketch.add(Polyline(points), nodes[i], nodes[j], profile)
    return nodes


def arc_points(centre: Array, radius: float, start: float, sweep: float) -> Array:
    """Points (N, 2) of an arc around `centre` (2,) from angle `start`, counter-clockwise by `sweep` [rad]."""
    angles = start + np.linspace(0.0, sweep, max(int(np.ceil(radius * sweep / SPACING)), 3) + 1)
    return np.asarray(centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1))


def _square(heading: float, towards: float) -> float:
    """The perpendicular of a street's heading that looks more towards a direction [rad]."""
    side = 1.0 if wrap_angle(towards - heading) > 0 else -1.0
    return heading + side * np.pi / 2
