"""Towns of regular blocks: crossings, T junctions, offset crossings, avenues of four lanes, narrow side streets.

Streets run along the lines of a sheared, turned grid. Some upper halves of columns are moved sideways, which makes
two T junctions of a crossing; some streets between two places are left out; corners left over become rounded bends.
"""

from dataclasses import dataclass

import networkx as nx
import numpy as np

from navsim.geometry import Array, Polyline
from navsim.roads.generators.centre_lines import Street, streets_of
from navsim.roads.generators.layout import SPACING, Draft, Profile, rounded_line

AVENUE = Profile(2, 3.2, 1.0, 11.0)
"""Four lanes."""
WIDE = Profile(1, 3.7, 1.5, 9.0)
"""Two wide lanes."""
NARROW = Profile(1, 3.0, 0.9, 7.0)
"""A side street."""
STRAIGHT = np.deg2rad(1.0)
"""Places where a street turns by less are none of its corners [rad]."""


@dataclass(frozen=True)
class GridLayout:
    """What the towns of the generator `grid` have in common; pairs are ranges (low, high)."""

    columns: tuple[int, int] = (4, 5)
    """Streets from south to north."""
    rows: tuple[int, int] = (4, 5)
    """Streets from west to east."""
    block: tuple[float, float] = (85.0, 115.0)
    """Distance between neighbouring streets [m]."""
    offset: tuple[float, float] = (36.0, 42.0)
    """Distance of the two T junctions of an offset crossing [m]."""
    offset_crossings: tuple[int, int] = (1, 2)
    """How many crossings are offset, at most one in each column."""
    avenues: tuple[int, int] = (0, 1)
    """Columns with four lanes, none of them at the rim."""
    wide: float = 0.35
    """Probability that another street has wide lanes."""
    missing: tuple[float, float] = (0.0, 0.1)
    """Share of the streets between two places that is left out."""
    shear_deg: float = 10.0
    """Largest deviation of the blocks from rectangles [deg]."""
    bend_radius: tuple[float, float] = (18.0, 26.0)
    """Radius of streets that turn a corner [m]."""
    kerb_radius: float = 8.0
    """Radius of the kerb corners [m]."""
    attempts: int = 40
    """How many times a town is drawn before giving up."""

    def draft(self, rng: np.random.Generator) -> Draft | None:
        """Draw the roads of a town; None if some street would be a loop."""
        plan = _plan(self, rng)
        _leave_out(plan, float(rng.uniform(*self.missing)), rng)
        streets = streets_of(plan)
        if any(street.chain[0] == street.chain[-1] for street in streets):
            return None
        _shear_and_turn(plan, np.deg2rad(rng.uniform(-self.shear_deg, self.shear_deg)), rng.uniform(0.0, 2 * np.pi))
        ends = sorted({node for street in streets for node in (street.chain[0], street.chain[-1])})
        number = {node: i for i, node in enumerate(ends)}
        radius = float(rng.uniform(*self.bend_radius))
        roads = [
            _profile(plan, street).road(
                number[street.chain[0]], number[street.chain[-1]], _centre(plan, street, radius)
            )
            for street in streets
        ]
        return Draft(np.array([plan.nodes[node]["place"] for node in ends]), roads, self.kerb_radius)


@dataclass(frozen=True)
class CityLayout(GridLayout):
    """What the towns of the generator `city` have in common: a grid 1 to 2.5 km across."""

    columns: tuple[int, int] = (10, 20)
    rows: tuple[int, int] = (10, 20)
    offset_crossings: tuple[int, int] = (4, 9)
    avenues: tuple[int, int] = (1, 4)
    missing: tuple[float, float] = (0.03, 0.1)


