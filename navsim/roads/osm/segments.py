"""Geometry of mapped streets: segments in the plane that meet only at their ends, and smooth centre lines.

Ways are split at their nodes, projected, and clipped at the extract's bounds. Defects of the data are repaired: missing
nodes, several nodes at one position, ways drawn twice, ways that cross without a common node.

All centre lines are smoothed at once. A narrow Gaussian along the line removes the corners of the survey. Where a line
still bends too sharply, curve-shortening flow (Grayson, 1987) widens the bend. The ends do not move.

World frame: x east, y north [m].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.osm.graph import Edge
from navsim.roads.osm.reader import Extract, Projection
from navsim.roads.osm.tags import StreetKind

SPACING = 1.0
"""Distance between the vertices of a centre line [m]."""
SMOOTHING_SIGMA = 2.5
"""Standard deviation of the Gaussian along the centre line [m]."""
MIN_LENGTH = 5.0
"""Smallest length of a smoothed centre line [m]."""
STEPS_PER_CHECK = 50
"""Steps of the flow between two checks of the curvature."""
MAX_CHECKS = 40
"""Largest number of checks; a line that bends too sharply even then is dropped."""


def smoothed(lines: Sequence[Array], limits: Sequence[float], remove_corners: bool) -> list[Array | None]:
    """Smooth centre lines until their curvature is within limits.

    Args:
        lines: Vertices (N, 2) of each line [m].
        limits: Largest curvature of each line [1/m].
        remove_corners: Whether to apply the Gaussian first.

    Returns:
        Lines with the same ends and a vertex about every metre; None for a line that cannot be made smooth enough.
    """
    found: list[Array | None] = [_resampled(line) for line in lines]
    pending = list(range(len(lines)))
    for check in range(MAX_CHECKS + 1):
        current = [line for i in pending if (line := found[i]) is not None]
        if not current:
            return found
        if check == 0 and remove_corners:
            moved = _blurred(current, steps=round(2 * SMOOTHING_SIGMA**2 / SPACING**2))
        elif check:
            moved = _shortened(current, np.repeat([limits[i] for i in pending], [len(line) for line in current]))
        else:
            moved = current
        for i, line in zip(pending, moved, strict=True):
            # The flow shrinks small rings to a point.
            found[i] = _resampled(line) if np.hypot(*np.diff(line, axis=0).T).sum() > MIN_LENGTH else None
        pending = [i for i in pending if (line := found[i]) is not None and _curvatures(line).max() > limits[i]]
    for i in pending:
        found[i] = None
    return found


def _resampled(line: Array) -> Array:
    """Return the line with vertices every `SPACING` [m] or a little less, at least three."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    stations = np.linspace(0.0, lengths[-1], count)
    return np.stack([np.interp(stations, lengths, line[:, 0]), np.interp(stations, lengths, line[:, 1])], axis=-1)


def _blurred(lines: Sequence[Array], steps: int) -> list[Array]:
    """Move every vertex halfway to the middle of its neighbours; each step adds half a squared spacing of variance."""
    points, inner = _concatenated(lines)
    for _ in range(steps):
        points = _step(points, np.where(inner, 0.5, 0.0))
    return _split_like(points, lines)


def _shortened(lines: Sequence[Array], limits: Array) -> list[Array]:
    """Run `STEPS_PER_CHECK` steps of the flow where curvatures exceed the limit of each vertex (N,) [1/m]."""
    points, inner = _concatenated(lines)
    for _ in range(STEPS_PER_CHECK):
        excess = np.clip((_curvatures(points) / limits - 0.85) / 0.1, 0.0, 1.0)
        points = _step(points, _spread_weights(excess * inner, inner) * 0.5)
    return _split_like(points, lines)


