"""Town plans: which places are joined by a street, as a graph without dead ends.

Places stand on a staggered, warped and jittered grid. Streets are chosen among their Delaunay edges, so that none
cross, in an order that prefers short ones, and are refused where they would leave a place too close to another
street. Then some are taken away again, never one whose loss would leave a dead end.

Towns of curved two-lane streets with T junctions, crossings and forks, without dead ends.
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
from navsim.roads.generators.layout import Draft

MAX_DEGREE = 4
"""Most streets that meet at a place."""


@dataclass(frozen=True)
class PlanLayout:
    """Ranges (low, high) from which each town's plan is drawn."""

    columns: tuple[int, int] = (4, 6)
    """Places from west to east, both ends included."""
    rows: tuple[int, int] = (4, 5)
    """Places from south to north, both ends included."""
    spacing: tuple[float, float] = (100.0, 125.0)
    """Distance between neighbouring places [m]."""
    jitter: tuple[float, float] = (0.03, 0.16)
    """Standard deviation of each place's shift, as a part of the spacing."""
    stagger: float = 0.5
    """Largest shift of a whole row, as a part of the spacing."""
    warp: float = 0.3
    """Amplitude of the slow waves that bend the grid, as a part of the spacing."""
    missing: float = 0.08
    """Share of the places that are left out."""
    streets_per_place: tuple[float, float] = (1.35, 1.6)
    """Streets over places to which the plan is thinned out."""
    min_angle_deg: float = 50.0
    """Least angle between two streets at a place."""
    edge_lengths: tuple[float, float] = (0.6, 1.75)
    """Least and greatest length of a street, as parts of the spacing."""


def draw_plan(layout: PlanLayout, rng: np.random.Generator) -> "nx.Graph[int]":
    """Draw a bridgeless, planar graph; each node's `place` is its position (2,) [m].

    Args:
        layout: Ranges of the parameters.
        rng: Source of all that is random here.

    Returns:
        The graph, connected; it may be empty when the draw was unlucky.
    """
    spacing = rng.uniform(*layout.spacing)
    places = _places(layout, spacing, rng)
    plan: nx.Graph[int] = nx.Graph()
    for i, place in enumerate(places):
        plan.add_node(i, place=place)
    lengths = (layout.edge_lengths[0] * spacing, layout.edge_lengths[1] * spacing)
    for a, b in _candidates(places, lengths, rng):
        if _fits(plan, a, b, np.deg2rad(layout.min_angle_deg)) and _fits(plan, b, a, np.deg2rad(layout.min_angle_deg)):
            plan.add_edge(a, b)
    plan = bridgeless(plan)
    _thin(plan, rng.uniform(*layout.streets_per_place), rng)
    return plan


def bridgeless(plan: "nx.Graph[int]") -> "nx.Graph[int]":
    """The largest part of a graph that stays connected when any one edge is lost."""
    rest = plan.copy()
    # The stubs take the edges for nodes.
    rest.remove_edges_from(cast("list[tuple[int, int]]", list(nx.bridges(rest))))
    parts = [set(part) for part in nx.connected_components(rest)]
    largest = max(parts, key=lambda part: (len(part), -min(part)), default=set())
    return rest.subgraph(largest if len(largest) > 1 else ()).copy()


def _places(layout: PlanLayout, spacing: float, rng: np.random.Generator) -> Array:
    """Draw the places (N, 2) [m], around the origin."""
    columns = int(rng.integers(layout.columns[0], layout.columns[1] + 1))
    rows = int(rng.integers(layout.rows[0], layout.rows[1] + 1))
    x, y = np.meshgrid(np.arange(columns, dtype=float), np.arange(rows, dtype=float))
    x += rng.uniform(-layout.stagger, layout.stagger, size=(rows, 1)) * rng.uniform()
    places = np.stack([x.ravel() - (columns - 1) / 2, y.ravel() - (rows - 1) / 2], axis=-1)
    waves = rng.uniform(0.5, 1.1, size=2)
    phases = rng.uniform(0.0, 2 * np.pi, size=2)
    amplitudes = layout.warp * rng.uniform(-1.0, 1.0, size=2)
    places += amplitudes * np.sin(waves * places[:, ::-1] + phases)
    places += rng.normal(0.0, rng.uniform(*layout.jitter), size=places.shape)
    places = places[rng.uniform(size=len(places)) >= layout.missing]
    angle = rng.uniform(0.0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray(spacing * places @ turn)


def _candidates(places: Array, lengths: tuple[float, float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """List the Delaunay edges of allowed length, short ones mostly first."""
    corners = Delaunay(places).simplices  # (T, 3)
    edges = np.unique(np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])), axis=0)
    size = np.hypot(*(places[edges[:, 0]] - places[edges[:, 1]]).T)
    edges, size = edges[(size >= lengths[0]) & (size <= lengths[1])], size[(size >= lengths[0]) & (size <= lengths[1])]
    order = np.argsort(size * np.exp(rng.normal(0.0, 0.25, size=len(size))), kind="stable")
    return [(int(a), int(b)) for a, b in edges[order]]


def _fits(plan: "nx.Graph[int]", here: int, there: int, min_angle: float) -> bool:
    """Whether a street from `here` to `there` keeps its distance from those that `here` has."""
    if plan.degree(here) >= MAX_DEGREE:
        return False
    ahead = plan.nodes[there]["place"] - plan.nodes[here]["place"]
    for other in plan.neighbors(here):
        side = plan.nodes[other]["place"] - plan.nodes[here]["place"]
        if abs(np.arctan2(ahead[0] * side[1] - ahead[1] * side[0], ahead @ side)) < min_angle:
            return False
    return True


