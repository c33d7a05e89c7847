"""Towns by name: their roads and houses, the scene built from these, and a cache of the towns in use.

The name of a procedural town is that of its generator, split and number, such as `test-3`. A real town is chosen by
`osm:` and the file of an OpenStreetMap extract. Its own name holds the digest of the file's content, so that drives,
results and file names are the same for every copy of a map; see `MapName`.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from navsim.errors import ConfigError, TownError
from navsim.roads.elements import Footprint
from navsim.roads.generators.towns import TownId, build_town
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.reader import file_digest
from navsim.roads.osm.town import ATTRIBUTION, build_osm_town, content_digest
from navsim.seeding import generator
from navsim.sensing.roadmap import MapRaster, MapSpec, rasterise_roads
from navsim.storage import expand_path
from navsim.world.scenery.appearance import Appearance, appearance_of
from navsim.world.scenery.scene import Scene, build_scene

OSM_PREFIX = "osm:"
"""Beginning of the names of real towns."""
STREETS = "streets"
"""Group of all real towns, beside the splits of procedural ones; real towns are driven only where they are named."""
MAPS_FOLDER = "maps"
"""Folder, in the current one, in which the map of a recorded drive is sought if it has left its place."""
EARLIER_SLUG = r"osm-[a-z0-9-]+-[0-9a-f]{8}"
"""Pattern of real towns' names in the file names of earlier versions, which held a digest of the map's path."""
_CONTENT = f"{OSM_PREFIX}sha256:"
_CONTENT_NAME = re.compile(rf"{_CONTENT}[0-9a-f]{{16}}")


class MapName(str):
    """Name of a real town by the content of its map, such as `osm:sha256:1a2b3c4d5e6f7a8b`.

    The file of the map goes with the name, also to other processes. It does not count when names are compared.
    """

    file: Path | None
    """Absolute path at which the map was found; None if it is not known."""

    def __new__(cls, name: str, file: Path | None = None) -> Self:
        """Make the name of the town whose map is in `file`."""
        made = super().__new__(cls, name)
        made.file = file
        return made


@dataclass(frozen=True, eq=False)
class TownMap:
    """Roads and, where they are known, houses."""

    network: RoadNetwork
    """Roads and junctions."""
    footprints: tuple[Footprint, ...] | None = None
    """Outlines of the houses; None if houses are to be drawn at random along the streets."""
    attribution: str = ""
    """Source of the data, which must be named; empty for procedural towns."""


@dataclass(frozen=True, eq=False)
class Town:
    """All that the drives in a town share."""

    name: str
    """Name that scenarios use."""
    network: RoadNetwork
    """Roads and junctions."""
    attribution: str
    """Source of the map data, which must be named; empty for procedural towns."""
    spec: str
    """Conditions that scenarios ask for, see `navsim.world.scenery.appearance`."""
    appearance: Appearance
    """Appearance drawn under these conditions."""
    scene: Scene
    """Things to see and to collide with."""
    raster: MapRaster
    """Picture of the roads, from which map patches are cut."""


class TownCache:
    """The towns that were used last; a new town replaces the least recently used one."""

    def __init__(self, map_spec: MapSpec, capacity: int = 1) -> None:
        """Keep up to `capacity` towns, with maps drawn for patches of `map_spec`."""
        self._map_spec = map_spec
        self._capacity = capacity
        self._towns: OrderedDict[tuple[str, str], Town] = OrderedDict()

    def town(self, name: str, appearance: str = "") -> Town:
        """Return a town under some conditions; a cached town is the same object each time.

        Raises:
            TownError: If the name is not valid, or the town cannot be built.
            ConfigError: If the conditions are unknown.
        """
        key = town_by_content(name), appearance
        if key not in self._towns:
            while len(self._towns) >= self._capacity:
                self._towns.popitem(last=False)
            self._towns[key] = build_town_for_driving(key[0], self._map_spec, appearance)
        self._towns.move_to_end(key)
        return self._towns[key]


def build_town_for_driving(name: str, map_spec: MapSpec, appearance: str = "") -> Town:
    """Build a town from its name and conditions alone: same name and conditions, same town.

    The conditions decide how many houses and trees there are. All else is placed by the name alone.

    Args:
        name: Name of the town.
        map_spec: Size and scale of map patches.
        appearance: Conditions such as "dusk+rain", see `navsim.world.scenery.appearance`.

    Raises:
        TownError: If the name is not valid.
        ConfigError: If the conditions are unknown.
    """
    name = town_by_content(name)
    town_map, seed = load_town_map(name), town_seed(name)
    look = appearance_of(appearance, generator(seed, "appearance"))
    scene = build_scene(town_map.network, look, generator(seed, "scenery"), town_map.footprints)
    raster = rasterise_roads(town_map.network, map_spec)
    return Town(name, town_map.network, town_map.attribution, appearance, look, scene, raster)


def load_town_map(name: str) -> TownMap:
    """Return the map of a town, from its name alone.

    Raises:
        TownError: If the name is not valid, or the map cannot be built.
    """
    return _osm_map(_map_name(name)) if is_osm_town(name) else TownMap(build_town(name))


@lru_cache(maxsize=1)
def _osm_map(name: MapName) -> TownMap:
    """Return the map with some content; cached, for a city takes half a minute."""
    path = _map_file(name)
    town = build_osm_town(path)
    _check_content(path, f"{_CONTENT}{file_digest(path)[:16]}", name)  # it may have been replaced while it was read
    return TownMap(town.network, town.footprints, ATTRIBUTION)


def _map_file(name: MapName) -> Path:
    """Return the file of a map: in its place, or under its name in the current folder or the folder `maps` there.

    Raises:
        TownError: If there is none with the map's content.
    """
    if name.file is None:
        raise TownError(f"town {name}: it is not known which file holds this map; give {OSM_PREFIX}FILE")
    places = [name.file, Path(name.file.name), Path(MAPS_FOLDER, name.file.name)]
    found = {place: _content_name(place) for place in places if place.is_file()}
    if not found:
        raise TownError(f"{name.file}: the map {name} is not there any more; put it back, or into ./{MAPS_FOLDER}")
    path = next((place for place, content in found.items() if content == name), next(iter(found)))
    _check_content(path, found[path], name)
    return path


def _check_content(path: Path, found: str, name: MapName) -> None:
    """Raise TownError if a file holds another map than `name`."""
    if found != name:
        raise TownError(f"{path}: holds the map {found}, the drives are those of {name}; put that map back")


def _content_name(path: Path) -> str:
    """Return the name of the town whose map is in a file."""
    return f"{_CONTENT}{content_digest(path)[:16]}"


def _map_name(name: str) -> MapName:
    """Return the name of a real town by its content.

    Raises:
        TownError: If it names a file that is missing or cannot be read.
    """
    town = town_by_content(name)
    return town if isinstance(town, MapName) else MapName(_content_name(_file_of(name)))  # raises, without a file


def town_by_content(name: str, file: Path | None = None) -> str:
    """Return a town's name without its path: a `MapName` for a real town, other names as they are.

    The name of a file that does not exist stays as it is, so that old recordings can be read without their map.

    Args:
        name: Name of a town, such as `test-3`, `osm:FILE`, or `osm:sha256:` and a digest.
        file: File of the map, if the name holds the digest alone.

    Raises:
        TownError: If the name holds no file, or the file cannot be read.
    """
    if not is_osm_town(name) or (isinstance(name, MapName) and name.file is not None):
        return name
    if _CONTENT_NAME.fullmatch(name):
        return MapName(name, file)
    path = _file_of(name)
    return MapName(_content_name(path), path.absolute()) if path.is_file() else name


def town_seed(name: str) -> int:
    """Return the seed of all that is drawn for a town beside its roads; a real town's is the hash of its file.

    Raises:
        TownError: If the name is not valid, or the file cannot be read.
    """
    return int(_map_name(name).removeprefix(_CONTENT)[:12], 16) if is_osm_town(name) else TownId.parse(name).seed


def town_label(name: str) -> str:
    """Return a town's name for messages: a real one by its file, where that is known."""
    return f"{OSM_PREFIX}{name.file}" if isinstance(name, MapName) and name.file is not None else name


