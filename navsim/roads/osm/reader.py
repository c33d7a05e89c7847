"""Longitude and latitude to metres: the transverse Mercator projection of the WGS 84 ellipsoid about a centre.

Snyder, Map Projections: A Working Manual (USGS Professional Paper 1395, 1987), equations 3-21, 4-20 and 8-9 to 8-15,
with a scale of 1 on the central meridian. Over a city its lengths are true to better than 1e-5.

OpenStreetMap extracts as files: streets and outlines of buildings, with the places of their nodes.

Read with pyosmium (osmcode.org/pyosmium), which is imported only when a file is read. Nodes are looked up in a pass of
their own, so the order of a file's objects does not matter.
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
"""Its eccentricity, squared."""


@dataclass(frozen=True)
class Projection:
    """A plane with x east and y north [m] that touches the earth at its origin."""

    longitude: float
    """Of the origin [deg]."""
    latitude: float
    """Of the origin [deg]."""

    def to_plane(self, coordinates: ArrayLike) -> Array:
        """Map (longitude, latitude) pairs (N, 2) [deg] to points (N, 2) [m]."""
        lon, lat = np.deg2rad(np.asarray(coordinates, dtype=float).reshape(-1, 2)).T
        around = (lon - np.deg2rad(self.longitude) + np.pi) % (2 * np.pi) - np.pi
        sine, cosine = np.sin(lat), np.cos(lat)
        prime = ECCENTRICITY2 / (1 - ECCENTRICITY2)
        n = RADIUS / np.sqrt(1 - ECCENTRICITY2 * sine**2)
        t, c, a = np.tan(lat) ** 2, prime * cosine**2, around * cosine
        x = n * (a + (1 - t + c) * a**3 / 6 + (5 - 18 * t + t**2 + 72 * c - 58 * prime) * a**5 / 120)
        bulge = a**2 / 2 + (5 - t + 9 * c + 4 * c**2) * a**4 / 24
        bulge += (61 - 58 * t + t**2 + 600 * c - 330 * prime) * a**6 / 720
        y = _meridian(lat) - _meridian(np.deg2rad(self.latitude)) + n * np.tan(lat) * bulge
        return np.stack([x, y], axis=-1)


def _meridian(latitude: ArrayLike) -> Array:
    """Distance from the equator along a meridian [m] to a latitude [rad]."""
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


ENDINGS = (".osm", ".osm.bz2", ".osm.gz", ".osm.pbf", ".pbf")
"""Names of files that can be read end in one of these."""
MAX_LATITUDE = 84.0
"""Farthest from the equator that streets are read [deg]; as for UTM."""


@dataclass(frozen=True)
class RawStreet:
    """A way that cars may use."""

    nodes: tuple[int, ...]
    """Identifiers of its nodes, in order; some may be missing from the extract."""
    kind: StreetKind
    """What its tags say."""


@dataclass(frozen=True)
class RawBuilding:
    """An outline of a building."""

    nodes: tuple[int, ...]
    """Identifiers of its nodes, the first repeated at the end."""
    height: float | None
    """Of its walls by its tags [m], or None."""


@dataclass(frozen=True, eq=False)
class Extract:
    """What is used of a file."""

    streets: tuple[RawStreet, ...]
    """In the order of the file."""
    buildings: tuple[RawBuilding, ...]
    """Closed outlines."""
    places: dict[int, tuple[float, float]]
    """Longitude and latitude [deg] of the nodes that the file holds."""
    bounds: tuple[float, float, float, float] | None
    """West, south, east, north [deg], if the file says."""


def checked_file(path: Path) -> Path:
    """Refuse a file that is missing or whose name has another ending.

    Raises:
        TownError: If so.
    """
    if not path.name.endswith(ENDINGS):
        raise TownError(f"{path}: cannot tell what it is; OpenStreetMap extracts end in {', '.join(ENDINGS)}")
    if not path.is_file():
        raise TownError(f"{path}: {'is a folder, no' if path.is_dir() else 'no such'} OpenStreetMap extract")
    return path


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits.

    Raises:
        TownError: If it cannot be read.
    """
    with _readable(checked_file(path)), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_extract(path: Path) -> Extract:
    """Read the streets and buildings of an extract.

    Raises:
        TownError: If the file is missing, damaged, no extract, or holds no street that cars may use.
    """
    checked_file(path)
    with _readable(path):
        bounds = _bounds(path)
        members = _outer_ways(path)
        streets, buildings = _ways(path, members)
        if not streets:
            raise TownError(f"{path}: holds no street that cars may use")
        wanted = {node for nodes in (*(s.nodes for s in streets), *(b.nodes for b in buildings)) for node in nodes}
        places = _places(path, wanted)
    if not any(node in places for street in streets for node in street.nodes):
        raise TownError(f"{path}: holds streets, but not the nodes they are made of")
    farthest = max((abs(latitude) for _, latitude in places.values()))
    if farthest > MAX_LATITUDE:
        raise TownError(f"{path}: lies at latitude {farthest:.1f}; at most {MAX_LATITUDE:.0f} degrees are possible")
    return Extract(tuple(streets), tuple(buildings), places, bounds)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a file into one line."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        words = str(error).strip().splitlines()
        raise TownError(
            f"{path}: cannot be read as an OpenStreetMap extract: {words[0] if words else error!r}"
        ) from None


def _bounds(path: Path) -> tuple[float, float, float, float] | None:
    """The bounds in the file's header, if there are any."""
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
    """Ways that are outer rings of a building made of several, with its height."""
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


def _ways(path: Path, members: Mapping[int, float | None]) -> tuple[list[RawStreet], list[RawBuilding]]:
    """Streets and buildings among the ways."""
    import osmium

    streets: list[RawStreet] = []
    buildings: list[RawBuilding] = []
    for way in osmium.FileProcessor(str(path), osmium.osm.WAY):
        known = way.id in members or "highway" in way.tags or "building" in way.tags
        if not known or not isinstance(way, osmium.osm.Way):
            continue
        tags, nodes = dict(way.tags), tuple(node.ref for node in way.nodes)
        kind = street_kind(tags)
        if kind is not None:
            streets.append(RawStreet(nodes, kind))
        elif len(nodes) > 3 and nodes[0] == nodes[-1] and (tags.get("building", "no") != "no" or way.id in members):
            buildings.append(RawBuilding(nodes, building_height(tags) or members.get(way.id)))
    return streets, buildings


def _places(path: Path, wanted: set[int]) -> dict[int, tuple[float, float]]:
    """Longitude and latitude [deg] of those of the `wanted` nodes that the file holds at a valid place."""
    import osmium

    nodes = osmium.FileProcessor(str(path), osmium.osm.NODE)
    if min(wanted, default=0) >= 0:  # editors number new nodes below 0, which the filter does not take
        nodes = nodes.with_filter(osmium.filter.IdFilter(sorted(wanted)))
    return {
        node.id: (node.lon, node.lat)
        for node in nodes
        if node.id in wanted and isinstance(node, osmium.osm.Node) and node.location.valid()
    }
