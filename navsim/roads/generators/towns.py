"""Procedural towns by name, from several generators; each name is a seed."""

from navsim.errors import TownError
from navsim.roads.connectors import connector_faults
from navsim.roads.generators.grid import CityLayout, GridLayout
from navsim.roads.generators.names import (
    DEFAULT_GENERATORS,
    TOWN_GENERATORS,
    TOWNS_PER_SPLIT,
    Generator,
    Split,
    TownId,
    check_generators,
    spread_towns,
)
from navsim.roads.generators.organic import TownLayout
from navsim.roads.generators.suburb import SuburbLayout
from navsim.roads.generators.village import VillageLayout
from navsim.roads.network import RoadNetwork, build_network
from navsim.seeding import generator

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
