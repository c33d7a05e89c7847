"""Towns of curved two-lane streets with T junctions, crossings and forks, without dead ends.

A town graph comes first: its nodes form a staggered, warped and jittered grid, and its edges are Delaunay edges, so
that none cross. Short edges are preferred, and edges too close in angle to others are rejected. Some edges are then
removed, never one whose loss makes a dead end. The streets follow the edges as smooth centre lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import networkx as nx
import numpy as np
from scipy.spatial import Delaunay

from navsim.geometry import Array, Polyline
from navsim.roads.elements import Road
from navsim.roads.generators.centre_lines import Street, centre_lines, crowded_pairs, streets_of, tight_streets
from navsim.roads.generators.layout import RoadLayout

MAX_DEGREE = 4
"""Largest number of streets that meet at a node."""


@dataclass(frozen=True)
class TownGraphConfig:
    """Parameters of town graphs; pairs are ranges (low, high)."""

    columns: tuple[int, int] = (4, 6)
    """Number of nodes from west to east."""
    rows: tuple[int, int] = (4, 5)
    """Number of nodes from south to north."""
    spacing: tuple[float, float] = (100.0, 125.0)
    """Distance between neighbouring nodes [m]."""
    jitter: tuple[float, float] = (0.03, 0.16)
    """Standard deviation of each node's shift, as a fraction of the spacing."""
    stagger: float = 0.5
    """Largest shift of a whole row, as a fraction of the spacing."""
    warp: float = 0.3
    """Amplitude of the slow waves that bend the grid, as a fraction of the spacing."""
    missing: float = 0.08
    """Fraction of the nodes that are left out."""
    streets_per_node: tuple[float, float] = (1.35, 1.6)
    """Ratio of edges to nodes after thinning."""
    min_angle_deg: float = 50.0
    """Smallest angle between two streets at a node [deg]."""
    edge_lengths: tuple[float, float] = (0.6, 1.75)
    """Shortest and longest edge, as fractions of the spacing."""


def draw_town_graph(config: TownGraphConfig, rng: np.random.Generator) -> "nx.Graph[int]":
    """Draw a connected, planar graph without bridges; nodes have a `position` (2,) [m]. It may be empty."""
    spacing = rng.uniform(*config.spacing)
    min_angle = np.deg2rad(config.min_angle_deg)
    positions = _random_positions(config, spacing, rng)
    graph: nx.Graph[int] = nx.Graph()
    for i, position in enumerate(positions):
        graph.add_node(i, position=position)
    lengths = (config.edge_lengths[0] * spacing, config.edge_lengths[1] * spacing)
    for a, b in _candidate_edges(positions, lengths, rng):
        if _keeps_angles(graph, a, b, min_angle) and _keeps_angles(graph, b, a, min_angle):
            graph.add_edge(a, b)
    graph = bridgeless(graph)
    _thin(graph, rng.uniform(*config.streets_per_node), rng)
    return graph


def bridgeless(graph: "nx.Graph[int]") -> "nx.Graph[int]":
    """Return the largest part of a graph that stays connected when any one edge is removed."""
    rest = graph.copy()
    # The type stubs declare nodes where `bridges` yields edges.
    rest.remove_edges_from(cast("list[tuple[int, int]]", list(nx.bridges(rest))))
    parts = [set(part) for part in nx.connected_components(rest)]
    largest = max(parts, key=lambda part: (len(part), -min(part)), default=set())
    return rest.subgraph(largest if len(largest) > 1 else ()).copy()