def _thin(plan: "nx.Graph[int]", streets_per_place: float, rng: np.random.Generator) -> None:
    """Take streets away at random, as long as no bridge appears."""
    edges = sorted(tuple(sorted(edge)) for edge in plan.edges)
    for i in rng.permutation(len(edges)):
        if plan.number_of_edges() <= streets_per_place * plan.number_of_nodes():
            return
        a, b = edges[i]
        # A place that loses its third street becomes a bend; enough of those come from the rim of the town.
        degree = min(plan.degree(a), plan.degree(b))
        if degree < 3 or (degree == 3 and rng.uniform() < 0.7):
            continue
        plan.remove_edge(a, b)
        if nx.has_bridges(plan):
            plan.add_edge(a, b)


@dataclass(frozen=True)
class TownLayout:
    """What the towns of the generator `town` have in common."""

    plan: PlanLayout = field(default_factory=PlanLayout)
    """Ranges of the town plan."""
    winding: float = 0.11
    """Largest standard deviation, over a town, of the sideways shift of a street's middle, as a part of its length."""
    min_angle_deg: float = 46.0
    """Least angle between the tangents of a side street and its main street."""
    min_radius: float = 28.0
    """Least radius of a street's bends [m]."""
    clearance: float = 14.0
    """Least distance between the kerbs of two streets, away from junctions [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    lane_width: float = 3.5
    """Width of a lane [m]."""
    margin: float = 1.0
    """Paved strip between edge line and kerb [m]."""
    speed_limit: float = 8.0
    """Speed limit [m/s]."""
    min_junctions: int = 8
    """Towns with fewer junctions are drawn again."""
    relaxations: int = 3
    """How often a street's bends are eased before it is dropped."""
    repairs: int = 12
    """How often streets that do not fit are eased or dropped before the town is drawn again."""
    attempts: int = 40
    """How many times a town is drawn before giving up."""

    def draft(self, rng: np.random.Generator) -> Draft | None:
        """Draw the roads of a town; None if too little is left of its plan."""
        drawn = _draw(self, rng)
        return None if drawn is None else _draft(self, *drawn)


def _draw(layout: TownLayout, rng: np.random.Generator) -> tuple["nx.Graph[int]", list[Street], list[Polyline]] | None:
    """Draw a plan and its streets, straightening or dropping those that do not fit; None if too little is left."""
    plan = draw_plan(layout.plan, rng)
    winding = rng.uniform(0.0, layout.winding)
    bends = {edge: float(np.clip(rng.normal(0.0, winding), -0.2, 0.2)) for edge in sorted(map(_edge, plan.edges))}
    relaxed: dict[tuple[int, ...], int] = {}
    drawn: dict[tuple[bytes, float, float], Polyline] = {}
    for _ in range(layout.repairs):
        streets = streets_of(plan)
        if sum(plan.degree(node) > 2 for node in plan) < layout.min_junctions:
            return None
        if any(street.chain[0] == street.chain[-1] for street in streets):
            return None  # a loop has no room for its junction
        shifts = np.array([bends[_edge(street.chain[:2])] for street in streets])
        times = [relaxed.get(street.chain, 0) for street in streets]
        centres = centre_lines(plan, streets, shifts, times, np.deg2rad(layout.min_angle_deg), drawn)
        bad = _bad_streets(layout, streets, centres)
        if not bad:
            return plan, streets, centres
        hopeless = [i for i in bad if times[i] >= (1 if len(streets[i].chain) == 2 else layout.relaxations)]
        relaxed.update({streets[i].chain: times[i] + 1 for i in bad})
        if hopeless:
            plan = _without(plan, streets[hopeless[0]])
    return None


def _edge(ends: Sequence[int]) -> tuple[int, int]:
    """The two places of an edge, lower index first."""
    return min(ends), max(ends)


def _bad_streets(layout: TownLayout, streets: list[Street], centres: list[Polyline]) -> list[int]:
    """Streets that bend too sharply or come too close to others, each once."""
    limit = layout.clearance + 2 * (layout.lane_width + layout.margin)
    crowded = [i for pair in crowded_pairs(streets, centres, limit) for i in pair]
    return list(dict.fromkeys(tight_streets(centres, layout.min_radius) + crowded))


def _without(plan: "nx.Graph[int]", street: Street) -> "nx.Graph[int]":
    """The plan without a street, and without what would become a dead end."""
    rest = plan.copy()
    rest.remove_edges_from(list(zip(street.chain[:-1], street.chain[1:], strict=True)))
    return bridgeless(rest)


def _draft(layout: TownLayout, plan: "nx.Graph[int]", streets: list[Street], centres: list[Polyline]) -> Draft:
    """Number the places where streets meet and lay roads along the streets."""
    ends = sorted({node for street in streets for node in (street.chain[0], street.chain[-1])})
    number = {node: i for i, node in enumerate(ends)}
    roads = [
        Road(
            number[street.chain[0]],
            number[street.chain[-1]],
            centre,
            lane_width=layout.lane_width,
            margin=layout.margin,
            speed_limit=layout.speed_limit,
        )
        for street, centre in zip(streets, centres, strict=True)
    ]
    return Draft(np.array([plan.nodes[node]["place"] for node in ends]), roads, layout.kerb_radius)