def _plan(layout: GridLayout, rng: np.random.Generator) -> "nx.Graph[int]":
    """The whole grid, offset crossings included; nodes have a `place` (2,) [m], edges a `profile`."""
    columns = int(rng.integers(layout.columns[0], layout.columns[1] + 1))
    rows = int(rng.integers(layout.rows[0], layout.rows[1] + 1))
    x, y = (np.concatenate([[0.0], np.cumsum(rng.uniform(*layout.block, size=n - 1))]) for n in (columns, rows))
    inner = rng.permutation(np.arange(1, columns - 1))
    avenues = set(inner[: int(rng.integers(layout.avenues[0], layout.avenues[1] + 1))].tolist())
    is_wide = rng.uniform(size=columns + rows) < layout.wide
    profiles = [AVENUE if i in avenues else WIDE if is_wide[i] else NARROW for i in range(columns + rows)]
    plan: nx.Graph[int] = nx.Graph()
    for j in range(rows):
        for i in range(columns):
            plan.add_node(j * columns + i, place=np.array([x[i], y[j]]))
            if i:
                plan.add_edge(j * columns + i - 1, j * columns + i, profile=profiles[columns + j])
            if j:
                plan.add_edge((j - 1) * columns + i, j * columns + i, profile=profiles[i])
    candidates = [i for i in range(1, columns - 1) if i not in avenues]
    wanted = int(rng.integers(layout.offset_crossings[0], layout.offset_crossings[1] + 1))
    taken: list[int] = []
    for i in rng.permutation(candidates).tolist():
        shift = float(rng.uniform(*layout.offset) * rng.choice([-1.0, 1.0]))
        row = int(rng.integers(1, rows - 1))
        # Neighbouring columns that both move could come too close to each other.
        if len(taken) < wanted and all(abs(i - other) > 1 for other in taken):
            _offset_crossing(plan, (columns, rows), (i, row), shift)
            taken.append(i)
    return plan


def _offset_crossing(plan: "nx.Graph[int]", size: tuple[int, int], where: tuple[int, int], shift: float) -> None:
    """Move the part of a column (column, row) beyond a crossing sideways by `shift` [m]."""
    (columns, rows), (i, j) = size, where
    node, side = j * columns + i, j * columns + i + (1 if shift > 0 else -1)
    above = node + columns
    new = max(plan) + 1
    plan.add_node(new, place=plan.nodes[node]["place"] + np.array([shift, 0.0]))
    row, column = plan.edges[node, side]["profile"], plan.edges[node, above]["profile"]
    plan.remove_edges_from([(node, side), (node, above)])
    plan.add_edge(node, new, profile=row)
    plan.add_edge(new, side, profile=row)
    plan.add_edge(new, above, profile=column)
    for edge in (*plan.edges(node), *plan.edges(new)):
        plan.edges[edge]["fixed"] = True
    for k in range(j + 1, rows):
        plan.nodes[k * columns + i]["place"] = plan.nodes[k * columns + i]["place"] + np.array([shift, 0.0])


def _leave_out(plan: "nx.Graph[int]", share: float, rng: np.random.Generator) -> None:
    """Take a share of the edges away at random; none that is fixed, an avenue's, or whose loss makes a dead end."""
    edges = sorted((min(a, b), max(a, b)) for a, b in plan.edges)
    left = round(share * len(edges))
    for k in rng.permutation(len(edges)).tolist():
        (a, b), spare = edges[k], rng.uniform() < 0.15
        data = dict(plan.edges[a, b])
        least = min(plan.degree(a), plan.degree(b))
        if left == 0 or data.get("fixed") or data["profile"] is AVENUE or least < 3 or (least == 3 and not spare):
            continue
        plan.remove_edge(a, b)
        if nx.has_bridges(plan):
            plan.add_edge(a, b, **data)
        else:
            left -= 1


def _shear_and_turn(plan: "nx.Graph[int]", shear: float, turn: float) -> None:
    """Move all places around the origin, sheared and turned [rad]."""
    places = np.array([plan.nodes[node]["place"] for node in plan])
    places -= (places.min(axis=0) + places.max(axis=0)) / 2
    places[:, 0] += np.tan(shear) * places[:, 1]
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    for node, place in zip(plan, places @ rotation, strict=True):
        plan.nodes[node]["place"] = place


def _profile(plan: "nx.Graph[int]", street: Street) -> Profile:
    """The narrowest cross section along a street."""
    edges = zip(street.chain[:-1], street.chain[1:], strict=True)
    profiles: list[Profile] = [plan.edges[a, b]["profile"] for a, b in edges]
    return min(profiles, key=lambda profile: profile.half_width)


def _centre(plan: "nx.Graph[int]", street: Street, radius: float) -> Polyline:
    """A street's centre line: straight, its corners rounded."""
    places = np.array([plan.nodes[node]["place"] for node in street.chain])
    corners = places[_is_corner(places)]
    if len(corners) == 2:
        return Polyline(corners).resampled(SPACING)
    return rounded_line(corners, [radius] * (len(corners) - 2))


def _is_corner(places: Array) -> Array:
    """Which of the places (N, 2) along a street are its ends or turns (N,)."""
    before, after = places[1:-1] - places[:-2], places[2:] - places[1:-1]
    turns = np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], np.sum(before * after, axis=1))
    return np.concatenate([[True], np.abs(turns) > STRAIGHT, [True]])
