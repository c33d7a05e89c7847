"""Pavement: road surface, kerbs, footways and painted road markings."""

from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array, Polyline
from navsim.roads.elements import DrivingSide
from navsim.roads.network import Road, RoadNetwork
from navsim.world.scenery.meshes import Surface, quads, ribbon
from navsim.world.scenery.textures import Paint

KERB_HEIGHT = 0.12
"""Height of the kerb stones [m]."""
KERB_WIDTH = 0.3
"""Width of the kerb stones [m]."""
FOOTWAY_TOLERANCE = 0.2
"""Tolerance of the simplification of a footway's far edge, which no car drives along [m]."""
Area = shapely.Polygon | shapely.MultiPolygon


@dataclass(frozen=True, eq=False)
class Kerbs:
    """Kerb stones around the carriageway, as pairs of closed rings."""

    inner: tuple[Array, ...]
    """Edges towards the road, one closed ring (K+1, 2) per boundary [m]; the road lies on the left."""
    outer: tuple[Array, ...]
    """Edges away from the road, with the same number of vertices as `inner` [m]."""

    @property
    def faces(self) -> Array:
        """Upright and top faces (N, 4, 3) [m], counter-clockwise from outside."""
        parts = []
        for inner, outer in zip(self.inner, self.outer, strict=True):
            foot, edge, back = _at_height(inner, 0.0), _at_height(inner, KERB_HEIGHT), _at_height(outer, KERB_HEIGHT)
            parts.append(np.stack([foot[:-1], edge[:-1], edge[1:], foot[1:]], axis=1))
            parts.append(np.stack([edge[:-1], back[:-1], back[1:], edge[1:]], axis=1))
        return np.concatenate(parts)

    @property
    def surface(self) -> Surface:
        """Upright and top faces in the colour of kerbs."""
        return quads(self.faces, int(Paint.KERB))

    @property
    def road(self) -> Area:
        """Area between the kerbs."""
        return _area(self.inner)

    @property
    def road_and_kerbs(self) -> Area:
        """Area between the kerbs and the kerb stones."""
        return _area(self.outer)


def build_kerbs(network: RoadNetwork, tolerance: float = 0.1) -> Kerbs:
    """Return kerb stones along the edge of the carriageway, simplified with a `tolerance` [m]."""
    polygons = shapely.get_parts(shapely.orient_polygons(network.carriageway.simplify(tolerance)))
    rings = [np.array(ring.coords) for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return Kerbs(tuple(rings), tuple(_offset_ring(ring, KERB_WIDTH) for ring in rings))


def footways(kerbs: Kerbs, width: float) -> Area:
    """Return the strip of `width` [m] behind the kerb stones."""
    inner = kerbs.road_and_kerbs
    if width <= 0:
        return shapely.MultiPolygon()
    outer = inner.buffer(width, join_style="mitre", mitre_limit=2.0).simplify(FOOTWAY_TOLERANCE)
    return as_area(shapely.difference(outer, inner))


def _at_height(points: Array, z: float) -> Array:
    """Return points (N, 2) with height `z` (N, 3)."""
    return np.concatenate([points, np.full((len(points), 1), z)], axis=1)


def _offset_ring(ring: Array, width: float) -> Array:
    """Return a closed ring (K+1, 2) offset by `width` [m] to its right, with mitred corners."""
    steps = np.diff(ring, axis=0)
    normals = np.stack([steps[:, 1], -steps[:, 0]], axis=1) / np.hypot(*steps.T)[:, None]  # right normal of each side
    before = np.roll(normals, 1, axis=0)
    mitre = (normals + before) / (1 + (normals * before).sum(axis=1, keepdims=True))
    outer = ring[:-1] + width * mitre
    return np.concatenate([outer, outer[:1]])


def _area(rings: tuple[Array, ...]) -> Area:
    """Return the area on the left of closed rings."""
    outlines = [ring for ring in rings if shapely.LinearRing(ring).is_ccw]
    holes = [ring for ring in rings if not shapely.LinearRing(ring).is_ccw]
    return as_area(
        shapely.difference(
            shapely.union_all([_filled(ring) for ring in outlines]),
            shapely.union_all([_filled(ring) for ring in holes]),
        )
    )


def _filled(ring: Array) -> shapely.Geometry:
    """Return the area inside a closed ring (K+1, 2), made valid where kerbs of a mapped town's corners overlap."""
    area = shapely.Polygon(ring)
    return area if area.is_valid else shapely.make_valid(area)


def as_area(shape: shapely.Geometry) -> Area:
    """Return the polygons of a shape, without the stray lines and points of a set operation."""
    return shapely.MultiPolygon([part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)])


LINE_HEIGHT = 0.02
"""Height of markings above the road, large enough for the depth test [m]."""
LINE_WIDTH = 0.18
"""Width of edge lines and dashes [m]."""
DASH, GAP = 3.0, 5.0
"""Length of the dashes between lanes and of the gaps between them [m]."""
YIELD_WIDTH = 0.45
"""Width of the line across a lane that enters a junction [m]."""
MOUTH_GAP = 0.1
"""Distance from the end of markings to the junction's mouth [m]."""
MAX_PIECE_LENGTH = 15.0
"""Largest length of a straight piece of a line [m]; renderers skip whole pieces."""
MAX_DASH_CURVATURE = 0.018
"""Largest curvature at which a dash is a single straight piece [1/m]."""


