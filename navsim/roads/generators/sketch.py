"""A town being sketched street by street: each joins streets that are there, and is refused where it has no room."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import shapely

from navsim.geometry import Array, Polyline
from navsim.roads.elements import Road
from navsim.roads.generators.centre_lines import coarse
from navsim.roads.generators.draft import Draft, Profile


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
