"""Small networks of straight roads, whose numbers can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from navsim.geometry import Polyline
from navsim.roads.network import Road, RoadNetwork, build_network


def straight(start: Sequence[float], end: Sequence[float]) -> Polyline:
    """Return a straight centre line with a vertex every metre."""
    return Polyline(np.array([start, end], dtype=float)).resampled(1.0)


def star(headings_deg: Sequence[float], length: float = 80.0, kerb_radius: float = 8.0, **road: Any) -> RoadNetwork:
    """Return roads from node 0 at the origin outwards, in the given directions; road i ends at node i + 1."""
    headings = np.deg2rad(headings_deg)
    nodes = [(0.0, 0.0), *(length * np.stack([np.cos(headings), np.sin(headings)], axis=-1)).tolist()]
    roads = [Road(0, i, straight(nodes[0], nodes[i]), **road) for i in range(1, len(nodes))]
    return build_network(nodes, roads, kerb_radius)


def square(side: float = 100.0, **road: Any) -> RoadNetwork:
    """Return four roads around a block, counter-clockwise, and two that cross between their middles."""
    half = side / 2
    nodes = [(0.0, 0.0), (half, 0.0), (0.0, half), (-half, 0.0), (0.0, -half)]
    corners = [(half, half), (-half, half), (-half, -half), (half, -half)]
    nodes += corners
    spokes = [(0, i) for i in range(1, 5)]
    rim = [(1, 5), (5, 2), (2, 6), (6, 3), (3, 7), (7, 4), (4, 8), (8, 1)]
    return build_network(nodes, [Road(a, b, straight(nodes[a], nodes[b]), **road) for a, b in spokes + rim], 5.0)
