"""Geometry of mapped streets: their projection to metres, and segments in the plane that meet only at their ends.

Ways are split at their nodes, projected, and clipped at the extract's bounds. Defects of the data are repaired: missing
nodes, several nodes at one position, ways drawn twice, ways that cross without a common node.

The projection is transverse Mercator on the WGS 84 ellipsoid with a scale of 1 on the central meridian: Snyder, Map
Projections: A Working Manual (USGS Professional Paper 1395, 1987), equations 3-21, 4-20 and 8-9 to 8-15. Over a city
its lengths are exact to better than 1e-5.

World frame: x east, y north [m].
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from navsim.geometry import Array
from navsim.roads.osm.graph import Edge
from navsim.roads.osm.reader import Bounds, Extract, RawStreet

RADIUS = 6378137.0
"""Semi-major axis of WGS 84 [m]."""
ECCENTRICITY2 = 0.00669437999014
"""Squared eccentricity of WGS 84."""


@dataclass(frozen=True)
class Projection:
    """Plane with x east and y north [m], tangent to the earth at its origin, or the mirror image of that plane."""

    longitude: float
    """Longitude of the origin [deg]."""
    latitude: float
    """Latitude of the origin [deg]."""
    mirrored: bool = False
    """Whether x counts to the west."""

    def to_plane(self, coordinates: ArrayLike) -> Array:
        """Project (longitude, latitude) pairs (N, 2) [deg] to points (N, 2) [m]."""
        lon, lat = np.deg2rad(np.asarray(coordinates, dtype=float).reshape(-1, 2)).T
        delta = (lon - np.deg2rad(self.longitude) + np.pi) % (2 * np.pi) - np.pi
        sine, cosine = np.sin(lat), np.cos(lat)
        prime = ECCENTRICITY2 / (1 - ECCENTRICITY2)
        n = RADIUS / np.sqrt(1 - ECCENTRICITY2 * sine**2)
        t, c, a = np.tan(lat) ** 2, prime * cosine**2, delta * cosine
        x = n * (a + (1 - t + c) * a**3 / 6 + (5 - 18 * t + t**2 + 72 * c - 58 * prime) * a**5 / 120)
        northing = a**2 / 2 + (5 - t + 9 * c + 4 * c**2) * a**4 / 24
        northing += (61 - 58 * t + t**2 + 600 * c - 330 * prime) * a**6 / 720
        y = _meridian(lat) - _meridian(np.deg2rad(self.latitude)) + n * np.tan(lat) * northing
        return np.stack([-x if self.mirrored else x, y], axis=-1)


def _meridian(latitude: ArrayLike) -> Array:
    """Return the distance from the equator along a meridian [m] to a latitude [rad]."""
    phi, e2 = np.asarray(latitude, dtype=float), ECCENTRICITY2
    e4, e6 = e2**2, e2**3
    return np.asarray(
        RADIUS
        * (
            (1 - e2 / 4 - 3 * e4 / 64 - 5 * e6 / 256) * phi
            - (3 * e2 / 8 + 3 * e4 / 32 + 45 * e6 / 1024) * np.sin(2 * phi)
            + (15 * e4 / 256 + 45 * e6 / 1024) * np.sin(4 * phi)
            - (35 * e6 / 3072) * np.sin(6 * phi)
        )
    )


BOUNDS_MARGIN = 150.0
"""Length of streets kept beyond the extract's bounds [m]."""
_MERGE_DISTANCE = 0.05
"""Grid size within which nodes count as one [m]."""


@dataclass(frozen=True, eq=False)
class _Segments:
    """Straight segments of streets."""

    points: Array
    """End points of the segments (N, 2) [m]."""
    ends: "np.ndarray[tuple[int, int], np.dtype[np.int64]]"
    """Indices of the points at both ends of each segment (S, 2)."""
    streets: list[RawStreet]
    """Street of each segment, from its first to its second end."""


def extract_projection(extract: Extract) -> Projection:
    """Return the projection with its origin in the middle of the extract."""
    if extract.bounds:
        west, south, east, north = np.array(extract.bounds).T
        return Projection(float(west.min() + east.max()) / 2, float(south.min() + north.max()) / 2)
    known = np.array(
        [extract.coordinates[n] for street in extract.streets for n in street.nodes if n in extract.coordinates]
    )
    middle = (known.min(axis=0) + known.max(axis=0)) / 2
    return Projection(float(middle[0]), float(middle[1]))


@dataclass(frozen=True, eq=False)
class StreetSegments:
    """Segments of all streets, which meet only at their ends."""

    edges: list[Edge]
    """Segments of the streets."""
    levels: frozenset[int]
    """Nodes where streets on different levels cross, which have no turns from one to the other."""
    node_of: dict[int, int]
    """Index of the edges' node for each identifier of a node in the extract."""


def street_segments(extract: Extract, projection: Projection) -> StreetSegments:
    """Return the segments of all streets, which are joined where they cross.

    The world has one level. So streets that cross on different levels meet too, but no car turns there.
    """
    distinct, node_of = _distinct(extract, projection)
    segments, levels = _joined_at_crossings(_clipped(distinct, extract, projection))
    edges = [
        Edge(int(a), int(b), segments.points[[a, b]], street.kind, (street.way,), (index,))
        for index, ((a, b), street) in enumerate(zip(segments.ends, segments.streets, strict=True))
    ]
    return StreetSegments(edges, levels, node_of)


