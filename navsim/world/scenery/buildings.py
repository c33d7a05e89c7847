"""Houses: random ones along the streets or ones with known outlines, their walls, roofs and collision geometry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.roads.elements import Footprint
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, walls
from navsim.world.scenery.facades import BAY, BAYS, FLOORS, Facade, roof_rows, wall_rows
from navsim.world.scenery.meshes import Surface
from navsim.world.scenery.placement import Shapes, clear_of_road, keep_apart, rectangles

ROAD_CLEARANCE = 3.0
"""Smallest distance from a random house to the carriageway [m]."""
MIN_PASSAGE = 1.0
"""Smallest distance from a house with a known outline to the carriageway; closer parts are cut off [m]."""
MIN_HOUSE_GAP = 2.0
"""Smallest distance between two random houses [m]."""
MIN_AREA = 6.0
"""Smallest area of an outline [m^2]."""
MAX_GABLED_HEIGHT = 7.5
"""Largest wall height of houses with pitched roofs [m]."""
COLLISION_HEIGHT = 3.0
"""Height of the walls' collision geometry [m]."""


@dataclass(frozen=True, eq=False)
class Building:
    """Shape and facade of a house."""

    outline: Array
    """Corners (K, 2) [m], counter-clockwise."""
    height: float
    """Height of the walls [m]."""
    kind: Facade
    """Kind of the facade."""
    gabled: bool
    """Whether the roof is pitched; only for houses with four corners."""
    bay: int
    """Bay of the facade texture at which the walls begin."""

    @property
    def ridge(self) -> float:
        """Height of a pitched roof over the walls [m]."""
        sides = np.hypot(*(np.roll(self.outline, -1, axis=0) - self.outline).T)
        return min(0.38 * float(min(sides[0], sides[1])), 4.0) if self.gabled else 0.0


def place_buildings(network: RoadNetwork, density: float, rng: np.random.Generator) -> tuple[Building, ...]:
    """Place houses on a share `density` of the lots along every street, clear of the road and of each other."""
    rows = [
        _row(network, index, side, density, rng)
        for index, road in enumerate(network.roads)
        if not road.ring  # a roundabout's island is not a lot
        for side in (1.0, -1.0)
    ]
    lots = np.concatenate([np.empty((0, 6)), *rows])
    if not len(lots):
        return ()
    corners = np.concatenate([rectangles(lot[None], lot[3], lot[4]) for lot in lots])
    outlines: Shapes = np.asarray(shapely.polygons(corners))
    clear = clear_of_road(network, outlines, ROAD_CLEARANCE)
    lots, corners, outlines = lots[clear], corners[clear], outlines[clear]
    kept = keep_apart(outlines, MIN_HOUSE_GAP)
    return tuple(
        _building(outline, float(floors) * BAY, rng)
        for outline, floors in zip(corners[kept], lots[kept, 5], strict=True)
    )


def buildings_from(
    footprints: Sequence[Footprint], network: RoadNetwork, rng: np.random.Generator
) -> tuple[Building, ...]:
    """Build houses on known outlines; parts within `MIN_PASSAGE` of the carriageway are cut off.

    Outlines that are too small or not simple polygons are left out.
    """
    usable = [footprint for footprint in footprints if len(footprint.outline) >= 3]
    outlines: Shapes = np.array([shapely.Polygon(footprint.outline) for footprint in usable], dtype=object)
    if not len(outlines):
        return ()
    blocking = np.flatnonzero(~clear_of_road(network, outlines, MIN_PASSAGE))
    if len(blocking):
        free = outlines[blocking]
        valid = shapely.is_valid(free)
        near = shapely.STRtree(free[valid]).query(network.carriageway.buffer(MIN_PASSAGE), predicate="intersects")
        cut = free.copy()
        to_cut = np.flatnonzero(valid)[near]
        cut[to_cut] = shapely.difference(free[to_cut], network.carriageway.buffer(MIN_PASSAGE))
        outlines[blocking] = [_largest_part(shape) for shape in cut]
    outlines = shapely.simplify(outlines, 0.15)
    accepted = shapely.is_valid(outlines) & (shapely.area(outlines) >= MIN_AREA)
    return tuple(
        _building(np.array(outline.exterior.coords)[:-1], max(footprint.height, BAY), rng)
        for outline, footprint, accept in zip(shapely.orient_polygons(outlines), usable, accepted, strict=True)
        if accept
    )


def building_obstacles(buildings: Sequence[Building]) -> Obstacles:
    """Return the collision geometry of the walls."""
    faces = np.concatenate(
        [np.empty((0, 4, 3)), *(_faces(building.outline, COLLISION_HEIGHT) for building in buildings)]
    )
    return walls(faces, ObstacleKind.BUILDING)


