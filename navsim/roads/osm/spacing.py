"""Room between mapped streets: which lanes overlap, and streets narrowed and moved apart.

World frame: x east, y north [m].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from scipy.ndimage import gaussian_filter1d

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.junctions import strip
from navsim.roads.osm.graph import MIN_APART, Edge, ends_by_node, heading_at
from navsim.roads.osm.tags import LANE_WIDTHS

MIN_OVERLAP = 0.5
"""Smallest area that counts as an overlap of two streets' lanes [m^2]."""
FORK_ANGLE = np.deg2rad(45.0)
"""Largest angle between two streets that fork [rad]."""
FORK_LENGTH = 60.0
"""Largest length of a street from the node of a fork within which it cannot be clear of others there [m]."""
CROSSING_LENGTH = 10.0
"""Length of a street from another node within which it may cross others [m]."""
MIN_BESIDE = 40.0
"""Smallest length over which two streets run side by side before crossings are known [m]."""


@dataclass(frozen=True, eq=False)
class LaneOverlaps:
    """Streets whose lanes overlap."""

    spans: dict[int, tuple[float, float]]
    """Stations between which a street has lanes [m], by the street's index."""
    gaps: dict[tuple[int, int], float]
    """Smallest distance between the centre lines of two streets whose lanes overlap [m], by their indices."""


def lane_overlaps(edges: Sequence[Edge], spans: dict[int, tuple[float, float]] | None = None) -> LaneOverlaps:
    """Return the streets whose lanes overlap.

    Args:
        edges: The streets.
        spans: Stations of the mouths of the streets outside crossings [m], by the street's index. None before crossings
            are known: then only streets count that run side by side for long.
    """
    known = _inner_spans(edges) if spans is None else spans
    lines = {i: Polyline(edges[i].points).between(*span) for i, span in known.items()}
    gaps = _overlaps(edges, lines)
    if spans is None:
        gaps = {pair: gap for pair, gap in gaps.items() if gap >= MIN_APART and _are_side_by_side(edges, lines, pair)}
    return LaneOverlaps(known, gaps)


def _inner_spans(edges: Sequence[Edge]) -> dict[int, tuple[float, float]]:
    """Return the stations of long streets between which they do not meet others at their nodes [m]."""
    cuts = {}
    for ends in ends_by_node(edges).values():
        for end in ends:
            angles = [
                abs(wrap_angle(heading_at(edges, end) - heading_at(edges, other))) for other in ends if other != end
            ]
            cuts[end] = FORK_LENGTH if min(angles, default=np.pi) < FORK_ANGLE else CROSSING_LENGTH
    found = {}
    for i, edge in enumerate(edges):
        length = edge.length
        first, last = (min(cuts[i, at_start], length / 3) for at_start in (True, False))
        if length - first - last > MIN_BESIDE:
            found[i] = first, length - last
    return found


def _are_side_by_side(edges: Sequence[Edge], lines: Mapping[int, Polyline], pair: tuple[int, int]) -> bool:
    """Return whether the lanes of two streets overlap along `MIN_BESIDE`."""
    one, other = (shapely.LineString(lines[i].points) for i in pair)
    beside = other.buffer(sum(edges[i].kind.half_width_of_lanes for i in pair), cap_style="flat")
    return float(one.intersection(beside).length) >= MIN_BESIDE


def _overlaps(edges: Sequence[Edge], lines: Mapping[int, Polyline]) -> dict[tuple[int, int], float]:
    """Return the smallest distance between the centre lines of streets whose lanes overlap [m], by their indices."""
    if not lines:
        return {}
    numbers = list(lines)
    areas = np.array([strip(lines[i], edges[i].kind.half_width_of_lanes) for i in numbers])
    first, second = shapely.STRtree(areas).query(areas, predicate="intersects")
    first, second = first[first < second], second[first < second]
    large = shapely.area(shapely.intersection(areas[first], areas[second])) > MIN_OVERLAP
    pairs = [(numbers[a], numbers[b]) for a, b in zip(first[large].tolist(), second[large].tolist(), strict=True)]
    strings = {i: shapely.LineString(lines[i].points) for pair in pairs for i in pair}
    return {(i, j): float(shapely.distance(strings[i], strings[j])) for i, j in pairs}