def markings(network: RoadNetwork) -> Surface:
    """Return the markings of all roads between their mouths: edge lines, dashes between lanes, yield lines."""
    parts: list[Surface] = []
    for index, road in enumerate(network.roads):
        start, end = network.mouths(index)
        centre = road.centre.between(start + MOUTH_GAP, end - MOUTH_GAP)
        parts += [*_edge_lines(road, centre), *_lane_lines(road, centre), *_yield_lines(road, centre)]
    return Surface.merged(parts)


def without_worn(paint: Surface, missing: float, rng: np.random.Generator) -> Surface:
    """Return the markings without a share `missing` of their pieces, mostly neighbouring ones."""
    count = len(paint.vertices) // 4
    waves, phases = rng.normal(0.0, 0.08, (2, 6)), rng.uniform(0.0, 2 * np.pi, 6)
    middles = paint.vertices.reshape(count, 4, 3)[:, :, :2].mean(axis=1)
    wear = np.cos(middles @ waves + phases).sum(axis=1) + rng.normal(0.0, 1.0, count)
    kept = np.sort(np.argsort(wear, kind="stable")[round(missing * count) :])
    return quads(paint.vertices.reshape(count, 4, 3)[kept], int(Paint.MARKING))


def line(path: Polyline, offset: float, width: float) -> Surface:
    """Return a painted line of `width` [m] at `offset` [m] to the left of a path."""
    normals = np.stack([-np.sin(path.headings), np.cos(path.headings)], axis=-1)
    left, right = (path.points + (offset + side * width / 2) * normals for side in (1, -1))
    return ribbon(left, right, LINE_HEIGHT, int(Paint.MARKING))


def _edge_lines(road: Road, centre: Polyline) -> list[Surface]:
    path = _straightened(centre)
    edge = road.half_width - road.margin
    return [line(path, edge, LINE_WIDTH), line(path, -edge, LINE_WIDTH)]


def _lane_lines(road: Road, centre: Polyline) -> list[Surface]:
    """Return dashes between lanes, and a solid line between the two directions of roads with several lanes each way."""
    left = road.half_width - road.margin
    divided = min(road.lanes_forward, road.lanes_backward) > 1
    leftmost = road.lanes_backward if road.side is DrivingSide.RIGHT else road.lanes_forward
    between = [i for i in range(1, road.lanes) if not (divided and i == leftmost)]
    dashes = _dashes(centre, left - np.array(between) * road.lane_width)
    return [dashes, line(_straightened(centre), road.divider_offset, LINE_WIDTH)] if divided else [dashes]


def _dashes(centre: Polyline, offsets: Array) -> Surface:
    """Return a dashed line at each of the offsets (N,) [m] to the left of a path."""
    starts = np.arange(GAP / 2, centre.length - DASH, DASH + GAP)
    curved = np.abs(centre.curvature(starts + DASH / 2)) > MAX_DASH_CURVATURE
    begins = np.concatenate([starts, starts[curved] + DASH / 2])
    ends = np.concatenate([np.where(curved, starts + DASH / 2, starts + DASH), starts[curved] + DASH])
    bounds = [_offset_points(centre, stations, offset) for stations, offset in _corners(begins, ends, offsets)]
    flat = np.stack(bounds, axis=1)  # (dashes, 4, 2)
    return quads(np.concatenate([flat, np.full((*flat.shape[:2], 1), LINE_HEIGHT)], axis=-1), int(Paint.MARKING))


def _corners(begins: Array, ends: Array, offsets: Array) -> list[tuple[Array, Array]]:
    """Return the stations and offsets of the four corners of every dash on every line, counter-clockwise."""
    half = LINE_WIDTH / 2
    lines = np.repeat(offsets, len(begins))
    begin, end = np.tile(begins, len(offsets)), np.tile(ends, len(offsets))
    return [(begin, lines - half), (end, lines - half), (end, lines + half), (begin, lines + half)]


def _offset_points(centre: Polyline, stations: Array, offsets: Array) -> Array:
    """Return points (N, 2) at stations (N,) and offsets (N,) to the left of a path."""
    heading = centre.heading(stations)
    normals = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    return np.asarray(centre.position(stations) + offsets[:, None] * normals)


def _yield_lines(road: Road, centre: Polyline) -> list[Surface]:
    """Return a bar across the lanes that enter a junction, at each end of the road; rings of roundabouts have none."""
    if road.ring:
        return []
    # Offsets towards the lanes of the backward direction.
    divider, edge = road.sign * road.divider_offset, road.half_width - road.margin
    bars = []
    if road.lanes_forward:
        bars.append(line(_last_piece(centre, YIELD_WIDTH), road.sign * (divider - edge) / 2, divider + edge))
    if road.lanes_backward:
        before = _last_piece(centre.reversed(), YIELD_WIDTH)
        bars.append(line(before, -road.sign * (divider + edge) / 2, edge - divider))
    return bars


def _last_piece(path: Polyline, length: float) -> Polyline:
    """Return a straight piece of `length` [m] that ends at the end of the path."""
    end = path.pose(path.length)
    return Polyline(np.array([end.moved(forward=-length).position, end.position]))


def _straightened(path: Polyline, tolerance: float = 0.02) -> Polyline:
    """Return the path with as few vertices as `tolerance` [m] and `MAX_PIECE_LENGTH` allow."""
    pieces = shapely.segmentize(shapely.simplify(shapely.linestrings(path.points), tolerance), MAX_PIECE_LENGTH)
    return Polyline(shapely.get_coordinates(pieces))
