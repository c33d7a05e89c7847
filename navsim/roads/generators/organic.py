"""Towns of curved two-lane streets with T junctions, crossings and forks, without dead ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from navsim.geometry import Polyline
from navsim.roads.elements import Road
from navsim.roads.generators.centre_lines import Street, centre_lines, crowded_pairs, streets_of, tight_streets
from navsim.roads.generators.draft import Draft
from navsim.roads.generators.plan import PlanLayout, bridgeless, draw_plan


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