def outlines_of(buildings: Sequence[Building]) -> Shapes:
    """Return the outlines of houses as polygons (N,)."""
    return np.array([shapely.Polygon(building.outline) for building in buildings], dtype=object)


def _row(network: RoadNetwork, index: int, side: float, density: float, rng: np.random.Generator) -> Array:
    """Draw the houses on one side of a road (1 left, -1 right), without checks of distances.

    Returns:
        Houses (N, 6): x [m], y [m], heading [rad], length [m], depth [m] and number of floors.
    """
    road = network.roads[index]
    start, end = network.mouths(index)
    max_count = int((end - start) / (3 * BAY)) + 1
    wide = np.asarray(rng.integers(3, 9, max_count) * BAY, dtype=float)
    deep = np.asarray(rng.integers(3, 6, max_count) * BAY, dtype=float)
    floors = rng.choice([1, 2, 2, 3, 3, 4, 5], max_count)
    setback = rng.uniform(4.0, 9.0, max_count)
    centres = start + np.cumsum(wide + rng.uniform(2.5, 12.0, max_count)) - wide / 2
    built = (rng.uniform(size=max_count) < density) & (centres + wide / 2 < end + 4.0)
    wide, deep, floors, setback, stations = (part[built] for part in (wide, deep, floors, setback, centres))
    heading = road.centre.heading(stations)
    offset = side * (road.half_width + setback + deep / 2)
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    positions = road.centre.position(stations) + offset[:, None] * normal
    return np.column_stack([positions, heading, wide, deep, floors])


def _building(outline: Array, height: float, rng: np.random.Generator) -> Building:
    """Draw the facade and roof of a house; high houses are mostly shops, offices and panel buildings."""
    draw, pitched, bay = float(rng.uniform()), float(rng.uniform()), int(rng.integers(8))
    low = height <= MAX_GABLED_HEIGHT
    kinds = (Facade.BRICK, Facade.PLASTER, Facade.PLASTER, Facade.PLASTER_SHOP, Facade.BRICK_SHOP)
    tall = (Facade.PANEL, Facade.BRICK_SHOP, Facade.OFFICE, Facade.PLASTER_SHOP, Facade.BRICK, Facade.PANEL)
    choice = kinds if low else tall
    kind = choice[int(draw * len(choice))]
    return Building(outline, height, kind, low and len(outline) == 4 and pitched < 0.75, bay)


def _faces(outline: Array, height: float) -> Array:
    """Return upright walls (K, 4, 3) [m] along an outline, counter-clockwise from outside."""
    following = np.roll(outline, -1, axis=0)
    faces = np.empty((len(outline), 4, 3))
    faces[:, (0, 3), :2] = outline[:, None]
    faces[:, (1, 2), :2] = following[:, None]
    faces[:, :2, 2], faces[:, 2:, 2] = 0.0, height
    return faces


def _largest_part(shape: shapely.Geometry) -> shapely.Polygon:
    """Return the largest polygon of a shape without its holes, or an empty polygon."""
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)]
    return shapely.Polygon(max(parts, key=lambda part: part.area).exterior) if parts else shapely.Polygon()


Integers = NDArray[np.int64]


def building_surface(buildings: Sequence[Building]) -> Surface:
    """Return walls and roofs, with texture coordinates for `navsim.world.scenery.facades`."""
    if not buildings:
        return Surface.merged([])
    gabled = [building for building in buildings if building.gabled]
    flat = [building for building in buildings if not building.gabled]
    return Surface.merged([_walls(buildings), _pitched_roofs(gabled), *_flat_roofs(flat)])


def _walls(buildings: Sequence[Building]) -> Surface:
    """Return all walls; those higher than the facade texture repeat its upper floors."""
    sizes = np.array([len(building.outline) for building in buildings])
    house = np.repeat(np.arange(len(buildings)), sizes)  # house of each wall (W,)
    a = np.concatenate([building.outline for building in buildings])
    b = np.concatenate([np.roll(building.outline, -1, axis=0) for building in buildings])
    height, kind, bay = (
        np.array([getattr(building, name) for building in buildings])[house] for name in ("height", "kind", "bay")
    )
    floors = np.maximum(np.round(height / BAY), 1).astype(np.int64)
    bays = np.maximum(np.round(np.hypot(*(b - a).T) / BAY), 1)
    left = (bay + np.arange(len(a))) % BAYS / BAYS
    parts = []
    base = np.zeros(len(a), np.int64)
    while len(wall := np.flatnonzero(base < floors)):
        max_floors = np.where(base[wall] == 0, FLOORS, FLOORS - 1)  # the ground floor occurs once
        count = np.minimum(floors[wall] - base[wall], max_floors)
        z = np.stack([base[wall], base[wall] + count], axis=1) * (height / floors)[wall, None]
        rows = wall_rows(kind[wall].astype(np.int64), np.minimum(base[wall], 1), count)
        parts.append(_upright(a[wall], b[wall], z, np.stack([left[wall], left[wall] + bays[wall] / BAYS], 1), rows))
        base[wall] += count
    return Surface.merged(parts)