def _concatenated(lines: Sequence[Array]) -> tuple[Array, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """Return the vertices of all lines (N, 2), and whether each is an inner vertex of its line (N,)."""
    counts = np.array([len(line) for line in lines])
    last = np.cumsum(counts) - 1
    inner = np.ones(counts.sum(), dtype=bool)
    inner[last] = inner[last - counts + 1] = False
    return np.concatenate(lines), inner


def _split_like(points: Array, lines: Sequence[Array]) -> list[Array]:
    """Split vertices (N, 2) into lines with as many vertices as the given ones."""
    return np.split(points, np.cumsum([len(line) for line in lines])[:-1])


def _step(points: Array, weights: Array) -> Array:
    """Move every vertex towards the middle of its neighbours by its weight (N,)."""
    moved = points.copy()
    moved[1:-1] += weights[1:-1, None] * ((points[:-2] + points[2:]) / 2 - points[1:-1])
    return moved


def _spread_weights(weights: Array, free: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Array:
    """Return weights (N,) with a smaller weight for the neighbours of moving vertices."""
    wide = weights.copy()
    for _ in range(2):
        wide[1:-1] = np.maximum(wide[1:-1], 0.7 * np.maximum(wide[:-2], wide[2:]))
    return np.asarray(wide * free)


def _curvatures(points: Array) -> Array:
    """Return the magnitude of the curvature at every vertex (N,) [1/m]; not valid at the ends of lines."""
    steps = np.diff(points, axis=0)
    before, after = steps[:-1], steps[1:]
    turns = np.arctan2(
        before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0],
        (before * after).sum(axis=1),
    )
    sizes = np.hypot(steps[:, 0], steps[:, 1])
    found = np.zeros(len(points))
    found[1:-1] = np.abs(2 * turns) / np.maximum(sizes[1:] + sizes[:-1], 1e-9)
    return found


BOUNDS_MARGIN = 150.0
"""Length of streets kept beyond the extract's bounds [m]."""
FAST_RANKS = (0, 1, 5, 6)
"""Ranks of motorways, trunk roads and their ramps, which are removed where they cross streets on another level."""
_MERGE_DISTANCE = 0.05
"""Grid size within which nodes count as one [m]."""


@dataclass(frozen=True, eq=False)
class _Segments:
    """Straight segments of streets."""

    points: Array
    """End points of the segments (N, 2) [m]."""
    ends: "np.ndarray[tuple[int, int], np.dtype[np.int64]]"
    """Indices of the points at both ends of each segment (S, 2)."""
    kinds: list[StreetKind]
    """Kind of each segment, from its first to its second end."""


def extract_projection(extract: Extract) -> Projection:
    """Return the projection with its origin in the middle of the extract."""
    if extract.bounds is not None:
        west, south, east, north = extract.bounds
        return Projection((west + east) / 2, (south + north) / 2)
    known = np.array(
        [extract.coordinates[n] for street in extract.streets for n in street.nodes if n in extract.coordinates]
    )
    middle = (known.min(axis=0) + known.max(axis=0)) / 2
    return Projection(float(middle[0]), float(middle[1]))


def street_segments(extract: Extract, projection: Projection) -> tuple[list[Edge], int]:
    """Return the segments of all streets, which meet only at their ends.

    Streets that cross on the same level are joined. Of two streets that cross on different levels, one is removed at
    the crossing: the motorway or trunk road if one is, else the less important one, else the higher one.

    Returns:
        The segments, and the number of segments removed because others cross on another level.
    """
    segments = _clipped(_distinct(extract, projection), extract, projection)
    segments, removed = _resolve_crossings(segments)
    edges = [
        Edge(int(a), int(b), segments.points[[a, b]], kind)
        for (a, b), kind in zip(segments.ends, segments.kinds, strict=True)
    ]
    return _without_removed(edges, removed), len(removed)


def _distinct(extract: Extract, projection: Projection) -> _Segments:
    """Return all segments, each once, with the nodes at one position merged."""
    numbers = sorted({node for street in extract.streets for node in street.nodes if node in extract.coordinates})
    points = projection.to_plane([extract.coordinates[number] for number in numbers])
    _, first, inverse = np.unique(np.round(points / _MERGE_DISTANCE), axis=0, return_index=True, return_inverse=True)
    index = dict(zip(numbers, first[inverse.reshape(-1)].tolist(), strict=True))
    seen: dict[tuple[int, int], StreetKind] = {}
    for street in sorted(extract.streets, key=lambda street: street.kind.rank):
        for before, after in zip(street.nodes[:-1], street.nodes[1:], strict=True):
            if before in index and after in index:
                a, b = index[before], index[after]
                if a != b and (b, a) not in seen:
                    seen.setdefault((a, b), street.kind)
    return _Segments(points, np.array(list(seen), dtype=np.int64).reshape(-1, 2), list(seen.values()))


def _clipped(segments: _Segments, extract: Extract, projection: Projection) -> _Segments:
    """Clip the segments at the extract's bounds; without any segment inside, return them unchanged."""
    if extract.bounds is None or not len(segments.ends):
        return segments
    west, south, east, north = extract.bounds
    corners = projection.to_plane([(west, south), (east, south), (east, north), (west, north)])
    low, high = corners.min(axis=0) - BOUNDS_MARGIN, corners.max(axis=0) + BOUNDS_MARGIN
    inside = ((segments.points >= low) & (segments.points <= high)).all(axis=1)[segments.ends]  # (S, 2)
    if not inside.any():
        return segments
    box, points = shapely.box(*low, *high), list(segments.points)
    ends, kinds = [], []
    for (a, b), within, kind in zip(segments.ends.tolist(), inside.tolist(), segments.kinds, strict=True):
        if not all(within):
            part = shapely.intersection(box, shapely.LineString([points[a], points[b]]))
            if not isinstance(part, shapely.LineString) or part.length < 1.0:
                continue
            cut = shapely.get_coordinates(part)
            points += [point for point, known in zip(cut, within, strict=True) if not known]
            new = len(points) - (2 - sum(within))
            a, b = (a if within[0] else new), (b if within[1] else len(points) - 1)
        ends.append((a, b))
        kinds.append(kind)
    return _Segments(np.array(points), np.array(ends, dtype=np.int64).reshape(-1, 2), kinds)


def _resolve_crossings(segments: _Segments) -> tuple[_Segments, set[int]]:
    """Join segments that cross on one level, and find those to remove where levels differ."""
    lines = np.asarray(shapely.linestrings(segments.points[segments.ends]))
    pairs = shapely.STRtree(lines).query(lines, predicate="crosses").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    cuts: dict[int, list[int]] = {}
    points = list(segments.points)
    removed: set[int] = set()
    for i, j in pairs.tolist():
        one, other = segments.kinds[i], segments.kinds[j]
        if one.layer != other.layer:
            removed.add(j if _is_removed(other, one) else i)
            continue
        point = shapely.get_coordinates(shapely.intersection(lines[i], lines[j]))
        if len(point) == 1:
            points.append(point[0])
            cuts.setdefault(i, []).append(len(points) - 1)
            cuts.setdefault(j, []).append(len(points) - 1)
    return _cut(segments, np.array(points), cuts, removed)


def _is_removed(one: StreetKind, other: StreetKind) -> bool:
    """Return whether the first of two streets that cross on different levels is the one to remove."""
    is_fast = (one.rank in FAST_RANKS, other.rank in FAST_RANKS)
    if is_fast[0] != is_fast[1]:
        return is_fast[0]
    return (one.rank, one.layer) > (other.rank, other.layer)


def _cut(
    segments: _Segments, points: Array, cuts: dict[int, list[int]], removed: set[int]
) -> tuple[_Segments, set[int]]:
    """Cut segments at new points; return them and the parts of the removed ones."""
    ends: list[tuple[int, int]] = []
    kinds: list[StreetKind] = []
    dropped: set[int] = set()
    for index, (a, b) in enumerate(segments.ends.tolist()):
        along = sorted(cuts.get(index, []), key=lambda c: float(np.hypot(*(points[c] - points[a]))))
        chain = [a, *along, b]
        if index in removed:
            dropped.update(range(len(ends), len(ends) + len(chain) - 1))
        ends += pairwise(chain)
        kinds += [segments.kinds[index]] * (len(chain) - 1)
    return _Segments(points, np.array(ends, dtype=np.int64).reshape(-1, 2), kinds), dropped


def _without_removed(edges: Sequence[Edge], removed: set[int]) -> list[Edge]:
    """Return the edges without the removed ones and their continuations to the next crossing."""
    meeting: dict[int, list[int]] = {}
    for index, edge in enumerate(edges):
        meeting.setdefault(edge.start, []).append(index)
        meeting.setdefault(edge.end, []).append(index)
    dropped, pending = set(removed), sorted(removed)
    while pending:
        edge = edges[pending.pop()]
        for node in (edge.start, edge.end):
            if len(meeting[node]) == 2:
                more = [index for index in meeting[node] if index not in dropped]
                dropped.update(more)
                pending += more
    return [edge for index, edge in enumerate(edges) if index not in dropped]
