"""Small OpenStreetMap documents, written by tests from positions in metres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

ORIGIN = (8.5, 47.4)
"""Longitude and latitude [deg] of the position (0, 0)."""
PER_DEGREE = (111320.0 * np.cos(np.deg2rad(ORIGIN[1])), 111170.0)
"""Metres in a degree of longitude and of latitude, about."""
TWO_WAY: Mapping[str, str] = {"highway": "residential"}


def coordinates(x: float, y: float) -> tuple[float, float]:
    """Return the longitude and latitude [deg] of a position [m]."""
    return ORIGIN[0] + x / PER_DEGREE[0], ORIGIN[1] + y / PER_DEGREE[1]


@dataclass
class Document:
    """Nodes, ways and relations of an extract."""

    nodes: dict[int, tuple[float, float]] = field(default_factory=dict)
    ways: list[tuple[list[int], Mapping[str, str]]] = field(default_factory=list)
    relations: list[tuple[list[int], Mapping[str, str]]] = field(default_factory=list)
    restrictions: list[tuple[list[tuple[str, str, int]], Mapping[str, str]]] = field(default_factory=list)
    """Turn restrictions: role, kind ("node" or "way") and number of each member, and tags."""
    bounds: list[tuple[float, float, float, float]] = field(default_factory=list)
    """West, south, east and north end of each download [m]."""
    marks: dict[str, str] = field(default_factory=dict)
    """Further attributes of objects such as "way 3", written as in XML."""

    def node(self, x: float, y: float) -> int:
        """Add a node."""
        self.nodes[len(self.nodes) + 1] = (x, y)
        return len(self.nodes)

    def way(self, nodes: Sequence[int], tags: Mapping[str, str] = TWO_WAY) -> int:
        """Add a way between nodes."""
        self.ways.append((list(nodes), tags))
        return len(self.ways)

    def line(self, places: Sequence[tuple[float, float]], tags: Mapping[str, str] = TWO_WAY) -> list[int]:
        """Add a way with nodes of its own."""
        nodes = [self.node(*place) for place in places]
        self.way(nodes, tags)
        return nodes

    def restrict(self, origin: int, via: int, target: int, *, via_way: bool = False, **tags: str) -> None:
        """Add a turn restriction between ways; in the names of keys, an underscore stands for a colon."""
        members = [("from", "way", origin), ("via", "way" if via_way else "node", via), ("to", "way", target)]
        keys = {key.replace("_", ":"): value for key, value in tags.items()}
        self.restrictions.append((members, {"type": "restriction", **keys}))

    def xml(self) -> str:
        """Return the document as XML."""
        parts = ["<?xml version='1.0' encoding='UTF-8'?>", '<osm version="0.6" generator="test">']
        for x0, y0, x1, y1 in self.bounds:
            (west, south), (east, north) = coordinates(x0, y0), coordinates(x1, y1)
            parts.append(f'<bounds minlon="{west}" minlat="{south}" maxlon="{east}" maxlat="{north}"/>')
        for number, place in self.nodes.items():
            lon, lat = coordinates(*place)
            parts.append(f'<node {self._head("node", number)} lat="{lat:.8f}" lon="{lon:.8f}"/>')
        for number, (nodes, tags) in enumerate(self.ways, 1):
            refs = "".join(f'<nd ref="{node}"/>' for node in nodes)
            parts.append(f"<way {self._head('way', number)}>{refs}{_tags(tags)}</way>")
        for number, (ways, tags) in enumerate(self.relations, 1):
            members = "".join(f'<member type="way" ref="{way}" role="outer"/>' for way in ways)
            parts.append(f"<relation {self._head('relation', number)}>{members}{_tags(tags)}</relation>")
        for number, (roles, tags) in enumerate(self.restrictions, len(self.relations) + 1):
            members = "".join(f'<member type="{kind}" ref="{ref}" role="{role}"/>' for role, kind, ref in roles)
            parts.append(f"<relation {self._head('relation', number)}>{members}{_tags(tags)}</relation>")
        return "\n".join([*parts, "</osm>"])

    def _head(self, kind: str, number: int) -> str:
        return f'id="{number}" version="1" {self.marks.get(f"{kind} {number}", "")}'

    def write(self, path: Path) -> Path:
        """Write it as XML."""
        path.write_text(self.xml())
        return path


def _tags(tags: Mapping[str, str]) -> str:
    return "".join(f"<tag k={quoteattr(key)} v={quoteattr(value)}/>" for key, value in tags.items())


def cross(spacing: float = 100.0) -> Document:
    """Return one crossing of two two-way streets; node 1 is its middle."""
    made = Document()
    middle = made.node(0.0, 0.0)
    for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        made.way([middle, made.node(x * spacing, y * spacing)])
    return made


def grid(columns: int = 4, rows: int = 4, spacing: float = 120.0) -> Document:
    """Return two-way streets at right angles; node (column, row) has number row * columns + column + 1."""
    document = Document()
    for row in range(rows):
        for column in range(columns):
            document.node(column * spacing, row * spacing)
    for row in range(rows):
        document.way([row * columns + column + 1 for column in range(columns)])
    for column in range(columns):
        document.way([row * columns + column + 1 for row in range(rows)])
    return document


def roundabout(radius: float, headings: Sequence[float], spread: float = 0.0) -> Document:
    """Return a ring with streets that leave it at some headings [deg] and meet a side street each.

    Args:
        radius: Radius of the ring [m].
        headings: Heading of each street away from the ring [deg].
        spread: Angle on the ring between the middle of a street and its two one-way legs [deg]; 0 for no legs.
    """
    document = Document()
    joints = {(heading + side) % 360 for heading in headings for side in (-spread, spread)}
    angles = sorted({*np.arange(0, 360, 22.5), *joints})
    ring = {a: document.node(radius * np.cos(np.deg2rad(a)), radius * np.sin(np.deg2rad(a))) for a in angles}
    document.way([*ring.values(), ring[angles[0]]], {**TWO_WAY, "junction": "roundabout"})
    for heading in headings:
        along = np.array([np.cos(np.deg2rad(heading)), np.sin(np.deg2rad(heading))])
        begin = ring[heading % 360] if spread == 0 else document.node(*((radius + 20) * along))
        if spread:
            document.way([ring[(heading - spread) % 360], begin], {**TWO_WAY, "oneway": "yes"})
            document.way([begin, ring[(heading + spread) % 360]], {**TWO_WAY, "oneway": "yes"})
        side = document.node(*((radius + 120) * along))
        document.way([begin, side, document.node(*((radius + 200) * along))])
        document.way([side, document.node(*((radius + 120) * along + 60 * np.array([-along[1], along[0]])))])
    return document


def carriageways(gap: float, south: Mapping[str, str], north: Mapping[str, str], split: bool = False) -> Document:
    """Return two streets side by side from west to east, and a street or two across both.

    Args:
        gap: Distance between their centre lines [m].
        south: Tags of the southern street beside its class; its nodes run eastwards.
        north: Tags of the northern street, whose nodes run westwards.
        split: Whether both begin and end at the ends of one street.
    """
    document = Document()
    places = np.linspace(-240.0, 240.0, 5).tolist()
    low, high = ([document.node(x, y) for x in places] for y in (-gap / 2, gap / 2))
    for column in (2,) if split else (1, 3):
        across = [
            document.node(places[column], -180.0),
            low[column],
            high[column],
            document.node(places[column], 180.0),
        ]
        document.way(across)
    if split:
        ends = [document.node(-280.0, 0.0), document.node(280.0, 0.0)]
        low, high = [ends[0], *low, ends[1]], [ends[0], *high, ends[1]]
        document.way([document.node(-400.0, 0.0), ends[0]], {"highway": "primary", "lanes": "4"})
        document.way([ends[1], document.node(400.0, 0.0)], {"highway": "primary", "lanes": "4"})
    document.way(low, {"highway": "primary", **south})
    document.way(high[::-1], {"highway": "primary", **north})
    return document


def city(side: int, rng: np.random.Generator) -> Document:
    """Return an irregular city with the difficulties of real maps.

    A jittered grid with streets missing, one-way streets, streets of several lanes, kinks and short segments; a dual
    carriageway through its middle, roundabouts, diagonal streets and ramps at acute angles, staggered crossings, a
    motorway on a bridge, a tunnel, ways drawn twice.
    """
    document, spacing = Document(), 75.0
    shift = rng.normal(0.0, 9.0, (side, side, 2))
    warp = 25.0 * np.sin(np.arange(side) / 3.0)
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1) * spacing + shift
    places[..., 0] += warp[None, :]
    ids = np.array([[document.node(*places[i, j]) for j in range(side)] for i in range(side)])
    for i in range(side):
        for along in (ids[i], ids[:, i]):
            _street(document, along.tolist(), rng)
    _dual_carriageway(document, ids, places, side // 2, rng)
    _roundabouts(document, side, spacing, rng)
    for _ in range(side):  # diagonals and ramps that share a node with the grid at each end
        a = rng.integers(0, side, 2)
        b = np.clip(a + rng.integers(-3, 4, 2), 0, side - 1)
        if (a != b).any():
            kind = {"highway": "secondary_link", "oneway": "yes"} if rng.uniform() < 0.5 else {"highway": "tertiary"}
            start, end = places[tuple(a)], places[tuple(b)]
            middle = document.node(*((start + end) / 2 + rng.normal(0.0, 12.0, 2)))
            document.way([int(ids[tuple(a)]), middle, int(ids[tuple(b)])], kind)
    across = side * spacing
    document.line(
        [(-80.0, across * 0.31), (across + 80.0, across * 0.36)], {"highway": "motorway", "bridge": "yes", "layer": "1"}
    )
    document.line(
        [(across * 0.3, -50.0), (across * 0.4, across)], {"highway": "primary", "tunnel": "yes", "layer": "-1"}
    )
    document.ways += document.ways[:: max(len(document.ways) // 20, 1)]
    return document


def _street(document: Document, nodes: list[int], rng: np.random.Generator) -> None:
    """Add a street along grid nodes, with gaps, kinks, short segments, T crossings beside the grid's, and odd tags."""
    kind = dict(TWO_WAY)
    draw = rng.uniform()
    if draw < 0.25:
        kind |= {"oneway": "yes" if rng.uniform() < 0.5 else "-1", "lanes": str(rng.integers(1, 4))}
    elif draw < 0.45:
        kind = {"highway": "secondary", "lanes": str(rng.integers(2, 5)), "maxspeed": "30 mph"}
    piece: list[int] = [nodes[0]]
    for before, after in pairwise(nodes):
        if rng.uniform() < 0.15:  # a gap
            if len(piece) > 1:
                document.way(piece, kind)
            piece = [after]
            continue
        here, there = np.array(document.nodes[before]), np.array(document.nodes[after])
        for share in np.sort(rng.uniform(0.1, 0.9, rng.integers(0, 4))):
            piece.append(document.node(*(here + share * (there - here) + rng.normal(0.0, 1.5, 2))))
        if rng.uniform() < 0.1:  # a blind alley, often close to the crossing
            side = np.array([-(there - here)[1], (there - here)[0]]) * rng.choice([-0.5, 0.5])
            document.way([piece[-1], document.node(*(np.array(document.nodes[piece[-1]]) + side))])
        piece.append(after)
    if len(piece) > 1:
        document.way(piece, kind)


