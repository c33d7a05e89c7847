"""Smooth courses for surveyed streets: corners become curves that a car can drive.

All streets are smoothed at once. A light Gaussian along the course takes away the corners of the survey; where a
course still bends too sharply it is shortened there, as under the curve-shortening flow (Grayson, 1987), until the
bend is as wide as it must be. The ends stay where they are.

From an extract to street segments in the plane that meet at their ends only.

Ways are split at their nodes, projected and cut at the extract's rim. Odd data is put right: nodes that the extract
lacks, several nodes at one place, ways drawn twice, ways that cross without a shared node. World frame: x east,
y north [m].
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
"""Distance between the vertices of a course [m]."""
SOFTNESS = 2.5
"""Standard deviation of the Gaussian along the course [m]."""
SHORTEST = 5.0
"""Streets that become shorter are given up [m]."""
STEPS = 50
"""Steps of the flow between two looks at the whole."""
LOOKS = 40
"""Most looks; a course that bends too sharply even then is given up."""


def smoothed(courses: Sequence[Array], limits: Sequence[float], soften: bool) -> list[Array | None]:
    """Smooth courses.

    Args:
        courses: Vertices (N, 2) of each [m].
        limits: Greatest curvature of each [1/m].
        soften: Whether to take away small corners too.

    Returns:
        Courses with a vertex about every metre and the ends of the given ones; None where a street cannot be made
        gentle enough.
    """
    found: list[Array | None] = [_resampled(course) for course in courses]
    todo = list(range(len(courses)))
    for look in range(LOOKS + 1):
        chosen = [course for i in todo if (course := found[i]) is not None]
        if not chosen:
            return found
        if look == 0 and soften:
            moved = _blurred(chosen, steps=round(2 * SOFTNESS**2 / SPACING**2))
        elif look:
            moved = _relaxed(chosen, np.repeat([limits[i] for i in todo], [len(course) for course in chosen]))
        else:
            moved = chosen
        for i, course in zip(todo, moved, strict=True):
            # Small rings shrink to a point.
            found[i] = _resampled(course) if np.hypot(*np.diff(course, axis=0).T).sum() > SHORTEST else None
        todo = [i for i in todo if (course := found[i]) is not None and _curvatures(course).max() > limits[i]]
    for i in todo:
        found[i] = None
    return found


def _resampled(course: Array) -> Array:
    """Vertices every `SPACING` [m] or a little less, at least three."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(course, axis=0).T))])
    count = max(int(np.ceil(lengths[-1] / SPACING)), 2) + 1
    at = np.linspace(0.0, lengths[-1], count)
    return np.stack([np.interp(at, lengths, course[:, 0]), np.interp(at, lengths, course[:, 1])], axis=-1)


def _blurred(courses: Sequence[Array], steps: int) -> list[Array]:
    """Let every vertex move halfway to the middle of its neighbours; each step adds half a spacing to the variance."""
    points, inner = _chained(courses)
    for _ in range(steps):
        points = _moved(points, np.where(inner, 0.5, 0.0))
    return _unchained(points, courses)


def _relaxed(courses: Sequence[Array], limits: Array) -> list[Array]:
    """Shorten courses for a while where they bend more sharply than the limit at each of their vertices (N,) [1/m]."""
    points, inner = _chained(courses)
    for _ in range(STEPS):
        excess = np.clip((_curvatures(points) / limits - 0.85) / 0.1, 0.0, 1.0)
        points = _moved(points, _spread(excess * inner, inner) * 0.5)
    return _unchained(points, courses)


def _chained(courses: Sequence[Array]) -> tuple[Array, "np.ndarray[tuple[int], np.dtype[np.bool_]]"]:
    """All vertices (N, 2) one after the other, and whether each is no end of its course (N,)."""
    counts = np.array([len(course) for course in courses])
    last = np.cumsum(counts) - 1
    inner = np.ones(counts.sum(), dtype=bool)
    inner[last] = inner[last - counts + 1] = False
    return np.concatenate(courses), inner


