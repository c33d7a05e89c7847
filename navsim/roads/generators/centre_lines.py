"""Streets: smooth centre lines along the edges of a town's plan.

Places with two streets become bends of one longer street. At places with more, opposite streets run straight
through. Each centre line is a cubic spline, so its curvature is continuous.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
import shapely

from navsim.geometry import Array, Polyline, wrap_angle
from navsim.roads.generators.layout import spline_line

THROUGH_ANGLE = np.deg2rad(140.0)
"""Two streets at least this far apart, among three, become one main street [rad]."""

CROSSING_ANGLE = np.deg2rad(62.0)
"""Least angle between the two lines of a crossing [rad]."""
MAX_EASE = 0.8
"""Greatest part by which a corner is cut, of the way to the line between its neighbours."""


@dataclass(frozen=True)
class Street:
    """A chain of the plan's edges between two places where at least three streets meet."""

    chain: tuple[int, ...]
    """The places along it."""


def streets_of(plan: "nx.Graph[int]") -> list[Street]:
    """Follow the plan's edges through all places that have only two."""
    crossings = sorted(node for node in plan if plan.degree(node) != 2)
    found: dict[tuple[int, ...], Street] = {}
    for node in crossings:
        for neighbour in sorted(plan.neighbors(node)):
            chain = [node, neighbour]
            while plan.degree(chain[-1]) == 2:
                chain.append(next(other for other in sorted(plan.neighbors(chain[-1])) if other != chain[-2]))
            key = min(tuple(chain), tuple(reversed(chain)))
            found.setdefault(key, Street(key))
    return list(found.values())


def centre_lines(
    plan: "nx.Graph[int]",
    streets: Sequence[Street],
    winding: Array,
    relaxed: Sequence[int],
    min_angle: float,
    drawn: dict[tuple[bytes, float, float], Polyline],
) -> list[Polyline]:
    """Draw the streets.

    Args:
        plan: The graph the streets were found in.
        streets: The S streets.
        winding: Sideways shift (S,) of the middle of each street without bends, as a part of its length.
        relaxed: How many times (S,) each street was found too tight; it is drawn more gently each time.
        min_angle: Least angle between the tangents of two streets at a place [rad].
        drawn: What was drawn before, by points and end headings; most streets stay as they are when others change.
    """
    guides = []
    for street, shift, times in zip(streets, winding.tolist(), relaxed, strict=True):
        places = np.array([plan.nodes[node]["place"] for node in street.chain])
        guides.append(_eased(places, times) if len(places) > 2 else _wound(places, 0.0 if times else shift))
    tangents = _tangents(streets, guides, min_angle)
    keys = [(guide.tobytes(), tangents[i, True], tangents[i, False] + np.pi) for i, guide in enumerate(guides)]
    for key, guide in zip(keys, guides, strict=True):
        if key not in drawn:
            drawn[key] = spline_line(guide, key[1], key[2])
    return [drawn[key] for key in keys]


def _wound(places: Array, shift: float) -> Array:
    """Points (K, 2) of a street between two places (2, 2), its middle shifted sideways by a part of its length."""
    if shift == 0.0:
        return places
    along = places[1] - places[0]
    return np.array([places[0], places.mean(axis=0) + shift * np.array([-along[1], along[0]]), places[1]])


def _eased(places: Array, times: int) -> Array:
    """Points (K, 2) of a street with bends at its inner places; the corners are cut more with every time."""
    eased = places.copy()
    eased[1:-1] += min(0.2 + 0.2 * times, MAX_EASE) * ((places[:-2] + places[2:]) / 2 - places[1:-1])
    return eased


def _tangents(streets: Sequence[Street], guides: Sequence[Array], min_angle: float) -> dict[tuple[int, bool], float]:
    """Choose the heading, away from the place, of each street's end; keys are (street, at its start)."""
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
    """Turn the streets at a place a little, so that opposite ones become one line.

    Args:
        headings: Directions in which they leave, counter-clockwise [rad].
        min_angle: Least angle between the side street and the main street of three [rad].

    Returns:
        The new directions, in the same order; three streets without a clear main street stay as they are.
    """
    if len(headings) == 4:
        first, third = _aligned(headings[0], headings[2])
        second, fourth = _aligned(headings[1], headings[3])
        opening = float((second - first) % (2 * np.pi))
        spread = (float(np.clip(opening, CROSSING_ANGLE, np.pi - CROSSING_ANGLE)) - opening) / 2
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
    turned[before], turned[after] = _aligned(headings[before], headings[after])
    opening = float((headings[side] - turned[after]) % (2 * np.pi))
    turned[side] = turned[after] + float(np.clip(opening, min_angle, np.pi - min_angle))
    return turned


def _aligned(first: float, second: float) -> tuple[float, float]:
    """Turn two opposite directions by equal amounts until they are one line."""
    excess = float(wrap_angle(second - first - np.pi))
    return first + excess / 2, second - excess / 2


def tight_streets(centres: Sequence[Polyline], min_radius: float) -> list[int]:
    """Indices of the centre lines that bend more sharply than `min_radius` [m]."""
    return [i for i, centre in enumerate(centres) if np.abs(centre.curvatures).max() > 1 / min_radius]


def crowded_pairs(
    streets: Sequence[Street], centres: Sequence[Polyline], limit: float, reach: float = 45.0
) -> list[tuple[int, int]]:
    """Pairs of streets that come closer to each other than `limit`, away from the places they share.

    Args:
        streets: The streets.
        centres: Their centre lines.
        limit: Least distance between centre lines [m].
        reach: How far from a shared place streets may be close to each other [m].
    """
    lines = np.array([coarse(centre.points) for centre in centres])
    pairs = shapely.STRtree(lines).query(lines, predicate="dwithin", distance=limit).T
    crowded = []
    for a, b in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        shared = {streets[a].chain[0], streets[a].chain[-1]} & {streets[b].chain[0], streets[b].chain[-1]}
        parts = [_away_from(shared, streets[i], centres[i], reach) for i in (a, b)]
        if min(map(len, parts)) < 2 or shapely.dwithin(coarse(parts[0]), coarse(parts[1]), limit):
            crowded.append((a, b))
    return crowded


def _away_from(places: set[int], street: Street, centre: Polyline, reach: float) -> Array:
    """Points (N, 2) of a centre line that lie more than `reach` [m] along it from those ends that are in `places`."""
    keep = np.ones(len(centre.points), dtype=bool)
    if street.chain[0] in places:
        keep &= centre.stations > reach
    if street.chain[-1] in places:
        keep &= centre.stations < centre.length - reach
    return centre.points[keep]


def coarse(points: Array) -> shapely.LineString:
    """A line through every third point (N, 2) and the last; close enough for distances between streets."""
    return shapely.LineString(np.concatenate([points[:-1:3], points[-1:]]))
