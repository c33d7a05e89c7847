"""Towns of regular blocks: crossings, T junctions, offset crossings, avenues of four lanes, narrow side streets.

Streets run along the lines of a sheared and rotated grid. Moving the upper part of a column sideways turns a crossing
into two T junctions. Some streets between two nodes are removed, and the remaining corners become rounded bends.
"""

from dataclasses import dataclass

import networkx as nx
import numpy as np

from navsim.geometry import Array, Polyline
from navsim.roads.generators.centre_lines import Street, streets_of
from navsim.roads.generators.layout import SPACING, CrossSection, RoadLayout, rounded_line

AVENUE = CrossSection(2, 3.2, 1.0, 11.0)
"""Cross section with four lanes."""
WIDE = CrossSection(1, 3.7, 1.5, 9.0)
"""Cross section with two wide lanes."""
NARROW = CrossSection(1, 3.0, 0.9, 7.0)
"""Cross section of a side street."""
STRAIGHT = np.deg2rad(1.0)
"""Smallest turn of a street at a corner [rad]."""


@dataclass(frozen=True)
class GridConfig:
    """Parameters of the town generator `grid`; pairs are ranges (low, high)."""

    columns: tuple[int, int] = (4, 5)
    """Number of streets from south to north."""
    rows: tuple[int, int] = (4, 5)
    """Number of streets from west to east."""
    block: tuple[float, float] = (85.0, 115.0)
    """Distance between neighbouring streets [m]."""
    offset: tuple[float, float] = (36.0, 42.0)
    """Distance between the two T junctions of an offset crossing [m]."""
    offset_crossings: tuple[int, int] = (1, 2)
    """Number of offset crossings, at most one in each column."""
    avenues: tuple[int, int] = (0, 1)
    """Number of columns with four lanes, none of them at the edge of the town."""
    wide: float = 0.35
    """Probability that a street other than an avenue has wide lanes."""
    missing: tuple[float, float] = (0.0, 0.1)
    """Fraction of the streets between two nodes that is removed."""
    shear_deg: float = 10.0
    """Largest deviation of the blocks from rectangles [deg]."""
    bend_radius: tuple[float, float] = (18.0, 26.0)
    """Radius of streets that turn a corner [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    attempts: int = 40
    """Largest number of draws for a town."""

    def draw_layout(self, rng: np.random.Generator) -> RoadLayout | None:
        """Draw the roads of a town; return None if a street would be a loop."""
        graph = _grid_graph(self, rng)
        _remove_edges(graph, float(rng.uniform(*self.missing)), rng)
        streets = streets_of(graph)
        if any(street.chain[0] == street.chain[-1] for street in streets):
            return None
        _shear_and_rotate(graph, np.deg2rad(rng.uniform(-self.shear_deg, self.shear_deg)), rng.uniform(0.0, 2 * np.pi))
        ends = sorted({node for street in streets for node in (street.chain[0], street.chain[-1])})
        number = {node: i for i, node in enumerate(ends)}
        radius = float(rng.uniform(*self.bend_radius))
        roads = [
            _cross_section(graph, street).road(
                number[street.chain[0]], number[street.chain[-1]], _centre(graph, street, radius)
            )
            for street in streets
        ]
        return RoadLayout(np.array([graph.nodes[node]["position"] for node in ends]), roads, self.kerb_radius)


@dataclass(frozen=True)
class CityConfig(GridConfig):
    """Parameters of the town generator `city`: a grid 1 to 2.5 km across."""

    columns: tuple[int, int] = (10, 20)
    rows: tuple[int, int] = (10, 20)
    offset_crossings: tuple[int, int] = (4, 9)
    avenues: tuple[int, int] = (1, 4)
    missing: tuple[float, float] = (0.03, 0.1)


def _grid_graph(config: GridConfig, rng: np.random.Generator) -> "nx.Graph[int]":
    """Draw the grid with its offset crossings; nodes have a `position` (2,) [m], edges a cross `section`."""
    columns = int(rng.integers(config.columns[0], config.columns[1] + 1))
    rows = int(rng.integers(config.rows[0], config.rows[1] + 1))
    x, y = (np.concatenate([[0.0], np.cumsum(rng.uniform(*config.block, size=n - 1))]) for n in (columns, rows))
    inner = rng.permutation(np.arange(1, columns - 1))
    avenues = set(inner[: int(rng.integers(config.avenues[0], config.avenues[1] + 1))].tolist())
    is_wide = rng.uniform(size=columns + rows) < config.wide
    sections = [AVENUE if i in avenues else WIDE if is_wide[i] else NARROW for i in range(columns + rows)]
    graph: nx.Graph[int] = nx.Graph()
    for j in range(rows):
        for i in range(columns):
            graph.add_node(j * columns + i, position=np.array([x[i], y[j]]))
            if i:
                graph.add_edge(j * columns + i - 1, j * columns + i, section=sections[columns + j])
            if j:
                graph.add_edge((j - 1) * columns + i, j * columns + i, section=sections[i])
    candidates = [i for i in range(1, columns - 1) if i not in avenues]
    wanted = int(rng.integers(config.offset_crossings[0], config.offset_crossings[1] + 1))
    shifted: list[int] = []
    for i in rng.permutation(candidates).tolist():
        shift = float(rng.uniform(*config.offset) * rng.choice([-1.0, 1.0]))
        row = int(rng.integers(1, rows - 1))
        # Two neighbouring shifted columns could come too close to each other.
        if len(shifted) < wanted and all(abs(i - other) > 1 for other in shifted):
            _offset_crossing(graph, (columns, rows), (i, row), shift)
            shifted.append(i)
    return graph


def _offset_crossing(graph: "nx.Graph[int]", size: tuple[int, int], where: tuple[int, int], shift: float) -> None:
    """Shift the part of a column beyond the crossing `where` (column, row) sideways by `shift` [m]."""
    (columns, rows), (i, j) = size, where
    node, side = j * columns + i, j * columns + i + (1 if shift > 0 else -1)
    above = node + columns
    new = max(graph) + 1
    graph.add_node(new, position=graph.nodes[node]["position"] + np.array([shift, 0.0]))
    row, column = graph.edges[node, side]["section"], graph.edges[node, above]["section"]
    graph.remove_edges_from([(node, side), (node, above)])
    graph.add_edge(node, new, section=row)
    graph.add_edge(new, side, section=row)
    graph.add_edge(new, above, section=column)
    for edge in (*graph.edges(node), *graph.edges(new)):
        graph.edges[edge]["fixed"] = True
    for k in range(j + 1, rows):
        graph.nodes[k * columns + i]["position"] = graph.nodes[k * columns + i]["position"] + np.array([shift, 0.0])


def _remove_edges(graph: "nx.Graph[int]", share: float, rng: np.random.Generator) -> None:
    """Remove a `share` of the edges at random, except fixed ones, avenues, and those whose loss makes a dead end."""
    edges = sorted((min(a, b), max(a, b)) for a, b in graph.edges)
    remaining = round(share * len(edges))
    for k in rng.permutation(len(edges)).tolist():
        (a, b), makes_bend = edges[k], rng.uniform() < 0.15
        data = dict(graph.edges[a, b])
        min_degree = min(graph.degree(a), graph.degree(b))
        if (
            remaining == 0
            or data.get("fixed")
            or data["section"] is AVENUE
            or min_degree < 3
            or (min_degree == 3 and not makes_bend)
        ):
            continue
        graph.remove_edge(a, b)
        if nx.has_bridges(graph):
            graph.add_edge(a, b, **data)
        else:
            remaining -= 1


def _shear_and_rotate(graph: "nx.Graph[int]", shear: float, turn: float) -> None:
    """Centre all nodes on the origin, then shear and rotate them [rad]."""
    positions = np.array([graph.nodes[node]["position"] for node in graph])
    positions -= (positions.min(axis=0) + positions.max(axis=0)) / 2
    positions[:, 0] += np.tan(shear) * positions[:, 1]
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    for node, position in zip(graph, positions @ rotation, strict=True):
        graph.nodes[node]["position"] = position


def _cross_section(graph: "nx.Graph[int]", street: Street) -> CrossSection:
    """Return the narrowest cross section along a street."""
    edges = zip(street.chain[:-1], street.chain[1:], strict=True)
    sections: list[CrossSection] = [graph.edges[a, b]["section"] for a, b in edges]
    return min(sections, key=lambda section: section.half_width)


def _centre(graph: "nx.Graph[int]", street: Street, radius: float) -> Polyline:
    """Return a street's centre line: straight, its corners rounded."""
    positions = np.array([graph.nodes[node]["position"] for node in street.chain])
    corners = positions[_is_corner(positions)]
    if len(corners) == 2:
        return Polyline(corners).resampled(SPACING)
    return rounded_line(corners, [radius] * (len(corners) - 2))


def _is_corner(positions: Array) -> Array:
    """Return whether each of the positions (N, 2) along a street is an end or a turn (N,)."""
    before, after = positions[1:-1] - positions[:-2], positions[2:] - positions[1:-1]
    turns = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], np.sum(before * after, axis=1))
    return np.concatenate([[True], np.abs(turns) > STRAIGHT, [True]])