def _unchained(points: Array, courses: Sequence[Array]) -> list[Array]:
    """Vertices (N, 2) as courses of the same lengths as the given ones."""
    return np.split(points, np.cumsum([len(course) for course in courses])[:-1])


def _moved(points: Array, weights: Array) -> Array:
    """Move every vertex towards the middle of its neighbours by its weight (N,)."""
    moved = points.copy()
    moved[1:-1] += weights[1:-1, None] * ((points[:-2] + points[2:]) / 2 - points[1:-1])
    return moved


def _spread(weights: Array, free: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Array:
    """Let the neighbours of moving vertices move a little too (N,)."""
    wide = weights.copy()
    for _ in range(2):
        wide[1:-1] = np.maximum(wide[1:-1], 0.7 * np.maximum(wide[:-2], wide[2:]))
    return np.asarray(wide * free)


def _curvatures(points: Array) -> Array:
    """Magnitude of the curvature at every vertex (N,) [1/m]; meaningless at the ends of courses."""
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


RIM = 150.0
"""Streets are followed so far beyond the bounds that an extract names [m]."""
FAST_RANKS = (0, 1, 5, 6)
"""Ranks of motorways, trunk roads and their ramps, which yield where they pass over streets."""
_SAME_PLACE = 0.05


@dataclass(frozen=True, eq=False)
class _Segments:
    """Straight pieces of streets."""

    places: Array
    """(N, 2) [m]."""
    ends: "np.ndarray[tuple[int, int], np.dtype[np.int64]]"
    """Indices of the places at both ends (S, 2)."""
    kinds: list[StreetKind]
    """Of each piece, from its first to its second end."""


def extract_projection(extract: Extract) -> Projection:
    """The plane that touches the earth in the middle of the extract."""
    if extract.bounds is not None:
        west, south, east, north = extract.bounds
        return Projection((west + east) / 2, (south + north) / 2)
    known = np.array([extract.places[n] for street in extract.streets for n in street.nodes if n in extract.places])
    middle = (known.min(axis=0) + known.max(axis=0)) / 2
    return Projection(float(middle[0]), float(middle[1]))


def street_segments(extract: Extract, projection: Projection) -> tuple[list[Edge], int]:
    """Segments of all streets, which meet at their ends only.

    Two streets on different levels that cross are not joined: one of them is left out at the crossing, the motorway or
    trunk road if one is, else the lesser one, else the higher one. Streets on one level that cross are joined there.

    Returns:
        The segments, and how many were left out because others cross on another level.
    """
    segments = _clipped(_distinct(extract, projection), extract, projection)
    segments, beaten = _crossed(segments)
    edges = [
        Edge(int(a), int(b), segments.places[[a, b]], kind)
        for (a, b), kind in zip(segments.ends, segments.kinds, strict=True)
    ]
    return _without_beaten(edges, beaten), len(beaten)


def _distinct(extract: Extract, projection: Projection) -> _Segments:
    """All segments, each once, between nodes that are one where they lie at one place."""
    numbers = sorted({node for street in extract.streets for node in street.nodes if node in extract.places})
    places = projection.to_plane([extract.places[number] for number in numbers])
    _, first, inverse = np.unique(np.round(places / _SAME_PLACE), axis=0, return_index=True, return_inverse=True)
    index = dict(zip(numbers, first[inverse.reshape(-1)].tolist(), strict=True))
    seen: dict[tuple[int, int], StreetKind] = {}
    for street in sorted(extract.streets, key=lambda street: street.kind.rank):
        for before, after in zip(street.nodes[:-1], street.nodes[1:], strict=True):
            if before in index and after in index:
                a, b = index[before], index[after]
                if a != b and (b, a) not in seen:
                    seen.setdefault((a, b), street.kind)
    return _Segments(places, np.array(list(seen), dtype=np.int64).reshape(-1, 2), list(seen.values()))


def _clipped(segments: _Segments, extract: Extract, projection: Projection) -> _Segments:
    """Cut the segments at the extract's rim; an extract whose bounds hold nothing of it is left whole."""
    if extract.bounds is None or not len(segments.ends):
        return segments
    west, south, east, north = extract.bounds
    corners = projection.to_plane([(west, south), (east, south), (east, north), (west, north)])
    low, high = corners.min(axis=0) - RIM, corners.max(axis=0) + RIM
    inside = ((segments.places >= low) & (segments.places <= high)).all(axis=1)[segments.ends]  # (S, 2)
    if not inside.any():
        return segments
    box, places = shapely.box(*low, *high), list(segments.places)
    ends, kinds = [], []
    for (a, b), within, kind in zip(segments.ends.tolist(), inside.tolist(), segments.kinds, strict=True):
        if not all(within):
            part = shapely.intersection(box, shapely.LineString([places[a], places[b]]))
            if not isinstance(part, shapely.LineString) or part.length < 1.0:
                continue
            cut = shapely.get_coordinates(part)
            places += [point for point, known in zip(cut, within, strict=True) if not known]
            new = len(places) - (2 - sum(within))
            a, b = (a if within[0] else new), (b if within[1] else len(places) - 1)
        ends.append((a, b))
        kinds.append(kind)
    return _Segments(np.array(places), np.array(ends, dtype=np.int64).reshape(-1, 2), kinds)


def _crossed(segments: _Segments) -> tuple[_Segments, set[int]]:
    """Join segments of one level where they cross, and find those that yield to segments of another level."""
    lines = np.asarray(shapely.linestrings(segments.places[segments.ends]))
    pairs = shapely.STRtree(lines).query(lines, predicate="crosses").T
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    cuts: dict[int, list[int]] = {}
    places = list(segments.places)
    beaten: set[int] = set()
    for i, j in pairs.tolist():
        one, other = segments.kinds[i], segments.kinds[j]
        if one.layer != other.layer:
            beaten.add(j if _yields(other, one) else i)
            continue
        point = shapely.get_coordinates(shapely.intersection(lines[i], lines[j]))
        if len(point) == 1:
            places.append(point[0])
            cuts.setdefault(i, []).append(len(places) - 1)
            cuts.setdefault(j, []).append(len(places) - 1)
    return _cut(segments, np.array(places), cuts, beaten)


def _yields(one: StreetKind, other: StreetKind) -> bool:
    """Whether the first of two streets that cross on different levels is left out."""
    fast = (one.rank in FAST_RANKS, other.rank in FAST_RANKS)
    if fast[0] != fast[1]:
        return fast[0]
    return (one.rank, one.layer) > (other.rank, other.layer)


def _cut(
    segments: _Segments, places: Array, cuts: dict[int, list[int]], beaten: set[int]
) -> tuple[_Segments, set[int]]:
    """Cut segments at new places; what is cut of a beaten one is beaten too."""
    ends: list[tuple[int, int]] = []
    kinds: list[StreetKind] = []
    lost: set[int] = set()
    for index, (a, b) in enumerate(segments.ends.tolist()):
        along = sorted(cuts.get(index, []), key=lambda c: float(np.hypot(*(places[c] - places[a]))))
        chain = [a, *along, b]
        if index in beaten:
            lost.update(range(len(ends), len(ends) + len(chain) - 1))
        ends += pairwise(chain)
        kinds += [segments.kinds[index]] * (len(chain) - 1)
    return _Segments(places, np.array(ends, dtype=np.int64).reshape(-1, 2), kinds), lost


def _without_beaten(edges: Sequence[Edge], beaten: set[int]) -> list[Edge]:
    """Leave out the beaten segments, and those that go on from them to the next crossing."""
    meeting: dict[int, list[int]] = {}
    for index, edge in enumerate(edges):
        meeting.setdefault(edge.start, []).append(index)
        meeting.setdefault(edge.end, []).append(index)
    lost, todo = set(beaten), sorted(beaten)
    while todo:
        edge = edges[todo.pop()]
        for place in (edge.start, edge.end):
            if len(meeting[place]) == 2:
                more = [index for index in meeting[place] if index not in lost]
                lost.update(more)
                todo += more
    return [edge for index, edge in enumerate(edges) if index not in lost]
