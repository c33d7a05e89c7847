"""Scene: meshes, light and obstacles of a town, built around its roads, for all renderers and the physics.

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
from navsim.world.scenery.lighting import Atmosphere, GroundShadows, ShadowCasters, draw_ground_shadows
from navsim.world.scenery.meshes import Instances, Mesh, SemanticClass
from navsim.world.scenery.parked_cars import (
    bays_surface,
    car_heights,
    car_instances,
    car_obstacles,
    car_outlines,
    place_cars,
)
from navsim.world.scenery.pavement import build_kerbs, markings, without_worn
from navsim.world.scenery.street_furniture import (
    place_lamps,
    place_pedestrians,
    place_signs,
    street_furniture_instances,
    street_furniture_obstacles,
)
from navsim.world.scenery.terrain import build_terrain, ground_area, tile_origin
from navsim.world.scenery.textures import Textures, paint_textures
from navsim.world.scenery.trees import place_trees, tree_instances, tree_obstacles

__all__ = ["Instances", "Mesh", "ObstacleKind", "Obstacles", "Scene", "SemanticClass", "build_scene"]

MIN_SUNLIGHT = 0.12
"""Smallest sunlight with visible shadows."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Triangles, textures, light and obstacles of a town."""

    meshes: tuple[Mesh, ...]
    """Single meshes from small objects to the terrain, an order in which early ones hide much of later ones."""
    instances: tuple[Instances, ...]
    """Repeated meshes: cars, people, signs, lamps and trees."""
    atmosphere: Atmosphere
    """Light, sky, fog and rain."""
    ground_shadows: GroundShadows | None
    """Shadows on the ground; None without sunlight."""
    obstacles: Obstacles
    """Collision geometry of everything the car can hit."""


@dataclass(frozen=True, eq=False)
class TownObjects:
    """Placed objects of a town; transforms (N, 4) are x [m], y [m], heading [rad] and scale."""

    buildings: tuple[Building, ...]
    """Houses of the town."""
    cars: tuple[Array, ...]
    """Transforms of the parked cars of each model."""
    signs: Array
    """Transforms of the yield signs."""
    lamps: Array
    """Transforms of the street lamps."""
    pedestrians: tuple[Array, Array]
    """Transforms of the pedestrians of both kinds."""
    trees: tuple[Array, ...]
    """Transforms of the trees of each kind."""

    def instances(self, textures: Textures, bare: bool) -> tuple[Instances, ...]:
        """Return the repeated meshes of all objects."""
        return (
            *car_instances(self.cars, textures.atlas),
            *street_furniture_instances(self.signs, self.lamps, self.pedestrians, textures.atlas),
            *tree_instances(self.trees, textures.atlas, bare),
        )

    def obstacles(self) -> Obstacles:
        """Return the collision geometry of all objects."""
        return Obstacles.merged(
            [
                building_obstacles(self.buildings),
                car_obstacles(self.cars),
                street_furniture_obstacles(self.signs, self.lamps, self.pedestrians),
                tree_obstacles(self.trees),
            ]
        )


def build_scene(
    network: RoadNetwork,
    appearance: Appearance,
    rng: np.random.Generator,
    footprints: Sequence[Footprint] | None = None,
) -> Scene:
    """Build the scene of a town around its roads.

    Args:
        network: Roads of the town.
        appearance: Light, colours and density.
        rng: Random generator of the objects' positions and the textures.
        footprints: Known outlines of the houses; None draws houses along the streets.
    """
    draws = rng.spawn(4)  # one generator each, so that the objects do not depend on the textures
    objects = _place_objects(network, appearance, draws[0], footprints)
    textures = paint_textures(appearance, draws[1])
    kerbs = build_kerbs(network)
    bays = bays_surface(objects.cars, tile_origin(network))
    terrain = build_terrain(network, kerbs, appearance.footway_width, bays, draws[2])
    paint = markings(network)
    if appearance.marking_missing > 0:
        paint = without_worn(paint, appearance.marking_missing, draws[3])
    atmosphere = _atmosphere(appearance)
    return Scene(
        meshes=(
            building_surface(objects.buildings).mesh(textures.facades, SemanticClass.BUILDING),
            kerbs.surface.mesh(textures.atlas, SemanticClass.KERB),
            paint.mesh(textures.atlas, SemanticClass.MARKING),
            *terrain.meshes(textures),
        ),
        instances=objects.instances(textures, appearance.bare),
        atmosphere=atmosphere,
        ground_shadows=_ground_shadows(network, objects, appearance) if appearance.sunlight > MIN_SUNLIGHT else None,
        obstacles=Obstacles.merged([walls(kerbs.faces, ObstacleKind.KERB), objects.obstacles()]),
    )


def _place_objects(
    network: RoadNetwork, appearance: Appearance, rng: np.random.Generator, footprints: Sequence[Footprint] | None
) -> TownObjects:
    """Place all objects; each kind keeps its distance from those placed before it."""
    draws = rng.spawn(5)
    if footprints is None:
        buildings = place_buildings(network, appearance.building_density, draws[0])
    else:
        buildings = buildings_from(footprints, network, draws[0])
    taken = outlines_of(buildings)
    cars = place_cars(network, taken, appearance.car_spacing, draws[1])
    taken = np.concatenate([taken, shapely.polygons(car_outlines(cars))])
    signs = place_signs(network)
    taken = np.concatenate([taken, shapely.points(signs[:, :2])])
    lamps = place_lamps(network, taken, draws[2])
    taken = np.concatenate([taken, shapely.points(lamps[:, :2])])
    pedestrians = place_pedestrians(network, taken, draws[3])
    taken = np.concatenate([taken, *(shapely.points(people[:, :2]) for people in pedestrians)])
    return TownObjects(
        buildings, cars, signs, lamps, pedestrians, place_trees(network, taken, appearance.tree_spacing, draws[4])
    )


def _atmosphere(appearance: Appearance) -> Atmosphere:
    """Return the atmosphere of an appearance."""
    return Atmosphere(
        sun_direction=appearance.sun_direction,
        sunlight=_light(appearance.sunlight, appearance.sun_tint),
        ambient=_light(appearance.ambient, appearance.air_tint),
        zenith=appearance.zenith,
        horizon=appearance.sky,
        cloud_cover=appearance.cloud_cover,
        cloud_seed=appearance.cloud_seed,
        fog_density=appearance.fog_density,
        rain=appearance.rain,
    )


def _light(strength: float, tint: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the red, green and blue of a light."""
    red, green, blue = (strength * part for part in tint)
    return (red, green, blue)


def _ground_shadows(network: RoadNetwork, objects: TownObjects, appearance: Appearance) -> GroundShadows:
    """Return the shadows on the modelled ground."""
    x0, y0, x1, y1 = ground_area(network).bounds
    cars = (car_outlines(objects.cars), car_heights(objects.cars))
    return draw_ground_shadows(
        ShadowCasters(objects.buildings, objects.trees, appearance.bare, *cars),
        appearance.sun_direction,
        (x0, y0, x1, y1),
    )
