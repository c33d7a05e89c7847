"""Names of procedural towns: who draws them, what they are for, and their number.

Procedural towns by name, from several generators; each name is a seed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from navsim.errors import ConfigError, TownError
from navsim.roads.connectors import connector_faults
from navsim.roads.generators.grid import CityLayout, GridLayout
from navsim.roads.generators.suburb import SuburbLayout
from navsim.roads.generators.town import TownLayout
from navsim.roads.generators.village import VillageLayout
from navsim.roads.network import RoadNetwork, build_network
from navsim.seeding import generator

TOWNS_PER_SPLIT = 1_000_000
"""How many seeds belong to each split of each generator."""


class Generator(StrEnum):
    """Who draws a town; each has its own look."""

    TOWN = "town"
    """Curved streets between jittered places: T junctions, crossings and forks."""
    GRID = "grid"
    """Regular blocks: crossings, T junctions, offset crossings, avenues and side streets."""
    SUBURB = "suburb"
    """Winding streets within and around a long loop: sweepers, hairpins, crescents, culs-de-sac."""
    VILLAGE = "village"
    """Country lanes that meet at a roundabout or a junction of five, and fork around it."""
    CITY = "city"
    """As `grid`, but 1 to 2.5 km across: to be lost in, and too slow to build for learning."""


class Split(StrEnum):
    """Which towns are for what. Their seeds are disjoint ranges, so no town is ever in two splits."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class TownId:
    """The name of a procedural town, such as "test-3" or "grid-test-3"."""

    split: Split
    """What the town is for."""
    index: int
    """Its number in the split, from 0 to 999,999."""
    generator: Generator = Generator.TOWN
    """Who draws it; the name says so unless it is `town`."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < TOWNS_PER_SPLIT:
            raise TownError(f"town index must be from 0 to {TOWNS_PER_SPLIT - 1}, got {self.index}")

    def __str__(self) -> str:
        prefix = "" if self.generator is Generator.TOWN else f"{self.generator}-"
        return f"{prefix}{self.split}-{self.index}"

    @property
    def seed(self) -> int:
        """The seed of the town, different for every town."""
        family = list(Generator).index(self.generator) * len(Split) + list(Split).index(self.split)
        return family * TOWNS_PER_SPLIT + self.index

    @staticmethod
    def parse(text: str) -> "TownId":
        """Read a town's name.

        Raises:
            TownError: If it is not a split and a number, such as "train-3", with or without a generator before them.
        """
        prefixes = [str(kind) for kind in Generator if kind is not Generator.TOWN]
        match = re.fullmatch(rf"(?:({'|'.join(prefixes)})-)?({'|'.join(Split)})-(0|[1-9][0-9]*)", text)
        if match is None:
            raise TownError(
                f"unknown town {text!r}: give a split ({', '.join(Split)}) and a number, such as 'train-3', or put a "
                f"generator ({', '.join(prefixes)}) before them, such as '{prefixes[0]}-train-3'"
            )
        return TownId(Split(match[2]), int(match[3]), Generator(match[1] or Generator.TOWN))


TOWN_GENERATORS = (Generator.TOWN, Generator.GRID, Generator.SUBURB, Generator.VILLAGE)
"""Who draws towns of about half a kilometre."""
DEFAULT_GENERATORS = (Generator.TOWN,)
"""Who draws towns where nothing else is said."""


def spread_towns(split: Split, numbers: Sequence[int], generators: Sequence[Generator]) -> list[TownId]:
    """Towns of a split, the generators taking turns.

    Args:
        split: What the towns are for.
        numbers: Their numbers in the split, each once; with these, no town comes twice whatever the generators are.
        generators: Who draws them.
    """
    return [TownId(split, number, generators[i % len(generators)]) for i, number in enumerate(numbers)]


def check_generators(generators: tuple[Generator, ...]) -> None:
    """Refuse a choice of generators that is empty or names one twice.

    Raises:
        ConfigError: If it is.
    """
    if not generators or len(set(generators)) != len(generators):
        given = ", ".join(generators) or "none"
        raise ConfigError(f"generators must be one or more of {', '.join(Generator)}, none twice, got {given}")


__all__ = [
    "DEFAULT_GENERATORS",
    "TOWNS_PER_SPLIT",
    "TOWN_GENERATORS",
    "CityLayout",
    "Generator",
    "GridLayout",
    "Layout",
    "Split",
    "SuburbLayout",
    "TownId",
    "TownLayout",
    "VillageLayout",
    "build_town",
    "check_generators",
    "spread_towns",
]
Layout = TownLayout | GridLayout | CityLayout | SuburbLayout | VillageLayout
"""What the towns of one generator have in common."""
LAYOUTS: dict[Generator, type[Layout]] = {
    Generator.TOWN: TownLayout,
    Generator.GRID: GridLayout,
    Generator.SUBURB: SuburbLayout,
    Generator.VILLAGE: VillageLayout,
    Generator.CITY: CityLayout,
}
"""Each generator's layout; its defaults make the towns that names mean."""


def build_town(town: TownId | str, layout: Layout | None = None) -> RoadNetwork:
    """Build the town of that name; the same name and layout always give the same town.

    Args:
        town: The town or its name, such as "train-3" or "grid-train-3".
        layout: What the towns of its generator have in common; None for the defaults.

    Raises:
        TownError: If the name is wrong, the layout is another generator's, or it leaves no room for a town.
    """
    name = TownId.parse(town) if isinstance(town, str) else town
    family = layout or LAYOUTS[name.generator]()
    if not isinstance(family, LAYOUTS[name.generator]):
        wanted = LAYOUTS[name.generator].__name__
        raise TownError(f"town {name} needs a layout of its generator, {wanted}, got {type(family).__name__}")
    refusal = "no plan with enough junctions"
    for attempt in range(family.attempts):
        try:
            drawn = family.draft(generator(name.seed, str(name.generator), attempt))
            if drawn is None:
                continue
            network = build_network(drawn.nodes, drawn.roads, drawn.kerb_radius)
        except TownError as error:
            refusal = str(error)
            continue
        if not connector_faults([connector.path for connector in network.connectors], network.carriageway).any():
            return network
        refusal = "a junction too tight to drive through"
    raise TownError(f"town {name}: no town fits this layout in {family.attempts} draws (last: {refusal})")