def _distinct(extract: Extract, projection: Projection) -> tuple[_Segments, dict[int, int]]:
    """Return all segments, each once, with the nodes at one position merged, and the index of each node's point."""
    numbers = sorted({node for street in extract.streets for node in street.nodes if node in extract.coordinates})
    points = projection.to_plane([extract.coordinates[number] for number in numbers])
    _, first, inverse = np.unique(np.round(points / _MERGE_DISTANCE), axis=0, return_index=True, return_inverse=True)
    index = dict(zip(numbers, first[inverse.reshape(-1)].tolist(), strict=True))
    seen: dict[tuple[int, int], RawStreet] = {}
    for street in sorted(extract.streets, key=lambda street: street.kind.rank):
        for before, after in zip(street.nodes[:-1], street.nodes[1:], strict=True):
            if before in index and after in index:
                a, b = index[before], index[after]
                if a != b and (b, a) not in seen:
                    seen.setdefault((a, b), street)
    return _Segments(points, np.array(list(seen), dtype=np.int64).reshape(-1, 2), list(seen.values())), index


def _clipped(segments: _Segments, extract: Extract, projection: Projection) -> _Segments:
    """Clip the segments at the extract's bounds; without any segment inside, return them unchanged."""
    if not extract.bounds or not len(segments.ends):
        return segments
    boxes = np.array([_box(bounds, projection) for bounds in extract.bounds])
    points = segments.points
    inside = np.any([((points >= box[:2]) & (points <= box[2:])).all(axis=1) for box in boxes], axis=0)  # (N,)
    if not inside[segments.ends].any():
        return segments
    area = shapely.union_all(shapely.box(*boxes.T)) if len(boxes) > 1 else shapely.box(*boxes[0])
    shapely.prepare(area)
    lines = np.asarray(shapely.linestrings(points[segments.ends]))
    whole = inside[segments.ends].all(axis=1) & ((len(boxes) == 1) | shapely.covers(area, lines))
    positions, ends, streets = list(points), [], []
    for (a, b), kept, line, street in zip(segments.ends.tolist(), whole.tolist(), lines, segments.streets, strict=True):
        if kept:
            ends.append((a, b))
            streets.append(street)
            continue
        for part in shapely.get_parts(shapely.intersection(area, line)):
            if isinstance(part, shapely.LineString) and part.length >= 1.0:
                ends.append(_part_ends(part, (a, b), inside, positions))
                streets.append(street)
    return _Segments(np.array(positions), np.array(ends, dtype=np.int64).reshape(-1, 2), streets)


def _box(bounds: Bounds, projection: Projection) -> tuple[float, float, float, float]:
    """Return the smallest and largest coordinates (x0, y0, x1, y1) [m] of streets kept for some bounds."""
    west, south, east, north = bounds
    corners = projection.to_plane([(west, south), (east, south), (east, north), (west, north)])
    (x0, y0), (x1, y1) = corners.min(axis=0) - BOUNDS_MARGIN, corners.max(axis=0) + BOUNDS_MARGIN
    return float(x0), float(y0), float(x1), float(y1)


def _part_ends(
    part: shapely.LineString, ends: tuple[int, int], inside: NDArray[np.bool_], positions: list[Array]
) -> tuple[int, int]:
    """Return the indices of the end points of a segment's part; add those where the segment was cut to `positions`."""
    found = []
    for point, end in zip(shapely.get_coordinates(part), ends, strict=True):
        if end < len(inside) and inside[end] and (point == positions[end]).all():
            found.append(end)
        else:
            positions.append(point)
            found.append(len(positions) - 1)
    return found[0], found[1]


def _joined_at_crossings(segments: _Segments) -> tuple[_Segments, frozenset[int]]:
    """Cut segments where they cross; return them and the new nodes where streets on different levels cross."""
    lines = np.asarray(shapely.linestrings(segments.points[segments.ends]))
    pairs = shapely.STRtree(lines).query(lines, predicate="crosses").T
    cuts: dict[int, list[int]] = {}
    points, levels = list(segments.points), set[int]()
    for i, j in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        point = shapely.get_coordinates(shapely.intersection(lines[i], lines[j]))
        if len(point) == 1:
            if segments.streets[i].kind.layer != segments.streets[j].kind.layer:
                levels.add(len(points))
            points.append(point[0])
            cuts.setdefault(i, []).append(len(points) - 1)
            cuts.setdefault(j, []).append(len(points) - 1)
    return _cut(segments, np.array(points), cuts), frozenset(levels)


def _cut(segments: _Segments, points: Array, cuts: dict[int, list[int]]) -> _Segments:
    """Cut segments at new points."""
    ends: list[tuple[int, int]] = []
    streets: list[RawStreet] = []
    for index, (a, b) in enumerate(segments.ends.tolist()):
        along = sorted(cuts.get(index, []), key=lambda c: float(np.hypot(*(points[c] - points[a]))))
        chain = [a, *along, b]
        ends += pairwise(chain)
        streets += [segments.streets[index]] * (len(chain) - 1)
    return _Segments(points, np.array(ends, dtype=np.int64).reshape(-1, 2), streets)
