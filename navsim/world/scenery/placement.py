"""Where things may stand: places beside the roads, and what keeps clear of what."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork

Mask = NDArray[np.bool_]
Shapes = NDArray[np.object_]
"""Geometries (N,)."""


@dataclass(frozen=True, eq=False)
class Places:
    """Points beside roads and the directions of those roads."""

    positions: Array
    """(N, 2) [m]."""
    headings: Array
    """Of the road there, turned so that traffic on this side drives along it (N,) [rad]."""


def beside_roads(network: RoadNetwork, spacing: float, gap: tuple[float, float], rng: np.random.Generator) -> Places:
    """Draw places on both sides of the roads, evenly over the length between their mouths.

    Args:
        network: The roads.
        spacing: Mean distance between places on one side [m].
        gap: Least and greatest distance from the kerb [m].
        rng: Draws them.
    """
    begins = np.concatenate([[0.0], np.cumsum([road.centre.length for road in network.roads])])
    starts, ends = (begins[:-1, None] + network.trims).T
    free = np.cumsum(np.maximum(ends - starts, 0.0))
    count = int(2 * free[-1] / spacing)
    draws = rng.uniform(0.0, free[-1], count)
    road = np.searchsorted(free, draws, side="right").clip(0, len(free) - 1)
    stations = ends[road] - (free[road] - draws)
    side = rng.choice([-1.0, 1.0], count)
    half_widths = np.array([road.half_width for road in network.roads])[road]
    centre, heading = _along(network, begins, stations)
    offset = side * (half_widths + rng.uniform(*gap, count))
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    return Places(centre + offset[:, None] * normal, heading + np.where(side > 0, np.pi, 0.0))


def rectangles(poses: Array, length: float, width: float) -> Array:
    """Return corners (N, 4, 2) [m] of rectangles at x [m], y [m], heading [rad] (N, 3 or more)."""
    corners = np.array([[-length, -width], [length, -width], [length, width], [-length, width]]) / 2
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    turn = np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=1)  # (N, 2, 2)
    return np.asarray(corners @ turn + poses[:, None, :2])


def clear_of_road(network: RoadNetwork, shapes: Shapes, gap: float) -> Mask:
    """Return which shapes lie farther than `gap` [m] from the carriageway."""
    return np.asarray(~shapely.dwithin(network.carriageway, shapes, gap), dtype=bool)


def clear_of(shapes: Shapes, others: Shapes, gap: float) -> Mask:
    """Return which shapes lie farther than `gap` [m] from all others."""
    mask = np.ones(len(shapes), dtype=bool)
    if len(others):
        mask[shapely.STRtree(others).query(shapes, predicate="dwithin", distance=gap)[0]] = False
    return mask


def apart(shapes: Shapes, gap: float) -> Mask:
    """Keep as many shapes as lie farther than `gap` [m] from every kept one before them."""
    kept = np.ones(len(shapes), dtype=bool)
    if len(shapes) < 2:
        return kept
    pairs = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=gap).T
    later = pairs[pairs[:, 0] > pairs[:, 1]]
    for number, rival in later[np.lexsort((later[:, 1], later[:, 0]))].tolist():
        if kept[rival]:
            kept[number] = False
    return kept


def _along(network: RoadNetwork, begins: Array, stations: Array) -> tuple[Array, Array]:
    """Return points (N, 2) and headings (N,) on all centre lines, laid end to end from `begins` on."""
    lines = [road.centre for road in network.roads]
    at = np.concatenate([line.stations + begin for line, begin in zip(lines, begins, strict=False)])
    points, headings = (np.concatenate([getattr(line, part) for line in lines]) for part in ("points", "headings"))
    x, y, heading = (np.interp(stations, at, values) for values in (*points.T, headings))
    return np.stack([x, y], axis=-1), heading
