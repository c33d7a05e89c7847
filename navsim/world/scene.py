"""What there is to be seen and hit in a town, built from its roads: the input of every renderer and of the physics.

World frame: x east, y north, z up [m]. Roads lie at z = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.roads.network import RoadNetwork
from navsim.roads.townmap import Footprint
from navsim.world.appearance import Appearance
from navsim.world.atmosphere import Atmosphere, ShadeMap
from navsim.world.buildings import building_obstacles, building_surface, place_buildings
from navsim.world.meshes import Instances, Mesh, SemanticClass, Surface, flat_surface, quads
from navsim.world.obstacles import ObstacleKind, Obstacles, walls
from navsim.world.paving import KERB_HEIGHT, Kerbs, as_area, lay_kerbs, markings
from navsim.world.textures import Textures, paint_textures
from navsim.world.trees import place_trees, tree_instances, tree_obstacles

__all__ = ["Instances", "Mesh", "ObstacleKind", "Obstacles", "Scene", "SemanticClass", "build_scene"]

SURROUNDINGS = 80.0
"""How far the ground is modelled beyond the roads [m]."""
HORIZON = 3000.0
"""How far a plain reaches beyond that [m]."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A town as triangles, textures, light and obstacles."""

    meshes: tuple[Mesh, ...]
    """What stands once, from small things to the terrain: a renderer that draws in this order hides the most early."""
    instances: tuple[Instances, ...]
    """What stands many times: trees."""
    atmosphere: Atmosphere
    """Light and air."""
    shade: ShadeMap | None
    """Where the ground lies in shadow; None where nothing throws one."""
    obstacles: Obstacles
    """What can be hit."""


def build_scene(
    network: RoadNetwork,
    appearance: Appearance,
    rng: np.random.Generator,
    footprints: Sequence[Footprint] | None = None,
) -> Scene:
    """Build a town around its roads.

    Args:
        network: The roads.
        appearance: How everything looks.
        rng: Draws where houses and trees stand and the textures' patches.
        footprints: Outlines of the houses where they are known; None draws houses along the streets.
    """
    if footprints is not None:
        raise NotImplementedError("houses from footprints")
    textures = paint_textures(appearance, rng)
    kerbs = lay_kerbs(network)
    buildings = place_buildings(network, appearance.building_density, rng)
    houses = shapely.MultiPolygon([shapely.Polygon(building.corners) for building in buildings])
    trees = place_trees(network, houses, appearance.tree_spacing, rng)
    obstacles = [walls(kerbs.faces, ObstacleKind.KERB), building_obstacles(buildings), tree_obstacles(trees)]
    return Scene(
        meshes=(
            building_surface(buildings).mesh(textures.atlas, SemanticClass.BUILDING),
            kerbs.surface.mesh(textures.atlas, SemanticClass.KERB),
            markings(network).mesh(textures.atlas, SemanticClass.MARKING),
            *_terrain(network, kerbs, textures),
        ),
        instances=tree_instances(trees, textures.atlas),
        atmosphere=_atmosphere(appearance),
        shade=None,
        obstacles=Obstacles.merged(obstacles),
    )


def _atmosphere(appearance: Appearance) -> Atmosphere:
    """Light and air of an appearance."""
    sun, air = 0.42 * appearance.brightness, 0.62 * appearance.brightness
    return Atmosphere(
        sun_direction=appearance.sun_direction,
        sunlight=(sun, sun, sun),
        ambient=(air, air, air),
        zenith=appearance.sky,
        horizon=appearance.sky,
        cloud_cover=0.0,
    )


def _terrain(network: RoadNetwork, kerbs: Kerbs, textures: Textures) -> tuple[Mesh, Mesh, Mesh]:
    """Road, the ground beside it at the kerb's height, and a plain out to the horizon."""
    x0, y0, x1, y1 = network.bounds
    land = shapely.box(x0 - SURROUNDINGS, y0 - SURROUNDINGS, x1 + SURROUNDINGS, y1 + SURROUNDINGS)
    origin = np.array(land.bounds[:2]) - 100.0
    road = flat_surface(kerbs.road, 0.0, origin)
    ground = flat_surface(as_area(shapely.difference(land, kerbs.road_and_kerbs)), KERB_HEIGHT, origin)
    return (
        road.mesh(textures.asphalt, SemanticClass.ROAD),
        ground.mesh(textures.ground, SemanticClass.GROUND),
        _plain(land).mesh(textures.plain, SemanticClass.GROUND),
    )


def _plain(land: shapely.Polygon) -> Surface:
    """A frame around the modelled ground, out to the horizon."""
    x0, y0, x1, y1 = land.bounds
    near = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    far = shapely.get_coordinates(shapely.box(*land.buffer(HORIZON).bounds, ccw=True))
    start = int(np.hypot(*(far[:4] - near[0]).T).argmin())
    wide = np.roll(far[:4], -start, axis=0)
    sides = [(wide[i], wide[(i + 1) % 4], near[(i + 1) % 4], near[i]) for i in range(4)]
    return quads(np.insert(np.array(sides), 2, KERB_HEIGHT, axis=-1), 0)
