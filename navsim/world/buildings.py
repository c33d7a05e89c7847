"""Houses along the streets: where they stand, how they look, what of them can be hit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array, Pose
from navsim.roads.network import RoadNetwork
from navsim.world.meshes import Surface, quads
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms
from navsim.world.textures import FACADE_BAYS, Paint, facade_uv, palette_uv

BAY = 3.0
"""Width of a bay and height of a floor [m]."""
ROAD_CLEARANCE = 3.0
"""Least distance from a wall to the carriageway [m]."""
ALLEY = 2.0
"""Least distance between two houses [m]."""


@dataclass(frozen=True)
class Building:
    """A rectangular house; its frame has x along the street."""

    pose: Pose
    """Centre and direction."""
    bays: tuple[int, int]
    """Along the street and away from it, each `BAY` wide."""
    floors: int
    """Each `BAY` high."""
    kind: int
    """Which facade and roof, 0 to 3."""
    gabled: bool
    """Whether the roof is pitched."""

    @property
    def corners(self) -> Array:
        """Outline (4, 2) [m], counter-clockwise."""
        x, y = self.bays[0] * BAY / 2, self.bays[1] * BAY / 2
        return self.pose.to_world([[-x, -y], [x, -y], [x, y], [-x, y]])

    @property
    def height(self) -> float:
        """Of the walls [m]."""
        return self.floors * BAY


def place_buildings(network: RoadNetwork, density: float, rng: np.random.Generator) -> tuple[Building, ...]:
    """Put houses on a share `density` of the lots along every street, clear of the road and of each other."""
    lots = [
        building
        for index, road in enumerate(network.roads)
        if not road.ring  # a roundabout's island is no lot
        for side in (1.0, -1.0)
        for building in _row(network, index, side, density, rng)
    ]
    if not lots:
        return ()
    outlines = [shapely.Polygon(lot.corners) for lot in lots]
    clear = shapely.distance(outlines, network.carriageway) > ROAD_CLEARANCE
    crossings = shapely.STRtree(outlines).query(outlines, predicate="dwithin", distance=ALLEY)
    rivals: dict[int, list[int]] = {}
    for later, earlier in crossings.T:
        if earlier < later:
            rivals.setdefault(int(later), []).append(int(earlier))
    kept: set[int] = set()
    for i in np.flatnonzero(clear).tolist():
        if kept.isdisjoint(rivals.get(i, [])):
            kept.add(i)
    return tuple(lots[i] for i in sorted(kept))


def building_surface(buildings: Sequence[Building]) -> Surface:
    """Walls with windows, and roofs."""
    return Surface.merged([part for building in buildings for part in (_walls(building), *_roof(building))])


def building_obstacles(buildings: Sequence[Building]) -> Obstacles:
    """The walls that can be driven into."""
    outlines = np.array([building.corners for building in buildings]).reshape(-1, 4, 2)
    return prisms(outlines, np.array([building.height for building in buildings]), ObstacleKind.BUILDING)


def _row(network: RoadNetwork, index: int, side: float, density: float, rng: np.random.Generator) -> list[Building]:
    """Draw the houses on one side of a road (1 left, -1 right), some of which may not fit."""
    road = network.roads[index]
    station, end = network.mouths(index)
    row = []
    while station < end:
        wide, deep = int(rng.integers(3, FACADE_BAYS + 1)), int(rng.integers(3, 6))
        setback = float(rng.uniform(4.0, 9.0))
        station += wide * BAY / 2
        built = rng.uniform() < density
        floors, kind, gabled = int(rng.integers(1, 5)), int(rng.integers(4)), bool(rng.uniform() < 0.5)
        if built and station < end:
            offset = side * (road.half_width + setback + deep * BAY / 2)
            pose = road.centre.pose(station).moved(left=offset)
            row.append(Building(pose, (wide, deep), floors, kind, gabled and floors <= 2))
        station += wide * BAY / 2 + float(rng.uniform(2.5, 12.0))
    return row


def _walls(building: Building) -> Surface:
    """Four walls, each showing as much of the painted facade as it is wide and high."""
    a, b = building.corners, np.roll(building.corners, -1, axis=0)
    faces = np.empty((4, 4, 3))
    faces[:, 0, :2], faces[:, 1, :2], faces[:, 2, :2], faces[:, 3, :2] = a, b, b, a
    faces[:, :2, 2], faces[:, 2:, 2] = 0.0, building.height
    uv = []
    for side in range(4):
        left, top, right, bottom = facade_uv(building.kind, building.bays[side % 2], building.floors)
        uv += [(left, bottom), (right, bottom), (right, top), (left, top)]
    return Surface(faces.reshape(-1, 3), quads(faces, 0).triangles, np.array(uv))


def _roof(building: Building) -> list[Surface]:
    """A flat roof, or two slopes and two gables."""
    paint = int(Paint.ROOF) + building.kind
    eaves = np.concatenate([building.corners, np.full((4, 1), building.height)], axis=1)  # (4, 3)
    if not building.gabled:
        return [quads(eaves[None], paint)]
    ridge_height = building.height + 0.3 * building.bays[1] * BAY
    east, west = ((eaves[i] + eaves[j]) / 2 for i, j in ((1, 2), (3, 0)))  # of the house's own frame
    east[2] = west[2] = ridge_height
    slopes = quads([[eaves[0], eaves[1], east, west], [eaves[2], eaves[3], west, east]], paint)
    gables = np.array([eaves[1], eaves[2], east, eaves[3], eaves[0], west])
    return [slopes, Surface(gables, np.arange(6).reshape(2, 3), np.tile(palette_uv(paint), (6, 1)))]
