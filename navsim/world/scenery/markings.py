"""Lines painted on the roads."""

import numpy as np
import shapely

from navsim.geometry import Array, Polyline
from navsim.roads.network import Road, RoadNetwork
from navsim.world.scenery.meshes import Surface, quads, ribbon
from navsim.world.scenery.textures import Paint

LINE_HEIGHT = 0.02
"""Markings float this far above the road, so that the depth test can tell them apart [m]."""
LINE_WIDTH = 0.18
"""Of edge lines and dashes [m]."""
DASH, GAP = 3.0, 5.0
"""Length of the dashes between lanes and of the gaps between them [m]."""
YIELD_WIDTH = 0.45
"""Of the line across a lane that enters a junction [m]."""
MOUTH_GAP = 0.1
"""Markings end this far before a junction's mouth [m]."""
LONGEST_PIECE = 15.0
"""Longest straight piece of a line [m]: renderers skip whole pieces."""
STRAIGHT_ENOUGH = 0.018
"""Curvature up to which a dash is painted straight [1/m]."""


def markings(network: RoadNetwork) -> Surface:
    """Paint every road between its mouths: edge lines, dashes between lanes, yield lines; nothing in junctions."""
    parts: list[Surface] = []
    for index, road in enumerate(network.roads):
        start, end = network.mouths(index)
        centre = road.centre.between(start + MOUTH_GAP, end - MOUTH_GAP)
        parts += [*_edge_lines(road, centre), *_lane_lines(road, centre), *_yield_lines(road, centre)]
    return Surface.merged(parts)


def worn(paint: Surface, missing: float, rng: np.random.Generator) -> Surface:
    """Take away a share `missing` of the painted pieces, mostly neighbours of each other."""
    count = len(paint.vertices) // 4
    waves, phases = rng.normal(0.0, 0.08, (2, 6)), rng.uniform(0.0, 2 * np.pi, 6)
    middles = paint.vertices.reshape(count, 4, 3)[:, :, :2].mean(axis=1)
    wear = np.cos(middles @ waves + phases).sum(axis=1) + rng.normal(0.0, 1.0, count)
    kept = np.sort(np.argsort(wear, kind="stable")[round(missing * count) :])
    return quads(paint.vertices.reshape(count, 4, 3)[kept], int(Paint.MARKING))


def line(path: Polyline, offset: float, width: float) -> Surface:
    """A painted line of `width` at `offset` [m] to the left of a path."""
    normals = np.stack([-np.sin(path.headings), np.cos(path.headings)], axis=-1)
    left, right = (path.points + (offset + side * width / 2) * normals for side in (1, -1))
    return ribbon(left, right, LINE_HEIGHT, int(Paint.MARKING))


def _edge_lines(road: Road, centre: Polyline) -> list[Surface]:
    path = _straightened(centre)
    edge = road.half_width - road.margin
    return [line(path, edge, LINE_WIDTH), line(path, -edge, LINE_WIDTH)]


def _lane_lines(road: Road, centre: Polyline) -> list[Surface]:
    """Dashes between the lanes; where there are several each way, an unbroken line between the two directions."""
    left = road.half_width - road.margin
    divided = min(road.lanes_forward, road.lanes_backward) > 1
    between = [i for i in range(1, road.lanes) if not (divided and i == road.lanes_backward)]
    dashes = _dashes(centre, left - np.array(between) * road.lane_width)
    return [dashes, line(_straightened(centre), road.divider_offset, LINE_WIDTH)] if divided else [dashes]


def _dashes(centre: Polyline, offsets: Array) -> Surface:
    """A dashed line at each of the offsets (N,) [m] to the left of a path."""
    starts = np.arange(GAP / 2, centre.length - DASH, DASH + GAP)
    bent = np.abs(centre.curvature(starts + DASH / 2)) > STRAIGHT_ENOUGH
    begins = np.concatenate([starts, starts[bent] + DASH / 2])
    ends = np.concatenate([np.where(bent, starts + DASH / 2, starts + DASH), starts[bent] + DASH])
    bounds = [_beside(centre, stations, offset) for stations, offset in _corners(begins, ends, offsets)]
    flat = np.stack(bounds, axis=1)  # (dashes, 4, 2)
    return quads(np.concatenate([flat, np.full((*flat.shape[:2], 1), LINE_HEIGHT)], axis=-1), int(Paint.MARKING))


def _corners(begins: Array, ends: Array, offsets: Array) -> list[tuple[Array, Array]]:
    """Stations and offsets of the four corners of every dash on every line, counter-clockwise."""
    half = LINE_WIDTH / 2
    lines = np.repeat(offsets, len(begins))
    begin, end = np.tile(begins, len(offsets)), np.tile(ends, len(offsets))
    return [(begin, lines - half), (end, lines - half), (end, lines + half), (begin, lines + half)]


def _beside(centre: Polyline, stations: Array, offsets: Array) -> Array:
    """Points (N, 2) at offsets to the left of a path."""
    heading = centre.heading(stations)
    normals = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    return np.asarray(centre.position(stations) + offsets[:, None] * normals)


def _yield_lines(road: Road, centre: Polyline) -> list[Surface]:
    """A bar across the lanes that enter the junction, at each end of the road; a roundabout's ring yields to nobody."""
    if road.ring:
        return []
    divider, edge = road.divider_offset, road.half_width - road.margin
    bars = []
    if road.lanes_forward:
        bars.append(line(_last_piece(centre, YIELD_WIDTH), (divider - edge) / 2, divider + edge))
    if road.lanes_backward:
        bars.append(line(_last_piece(centre.reversed(), YIELD_WIDTH), -(divider + edge) / 2, edge - divider))
    return bars


def _last_piece(path: Polyline, length: float) -> Polyline:
    """A straight piece that ends where the path ends."""
    end = path.pose(path.length)
    return Polyline(np.array([end.moved(forward=-length).position, end.position]))


def _straightened(path: Polyline, tolerance: float = 0.02) -> Polyline:
    """The path with as few vertices as `tolerance` [m] and `LONGEST_PIECE` allow."""
    rough = shapely.segmentize(shapely.simplify(shapely.linestrings(path.points), tolerance), LONGEST_PIECE)
    return Polyline(shapely.get_coordinates(rough))
