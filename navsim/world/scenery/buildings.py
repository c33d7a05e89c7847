"""Houses: where they stand along the streets, or whose outlines are known; what of them can be hit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.footprints import Footprint
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, walls
from navsim.world.scenery.facades import BAY, Facade
from navsim.world.scenery.placement import Shapes, apart, clear_of_road, rectangles

ROAD_CLEARANCE = 3.0
"""Least distance from a drawn house to the carriageway [m]."""
NARROWEST_PASSAGE = 1.0
"""Least distance from a house of a known outline to the carriageway; what comes closer is cut off [m]."""
ALLEY = 2.0
"""Least distance between two drawn houses [m]."""
SMALLEST = 6.0
"""Outlines of less are left out [m2]."""
GABLE_WALL = 7.5
"""Walls up to which houses may have pitched roofs [m]."""
BUMPER = 3.0
"""Height up to which walls can be driven into [m]."""


@dataclass(frozen=True, eq=False)
class Building:
    """A house."""

    outline: Array
    """Corners (K, 2) [m], counter-clockwise."""
    height: float
    """Of the walls [m]."""
    kind: Facade
    """How it looks."""
    gabled: bool
    """Whether the roof is pitched; only where there are four corners."""
    bay: int
    """With which bay of the painted facade its walls begin."""

    @property
    def ridge(self) -> float:
        """Height of a pitched roof over the walls [m]."""
        sides = np.hypot(*(np.roll(self.outline, -1, axis=0) - self.outline).T)
        return min(0.38 * float(min(sides[0], sides[1])), 4.0) if self.gabled else 0.0


def place_buildings(network: RoadNetwork, density: float, rng: np.random.Generator) -> tuple[Building, ...]:
    """Put houses on a share `density` of the lots along every street, clear of the road and of each other."""
    rows = [
        _row(network, index, side, density, rng)
        for index, road in enumerate(network.roads)
        if not road.ring  # a roundabout's island is no lot
        for side in (1.0, -1.0)
    ]
    lots = np.concatenate([np.empty((0, 6)), *rows])
    if not len(lots):
        return ()
    corners = np.concatenate([rectangles(lot[None], lot[3], lot[4]) for lot in lots])
    outlines: Shapes = np.asarray(shapely.polygons(corners))
    clear = clear_of_road(network, outlines, ROAD_CLEARANCE)
    lots, corners, outlines = lots[clear], corners[clear], outlines[clear]
    kept = apart(outlines, ALLEY)
    return tuple(
        _building(outline, float(floors) * BAY, rng)
        for outline, floors in zip(corners[kept], lots[kept, 5], strict=True)
    )


def buildings_from(
    footprints: Sequence[Footprint], network: RoadNetwork, rng: np.random.Generator
) -> tuple[Building, ...]:
    """Build houses on known outlines; what would stand on or beside the carriageway is cut off.

    Outlines that are no simple polygon, or too small, are left out.
    """
    usable = [footprint for footprint in footprints if len(footprint.outline) >= 3]
    outlines: Shapes = np.array([shapely.Polygon(footprint.outline) for footprint in usable], dtype=object)
    if not len(outlines):
        return ()
    blocking = np.flatnonzero(~clear_of_road(network, outlines, NARROWEST_PASSAGE))
    if len(blocking):
        free = outlines[blocking]
        sound = shapely.is_valid(free)
        near = shapely.STRtree(free[sound]).query(network.carriageway.buffer(NARROWEST_PASSAGE), predicate="intersects")
        cut = free.copy()
        chosen = np.flatnonzero(sound)[near]
        cut[chosen] = shapely.difference(free[chosen], network.carriageway.buffer(NARROWEST_PASSAGE))
        outlines[blocking] = [_largest_part(shape) for shape in cut]
    outlines = shapely.simplify(outlines, 0.15)
    fine = shapely.is_valid(outlines) & (shapely.area(outlines) >= SMALLEST)
    return tuple(
        _building(np.array(outline.exterior.coords)[:-1], max(footprint.height, BAY), rng)
        for outline, footprint, use in zip(shapely.orient_polygons(outlines), usable, fine, strict=True)
        if use
    )


def building_obstacles(buildings: Sequence[Building]) -> Obstacles:
    """The walls that can be driven into."""
    faces = np.concatenate([np.empty((0, 4, 3)), *(_faces(building.outline, BUMPER) for building in buildings)])
    return walls(faces, ObstacleKind.BUILDING)


def outlines_of(buildings: Sequence[Building]) -> Shapes:
    """Ground plans (N,)."""
    return np.array([shapely.Polygon(building.outline) for building in buildings], dtype=object)


def _row(network: RoadNetwork, index: int, side: float, density: float, rng: np.random.Generator) -> Array:
    """Draw the houses on one side of a road (1 left, -1 right), some of which may not fit.

    Returns:
        x [m], y [m], heading [rad], length [m] and depth [m], floors of each (N, 6).
    """
    road = network.roads[index]
    start, end = network.mouths(index)
    most = int((end - start) / (3 * BAY)) + 1
    wide = np.asarray(rng.integers(3, 9, most) * BAY, dtype=float)
    deep = np.asarray(rng.integers(3, 6, most) * BAY, dtype=float)
    floors = rng.choice([1, 2, 2, 3, 3, 4, 5], most)
    setback = rng.uniform(4.0, 9.0, most)
    centres = start + np.cumsum(wide + rng.uniform(2.5, 12.0, most)) - wide / 2
    built = (rng.uniform(size=most) < density) & (centres + wide / 2 < end + 4.0)
    wide, deep, floors, setback, stations = (part[built] for part in (wide, deep, floors, setback, centres))
    heading = road.centre.heading(stations)
    offset = side * (road.half_width + setback + deep / 2)
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    places = road.centre.position(stations) + offset[:, None] * normal
    return np.column_stack([places, heading, wide, deep, floors])


def _building(outline: Array, height: float, rng: np.random.Generator) -> Building:
    """Draw how a house looks: shops and offices are taller than what else there is."""
    draw, pitched, bay = float(rng.uniform()), float(rng.uniform()), int(rng.integers(8))
    low = height <= GABLE_WALL
    kinds = (Facade.BRICK, Facade.PLASTER, Facade.PLASTER, Facade.PLASTER_SHOP, Facade.BRICK_SHOP)
    tall = (Facade.PANEL, Facade.BRICK_SHOP, Facade.OFFICE, Facade.PLASTER_SHOP, Facade.BRICK, Facade.PANEL)
    choice = kinds if low else tall
    kind = choice[int(draw * len(choice))]
    return Building(outline, height, kind, low and len(outline) == 4 and pitched < 0.75, bay)


def _faces(outline: Array, height: float) -> Array:
    """Upright walls (K, 4, 3) [m] along an outline, counter-clockwise from outside."""
    following = np.roll(outline, -1, axis=0)
    faces = np.empty((len(outline), 4, 3))
    faces[:, (0, 3), :2] = outline[:, None]
    faces[:, (1, 2), :2] = following[:, None]
    faces[:, :2, 2], faces[:, 2:, 2] = 0.0, height
    return faces


def _largest_part(shape: shapely.Geometry) -> shapely.Polygon:
    """The largest polygon of what a cut left, without its holes; an empty one if there is none."""
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)]
    return shapely.Polygon(max(parts, key=lambda part: part.area).exterior) if parts else shapely.Polygon()
