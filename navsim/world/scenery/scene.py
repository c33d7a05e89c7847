"""What there is to be seen and hit in a town, built from its roads: the input of every renderer and of the physics.

World frame: x east, y north, z up [m]. Roads lie at z = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.elements import Footprint
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, walls
from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.buildings import (
    Building,
    building_obstacles,
    building_surface,
    buildings_from,
    outlines_of,
    place_buildings,
)
from navsim.world.scenery.lighting import Atmosphere, Casters, ShadeMap, draw_shade
from navsim.world.scenery.meshes import Instances, Mesh, SemanticClass
from navsim.world.scenery.parked_cars import (
    bays_surface,
    car_heights,
    car_instances,
    car_obstacles,
    car_outlines,
    place_cars,
)
from navsim.world.scenery.pavement import lay_kerbs, markings, worn
from navsim.world.scenery.street_furniture import (
    furniture_instances,
    furniture_obstacles,
    place_lamps,
    place_signs,
    place_walkers,
)
from navsim.world.scenery.terrain import land_around, lay_terrain, tile_origin
from navsim.world.scenery.textures import Textures, paint_textures
from navsim.world.scenery.trees import place_trees, tree_instances, tree_obstacles

__all__ = ["Instances", "Mesh", "ObstacleKind", "Obstacles", "Scene", "SemanticClass", "build_scene"]

FAINT = 0.12
"""Sunlight below which no shadow is seen."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A town as triangles, textures, light and obstacles."""

    meshes: tuple[Mesh, ...]
    """What stands once, from small things to the terrain: a renderer that draws in this order hides the most early."""
    instances: tuple[Instances, ...]
    """What stands many times: cars, people, signs and lamps, trees."""
    atmosphere: Atmosphere
    """Light and air."""
    shade: ShadeMap | None
    """Where the ground lies in shadow; None where nothing throws one."""
    obstacles: Obstacles
    """What can be hit."""


@dataclass(frozen=True, eq=False)
class Furnishing:
    """What stands in a town; the places of things are x [m], y [m], heading [rad], scale (N, 4)."""

    buildings: tuple[Building, ...]
    """Houses."""
    cars: tuple[Array, ...]
    """Parked cars of each model."""
    signs: Array
    """Yield signs."""
    lamps: Array
    """Lamps."""
    walkers: tuple[Array, Array]
    """People of both kinds."""
    trees: tuple[Array, ...]
    """Trees of each kind."""

    def instances(self, textures: Textures, bare: bool) -> tuple[Instances, ...]:
        """Return everything that stands many times."""
        return (
            *car_instances(self.cars, textures.atlas),
            *furniture_instances(self.signs, self.lamps, self.walkers, textures.atlas),
            *tree_instances(self.trees, textures.atlas, bare),
        )

    def obstacles(self) -> Obstacles:
        """Return what of it can be hit."""
        return Obstacles.merged(
            [
                building_obstacles(self.buildings),
                car_obstacles(self.cars),
                furniture_obstacles(self.signs, self.lamps, self.walkers),
                tree_obstacles(self.trees),
            ]
        )


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
        rng: Draws where things stand and the textures' patches.
        footprints: Outlines of the houses where they are known; None draws houses along the streets.
    """
    draws = rng.spawn(4)  # of their own, so that what stands there does not depend on how it looks
    furnishing = _furnish(network, appearance, draws[0], footprints)
    textures = paint_textures(appearance, draws[1])
    kerbs = lay_kerbs(network)
    bays = bays_surface(furnishing.cars, tile_origin(network))
    terrain = lay_terrain(network, kerbs, appearance.footway_width, bays, draws[2])
    paint = markings(network)
    if appearance.marking_missing > 0:
        paint = worn(paint, appearance.marking_missing, draws[3])
    atmosphere = _atmosphere(appearance)
    return Scene(
        meshes=(
            building_surface(furnishing.buildings).mesh(textures.facades, SemanticClass.BUILDING),
            kerbs.surface.mesh(textures.atlas, SemanticClass.KERB),
            paint.mesh(textures.atlas, SemanticClass.MARKING),
            *terrain.meshes(textures),
        ),
        instances=furnishing.instances(textures, appearance.bare),
        atmosphere=atmosphere,
        shade=_shade(network, furnishing, appearance) if appearance.sunlight > FAINT else None,
        obstacles=Obstacles.merged([walls(kerbs.faces, ObstacleKind.KERB), furnishing.obstacles()]),
    )


def _furnish(
    network: RoadNetwork, look: Appearance, rng: np.random.Generator, footprints: Sequence[Footprint] | None
) -> Furnishing:
    """Decide what stands where; each kind keeps clear of those placed before it."""
    draws = rng.spawn(5)
    if footprints is None:
        buildings = place_buildings(network, look.building_density, draws[0])
    else:
        buildings = buildings_from(footprints, network, draws[0])
    taken = outlines_of(buildings)
    cars = place_cars(network, taken, look.car_spacing, draws[1])
    taken = np.concatenate([taken, shapely.polygons(car_outlines(cars))])
    signs = place_signs(network)
    taken = np.concatenate([taken, shapely.points(signs[:, :2])])
    lamps = place_lamps(network, taken, draws[2])
    taken = np.concatenate([taken, shapely.points(lamps[:, :2])])
    walkers = place_walkers(network, taken, draws[3])
    taken = np.concatenate([taken, *(shapely.points(people[:, :2]) for people in walkers)])
    return Furnishing(buildings, cars, signs, lamps, walkers, place_trees(network, taken, look.tree_spacing, draws[4]))


def _atmosphere(look: Appearance) -> Atmosphere:
    """Light and air of an appearance."""
    return Atmosphere(
        sun_direction=look.sun_direction,
        sunlight=_light(look.sunlight, look.sun_tint),
        ambient=_light(look.ambient, look.air_tint),
        zenith=look.zenith,
        horizon=look.sky,
        cloud_cover=look.cloud_cover,
        cloud_seed=look.cloud_seed,
        fog_density=look.fog_density,
        rain=look.rain,
    )


def _light(strength: float, tint: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return red, green and blue of a light."""
    red, green, blue = (strength * part for part in tint)
    return (red, green, blue)


def _shade(network: RoadNetwork, there: Furnishing, look: Appearance) -> ShadeMap:
    """Return shadows on the ground that is modelled."""
    x0, y0, x1, y1 = land_around(network).bounds
    cars = (car_outlines(there.cars), car_heights(there.cars))
    return draw_shade(Casters(there.buildings, there.trees, look.bare, *cars), look.sun_direction, (x0, y0, x1, y1))
