"""OpenStreetMap extracts: streets, outlines of buildings and node coordinates.

The content of a file tells its format, its name does not. Files are read with pyosmium (osmcode.org/pyosmium), which is
imported only when a file is read. Nodes are read in a separate pass, so the order of a file's objects does not matter.

Of several versions of an object, the last one in the file counts. Deleted objects are left out: visible="false" marks
them in files with old versions, action="delete" in files of the editor JOSM.
"""

import bz2
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from xml.parsers import expat

from navsim.errors import TownError
from navsim.roads.osm.tags import StreetKind, TurnRestriction, building_height, restriction_kind, street_kind

if TYPE_CHECKING:
    from osmium.osm import Node, Relation, Way

    Object = TypeVar("Object", Node, Way, Relation)
Value = TypeVar("Value")
Bounds = tuple[float, float, float, float]
"""West, south, east and north bound [deg]."""

MAX_LATITUDE = 84.0
"""Largest distance from the equator of an extract [deg]; as for UTM."""


@dataclass(frozen=True)
class RawStreet:
    """Way that cars may use."""

    nodes: tuple[int, ...]
    """Identifiers of the way's nodes, in order; some may be missing from the extract."""
    kind: StreetKind
    """Cross section and class by the way's tags."""
    way: int
    """Identifier of the way."""


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
    bounds: tuple[Bounds, ...]
    """Areas that the file covers, one for each download; empty if the file does not name them."""
    restrictions: tuple[TurnRestriction, ...]
    """Turn restrictions for cars."""


def checked_file(path: Path) -> Path:
    """Return `path` if it is an existing file.

    Raises:
        TownError: If it is not.
    """
    if not path.is_file():
        reason = "is a folder, not an" if path.is_dir() else "no such"
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
    with _readable(checked_file(path)):
        content = _content(path.read_bytes())
        streets, buildings = _ways(content, _outer_ways(content))
        if not streets:
            raise TownError(f"{path}: has no street that cars may use")
        needed = {node for nodes in (*(s.nodes for s in streets), *(b.nodes for b in buildings)) for node in nodes}
        coordinates, restrictions = _coordinates(content, needed), _restrictions(content)
    if not any(node in coordinates for street in streets for node in street.nodes):
        raise TownError(f"{path}: has streets, but not their nodes")
    farthest = max((abs(latitude) for _, latitude in coordinates.values()))
    if farthest > MAX_LATITUDE:
        raise TownError(f"{path}: latitude must be at most {MAX_LATITUDE:.0f} degrees, got {farthest:.1f}")
    return Extract(tuple(streets), tuple(buildings), coordinates, content.bounds, restrictions)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert errors of reading a file to TownError with a message of one line."""
    try:
        yield
    except (RuntimeError, ValueError, OSError, EOFError, zlib.error, expat.ExpatError) as error:
        lines = str(error).strip().splitlines()
        raise TownError(
            f"{path}: cannot be read as an OpenStreetMap extract, which is XML, also packed with gzip or bzip2, "
            f"or PBF: {lines[0] if lines else repr(error)}"
        ) from None


@dataclass(frozen=True, eq=False)
class _Content:
    """Content of a file, read once."""

    data: bytes
    """Bytes of the file."""
    file_format: Literal["osm", "osm.gz", "osm.bz2", "pbf"]
    """Format of the bytes as osmium names it."""
    bounds: tuple[Bounds, ...]
    """Areas that the file covers."""
    deleted: frozenset[tuple[str, int]]
    """Kind ("node", "way" or "relation") and identifier of the objects that an editor has marked as deleted."""


def _content(data: bytes) -> _Content:
    """Return the content of a file's bytes.

    Raises:
        ValueError: If there are none.
        ExpatError: If they are damaged XML.
        OSError, EOFError, zlib.error: If their packing is damaged.
    """
    if not data:
        raise ValueError("it is empty")
    stream = io.BytesIO(data)
    if b"OSMHeader" in data[:32]:
        return _Content(data, "pbf", _pbf_bounds(data), frozenset())
    if data.startswith(b"\x1f\x8b"):
        return _Content(data, "osm.gz", *_bounds_and_deleted(gzip.GzipFile(fileobj=stream)))
    if data.startswith(b"BZh"):
        return _Content(data, "osm.bz2", *_bounds_and_deleted(bz2.BZ2File(stream)))
    return _Content(data, "osm", *_bounds_and_deleted(stream))


def _pbf_bounds(data: bytes) -> tuple[Bounds, ...]:
    """Return the bounds in the header of a PBF file, if there are any."""
    import osmium

    reader = osmium.io.Reader(osmium.io.FileBuffer(data, "pbf"), osmium.osm.osm_entity_bits.NOTHING)
    try:
        box = reader.header().box()
        low, high = box.bottom_left, box.top_right
        return _plausible([(low.lon, low.lat, high.lon, high.lat)] if box.valid() else [])
    finally:
        reader.close()


def _bounds_and_deleted(xml: io.BufferedIOBase) -> tuple[tuple[Bounds, ...], frozenset[tuple[str, int]]]:
    """Return all bounds in an XML file and the objects marked as deleted; osmium gives the first bounds only."""
    bounds: list[Bounds] = []
    deleted: set[tuple[str, int]] = set()

    def read_element(name: str, attributes: dict[str, str]) -> None:
        if name == "bounds":
            west, south, east, north = (
                float(attributes.get(key, "nan")) for key in ("minlon", "minlat", "maxlon", "maxlat")
            )
            bounds.append((west, south, east, north))
        elif name == "bound":  # as Osmosis writes it
            south, west, north, east = map(float, attributes.get("box", "nan,nan,nan,nan").split(","))
            bounds.append((west, south, east, north))
        elif attributes.get("action") == "delete":
            deleted.add((name, int(attributes.get("id", 0))))

    parser = expat.ParserCreate()
    parser.StartElementHandler = read_element
    parser.ParseFile(xml)
    return _plausible(bounds), frozenset(deleted)


def _plausible(bounds: Sequence[Bounds]) -> tuple[Bounds, ...]:
    """Return the bounds that enclose an area."""
    return tuple(dict.fromkeys(box for box in bounds if box[0] < box[2] and box[1] < box[3]))


def _objects(
    content: _Content,
    kind: "type[Object]",
    convert: "Callable[[Object], Value | None]",
    only: set[int] | None = None,
) -> dict[int, Value]:
    """Return objects of a kind by identifier.

    Args:
        content: The file.
        kind: Class of the objects.
        convert: Function that returns the wanted part of an object; None leaves the object out.
        only: Identifiers of the objects to read; None reads all.
    """
    import osmium

    name = kind.__name__
    buffer = osmium.io.FileBuffer(content.data, content.file_format)
    versions = osmium.FileProcessor(buffer, getattr(osmium.osm, name.upper()))
    if only is not None and min(only, default=0) >= 0:  # the filter does not accept editors' new objects, below 0
        versions = versions.with_filter(osmium.filter.IdFilter(sorted(only)))
    found: dict[int, Value] = {}
    for each in versions:
        if isinstance(each, kind) and (only is None or each.id in only):
            exists = each.visible and (name.lower(), each.id) not in content.deleted
            value = convert(each) if exists else None
            if value is None:
                found.pop(each.id, None)
            else:
                found[each.id] = value
    return found


def _outer_ways(content: _Content) -> dict[int, float | None]:
    """Return the ways that are outer rings of buildings of several ways, with the building's height [m]."""
    import osmium

    def outer_ways(relation: "Relation") -> dict[int, float | None] | None:
        tags = dict(relation.tags) if "building" in relation.tags else {}
        if tags.get("type") != "multipolygon" or tags["building"] == "no":
            return None
        height = building_height(tags)
        return {m.ref: height for m in relation.members if m.type == "w" and m.role in ("outer", "")}

    relations = _objects(content, osmium.osm.Relation, outer_ways).values()
    return {way: height for ways in relations for way, height in ways.items()}


