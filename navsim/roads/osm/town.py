"""Towns from OpenStreetMap extracts, named `osm:` and a file name.

The same file content gives the same town, whatever the file's name and folder. The world has one level: a bridge and
the street beneath it cross without turns; see `segments.street_segments`. Houses stand beside the streets, clear of
the carriageway. Traffic keeps to the side that the tag `driving_side` names, or else to that of the country.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import shapely

from navsim.errors import TownError
from navsim.geometry import Array, mirrored_points
from navsim.roads.elements import DrivingSide, Footprint
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.reader import Extract, file_digest, read_extract
from navsim.roads.osm.restrictions import forbidden_turns
from navsim.roads.osm.segments import Projection, extract_projection, street_segments
from navsim.roads.osm.simplification import MapCoverage, drivable_streets
from navsim.roads.routing import MIN_END_SECTION
from navsim.seeding import generator

ATTRIBUTION = "Map data © OpenStreetMap contributors, ODbL 1.0"
"""Attribution that the licence requires wherever such a town is shown."""
MAX_FILE_SIZE = 500.0
"""Largest size of an extract [MB]."""
MAX_STREETS = 500.0
"""Largest length of an extract's streets [km]."""
KEEP_LEFT = (
    "AG AI AU BB BD BM BN BS BT BW CC CK CX CY DM FJ FK GB GD GG GY HK ID IE IM IN JE JM JP KE KI KN KY LC LK LS MO MS "
    "MT MU MV MW MY MZ NA NF NP NR NU NZ PG PK PN SB SC SG SH SR SZ TC TH TK TL TO TT TV TZ UG VC VG VI WS ZA ZM ZW"
)
"""Countries and territories whose traffic keeps left, by their codes in ISO 3166-1."""
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
    coverage: MapCoverage
    """What became of each street of the map."""
    simplified: dict[str, int]
    """Number of turns that were left out and of restrictions that were ignored, by reason."""


def osm_seed(path: Path) -> int:
    """Return the seed of a town from an extract, a hash of the file's content.

    Raises:
        TownError: If the file cannot be read.
    """
    return int(content_digest(path)[:12], 16)


