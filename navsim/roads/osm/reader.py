"""OpenStreetMap extracts: streets, outlines of buildings and node coordinates, and their projection to metres.

Files are read with pyosmium (osmcode.org/pyosmium), which is imported only when a file is read. Nodes are read in a
separate pass, so the order of a file's objects does not matter.

The projection is transverse Mercator on the WGS 84 ellipsoid with a scale of 1 on the central meridian: Snyder, Map
Projections: A Working Manual (USGS Professional Paper 1395, 1987), equations 3-21, 4-20 and 8-9 to 8-15. Over a city
its lengths are exact to better than 1e-5.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from navsim.errors import TownError
from navsim.geometry import Array
from navsim.roads.osm.tags import StreetKind, building_height, street_kind

RADIUS = 6378137.0
"""Semi-major axis of WGS 84 [m]."""
ECCENTRICITY2 = 0.00669437999014
"""Squared eccentricity of WGS 84."""


@dataclass(frozen=True)
class Projection:
    """Plane with x east and y north [m], tangent to the earth at its origin."""

    longitude: float
    """Longitude of the origin [deg]."""
    latitude: float
    """Latitude of the origin [deg]."""

    def to_plane(self, coordinates: ArrayLike) -> Array:
        """Project (longitude, latitude) pairs (N, 2) [deg] to points (N, 2) [m]."""
        lon, lat = np.deg2rad(np.asarray(coordinates, dtype=float).reshape(-1, 2)).T
        delta = (lon - np.deg2rad(self.longitude) + np.pi) % (2 * np.pi) - np.pi
        sine, cosine = np.sin(lat), np.cos(lat)
        prime = ECCENTRICITY2 / (1 - ECCENTRICITY2)
        n = RADIUS / np.sqrt(1 - ECCENTRICITY2 * sine**2)
        t, c, a = np.tan(lat) ** 2, prime * cosine**2, delta * cosine
        x = n * (a + (1 - t + c) * a**3 / 6 + (5 - 18 * t + t**2 + 72 * c - 58 * prime) * a**5 / 120)
        northing = a**2 / 2 + (5 - t + 9 * c + 4 * c**2) * a**4 / 24
        northing += (61 - 58 * t + t**2 + 600 * c - 330 * prime) * a**6 / 720
        y = _meridian(lat) - _meridian(np.deg2rad(self.latitude)) + n * np.tan(lat) * northing
        return np.stack([x, y], axis=-1)


def _meridian(latitude: ArrayLike) -> Array:
    """Return the distance from the equator along a meridian [m] to a latitude [rad]."""
    phi, e2 = np.asarray(latitude, dtype=float), ECCENTRICITY2
    e4, e6 = e2**2, e2**3
    return np.asarray(
        RADIUS
        * (
            (1 - e2 / 4 - 3 * e4 / 64 - 5 * e6 / 256) * phi
            - (3 * e2 / 8 + 3 * e4 / 32 + 45 * e6 / 1024) * np.sin(2 * phi)
            + (15 * e4 / 256 + 45 * e6 / 1024) * np.sin(4 * phi)
            - (35 * e6 / 3072) * np.sin(6 * phi)
        )
    )


SUFFIXES = (".osm", ".osm.bz2", ".osm.gz", ".osm.pbf", ".pbf")
"""File name suffixes of extracts."""
MAX_LATITUDE = 84.0
"""Largest distance from the equator of an extract [deg]; as for UTM."""


@dataclass(frozen=True)
class RawStreet:
    """Way that cars may use."""

    nodes: tuple[int, ...]
    """Identifiers of the way's nodes, in order; some may be missing from the extract."""
    kind: StreetKind
    """Cross section and class by the way's tags."""


@dataclass(frozen=True)
class RawBuilding:
    """Outline of a building."""

    nodes: tuple[int, ...]
    """Identifiers of the outline's nodes, the first repeated at the end."""
    height: float | None
    """Height of the walls by the tags [m], or None."""


@dataclass(frozen=True, eq=False)
class Extract:
    """Streets and buildings of an extract."""

    streets: tuple[RawStreet, ...]
    """Streets in the order of the file."""
    buildings: tuple[RawBuilding, ...]
    """Buildings with closed outlines."""
    coordinates: dict[int, tuple[float, float]]
    """Longitude and latitude [deg] of the nodes that the file contains."""
    bounds: tuple[float, float, float, float] | None
    """West, south, east and north bound [deg], if the file has them."""


