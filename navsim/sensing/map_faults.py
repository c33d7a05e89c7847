"""Maps that are wrong: shifted, turned, without a road of the route, with a road that is not there, or none at all.

A driver that leans on its map instead of looking fails with these. All is drawn once for each drive, from its seed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from navsim.errors import ConfigError
from navsim.geometry import Polyline, Pose
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapRaster, MapSpec, draw_map, rasterise_paths

SPUR_LENGTH = 80.0
"""Length of a road that is not there [m]."""
SPUR_ANGLES_DEG = (50.0, 130.0)
"""Between which it turns off the route, to either side [deg]."""


@dataclass(frozen=True)
class MapFault:
    """What is wrong with the map; by default nothing."""

    shift: float = 0.0
    """How far both pictures lie off, in a direction drawn for each drive [m]."""
    turn_deg: float = 0.0
    """How far both are turned about the car, to a side drawn for each drive [deg]."""
    missing_roads: int = 0
    """Roads on the route's way that the map does not know: the route is not drawn along them either."""
    extra_roads: int = 0
    """Roads of `SPUR_LENGTH` drawn to turn off the route where there is none."""
    blank: bool = False
    """Whether both pictures are black: no map."""

    def __post_init__(self) -> None:
        if not (0 <= self.shift <= 100 and 0 <= self.turn_deg <= 180):
            raise ConfigError(
                f"map_fault needs shift of 0 to 100 m and turn_deg of 0 to 180, got {self.shift} and {self.turn_deg}"
            )
        if not (0 <= self.missing_roads <= 10 and 0 <= self.extra_roads <= 10):
            raise ConfigError(
                "map_fault.missing_roads and map_fault.extra_roads must be 0 to 10, "
                f"got {self.missing_roads} and {self.extra_roads}"
            )


@dataclass(frozen=True, eq=False)
class DriveMap:
    """The map that a car carries on one drive."""

    roads: MapRaster
    """All roads, as the map knows them."""
    route: MapRaster
    """The wanted route."""
    east: float = 0.0
    """How far the map lies off [m]."""
    north: float = 0.0
    """How far the map lies off [m]."""
    turn: float = 0.0
    """How far it is turned about the car, counter-clockwise [rad]."""
    blank: bool = False
    """Whether there is none."""

    def patches(self, spec: MapSpec, pose: Pose) -> tuple[Image, Image]:
        """The unrouted and the routed patch (S, S) uint8 of a car that believes itself at `pose`."""
        if self.blank:
            black = np.zeros((spec.size_px, spec.size_px), np.uint8)
            return black, black.copy()
        there = Pose(pose.x - self.east, pose.y - self.north, pose.heading - self.turn)
        return draw_map(self.roads, spec, there), draw_map(self.route, spec, there)


def drive_map(
    true: DriveMap, network: RoadNetwork, route: Route, spec: MapSpec, fault: MapFault, rng: np.random.Generator
) -> DriveMap:
    """Make a drive's map wrong.

    Args:
        true: The right map.
        network: The roads.
        route: What is to be driven.
        spec: Map patches.
        fault: What is wrong.
        rng: Source of the draws; the same draws are made whatever is wrong.
    """
    direction, side = float(rng.uniform(0.0, 2 * math.pi)), float(rng.choice([-1.0, 1.0]))
    on_way = list(dict.fromkeys(network.lanes[lane].road for lane in route.lanes))
    order = [on_way[i] for i in rng.permutation(len(on_way)).tolist()]
    missing = order[: fault.missing_roads]
    extra = [_spur(route.path, rng) for _ in range(fault.extra_roads)]
    roads = true.roads
    if missing or extra:
        known = [road.centre for index, road in enumerate(network.roads) if index not in missing]
        # Without any road left, the picture is that of the missing one, erased.
        roads = rasterise_paths([*known, *extra], spec) if known or extra else _erased(true.roads, network, missing)
    return replace(
        true,
        roads=roads,
        route=_erased(true.route, network, missing),
        east=fault.shift * math.cos(direction),
        north=fault.shift * math.sin(direction),
        turn=side * math.radians(fault.turn_deg),
        blank=fault.blank,
    )


def _spur(path: Polyline, rng: np.random.Generator) -> Polyline:
    """A straight road that turns off a path somewhere in its middle."""
    start = path.pose(path.length * float(rng.uniform(0.2, 0.8)))
    angle = start.heading + float(rng.choice([-1.0, 1.0])) * math.radians(float(rng.uniform(*SPUR_ANGLES_DEG)))
    end = (start.x + SPUR_LENGTH * math.cos(angle), start.y + SPUR_LENGTH * math.sin(angle))
    return Polyline(np.array([(start.x, start.y), end]))


def _erased(raster: MapRaster, network: RoadNetwork, roads: Sequence[int]) -> MapRaster:
    """The picture without what lies on some roads, from mouth to mouth."""
    if not roads:
        return raster
    image = raster.image.copy()
    for index in roads:
        road = network.roads[index]
        points = road.centre.between(*network.mouths(index)).points
        pixels = (points - [raster.west, raster.north]) * [1, -1] / raster.metres_per_pixel
        width = math.ceil(2 * road.width / raster.metres_per_pixel)  # routes are drawn wider than their lane
        cv2.polylines(image, [np.round(pixels).astype(np.int32)], isClosed=False, color=0, thickness=width)
    return replace(raster, image=image)