def _dual_carriageway(
    document: Document, ids: np.ndarray, places: np.ndarray, row: int, rng: np.random.Generator
) -> None:
    """Add two one-way streets side by side through the middle of the grid, joined to every other cross street."""
    tags = {"highway": "primary", "oneway": "yes", "lanes": "2"}
    y = places[:, row, 1].mean() + 35.0
    east, west = [], []
    for column in range(len(ids)):
        x = places[column, row, 0]
        low, high = document.node(x, y), document.node(x + rng.normal(0.0, 2.0), y + rng.uniform(9.0, 16.0))
        east.append(low)
        west.append(high)
        if column % 2 == 0:
            document.way([int(ids[column, row]), low, high])
            if row + 1 < len(ids):
                document.way([high, int(ids[column, row + 1])])
    document.way(east, tags)
    document.way(west[::-1], tags)


def _roundabouts(document: Document, side: int, spacing: float, rng: np.random.Generator) -> None:
    """Add roundabouts of many sizes outside the grid, each with four arms to the grid or to the next."""
    before: int | None = None
    for number in range(max(side // 2, 2)):
        centre, radius = np.array([number * 2 * spacing, -1.5 * spacing]), rng.uniform(6.0, 28.0)
        angles = np.arange(12) * np.pi / 6
        ring = [document.node(*(centre + radius * np.array([np.cos(a), np.sin(a)]))) for a in angles]
        document.way([*ring, ring[0]], {"highway": "tertiary", "junction": "roundabout"})
        document.way(
            [ring[3], 1 + number * 2 * side]
            if number * 2 < side
            else [ring[3], document.node(centre[0], centre[1] + 90.0)]
        )
        if before is not None:
            document.way([before, ring[6]])
        before = ring[0]
        document.way([ring[9], document.node(*(centre - [rng.normal(0.0, 10.0), 90.0]))])