def checked_file(path: Path) -> Path:
    """Return `path` if it is an existing file with one of `SUFFIXES`.

    Raises:
        TownError: If it is not.
    """
    if not path.name.endswith(SUFFIXES):
        raise TownError(f"{path}: unknown suffix; OpenStreetMap extracts end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        reason = "is a folder, not" if path.is_dir() else "no such"
        raise TownError(f"{path}: {reason} OpenStreetMap extract")
    return path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal digits.

    Raises:
        TownError: If the file cannot be read.
    """
    with _readable(checked_file(path)), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_extract(path: Path) -> Extract:
    """Read the streets and buildings of an extract.

    Raises:
        TownError: If the file is missing, damaged or not an extract, or has no street that cars may use.
    """
    checked_file(path)
    with _readable(path):
        bounds = _bounds(path)
        outer_ways = _outer_ways(path)
        streets, buildings = _ways(path, outer_ways)
        if not streets:
            raise TownError(f"{path}: has no street that cars may use")
        needed = {node for nodes in (*(s.nodes for s in streets), *(b.nodes for b in buildings)) for node in nodes}
        coordinates = _coordinates(path, needed)
    if not any(node in coordinates for street in streets for node in street.nodes):
        raise TownError(f"{path}: has streets, but not their nodes")
    farthest = max((abs(latitude) for _, latitude in coordinates.values()))
    if farthest > MAX_LATITUDE:
        raise TownError(f"{path}: latitude must be at most {MAX_LATITUDE:.0f} degrees, got {farthest:.1f}")
    return Extract(tuple(streets), tuple(buildings), coordinates, bounds)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert errors of reading a file to TownError with a message of one line."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else repr(error)
        raise TownError(f"{path}: cannot be read as an OpenStreetMap extract: {reason}") from None


def _bounds(path: Path) -> tuple[float, float, float, float] | None:
    """Return the bounds [deg] in the file's header, if there are any."""
    import osmium

    reader = osmium.io.Reader(str(path), osmium.osm.osm_entity_bits.NOTHING)
    try:
        box = reader.header().box()
        if not box.valid():
            return None
        low, high = box.bottom_left, box.top_right
        return (low.lon, low.lat, high.lon, high.lat) if low.lon < high.lon and low.lat < high.lat else None
    finally:
        reader.close()


def _outer_ways(path: Path) -> dict[int, float | None]:
    """Return the ways that are outer rings of buildings of several ways, with the building's height [m]."""
    import osmium

    found: dict[int, float | None] = {}
    for relation in osmium.FileProcessor(str(path), osmium.osm.RELATION):
        tags = dict(relation.tags) if "building" in relation.tags else {}
        if (
            isinstance(relation, osmium.osm.Relation)
            and tags.get("type") == "multipolygon"
            and tags["building"] != "no"
        ):
            height = building_height(tags)
            found.update({m.ref: height for m in relation.members if m.type == "w" and m.role in ("outer", "")})
    return found


def _ways(path: Path, outer_ways: Mapping[int, float | None]) -> tuple[list[RawStreet], list[RawBuilding]]:
    """Return the streets and buildings among the ways."""
    import osmium

    streets: list[RawStreet] = []
    buildings: list[RawBuilding] = []
    for way in osmium.FileProcessor(str(path), osmium.osm.WAY):
        known = way.id in outer_ways or "highway" in way.tags or "building" in way.tags
        if not known or not isinstance(way, osmium.osm.Way):
            continue
        tags, nodes = dict(way.tags), tuple(node.ref for node in way.nodes)
        kind = street_kind(tags)
        if kind is not None:
            streets.append(RawStreet(nodes, kind))
        elif len(nodes) > 3 and nodes[0] == nodes[-1] and (tags.get("building", "no") != "no" or way.id in outer_ways):
            buildings.append(RawBuilding(nodes, building_height(tags) or outer_ways.get(way.id)))
    return streets, buildings


def _coordinates(path: Path, needed: set[int]) -> dict[int, tuple[float, float]]:
    """Return longitude and latitude [deg] of the `needed` nodes that the file contains with a valid location."""
    import osmium

    nodes = osmium.FileProcessor(str(path), osmium.osm.NODE)
    if min(needed, default=0) >= 0:  # editors number new nodes below 0, which the filter does not accept
        nodes = nodes.with_filter(osmium.filter.IdFilter(sorted(needed)))
    return {
        node.id: (node.lon, node.lat)
        for node in nodes
        if node.id in needed and isinstance(node, osmium.osm.Node) and node.location.valid()
    }
