"""What is known of a town before anything is built on it: its roads, the outlines of its houses, whose data it is.

A town's name is that of a procedural town, such as `test-3`, or `osm:` and the file of an OpenStreetMap extract.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from navsim.errors import TownError
from navsim.roads.elements import Footprint
from navsim.roads.generators.towns import TownId, build_town
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.town import ATTRIBUTION, build_osm_town, osm_seed

__all__ = [
    "STREETS",
    "Footprint",
    "TownMap",
    "attribution_of",
    "check_town_name",
    "is_osm_town",
    "load_town_map",
    "town_group",
    "town_seed",
    "town_slug",
]

OSM_PREFIX = "osm:"
"""What the names of real towns begin with."""
STREETS = "streets"
"""The group of real towns beside the splits of procedural ones: they are driven only where they are named."""


@dataclass(frozen=True, eq=False)
class TownMap:
    """Roads and, where they are known, houses."""

    network: RoadNetwork
    """Roads and junctions."""
    footprints: tuple[Footprint, ...] | None = None
    """Outlines of the houses; None where houses are to be drawn along the streets."""
    attribution: str = ""
    """What must be said of where the data comes from; empty for towns made here."""


def load_town_map(name: str) -> TownMap:
    """The map of a town, from its name alone.

    Raises:
        TownError: If the name is none of a town, or its map cannot be built.
    """
    if not is_osm_town(name):
        return TownMap(build_town(name))
    return _osm_map(_file_of(name), osm_seed(_file_of(name)))


@lru_cache(maxsize=1)
def _osm_map(path: Path, content: int) -> TownMap:
    """The map of a file with some content; kept, for a city takes half a minute."""
    del content  # a file that has changed is read again
    town = build_osm_town(path)
    return TownMap(town.network, town.footprints, ATTRIBUTION)


def town_seed(name: str) -> int:
    """The seed of everything that is drawn for a town beside its roads; a real town's comes from its file's content.

    Raises:
        TownError: If the name is none of a town, or its file cannot be read.
    """
    return osm_seed(_file_of(name)) if is_osm_town(name) else TownId.parse(name).seed


def is_osm_town(name: str) -> bool:
    """Whether a name is that of a real town."""
    return name.startswith(OSM_PREFIX)


def attribution_of(name: str) -> str:
    """What must be said of where a town's data comes from; empty for towns made here."""
    return ATTRIBUTION if is_osm_town(name) else ""


def check_town_name(name: str) -> None:
    """Refuse a name that is none of a town; no file is looked at.

    Raises:
        TownError: If so.
    """
    if is_osm_town(name):
        _file_of(name)
    else:
        TownId.parse(name)


def town_group(name: str) -> str:
    """The split of a procedural town, `streets` for all real ones.

    Raises:
        TownError: If the name is none of a town.
    """
    check_town_name(name)
    return STREETS if is_osm_town(name) else str(TownId.parse(name).split)


def town_slug(name: str) -> str:
    """A town's name as a part of file names: other names, other parts; `osm-west-oakland-1a2b3c4d` for a real one."""
    if not is_osm_town(name):
        return name
    stem = re.sub(r"[^a-z0-9]+", "-", _file_of(name).name.split(".")[0].lower()).strip("-")[:40]
    return f"osm-{stem or 'map'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _file_of(name: str) -> Path:
    """The file that a real town's name says."""
    file = name.removeprefix(OSM_PREFIX).strip()
    if not file:
        raise TownError(f"town {name!r} names no file: give {OSM_PREFIX}FILE, such as 'osm:maps/west-oakland.osm'")
    return Path(file).expanduser()
