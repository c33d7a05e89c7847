"""What is known of a town before anything is built on it: its roads, the outlines of its houses, whose data it is."""

from dataclasses import dataclass

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.roads.towns import TownId, build_town


@dataclass(frozen=True, eq=False)
class Footprint:
    """The outline of one house."""

    outline: Array
    """Corners (N, 2) [m], counter-clockwise, the first not repeated."""
    height: float
    """Of its walls [m]."""


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
    return TownMap(build_town(name))


def town_seed(name: str) -> int:
    """The seed of everything that is drawn for a town beside its roads.

    Raises:
        TownError: If the name is none of a town.
    """
    return TownId.parse(name).seed
