"""Centre lines of the streets along the edges of a town graph.

Nodes of degree two become bends of one longer street. At nodes of higher degree, opposite streets run straight through.
Each centre line is a cubic spline, so its curvature is continuous.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
import shapely

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.generators.layout import spline_line

THROUGH_ANGLE = np.deg2rad(140.0)
"""Smallest angle between two of three streets that makes them one main street [rad]."""
CROSSING_ANGLE = np.deg2rad(62.0)
"""Smallest angle between the two lines of a crossing [rad]."""
MAX_RELAXATION = 0.8
"""Largest shift of a bend, as a fraction of the way to the line between its neighbours."""


@dataclass(frozen=True)
class Street:
    """A chain of graph edges between two nodes of degree three or more."""

    chain: tuple[int, ...]
    """Graph nodes along the street, in order."""


def streets_of(graph: "nx.Graph[int]") -> list[Street]:
    """Return the streets of a graph: its edges, joined at nodes of degree two."""
    crossings = sorted(node for node in graph if graph.degree(node) != 2)
    found: dict[tuple[int, ...], Street] = {}
    for node in crossings:
        for neighbour in sorted(graph.neighbors(node)):
            chain = [node, neighbour]
            while graph.degree(chain[-1]) == 2:
                chain.append(next(other for other in sorted(graph.neighbors(chain[-1])) if other != chain[-2]))
            key = min(tuple(chain), tuple(reversed(chain)))
            found.setdefault(key, Street(key))
    return list(found.values())


def centre_lines(
    graph: "nx.Graph[int]",
    streets: Sequence[Street],
    winding: Array,
    relaxations: Sequence[int],
    min_angle: float,
    cache: dict[tuple[bytes, float, float], Polyline],
) -> list[Polyline]:
    """Draw the centre lines of streets.

    Args:
        graph: The graph that the streets belong to.
        streets: The S streets.
        winding: Sideways shift (S,) of the middle of each street without bends, as a fraction of its length.
        relaxations: Number of times (S,) that each street was too tight; each one makes it straighter.
        min_angle: Smallest angle between the tangents of two streets at a node [rad].
        cache: Earlier lines by points and end headings, extended here. Most streets stay when others change.
    """
    guides = []
    for street, shift, times in zip(streets, winding.tolist(), relaxations, strict=True):
        chain = np.array([graph.nodes[node]["position"] for node in street.chain])
        guides.append(_relaxed_points(chain, times) if len(chain) > 2 else _bent_points(chain, 0.0 if times else shift))
    tangents = _tangents(streets, guides, min_angle)
    keys = [(guide.tobytes(), tangents[i, True], tangents[i, False] + np.pi) for i, guide in enumerate(guides)]
    for key, guide in zip(keys, guides, strict=True):
        if key not in cache:
            cache[key] = spline_line(guide, key[1], key[2])
    return [cache[key] for key in keys]


def _bent_points(positions: Array, shift: float) -> Array:
    """Return points (K, 2) of a street between positions (2, 2), its middle shifted by a fraction of its length."""
    if shift == 0.0:
        return positions
    along = positions[1] - positions[0]
    return np.array([positions[0], positions.mean(axis=0) + shift * np.array([-along[1], along[0]]), positions[1]])


def _relaxed_points(positions: Array, times: int) -> Array:
    """Return points (K, 2) of a street with bends at its inner positions, flatter with each of `times`."""
    relaxed = positions.copy()
    relaxed[1:-1] += min(0.2 + 0.2 * times, MAX_RELAXATION) * ((positions[:-2] + positions[2:]) / 2 - positions[1:-1])
    return relaxed


def _tangents(streets: Sequence[Street], guides: Sequence[Array], min_angle: float) -> dict[tuple[int, bool], float]:
    """Choose the heading of each street's end, away from the node; keys are (street, at its start)."""
    ends: dict[int, list[tuple[int, bool]]] = {}
    natural: dict[tuple[int, bool], float] = {}
    for i, (street, guide) in enumerate(zip(streets, guides, strict=True)):
        for at_start, here, there in ((True, guide[0], guide[1]), (False, guide[-1], guide[-2])):
            natural[i, at_start] = float(np.arctan2(*(there - here)[::-1]))
            ends.setdefault(street.chain[0 if at_start else -1], []).append((i, at_start))
    chosen: dict[tuple[int, bool], float] = {}
    for keys in ends.values():
        keys.sort(key=lambda key: natural[key])
        headings = through_headings([natural[key] for key in keys], min_angle)
        chosen.update(zip(keys, headings, strict=True))
    return chosen


