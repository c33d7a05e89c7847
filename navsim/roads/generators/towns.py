"""Procedural towns by name: generator, split and number, which together are the town's seed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from navsim.errors import ConfigError, TownError
from navsim.roads.connectors import connector_faults
from navsim.roads.elements import DrivingSide
from navsim.roads.generators.grid import CityConfig, GridConfig
from navsim.roads.generators.town import TownConfig
from navsim.roads.generators.winding import SuburbConfig, VillageConfig
from navsim.roads.network import RoadNetwork, build_network
from navsim.seeding import generator

TOWNS_PER_SPLIT = 1_000_000
"""Number of seeds of each split of each generator."""


class Generator(StrEnum):
    """Generators of towns."""

    TOWN = "town"
    """Curved streets between jittered nodes: T junctions, crossings and forks."""
    GRID = "grid"
    """Regular blocks: crossings, T junctions, offset crossings, avenues and side streets."""
    SUBURB = "suburb"
    """Winding streets within and around a long loop: wide curves, hairpins, crescents, culs-de-sac."""
    VILLAGE = "village"
    """Country lanes that meet at a roundabout or a junction of five, and fork around it."""
    CITY = "city"
    """As `grid`, but 1 to 2.5 km across: for localization, and too slow to build for training."""


class Split(StrEnum):
    """Purpose of a town. The splits' seeds are disjoint ranges, so no town is in two splits."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class TownId:
    """Name of a procedural town, such as "test-3", "grid-test-3" or, where traffic keeps left, "left-grid-test-3"."""

    split: Split
    """Split that the town belongs to."""
    index: int
    """Number of the town in its split, 0 to 999,999."""
    generator: Generator = Generator.TOWN
    """Generator of the town; a part of the name unless it is `town`."""
    side: DrivingSide = DrivingSide.RIGHT
    """Side of traffic. A town where it keeps left is the mirror image of the one with the same split and number."""

    def __post_init__(self) -> None:
        if not 0 <= self.index < TOWNS_PER_SPLIT:
            raise TownError(f"town index must be from 0 to {TOWNS_PER_SPLIT - 1}, got {self.index}")

    def __str__(self) -> str:
        side = "" if self.side is DrivingSide.RIGHT else f"{self.side}-"
        prefix = "" if self.generator is Generator.TOWN else f"{self.generator}-"
        return f"{side}{prefix}{self.split}-{self.index}"

    @property
    def seed(self) -> int:
        """The seed of the town, different for every town except a mirror image."""
        block = list(Generator).index(self.generator) * len(Split) + list(Split).index(self.split)
        return block * TOWNS_PER_SPLIT + self.index

    @staticmethod
    def parse(text: str) -> "TownId":
        """Parse a town's name.

        Raises:
            TownError: If it is not a split and a number, such as "train-3", after an optional generator.
        """
        prefixes = [str(kind) for kind in Generator if kind is not Generator.TOWN]
        match = re.fullmatch(rf"(left-)?(?:({'|'.join(prefixes)})-)?({'|'.join(Split)})-(0|[1-9][0-9]*)", text)
        if match is None:
            raise TownError(
                f"unknown town {text!r}: give a split ({', '.join(Split)}) and a number, such as 'train-3', or put a "
                f"generator ({', '.join(prefixes)}) before them, such as '{prefixes[0]}-train-3', and 'left-' before "
                "that for traffic that keeps left"
            )
        side = DrivingSide.LEFT if match[1] else DrivingSide.RIGHT
        return TownId(Split(match[3]), int(match[4]), Generator(match[2] or Generator.TOWN), side)


TOWN_GENERATORS = (Generator.TOWN, Generator.GRID, Generator.SUBURB, Generator.VILLAGE)
"""Generators of towns about half a kilometre across."""
DEFAULT_GENERATORS = (Generator.TOWN,)
"""Generators used by default."""


def spread_towns(split: Split, numbers: Sequence[int], generators: Sequence[Generator]) -> list[TownId]:
    """Return towns of a split from the generators in turn.

    Args:
        split: Split of the towns.
        numbers: Numbers of the towns in the split, each once, so that no town occurs twice.
        generators: Generators of the towns.
    """
    return [TownId(split, number, generators[i % len(generators)]) for i, number in enumerate(numbers)]


def check_generators(generators: tuple[Generator, ...]) -> None:
    """Check a choice of generators.

    Raises:
        ConfigError: If it is empty or names a generator twice.
    """
    if not generators or len(set(generators)) != len(generators):
        given = ", ".join(generators) or "none"
        raise ConfigError(f"generators must be one or more of {', '.join(Generator)}, none twice, got {given}")


__all__ = [
    "DEFAULT_GENERATORS",
    "TOWNS_PER_SPLIT",
    "TOWN_GENERATORS",
    "CityConfig",
    "Generator",
    "GeneratorConfig",
    "GridConfig",
    "Split",
    "SuburbConfig",
    "TownConfig",
    "TownId",
    "VillageConfig",
    "build_town",
    "check_generators",
    "spread_towns",
]
GeneratorConfig = TownConfig | GridConfig | CityConfig | SuburbConfig | VillageConfig
"""Parameters of one town generator."""
GENERATOR_CONFIGS: dict[Generator, type[GeneratorConfig]] = {
    Generator.TOWN: TownConfig,
    Generator.GRID: GridConfig,
    Generator.SUBURB: SuburbConfig,
    Generator.VILLAGE: VillageConfig,
    Generator.CITY: CityConfig,
}
"""Configuration class of each generator; its defaults make the named towns."""


def build_town(town: TownId | str, config: GeneratorConfig | None = None) -> RoadNetwork:
    """Build a town; the same name and configuration always give the same town.

    Args:
        town: The town or its name, such as "train-3" or "grid-train-3".
        config: Parameters of the town's generator; None for the defaults.

    Raises:
        TownError: If the name is not valid, `config` is for another generator, or no draw gives a town.
    """
    name = TownId.parse(town) if isinstance(town, str) else town
    generator_config = config or GENERATOR_CONFIGS[name.generator]()
    if not isinstance(generator_config, GENERATOR_CONFIGS[name.generator]):
        expected, given = GENERATOR_CONFIGS[name.generator].__name__, type(generator_config).__name__
        raise TownError(f"town {name} needs the config of its generator, {expected}, got {given}")
    reason = "too few junctions"
    for attempt in range(generator_config.attempts):
        try:
            layout = generator_config.draw_layout(generator(name.seed, str(name.generator), attempt))
            if layout is None:
                continue
            network = build_network(layout.nodes, layout.roads, layout.kerb_radius)
        except TownError as error:
            reason = str(error)
            continue
        if not connector_faults([connector.path for connector in network.connectors], network.carriageway).any():
            return network if name.side is DrivingSide.RIGHT else network.mirrored
        reason = "a junction is too tight to drive through"
    raise TownError(f"town {name}: no town fits this config in {generator_config.attempts} draws (last: {reason})")
