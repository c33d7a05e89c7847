"""Towns by name: their roads and houses, the scene built from these, and a cache of the towns in use.

The name of a procedural town is that of its generator, split and number, such as `test-3`. The name of a real town is
`osm:` and the file of an OpenStreetMap extract.
"""

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from navsim.errors import TownError
from navsim.roads.elements import Footprint
from navsim.roads.generators.towns import TownId, build_town
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.town import ATTRIBUTION, build_osm_town, osm_seed
from navsim.seeding import generator
from navsim.sensing.roadmap import MapRaster, MapSpec, rasterise_roads
from navsim.world.scenery.appearance import Appearance, appearance_of
from navsim.world.scenery.scene import Scene, build_scene

OSM_PREFIX = "osm:"
"""Beginning of the names of real towns."""
STREETS = "streets"
"""Group of all real towns, beside the splits of procedural ones; real towns are driven only where they are named."""


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
        key = name, appearance
        if key not in self._towns:
            while len(self._towns) >= self._capacity:
                self._towns.popitem(last=False)
            self._towns[key] = build_town_for_driving(name, self._map_spec, appearance)
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
    if not is_osm_town(name):
        return TownMap(build_town(name))
    return _osm_map(_file_of(name), osm_seed(_file_of(name)))


@lru_cache(maxsize=1)
def _osm_map(path: Path, content: int) -> TownMap:
    """Return the map of a file with some content; cached, for a city takes half a minute."""
    del content  # part of the cache's key: a file that has changed is read again
    town = build_osm_town(path)
    return TownMap(town.network, town.footprints, ATTRIBUTION)


def town_seed(name: str) -> int:
    """Return the seed of all that is drawn for a town beside its roads; a real town's is the hash of its file.

    Raises:
        TownError: If the name is not valid, or the file cannot be read.
    """
    return osm_seed(_file_of(name)) if is_osm_town(name) else TownId.parse(name).seed


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


def town_group(name: str) -> str:
    """Return the split of a procedural town, or `STREETS` for a real one.

    Raises:
        TownError: If the name is not valid.
    """
    check_town_name(name)
    return STREETS if is_osm_town(name) else str(TownId.parse(name).split)


def town_slug(name: str) -> str:
    """Return a town's name for use in file names, unique for each name: `osm-oakland-1a2b3c4d` for a real one."""
    if not is_osm_town(name):
        return name
    stem = re.sub(r"[^a-z0-9]+", "-", _file_of(name).name.split(".")[0].lower()).strip("-")[:40]
    return f"osm-{stem or 'map'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _file_of(name: str) -> Path:
    """Return the file in a real town's name."""
    file = name.removeprefix(OSM_PREFIX).strip()
    if not file:
        raise TownError(f"town {name!r} names no file: give {OSM_PREFIX}FILE, such as 'osm:maps/west-oakland.osm'")
    return Path(file).expanduser()