def _restrictions(content: _Content) -> tuple[TurnRestriction, ...]:
    """Return the turn restrictions for cars."""
    import osmium

    def restriction(relation: "Relation") -> TurnRestriction | None:
        kind = restriction_kind(dict(relation.tags)) if "type" in relation.tags else None
        if kind is None:
            return None
        members = [(member.role, member.type, member.ref) for member in relation.members]
        origins, targets = (frozenset(ref for role, _, ref in members if role == name) for name in ("from", "to"))
        nodes, ways = (tuple(ref for role, sort, ref in members if role == "via" and sort == t) for t in "nw")
        return TurnRestriction(kind, origins, nodes, ways, targets)

    return tuple(_objects(content, osmium.osm.Relation, restriction).values())


def _ways(content: _Content, outer_ways: Mapping[int, float | None]) -> tuple[list[RawStreet], list[RawBuilding]]:
    """Return the streets and buildings among the ways."""
    import osmium

    def street_or_building(way: "Way") -> RawStreet | RawBuilding | None:
        if not (way.id in outer_ways or "highway" in way.tags or "building" in way.tags):
            return None
        tags, nodes = dict(way.tags), tuple(node.ref for node in way.nodes)
        kind = street_kind(tags)
        if kind is not None:
            return RawStreet(nodes, kind, way.id)
        is_building = tags.get("building", "no") != "no" or way.id in outer_ways
        if not is_building or len(nodes) <= 3 or nodes[0] != nodes[-1]:
            return None
        return RawBuilding(nodes, building_height(tags) or outer_ways.get(way.id))

    ways = _objects(content, osmium.osm.Way, street_or_building).values()
    return [way for way in ways if isinstance(way, RawStreet)], [way for way in ways if isinstance(way, RawBuilding)]


def _coordinates(content: _Content, needed: set[int]) -> dict[int, tuple[float, float]]:
    """Return longitude and latitude [deg] of the `needed` nodes that the file contains with a valid location."""
    import osmium

    def coordinates(node: "Node") -> tuple[float, float] | None:
        return (node.lon, node.lat) if node.location.valid() else None

    return _objects(content, osmium.osm.Node, coordinates, needed)