def content_digest(path: Path) -> str:
    """Return the SHA-256 of an extract, cached until the file changes.

    Raises:
        TownError: If the file cannot be read or has an unknown suffix.
    """
    try:
        state = path.stat()
    except OSError:
        return file_digest(path)  # raises the error that names the problem
    return _cached_digest(path.absolute(), (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@lru_cache(maxsize=64)
def _cached_digest(path: Path, state: tuple[int, ...]) -> str:
    """Return the digest of a file; number, size and times of the file are parts of the cache's key."""
    del state
    return file_digest(path)


def build_osm_town(path: Path, options: OsmConfig | None = None) -> OsmTown:
    """Build a drivable town from an OpenStreetMap extract.

    Args:
        path: File in any of the formats of `navsim.roads.osm.reader`.
        options: Settings of the conversion; None for the defaults.

    Raises:
        TownError: If the file is missing, damaged, too large or not an extract, or too little of it can be driven.
    """
    _require_at_most(path, path.stat().st_size / 1e6 if path.is_file() else 0.0, MAX_FILE_SIZE, "MB")
    config = options or OsmConfig()
    extract = read_extract(path)
    projection = extract_projection(extract)
    side = driving_side(extract, projection)
    projection = replace(projection, mirrored=side is DrivingSide.LEFT)
    segments = street_segments(extract, projection)
    _require_at_most(path, sum(edge.length for edge in segments.edges) / 1e3, MAX_STREETS, "km of streets")
    lasting = [each for each in extract.restrictions if not each.kind.conditional]
    if side is DrivingSide.LEFT:
        lasting = [replace(each, kind=each.kind.mirrored) for each in lasting]
    rules = partial(forbidden_turns, restrictions=lasting, node_of=segments.node_of, levels=segments.levels)
    built = drivable_streets(segments.edges, rules, config.trim_dead_ends)
    if built is None:
        raise TownError(f"{path}: too little of it can be driven: no streets are left that meet at junctions")
    streets = _require_route(path, built.network)
    counts = built.counts | {
        "turn restrictions ignored that hold at times only": len(extract.restrictions) - len(lasting)
    }
    summary = "".join(f", {count} {reason}" for reason, count in counts.items() if count)
    _log.info(
        "%s: %d roads, %d junctions; %s%s",
        path,
        len(streets.roads),
        len(streets.junctions),
        built.coverage.summary,
        summary,
    )
    houses = footprints(extract, projection, streets, generator(osm_seed(path), "heights"))
    town = OsmTown(streets, houses, built.coverage, counts)
    return town if side is DrivingSide.RIGHT else _mirrored(town)


def driving_side(extract: Extract, place: Projection) -> DrivingSide:
    """Return the side of traffic: by the streets' tag `driving_side`, or that in the country of the closest city.

    Args:
        extract: The extract.
        place: Projection whose origin lies in the extract.
    """
    tagged = Counter(street.kind.side for street in extract.streets if street.kind.side is not None)
    if tagged:
        return tagged.most_common(1)[0][0]
    import reverse_geocode  # reads a table of cities, which takes a second

    country = reverse_geocode.get((place.latitude, place.longitude))["country_code"]
    return DrivingSide.LEFT if country in KEEP_LEFT.split() else DrivingSide.RIGHT


def _mirrored(town: OsmTown) -> OsmTown:
    """Return the mirror image of a town."""
    houses = None if town.footprints is None else tuple(house.mirrored for house in town.footprints)
    coverage = replace(town.coverage, lines=mirrored_points(town.coverage.lines))
    return replace(town, network=town.network.mirrored, footprints=houses, coverage=coverage)


def _require_at_most(path: Path, size: float, limit: float, unit: str) -> None:
    """Raise TownError if the size of a file or of its streets exceeds a limit."""
    if size > limit:
        allowed = f"at most {limit:.0f} are possible; cut out a part, for example with osmium extract"
        raise TownError(f"{path}: has {size:.0f} {unit}, {allowed}")


def _require_route(path: Path, network: RoadNetwork) -> RoadNetwork:
    """Return the network if a route fits into it.

    Raises:
        TownError: If it does not.
    """
    total_length = np.array([lane.path.length for lane in network.lanes]).sum() if network.lanes else 0.0
    if not network.connectors or total_length < 2 * MIN_END_SECTION:
        raise TownError(f"{path}: too small for a route: it has no junction that can be driven through")
    return network


CLEARANCE = 1.0
"""Smallest distance from a wall to the carriageway [m]."""
MAX_DISTANCE = 120.0
"""Largest distance from a house to the closest street [m]."""
MIN_AREA = 12.0
"""Smallest ground plan of a house [m^2]."""
DEFAULT_HEIGHT = (6.0, 9.0)
"""Range of random heights where the map gives none [m]."""


def footprints(
    extract: Extract, projection: Projection, network: RoadNetwork, rng: np.random.Generator
) -> tuple[Footprint, ...] | None:
    """Return the houses of an extract; None if it has no buildings.

    Houses within `CLEARANCE` of the carriageway are cut back, and courtyards are filled. Of two outlines at one
    position, such as a house and its parts, the larger one is used.

    Args:
        extract: The extract.
        projection: Projection of the network.
        network: Roads of the town.
        rng: Random generator of the heights that the map does not give.
    """
    if not extract.buildings:
        return None
    outlines, heights = _outlines(extract, projection, rng)
    if not outlines:
        return ()
    shapes = np.array(outlines)
    near = shapely.dwithin(shapes, _prepared(network.carriageway), MAX_DISTANCE)
    shapes, tops = shapes[near], np.array(heights)[near]
    road = network.carriageway.buffer(CLEARANCE)
    shapely.prepare(road)
    touching = shapely.intersects(shapes, road)
    # The rounded corners of a cut would become many walls, hence the simplification.
    shapes[touching] = shapely.simplify(shapely.difference(shapes[touching], road.simplify(0.2)), 0.3)
    parts = [(part, float(height)) for shape, height in zip(shapes, tops, strict=True) for part in _parts(shape)]
    return tuple(Footprint(_corners(part), height) for part, height in _without_duplicates(parts))


def _outlines(
    extract: Extract, projection: Projection, rng: np.random.Generator
) -> tuple[list[shapely.Polygon], list[float]]:
    """Return the valid outlines and their heights [m]."""
    outlines, heights = [], []
    for building in extract.buildings:
        random_height = float(rng.uniform(*DEFAULT_HEIGHT))
        known = [extract.coordinates[node] for node in building.nodes if node in extract.coordinates]
        if len(known) < len(building.nodes) or len(set(known)) < 3:
            continue  # a part of the building lies outside the extract
        shape = shapely.Polygon(projection.to_plane(known))
        for part in _parts(shape if shape.is_valid else shape.buffer(0)):
            outlines.append(part)
            heights.append(random_height if building.height is None else building.height)
    return outlines, heights


def _prepared(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the shape, indexed for fast queries."""
    shapely.prepare(shape)
    return shape


def _parts(shape: shapely.Geometry) -> Iterator[shapely.Polygon]:
    """Yield the polygons of a shape that are large enough, without their courtyards."""
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.Polygon) and part.area >= MIN_AREA:
            yield shapely.Polygon(part.exterior)


def _without_duplicates(parts: Sequence[tuple[shapely.Polygon, float]]) -> list[tuple[shapely.Polygon, float]]:
    """Return the parts that do not lie mostly inside larger ones."""
    shapes = np.array([part for part, _ in parts])
    if not len(shapes):
        return []
    areas = shapely.area(shapes)
    small, large = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    other = (areas[small] < areas[large]) | ((areas[small] == areas[large]) & (small > large))
    small, large = small[other], large[other]
    shared = shapely.area(shapely.intersection(shapes[small], shapes[large]))
    inside = set(small[shared > 0.5 * areas[small]].tolist())
    return [part for index, part in enumerate(parts) if index not in inside]


def _corners(part: shapely.Polygon) -> Array:
    """Return the corners (N, 2) of a house [m], counter-clockwise, without those on straight walls."""
    straight = part.simplify(0.1)
    oriented = shapely.orient_polygons(straight if straight.is_valid and straight.area > 0 else part)
    return shapely.get_coordinates(oriented)[:-1]
