"""The ground: road, footways, what lies beside them, a plain out to the horizon and hills on it."""

from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.scenery.meshes import Mesh, SemanticClass, Surface, flat_surface, quads
from navsim.world.scenery.pavement import KERB_HEIGHT, Kerbs, footways
from navsim.world.scenery.textures import Textures

SURROUNDINGS = 80.0
"""How far the ground is modelled beyond the roads [m]."""
HORIZON = 3000.0
"""How far a plain reaches beyond that [m]."""
HILLS = (500.0, 10.0, 55.0)
"""Distance of the hills from the modelled ground, least and greatest height [m]."""
SUMMITS = 60
"""Hills around the town."""
GROUND_HEIGHT = -0.05
"""The ground passes under roads and footways in one piece: cut out around them it would be hundreds of slivers [m]."""


@dataclass(frozen=True, eq=False)
class Terrain:
    """The ground of a town, from the road outwards."""

    road: Surface
    """Between the kerbs."""
    footway: Surface
    """Paved strips behind them."""
    ground: Surface
    """What lies beside those, and under them."""
    plain: Surface
    """A frame around it, out to the horizon."""
    hills: Surface
    """Upright, facing the town."""

    def meshes(self, textures: Textures) -> tuple[Mesh, ...]:
        """Paint it."""
        return (
            self.road.mesh(textures.asphalt, SemanticClass.ROAD),
            self.footway.mesh(textures.footway, SemanticClass.GROUND),
            self.ground.mesh(textures.ground, SemanticClass.GROUND),
            self.plain.mesh(textures.plain, SemanticClass.GROUND),
            self.hills.mesh(textures.hills, SemanticClass.GROUND),
        )


def lay_terrain(
    network: RoadNetwork, kerbs: Kerbs, footway_width: float, bays: Surface, rng: np.random.Generator
) -> Terrain:
    """Lay the ground around kerbs; `bays` are paved like the footways."""
    land, origin = land_around(network), tile_origin(network)
    paved = footways(kerbs, footway_width)
    strips = [] if paved.is_empty else [flat_surface(paved, KERB_HEIGHT, origin)]
    return Terrain(
        road=flat_surface(kerbs.road, 0.0, origin),
        footway=Surface.merged([*strips, bays]),
        ground=flat_surface(land, GROUND_HEIGHT, origin, tile_size=HORIZON),
        plain=_plain(land),
        hills=_hills(land, rng),
    )


def land_around(network: RoadNetwork) -> shapely.Polygon:
    """Return the ground that is modelled."""
    x0, y0, x1, y1 = network.bounds
    return shapely.box(x0 - SURROUNDINGS, y0 - SURROUNDINGS, x1 + SURROUNDINGS, y1 + SURROUNDINGS)


def tile_origin(network: RoadNetwork) -> Array:
    """Return a point (2,) west and south of the ground, where repeating tiles start [m]."""
    return np.array(land_around(network).bounds[:2]) - 100.0


def _plain(land: shapely.Polygon) -> Surface:
    """Return a frame around the modelled ground, out to the horizon."""
    x0, y0, x1, y1 = land.bounds
    near = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    far = shapely.get_coordinates(shapely.box(*land.buffer(HORIZON).bounds, ccw=True))
    start = int(np.hypot(*(far[:4] - near[0]).T).argmin())
    wide = np.roll(far[:4], -start, axis=0)
    sides = [(wide[i], wide[(i + 1) % 4], near[(i + 1) % 4], near[i]) for i in range(4)]
    return quads(np.insert(np.array(sides), 2, GROUND_HEIGHT, axis=-1), 0)


def _hills(land: shapely.Polygon, rng: np.random.Generator) -> Surface:
    """Return a ring of hills around the town, their foot below the plain."""
    x0, y0, x1, y1 = land.bounds
    distance, least, greatest = HILLS
    angles = np.arange(SUMMITS) * 2 * np.pi / SUMMITS
    radius = np.hypot(x1 - x0, y1 - y0) / 2 + distance
    foot = radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1) + ((x0 + x1) / 2, (y0 + y1) / 2)
    waves = np.cos(np.outer(angles, (2, 5, 11, 17)) + rng.uniform(0, 2 * np.pi, 4)) @ (0.4, 0.3, 0.2, 0.1)
    top = np.column_stack([foot, least + (greatest - least) * (0.5 + 0.5 * waves)])
    base = np.column_stack([foot, np.full(SUMMITS, -1.0)])
    following = [np.roll(part, -1, axis=0) for part in (base, top)]
    return quads(np.stack([following[0], base, top, following[1]], axis=1), 0)
