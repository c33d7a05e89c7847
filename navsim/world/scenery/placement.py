"""Placement of objects: random positions beside the roads, and tests of distances."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork

Mask = NDArray[np.bool_]
Shapes = NDArray[np.object_]
"""Shapely geometries (N,)."""


@dataclass(frozen=True, eq=False)
class RoadsidePositions:
    """Positions beside roads and the headings of the traffic there."""

    positions: Array
    """Positions (N, 2) [m]."""
    headings: Array
    """Heading of the traffic on the near side of the road (N,) [rad]."""


def random_roadside_positions(
    network: RoadNetwork, spacing: float, distance: tuple[float, float], rng: np.random.Generator
) -> RoadsidePositions:
    """Draw positions on both sides of the roads, uniformly over the length between their mouths.

    Args:
        network: Roads of the town.
        spacing: Mean distance between positions on one side [m].
        distance: Smallest and largest distance from the kerb [m].
        rng: Random generator of the draws.
    """
    begins = np.concatenate([[0.0], np.cumsum([road.centre.length for road in network.roads])])
    starts, ends = (begins[:-1, None] + network.trims).T
    lengths = np.cumsum(np.maximum(ends - starts, 0.0))
    count = int(2 * lengths[-1] / spacing)
    draws = rng.uniform(0.0, lengths[-1], count)
    road = np.searchsorted(lengths, draws, side="right").clip(0, len(lengths) - 1)
    stations = ends[road] - (lengths[road] - draws)
    side = rng.choice([-1.0, 1.0], count)
    half_widths = np.array([road.half_width for road in network.roads])[road]
    centre, heading = _along(network, begins, stations)
    offset = side * (half_widths + rng.uniform(*distance, count))
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    return RoadsidePositions(centre + offset[:, None] * normal, heading + np.where(side > 0, np.pi, 0.0))


def rectangles(poses: Array, length: float, width: float) -> Array:
    """Return the corners (N, 4, 2) of rectangles [m] at poses (N, 3 or more): x [m], y [m], heading [rad]."""
    corners = np.array([[-length, -width], [length, -width], [length, width], [-length, width]]) / 2
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    turn = np.stack([np.stack([c, s], axis=-1), np.stack([-s, c], axis=-1)], axis=1)  # (N, 2, 2)
    return np.asarray(corners @ turn + poses[:, None, :2])


def clear_of_road(network: RoadNetwork, shapes: Shapes, gap: float) -> Mask:
    """Return whether each shape lies farther than `gap` [m] from the carriageway (N,)."""
    return np.asarray(~shapely.dwithin(network.carriageway, shapes, gap), dtype=bool)


def clear_of(shapes: Shapes, others: Shapes, gap: float) -> Mask:
    """Return whether each shape lies farther than `gap` [m] from all of `others` (N,)."""
    mask = np.ones(len(shapes), dtype=bool)
    if len(others):
        mask[shapely.STRtree(others).query(shapes, predicate="dwithin", distance=gap)[0]] = False
    return mask


def keep_apart(shapes: Shapes, gap: float) -> Mask:
    """Select shapes in order, each farther than `gap` [m] from all selected before; return the mask (N,)."""
    kept = np.ones(len(shapes), dtype=bool)
    if len(shapes) < 2:
        return kept
    pairs = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=gap).T
    later = pairs[pairs[:, 0] > pairs[:, 1]]
    for number, earlier in later[np.lexsort((later[:, 1], later[:, 0]))].tolist():
        if kept[earlier]:
            kept[number] = False
    return kept


def _along(network: RoadNetwork, begins: Array, stations: Array) -> tuple[Array, Array]:
    """Return points (N, 2) and headings (N,) at stations on all centre lines, joined end to end at `begins`."""
    lines = [road.centre for road in network.roads]
    at = np.concatenate([line.stations + begin for line, begin in zip(lines, begins, strict=False)])
    points, headings = (np.concatenate([getattr(line, part) for line in lines]) for part in ("points", "headings"))
    x, y, heading = (np.interp(stations, at, values) for values in (*points.T, headings))
    return np.stack([x, y], axis=-1), heading
