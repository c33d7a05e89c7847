"""Towns from OpenStreetMap extracts: `osm:` and a file name in the place of a town's name.

The same file gives the same town wherever it lies and whatever it is called. Bridges and the streets beneath them
cannot both be kept in a world with one level; see `osm_segments`.
"""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from navsim.errors import TownError
from navsim.geometry import Polyline
from navsim.roads.elements import Footprint
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.buildings import footprints
from navsim.roads.osm.crossings import plan_crossings
from navsim.roads.osm.graph import Edge, cleaned, without_lanes
from navsim.roads.osm.network import build_street_network
from navsim.roads.osm.reader import file_digest, read_extract
from navsim.roads.osm.segments import extract_projection, smoothed, street_segments
from navsim.roads.osm.tags import StreetKind
from navsim.roads.routing import RUN_UP
from navsim.seeding import generator

ATTRIBUTION = "Map data © OpenStreetMap contributors, ODbL 1.0"
"""What must be said wherever such a town is shown."""
MIN_RADIUS = 9.5
"""Least radius of the bends of a lane's middle [m]."""
PASSES = 12
"""How often a town is simplified before it is refused."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OsmConfig:
    """How an extract becomes a town."""

    trim_dead_ends: bool = False
    """Whether to leave out streets that end blindly."""


@dataclass(frozen=True, eq=False)
class OsmTown:
    """A town from an extract."""

    network: RoadNetwork
    """Roads and junctions."""
    footprints: tuple[Footprint, ...] | None
    """Outlines of the houses; None if the extract knows none."""
    simplified: dict[str, int]
    """How many streets were left out or changed, by reason."""


def osm_seed(path: Path) -> int:
    """The seed of a town from an extract: its content alone decides.

    Raises:
        TownError: If the file cannot be read or its name has a wrong ending.
    """
    return int(_digest(path)[:12], 16)


def _digest(path: Path) -> str:
    """SHA-256 of the file; read again when the file changes."""
    try:
        state = path.stat()
    except OSError:
        return file_digest(path)  # says what is wrong
    return _known_digest(path.absolute(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _known_digest(path: Path, modified: int, size: int) -> str:
    """The digest of a file in a state, told apart by time [ns] and size [bytes]."""
    del modified, size  # they are the key
    return file_digest(path)


def build_osm_town(path: Path, options: OsmConfig | None = None) -> OsmTown:
    """Build a drivable town from an OpenStreetMap extract.

    Args:
        path: The file, see `navsim.roads.osm.reader.ENDINGS`.
        options: How; None for the defaults.

    Raises:
        TownError: If the file is missing, damaged or no extract, or too little of it can be driven.
    """
    chosen = options or OsmConfig()
    extract = read_extract(path)
    projection = extract_projection(extract)
    segments, beaten = street_segments(extract, projection)
    streets, counts = _fitted(path, cleaned(segments, chosen.trim_dead_ends), chosen)
    counts["left out beneath or above others"] = beaten
    told = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    _log.info("%s: %d roads, %d junctions (%s)", path, len(streets.roads), len(streets.junctions), told or "all kept")
    houses = footprints(extract, projection, streets, generator(osm_seed(path), "heights"))
    return OsmTown(streets, houses, counts)


def _fitted(path: Path, edges: list[Edge], options: OsmConfig) -> tuple[RoadNetwork, dict[str, int]]:
    """Simplify the streets until all that is left can be driven."""
    counts = {
        "too sharply bent": 0,
        "streets without room": 0,
        "directions without a way on": 0,
        "joined into crossings": 0,
    }
    soften = True
    for _ in range(PASSES):
        edges, sharp = _smooth(edges, soften)
        counts["too sharply bent"] += sharp
        soften = False
        centres = [Polyline(edge.points) for edge in edges]
        plan = plan_crossings(edges, centres)
        if sharp or plan.dropped:
            counts["streets without room"] += len(plan.dropped)
            rest = [edge for i, edge in enumerate(edges) if i not in plan.dropped]
        else:
            if not edges:
                break
            built = build_street_network(edges, centres, plan)
            if not built.trapped:
                counts["joined into crossings"] = len(plan.inner)
                return _checked(path, built.network), counts
            counts["directions without a way on"] += sum(map(len, built.trapped.values()))
            rest = without_lanes(edges, built.trapped)
        edges = cleaned(rest, options.trim_dead_ends)
    raise TownError(f"{path}: too little of it can be driven: no streets are left that meet at junctions")


def _smooth(edges: list[Edge], soften: bool) -> tuple[list[Edge], int]:
    """The same streets with drivable courses, and how many have none."""
    courses = smoothed([edge.points for edge in edges], [_sharpest(edge.kind) for edge in edges], soften)
    found = [
        Edge(edge.start, edge.end, course, edge.kind)
        for edge, course in zip(edges, courses, strict=True)
        if course is not None
    ]
    return found, len(edges) - len(found)


def _sharpest(kind: StreetKind) -> float:
    """Greatest curvature of a street's middle, so that its lanes and its inner kerb have room [1/m]."""
    outermost = (kind.lanes_forward + kind.lanes_backward - 1) / 2 * kind.lane_width
    return 1 / max(MIN_RADIUS + outermost, kind.half_width + 2.0)


def _checked(path: Path, network: RoadNetwork) -> RoadNetwork:
    """Refuse a town without a way through two junctions."""
    long_ways = np.array([lane.path.length for lane in network.lanes]).sum() if network.lanes else 0.0
    if not network.connectors or long_ways < 2 * RUN_UP:
        raise TownError(f"{path}: too small for a route: it has no junction that can be driven through")
    return network
