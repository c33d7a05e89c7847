"""Procedural towns: curved two-lane streets, T junctions, crossings and forks, without dead ends, from a seed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import networkx as nx
import numpy as np

from navsim.errors import TownError
from navsim.geometry import Polyline
from navsim.randomness import generator
from navsim.roads.connectors import connector_faults
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.roads.plan import PlanLayout, bridgeless, draw_plan
from navsim.roads.streets import Street, centre_lines, crowded_pairs, streets_of, tight_streets

TOWNS_PER_SPLIT = 1_000_000
"""How many seeds belong to each split."""


class Split(StrEnum):
    """Which towns are for what. Their seeds are disjoint ranges, so no town is ever in two splits."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class TownId:
    """The name of a procedural town, such as "test-3"."""

    split: Split
    """What the town is for."""
    index: int
    """Its number in the split, from 0 to 999,999."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < TOWNS_PER_SPLIT:
            raise TownError(f"town index must be from 0 to {TOWNS_PER_SPLIT - 1}, got {self.index}")

    def __str__(self) -> str:
        return f"{self.split}-{self.index}"

    @property
    def seed(self) -> int:
        """The seed of the town, different for every town."""
        return list(Split).index(self.split) * TOWNS_PER_SPLIT + self.index

    @staticmethod
    def parse(text: str) -> "TownId":
        """Read a town's name.

        Raises:
            TownError: If it is not a split and a number, such as "train-3".
        """
        match = re.fullmatch(r"([a-z]+)-(0|[1-9][0-9]*)", text)
        if match is None or match[1] not in set(Split):
            raise TownError(f"unknown town {text!r}: give a split ({', '.join(Split)}) and a number, such as 'train-3'")
        return TownId(Split(match[1]), int(match[2]))


@dataclass(frozen=True)
class TownLayout:
    """What the towns of this family have in common."""

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


def build_town(town: TownId | str, layout: TownLayout | None = None) -> RoadNetwork:
    """Build the town of that name; the same name and layout always give the same town.

    Args:
        town: The town or its name, such as "train-3".
        layout: What the towns have in common; None for the defaults.

    Raises:
        TownError: If the name is wrong, or the layout leaves no room for a town.
    """
    name = TownId.parse(town) if isinstance(town, str) else town
    family = layout or TownLayout()
    refusal = "no plan with enough junctions"
    for attempt in range(family.attempts):
        rng = generator(name.seed, "town", attempt)
        drawn = _draw(family, rng)
        if drawn is None:
            continue
        try:
            network = _network(family, *drawn)
        except TownError as error:
            refusal = str(error)
            continue
        if not connector_faults([connector.path for connector in network.connectors], network.carriageway).any():
            return network
        refusal = "a junction too tight to drive through"
    raise TownError(f"town {name}: no town fits this layout in {family.attempts} draws (last: {refusal})")


def _draw(layout: TownLayout, rng: np.random.Generator) -> tuple["nx.Graph[int]", list[Street], list[Polyline]] | None:
    """Draw a plan and its streets, straightening or dropping those that do not fit; None if too little is left."""
    plan = draw_plan(layout.plan, rng)
    winding = rng.uniform(0.0, layout.winding)
    bends = {edge: float(np.clip(rng.normal(0.0, winding), -0.2, 0.2)) for edge in sorted(map(_edge, plan.edges))}
    relaxed: dict[tuple[int, ...], int] = {}
    for _ in range(layout.repairs):
        streets = streets_of(plan)
        if sum(plan.degree(node) > 2 for node in plan) < layout.min_junctions:
            return None
        if any(street.chain[0] == street.chain[-1] for street in streets):
            return None  # a loop has no room for its junction
        shifts = np.array([bends[_edge(street.chain[:2])] for street in streets])
        times = [relaxed.get(street.chain, 0) for street in streets]
        centres = centre_lines(plan, streets, shifts, times, np.deg2rad(layout.min_angle_deg))
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


def _network(layout: TownLayout, plan: "nx.Graph[int]", streets: list[Street], centres: list[Polyline]) -> RoadNetwork:
    """Number the places where streets meet and build the network."""
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
    return build_network([plan.nodes[node]["place"] for node in ends], roads, layout.kerb_radius)