def _upright(a: Array, b: Array, z: Array, u: Array, v: Array) -> Surface:
    """Return upright rectangles from `a` to `b` (N, 2) between heights `z` (N, 2) [m], with texture ranges (N, 2)."""
    corners = np.empty((len(a), 4, 3))
    corners[:, (0, 3), :2], corners[:, (1, 2), :2] = a[:, None], b[:, None]
    corners[:, :2, 2], corners[:, 2:, 2] = z[:, :1], z[:, 1:]
    uv = np.stack([u[:, (0, 1, 1, 0)], v[:, (0, 0, 1, 1)]], axis=-1)
    return _quads(corners, uv)


def _pitched_roofs(buildings: Sequence[Building]) -> Surface:
    """Return two slopes and two gables for houses with four corners, the ridge along the longer side."""
    if not buildings:
        return Surface.merged([])
    corners = np.array([_long_side_first(building.outline) for building in buildings])  # (N, 4, 2)
    height = np.array([building.height for building in buildings])
    ridge = height + np.array([building.ridge for building in buildings])
    eaves = np.concatenate([corners, np.broadcast_to(height[:, None, None], (*corners.shape[:2], 1))], axis=-1)
    ahead, behind = (eaves[:, 1] + eaves[:, 2]) / 2, (eaves[:, 3] + eaves[:, 0]) / 2
    ahead[:, 2] = behind[:, 2] = ridge
    v = roof_rows(np.array([building.kind for building in buildings], dtype=np.int64))
    bays = np.hypot(*(corners[:, 1] - corners[:, 0]).T) / BAY / BAYS
    uv = np.stack([np.stack([0 * bays, bays, bays, 0 * bays], 1), v[:, (0, 0, 1, 1)]], axis=-1)
    slopes = [
        _quads(np.stack([eaves[:, i], eaves[:, j], first, second], axis=1), uv)
        for i, j, first, second in ((0, 1, ahead, behind), (2, 3, behind, ahead))
    ]
    gables = np.concatenate(
        [np.stack([eaves[:, 1], eaves[:, 2], ahead], 1), np.stack([eaves[:, 3], eaves[:, 0], behind], 1)]
    )
    flat_uv = np.stack([np.full((2 * len(v), 3), 0.5), np.tile(v.mean(axis=1), 2)[:, None].repeat(3, axis=1)], axis=-1)
    return Surface.merged([*slopes, _triangles(gables, flat_uv)])


def _flat_roofs(buildings: Sequence[Building]) -> list[Surface]:
    """Return flat roofs for outlines of any shape, in the plain colour of the roof."""
    if not buildings:
        return []
    outlines = np.array([shapely.Polygon(building.outline) for building in buildings], dtype=object)
    pieces, house = shapely.get_parts(shapely.constrained_delaunay_triangles(outlines), return_index=True)
    rings = shapely.get_coordinates(shapely.orient_polygons(pieces)).reshape(-1, 4, 2)[:, :3]
    height = np.array([building.height for building in buildings])[house]
    v = roof_rows(np.array([building.kind for building in buildings], dtype=np.int64))[house].mean(axis=1)
    points = np.concatenate([rings, np.broadcast_to(height[:, None, None], (len(rings), 3, 1))], axis=-1)
    uv = np.stack([np.full((len(rings), 3), 0.5), v[:, None].repeat(3, axis=1)], axis=-1)
    return [_triangles(points, uv)]


def _long_side_first(outline: Array) -> Array:
    """Return the four corners, beginning with a longer side."""
    first, second = np.hypot(*(outline[1] - outline[0])), np.hypot(*(outline[2] - outline[1]))
    return outline if first >= second else np.roll(outline, -1, axis=0)


def _quads(corners: Array, uv: Array) -> Surface:
    """Return faces (N, 4, 3) with texture coordinates (N, 4, 2)."""
    triangles = np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(len(corners))[:, None, None]
    return Surface(corners.reshape(-1, 3), triangles.reshape(-1, 3), uv.reshape(-1, 2))


def _triangles(corners: Array, uv: Array) -> Surface:
    """Return faces (N, 3, 3) with texture coordinates (N, 3, 2)."""
    return Surface(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), uv.reshape(-1, 2))
