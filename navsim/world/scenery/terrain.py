"""Terrain: road, footways, the ground beside them, a plain out to the horizon, and hills."""

from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.scenery.meshes import Mesh, SemanticClass, Surface, flat_surface, quads
from navsim.world.scenery.pavement import KERB_HEIGHT, Kerbs, footways
from navsim.world.scenery.textures import Textures

GROUND_MARGIN = 80.0
"""Width of the modelled ground beyond the roads [m]."""
HORIZON = 3000.0
"""Width of the plain beyond the modelled ground [m]."""
HILLS = (500.0, 10.0, 55.0)
"""Distance of the hills from the modelled ground, smallest and largest height [m]."""
NUM_HILLS = 60
"""Number of vertices of the ring of hills."""
GROUND_HEIGHT = -0.05
"""Height of the ground [m]: it lies below roads and footways in one piece, where cut-outs would make many slivers."""


@dataclass(frozen=True, eq=False)
class Terrain:
    """Surfaces of a town's ground, from the road outwards."""

    road: Surface
    """Area between the kerbs."""
    footway: Surface
    """Paved strips behind the kerbs, and parking bays."""
    ground: Surface
    """Modelled ground beside and below the pavement."""
    plain: Surface
    """Frame around the ground, out to the horizon."""
    hills: Surface
    """Upright ring of hills that faces the town."""

    def meshes(self, textures: Textures) -> tuple[Mesh, ...]:
        """Return the surfaces as textured meshes."""
        return (
            self.road.mesh(textures.asphalt, SemanticClass.ROAD),
            self.footway.mesh(textures.footway, SemanticClass.GROUND),
            self.ground.mesh(textures.ground, SemanticClass.GROUND),
            self.plain.mesh(textures.plain, SemanticClass.GROUND),
            self.hills.mesh(textures.hills, SemanticClass.GROUND),
        )


def build_terrain(
    network: RoadNetwork, kerbs: Kerbs, footway_width: float, bays: Surface, rng: np.random.Generator
) -> Terrain:
    """Build the terrain around kerbs; parking `bays` have the texture of the footways."""
    ground, origin = ground_area(network), tile_origin(network)
    paved = footways(kerbs, footway_width)
    strips = [] if paved.is_empty else [flat_surface(paved, KERB_HEIGHT, origin)]
    return Terrain(
        road=flat_surface(kerbs.road, 0.0, origin),
        footway=Surface.merged([*strips, bays]),
        ground=flat_surface(ground, GROUND_HEIGHT, origin, tile_size=HORIZON),
        plain=_plain(ground),
        hills=_hills(ground, rng),
    )


def ground_area(network: RoadNetwork) -> shapely.Polygon:
    """Return the area of the modelled ground."""
    x0, y0, x1, y1 = network.bounds
    return shapely.box(x0 - GROUND_MARGIN, y0 - GROUND_MARGIN, x1 + GROUND_MARGIN, y1 + GROUND_MARGIN)


def tile_origin(network: RoadNetwork) -> Array:
    """Return the start (2,) of repeating textures, west and south of the ground [m]."""
    return np.array(ground_area(network).bounds[:2]) - 100.0


def _plain(ground: shapely.Polygon) -> Surface:
    """Return a frame around the modelled ground, out to the horizon."""
    x0, y0, x1, y1 = ground.bounds
    near = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    far = shapely.get_coordinates(shapely.box(*ground.buffer(HORIZON).bounds, ccw=True))
    start = int(np.hypot(*(far[:4] - near[0]).T).argmin())
    wide = np.roll(far[:4], -start, axis=0)
    sides = [(wide[i], wide[(i + 1) % 4], near[(i + 1) % 4], near[i]) for i in range(4)]
    return quads(np.insert(np.array(sides), 2, GROUND_HEIGHT, axis=-1), 0)


def _hills(ground: shapely.Polygon, rng: np.random.Generator) -> Surface:
    """Return a ring of hills around the town, with its base below the plain."""
    x0, y0, x1, y1 = ground.bounds
    distance, min_height, max_height = HILLS
    angles = np.arange(NUM_HILLS) * 2 * np.pi / NUM_HILLS
    radius = np.hypot(x1 - x0, y1 - y0) / 2 + distance
    foot = radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1) + ((x0 + x1) / 2, (y0 + y1) / 2)
    waves = np.cos(np.outer(angles, (2, 5, 11, 17)) + rng.uniform(0, 2 * np.pi, 4)) @ (0.4, 0.3, 0.2, 0.1)
    top = np.column_stack([foot, min_height + (max_height - min_height) * (0.5 + 0.5 * waves)])
    base = np.column_stack([foot, np.full(NUM_HILLS, -1.0)])
    following = [np.roll(part, -1, axis=0) for part in (base, top)]
    return quads(np.stack([following[0], base, top, following[1]], axis=1), 0)