def _random_positions(config: TownGraphConfig, spacing: float, rng: np.random.Generator) -> Array:
    """Draw node positions (N, 2) [m] around the origin."""
    columns = int(rng.integers(config.columns[0], config.columns[1] + 1))
    rows = int(rng.integers(config.rows[0], config.rows[1] + 1))
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    x += rng.uniform(-config.stagger, config.stagger, size=(rows, 1)) * rng.uniform()
    positions = np.stack([x.ravel() - (columns - 1) / 2, y.ravel() - (rows - 1) / 2], axis=-1)
    waves = rng.uniform(0.5, 1.1, size=2)
    phases = rng.uniform(0.0, 2 * np.pi, size=2)
    amplitudes = config.warp * rng.uniform(-1.0, 1.0, size=2)
    positions += amplitudes * np.sin(waves * positions[:, ::-1] + phases)
    positions += rng.normal(0.0, rng.uniform(*config.jitter), size=positions.shape)
    positions = positions[rng.uniform(size=len(positions)) >= config.missing]
    angle = rng.uniform(0.0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(spacing * positions @ turn)


def _candidate_edges(positions: Array, lengths: tuple[float, float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return the Delaunay edges of allowed `lengths` [m] in random order, short ones mostly first."""
    corners = Delaunay(positions).simplices  # (T, 3)
    edges = np.unique(np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])), axis=0)
    size = np.hypot(*(positions[edges[:, 0]] - positions[edges[:, 1]]).T)
    edges, size = edges[(size >= lengths[0]) & (size <= lengths[1])], size[(size >= lengths[0]) & (size <= lengths[1])]
    order = np.argsort(size * np.exp(rng.normal(0.0, 0.25, size=len(size))), kind="stable")
    return [(int(a), int(b)) for a, b in edges[order]]


def _keeps_angles(graph: "nx.Graph[int]", here: int, there: int, min_angle: float) -> bool:
    """Return whether an edge from `here` to `there` keeps `min_angle` [rad] from the other edges at `here`."""
    if graph.degree(here) >= MAX_DEGREE:
        return False
    ahead = graph.nodes[there]["position"] - graph.nodes[here]["position"]
    for other in graph.neighbors(here):
        side = graph.nodes[other]["position"] - graph.nodes[here]["position"]
        if abs(np.arctan2(ahead[0] * side[1] - ahead[1] * side[0], ahead @ side)) < min_angle:
            return False
    return True


def _thin(graph: "nx.Graph[int]", streets_per_node: float, rng: np.random.Generator) -> None:
    """Remove edges at random down to `streets_per_node`, never one whose loss makes a bridge."""
    edges = sorted(tuple(sorted(edge)) for edge in graph.edges)
    for i in rng.permutation(len(edges)):
        if graph.number_of_edges() <= streets_per_node * graph.number_of_nodes():
            return
        a, b = edges[i]
        # A node that loses its third edge becomes a bend; the edge of the town has enough bends.
        degree = min(graph.degree(a), graph.degree(b))
        if degree < 3 or (degree == 3 and rng.uniform() < 0.7):
            continue
        graph.remove_edge(a, b)
        if nx.has_bridges(graph):
            graph.add_edge(a, b)


@dataclass(frozen=True)
class TownConfig:
    """Parameters of the town generator `town`."""

    graph: TownGraphConfig = field(default_factory=TownGraphConfig)
    """Parameters of the town graph."""
    winding: float = 0.11
    """Largest standard deviation within a town of the streets' sideways shift, as a fraction of their length."""
    min_angle_deg: float = 46.0
    """Smallest angle between the tangents of a side street and its main street [deg]."""
    min_radius: float = 28.0
    """Smallest radius of a street's bends [m]."""
    clearance: float = 14.0
    """Smallest distance between the kerbs of two streets, away from junctions [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    lane_width: float = 3.5
    """Width of a lane [m]."""
    margin: float = 1.0
    """Paved strip between edge line and kerb [m]."""
    speed_limit: float = 8.0
    """Speed limit [m/s]."""
    min_junctions: int = 8
    """Smallest number of junctions of a town."""
    relaxations: int = 3
    """Number of times that a street's bends are flattened before it is removed."""
    repairs: int = 12
    """Number of rounds that flatten or remove streets before the town is drawn again."""
    attempts: int = 40
    """Largest number of draws for a town."""

    def draw_layout(self, rng: np.random.Generator) -> RoadLayout | None:
        """Draw the roads of a town; return None if too few junctions are left."""
        drawn = _draw_streets(self, rng)
        return None if drawn is None else _road_layout(self, *drawn)


def _draw_streets(
    config: TownConfig, rng: np.random.Generator
) -> tuple["nx.Graph[int]", list[Street], list[Polyline]] | None:
    """Draw a graph and its streets; flatten or remove streets until all fit. Return None if too few are left."""
    graph = draw_town_graph(config.graph, rng)
    winding = rng.uniform(0.0, config.winding)
    bends = {edge: float(np.clip(rng.normal(0.0, winding), -0.2, 0.2)) for edge in sorted(map(_edge, graph.edges))}
    relaxations: dict[tuple[int, ...], int] = {}
    cache: dict[tuple[bytes, float, float], Polyline] = {}
    for _ in range(config.repairs):
        streets = streets_of(graph)
        if sum(graph.degree(node) > 2 for node in graph) < config.min_junctions:
            return None
        if any(street.chain[0] == street.chain[-1] for street in streets):
            return None  # a loop is too short for its junction
        shifts = np.array([bends[_edge(street.chain[:2])] for street in streets])
        times = [relaxations.get(street.chain, 0) for street in streets]
        centres = centre_lines(graph, streets, shifts, times, np.deg2rad(config.min_angle_deg), cache)
        bad = _bad_streets(config, streets, centres)
        if not bad:
            return graph, streets, centres
        exhausted = [i for i in bad if times[i] >= (1 if len(streets[i].chain) == 2 else config.relaxations)]
        relaxations.update({streets[i].chain: times[i] + 1 for i in bad})
        if exhausted:
            graph = _without_street(graph, streets[exhausted[0]])
    return None


def _edge(ends: Sequence[int]) -> tuple[int, int]:
    """Return the two nodes of an edge, lower index first."""
    return min(ends), max(ends)


def _bad_streets(config: TownConfig, streets: list[Street], centres: list[Polyline]) -> list[int]:
    """Return the indices of streets that bend too sharply or come too close to others, each once."""
    limit = config.clearance + 2 * (config.lane_width + config.margin)
    crowded = [i for pair in crowded_pairs(streets, centres, limit) for i in pair]
    return list(dict.fromkeys(tight_streets(centres, config.min_radius) + crowded))


def _without_street(graph: "nx.Graph[int]", street: Street) -> "nx.Graph[int]":
    """Return the graph without a street and without the dead ends that its loss makes."""
    rest = graph.copy()
    rest.remove_edges_from(list(zip(street.chain[:-1], street.chain[1:], strict=True)))
    return bridgeless(rest)


def _road_layout(
    config: TownConfig, graph: "nx.Graph[int]", streets: list[Street], centres: list[Polyline]
) -> RoadLayout:
    """Number the nodes where streets meet and return one road for each street."""
    ends = sorted({node for street in streets for node in (street.chain[0], street.chain[-1])})
    number = {node: i for i, node in enumerate(ends)}
    roads = [
        Road(
            number[street.chain[0]],
            number[street.chain[-1]],
            centre,
            lane_width=config.lane_width,
            margin=config.margin,
            speed_limit=config.speed_limit,
        )
        for street, centre in zip(streets, centres, strict=True)
    ]
    return RoadLayout(np.array([graph.nodes[node]["position"] for node in ends]), roads, config.kerb_radius)
