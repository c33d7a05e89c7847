"""Towns from OpenStreetMap extracts, named `osm:` and a file name.

The same file content gives the same town, whatever the file's name and folder. A world with one level cannot keep both
a bridge and the street beneath it; see `segments.street_segments`.
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
from navsim.roads.osm.crossings import find_crossings
from navsim.roads.osm.graph import Edge, cleaned, without_lanes
from navsim.roads.osm.network import build_street_network
from navsim.roads.osm.reader import file_digest, read_extract
from navsim.roads.osm.segments import extract_projection, smoothed, street_segments
from navsim.roads.osm.tags import StreetKind
from navsim.roads.routing import MIN_END_SECTION
from navsim.seeding import generator

ATTRIBUTION = "Map data © OpenStreetMap contributors, ODbL 1.0"
"""Attribution that the licence requires wherever such a town is shown."""
MIN_RADIUS = 9.5
"""Smallest radius of the bends of a lane's middle [m]."""
MAX_PASSES = 12
"""Largest number of simplification passes for a town."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OsmConfig:
    """Settings of the conversion of an extract to a town."""

    trim_dead_ends: bool = False
    """Whether to remove all dead-end streets."""


@dataclass(frozen=True, eq=False)
class OsmTown:
    """A town from an extract."""

    network: RoadNetwork
    """Roads and junctions of the town."""
    footprints: tuple[Footprint, ...] | None
    """Outlines of the houses; None if the extract has no buildings."""
    simplified: dict[str, int]
    """Number of streets that were removed or changed, by reason."""


def osm_seed(path: Path) -> int:
    """Return the seed of a town from an extract, a hash of the file's content.

    Raises:
        TownError: If the file cannot be read or has an unknown suffix.
    """
    return int(_digest(path)[:12], 16)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, cached until the file changes."""
    try:
        state = path.stat()
    except OSError:
        return file_digest(path)  # raises the error that names the problem
    return _cached_digest(path.absolute(), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _cached_digest(path: Path, modified: int, size: int) -> str:
    """Return the digest of a file; its time of change [ns] and size [bytes] are parts of the cache's key."""
    del modified, size
    return file_digest(path)


def build_osm_town(path: Path, options: OsmConfig | None = None) -> OsmTown:
    """Build a drivable town from an OpenStreetMap extract.

    Args:
        path: File with one of `navsim.roads.osm.reader.SUFFIXES`.
        options: Settings of the conversion; None for the defaults.

    Raises:
        TownError: If the file is missing, damaged or not an extract, or too little of it can be driven.
    """
    config = options or OsmConfig()
    extract = read_extract(path)
    projection = extract_projection(extract)
    segments, removed = street_segments(extract, projection)
    streets, counts = _drivable_network(path, cleaned(segments, config.trim_dead_ends), config)
    counts["left out beneath or above others"] = removed
    summary = ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
    _log.info(
        "%s: %d roads, %d junctions (%s)", path, len(streets.roads), len(streets.junctions), summary or "all kept"
    )
    houses = footprints(extract, projection, streets, generator(osm_seed(path), "heights"))
    return OsmTown(streets, houses, counts)


def _drivable_network(path: Path, edges: list[Edge], options: OsmConfig) -> tuple[RoadNetwork, dict[str, int]]:
    """Simplify the streets until all remaining ones can be driven; return the network and the counts of changes."""
    counts = {
        "too sharply bent": 0,
        "streets without room": 0,
        "dead-end directions": 0,
        "joined into crossings": 0,
    }
    remove_corners = True
    for _ in range(MAX_PASSES):
        edges, sharp = _smooth(edges, remove_corners)
        counts["too sharply bent"] += sharp
        remove_corners = False
        centres = [Polyline(edge.points) for edge in edges]
        crossings = find_crossings(edges, centres)
        if sharp or crossings.dropped:
            counts["streets without room"] += len(crossings.dropped)
            rest = [edge for i, edge in enumerate(edges) if i not in crossings.dropped]
        else:
            if not edges:
                break
            built = build_street_network(edges, centres, crossings)
            if not built.dead_end_lanes:
                counts["joined into crossings"] = len(crossings.inner)
                return _require_route(path, built.network), counts
            counts["dead-end directions"] += sum(map(len, built.dead_end_lanes.values()))
            rest = without_lanes(edges, built.dead_end_lanes)
        edges = cleaned(rest, options.trim_dead_ends)
    raise TownError(f"{path}: too little of it can be driven: no streets are left that meet at junctions")


def _smooth(edges: list[Edge], remove_corners: bool) -> tuple[list[Edge], int]:
    """Return the streets with drivable centre lines, and the number of streets without one."""
    lines = smoothed([edge.points for edge in edges], [_max_curvature(edge.kind) for edge in edges], remove_corners)
    smooth = [
        Edge(edge.start, edge.end, line, edge.kind) for edge, line in zip(edges, lines, strict=True) if line is not None
    ]
    return smooth, len(edges) - len(smooth)


def _max_curvature(kind: StreetKind) -> float:
    """Return the largest curvature of a centre line whose lanes and inner kerb can still be drawn [1/m]."""
    outermost = (kind.lanes_forward + kind.lanes_backward - 1) / 2 * kind.lane_width
    return 1 / max(MIN_RADIUS + outermost, kind.half_width + 2.0)


def _require_route(path: Path, network: RoadNetwork) -> RoadNetwork:
    """Return the network if a route fits into it.

    Raises:
        TownError: If it does not.
    """
    total_length = np.array([lane.path.length for lane in network.lanes]).sum() if network.lanes else 0.0
    if not network.connectors or total_length < 2 * MIN_END_SECTION:
        raise TownError(f"{path}: too small for a route: it has no junction that can be driven through")
    return network