def through_headings(headings: Sequence[float], min_angle: float) -> list[float]:
    """Turn the streets at a node a little, so that opposite ones become one line.

    Args:
        headings: Headings of the streets, away from the node, counter-clockwise [rad].
        min_angle: Smallest angle between the side street and the main street of three [rad].

    Returns:
        The new headings in the same order. Three streets without a clear main street stay unchanged.
    """
    if len(headings) == 4:
        first, third = _opposite_headings(headings[0], headings[2])
        second, fourth = _opposite_headings(headings[1], headings[3])
        angle = float((second - first) % (2 * np.pi))
        spread = (float(np.clip(angle, CROSSING_ANGLE, np.pi - CROSSING_ANGLE)) - angle) / 2
        return [first - spread, second + spread, third - spread, fourth + spread]
    if len(headings) != 3:
        return list(headings)
    gaps = np.array([(headings[(i + 1) % 3] - headings[i]) % (2 * np.pi) for i in range(3)])
    widest = int(gaps.argmax())
    if gaps[widest] < THROUGH_ANGLE:
        return list(headings)
    # The gap after the side street is not the widest; the streets on both sides of the widest gap are the main one.
    before, after, side = widest, (widest + 1) % 3, (widest + 2) % 3
    turned = list(headings)
    turned[before], turned[after] = _opposite_headings(headings[before], headings[after])
    angle = float((headings[side] - turned[after]) % (2 * np.pi))
    turned[side] = turned[after] + float(np.clip(angle, min_angle, np.pi - min_angle))
    return turned


def _opposite_headings(first: float, second: float) -> tuple[float, float]:
    """Turn two opposite directions by equal amounts until they are one line."""
    excess = float(wrap_angle(second - first - np.pi))
    return first + excess / 2, second - excess / 2


def tight_streets(centres: Sequence[Polyline], min_radius: float) -> list[int]:
    """Return the indices of the centre lines that bend more sharply than `min_radius` [m]."""
    return [i for i, centre in enumerate(centres) if np.abs(centre.curvatures).max() > 1 / min_radius]


def crowded_pairs(
    streets: Sequence[Street], centres: Sequence[Polyline], limit: float, reach: float = 45.0
) -> list[tuple[int, int]]:
    """Return the pairs of streets that come closer to each other than `limit`, away from the nodes that they share.

    Args:
        streets: The streets.
        centres: Centre lines of the streets.
        limit: Smallest distance between centre lines [m].
        reach: Distance from a shared node within which streets may be close to each other [m].
    """
    lines = np.array([coarse_line(centre.points) for centre in centres])
    pairs = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=limit).T
    crowded = []
    for a, b in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        shared = {streets[a].chain[0], streets[a].chain[-1]} & {streets[b].chain[0], streets[b].chain[-1]}
        parts = [_points_away_from(shared, streets[i], centres[i], reach) for i in (a, b)]
        if min(map(len, parts)) < 2 or shapely.dwithin(coarse_line(parts[0]), coarse_line(parts[1]), limit):
            crowded.append((a, b))
    return crowded


def _points_away_from(nodes: set[int], street: Street, centre: Polyline, reach: float) -> Array:
    """Return the points (N, 2) of a centre line more than `reach` [m] along it from its ends in `nodes`."""
    keep = np.ones(len(centre.points), dtype=bool)
    if street.chain[0] in nodes:
        keep &= centre.stations > reach
    if street.chain[-1] in nodes:
        keep &= centre.stations < centre.length - reach
    return centre.points[keep]


def coarse_line(points: Array) -> shapely.LineString:
    """Return a line through every third point (N, 2) and the last, precise enough for distances between streets."""
    return shapely.LineString(np.concatenate([points[:-1:3], points[-1:]]))