LANE_GAP = 0.5
"""Smallest distance between lanes of two streets side by side [m]."""
PUSH_SIGMA = 4.0
"""Standard deviation of the smoothing of shifts along a street [m]; streets have a vertex about every metre."""
BLEND_LENGTH = 30.0
"""Largest length over which a street's shift approaches that of its node [m]."""


def without_overlaps(
    edges: Sequence[Edge], spans: Mapping[int, tuple[float, float]], gaps: Mapping[tuple[int, int], float]
) -> list[Edge]:
    """Make room between streets whose lanes overlap.

    Lanes become narrower, down to the smallest width. Where that does not suffice, centre lines are moved apart.

    Args:
        edges: Streets with smooth centre lines.
        spans: Stations between which a street has lanes [m], by the street's index.
        gaps: Smallest distance between the centre lines of two streets whose lanes overlap [m], by their indices.
    """
    lines = {i: Polyline(edges[i].points).between(*spans[i]) for pair in gaps for i in pair}
    widths = [edge.kind.lane_width for edge in edges]
    for (i, j), gap in gaps.items():
        factor = max(gap - LANE_GAP, 0.0) / (edges[i].kind.half_width_of_lanes + edges[j].kind.half_width_of_lanes)
        for k in (i, j):
            width = edges[k].kind.lane_width
            widths[k] = min(widths[k], max(width * factor, min(width, LANE_WIDTHS[0])))
    narrow = [replace(edge, kind=replace(edge.kind, lane_width=w)) for edge, w in zip(edges, widths, strict=True)]
    shifts: dict[int, Array] = {}
    for (i, j), gap in gaps.items():
        needed = narrow[i].kind.half_width_of_lanes + narrow[j].kind.half_width_of_lanes + LANE_GAP
        if gap < needed:
            for one, other in ((i, j), (j, i)):
                shift = _shift_away(edges[one], spans[one], lines[one], lines[other], needed)
                shifts[one] = shifts.get(one, np.zeros_like(shift)) + shift
    return _shifted(narrow, shifts)


def _shift_away(edge: Edge, span: tuple[float, float], line: Polyline, other: Polyline, needed: float) -> Array:
    """Return the shift of a street's vertices (N, 2) [m] by half of what another one lacks to the needed distance."""
    string, points = shapely.LineString(other.points), shapely.points(line.points)
    nearest = shapely.line_interpolate_point(string, shapely.line_locate_point(string, points))
    away = line.points - shapely.get_coordinates(nearest)
    distances = np.maximum(np.hypot(*away.T), 1e-6)
    push = away / distances[:, None] * np.maximum(needed - distances, 0.0)[:, None] / 2
    smooth = gaussian_filter1d(push, PUSH_SIGMA, axis=0, mode="nearest")
    # Towards its nodes, the street is shifted as at its mouths.
    vertices = Polyline(edge.points).stations - span[0]
    return np.stack([np.interp(vertices, line.stations, smooth[:, axis]) for axis in (0, 1)], axis=-1)


def _shifted(edges: Sequence[Edge], shifts: Mapping[int, Array]) -> list[Edge]:
    """Shift streets and, by the mean of their ends' shifts, the nodes with all streets that meet there."""
    at_node: dict[int, list[Array]] = {}
    for i, shift in shifts.items():
        at_node.setdefault(edges[i].start, []).append(shift[0])
        at_node.setdefault(edges[i].end, []).append(shift[-1])
    nodes = {node: np.mean(found, axis=0) for node, found in at_node.items()}
    moved = []
    for i, edge in enumerate(edges):
        first, last = nodes.get(edge.start), nodes.get(edge.end)
        if i not in shifts and first is None and last is None:
            moved.append(edge)
            continue
        shift, stations = shifts.get(i, np.zeros_like(edge.points)), Polyline(edge.points).stations
        reach = min(BLEND_LENGTH, stations[-1] / 2)
        ends = [np.zeros(2) if node is None else node for node in (first, last)]
        blends = [_ramp(1 - stations / reach), _ramp(1 - (stations[-1] - stations) / reach)]
        blended = sum(blend[:, None] * (end - shift[k]) for blend, end, k in zip(blends, ends, (0, -1), strict=True))
        moved.append(replace(edge, points=edge.points + shift + blended))
    return moved


def _ramp(share: Array) -> Array:
    """Return a smooth rise from 0 at a share of 0 to 1 at a share of 1."""
    x = np.clip(share, 0.0, 1.0)
    return np.asarray(x**2 * (3 - 2 * x))