def is_osm_town(name: str) -> bool:
    """Whether a name is that of a real town."""
    return name.startswith(OSM_PREFIX)


def attribution_of(name: str) -> str:
    """Return the source of a town's data, which must be named; empty for procedural towns."""
    return ATTRIBUTION if is_osm_town(name) else ""


def check_town_name(name: str) -> None:
    """Check the form of a town's name; files are not opened.

    Raises:
        TownError: If the name is not valid.
    """
    if is_osm_town(name):
        _file_of(name)
    else:
        TownId.parse(name)


def check_real_towns(names: Sequence[str]) -> None:
    """Raise ConfigError unless all names are those of different real towns."""
    generated = [name for name in names if not is_osm_town(name)]
    if generated:
        raise ConfigError(f"real_towns must be extracts, each {OSM_PREFIX}FILE, got {generated[0]!r}")
    if len({town_by_content(name) for name in names}) < len(names):
        raise ConfigError(f"real_towns must name each map once, got {', '.join(names)}")


def town_group(name: str) -> str:
    """Return the split of a procedural town, or `STREETS` for a real one.

    Raises:
        TownError: If the name is not valid.
    """
    check_town_name(name)
    return STREETS if is_osm_town(name) else str(TownId.parse(name).split)


def town_slug(name: str) -> str:
    """Return a town's name for use in file names, unique for each name: `osm-1a2b3c4d5e6f7a8b` for a real one.

    A map whose file is missing has the form of earlier versions, `osm-oakland-1a2b3c4d`, with a digest of the path.
    """
    town = town_by_content(name)
    if isinstance(town, MapName):
        return f"osm-{town.removeprefix(_CONTENT)}"
    if not is_osm_town(town):
        return town
    stem = re.sub(r"[^a-z0-9]+", "-", _file_of(town).name.split(".")[0].lower()).strip("-")[:40]
    return f"osm-{stem or 'map'}-{hashlib.sha256(town.encode()).hexdigest()[:8]}"


def _file_of(name: str) -> Path:
    """Return the file in a real town's name."""
    file = name.removeprefix(OSM_PREFIX).strip()
    if not file:
        raise TownError(f"town {name!r} names no file: give {OSM_PREFIX}FILE, such as 'osm:maps/west-oakland.osm'")
    return expand_path(file)
