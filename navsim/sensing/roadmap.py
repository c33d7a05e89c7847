"""Map patches: coarse, heading-up images of the roads and of the route around the car.

Roads and route are rasterised once, finer than a patch. A patch is that raster rotated, downscaled and cropped at the
(measured) pose, which takes about 30 microseconds. All functions are pure. The raster of a wide area is drawn in tiles
where patches need it, so memory does not grow with the area.

A map may be wrong: shifted or rotated, without a road of the route, with a false road, stale, or missing. Its faults
are drawn once for each drive, from the drive's seed. A driver that relies on its map alone fails with them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Array, Polyline, Pose
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class MapSpec(Constrained):
    """Size and scale of a map patch."""

    size_px: Annotated[int, Ge(8), Le(512)] = 50
    """Side of the square patch [px]."""
    metres_per_pixel: Annotated[float, Gt(0)] = 1.0
    """Scale of the patch [m/px]."""
    ego_row: Annotated[int, Ge(0)] = 36
    """Row of the car, in the middle column; rows above it lie ahead of the car."""
    road_width: Annotated[float, Gt(0)] = 6.0
    """Drawn width of roads and route [m]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ego_row >= self.size_px:
            raise ConfigError(f"map.ego_row must be below size_px {self.size_px}, got {self.ego_row}")

    def _error_prefix(self) -> str:
        return "map."

    @property
    def reach(self) -> float:
        """Distance from the car to the farthest corner of the patch [m]."""
        return math.hypot(max(self.ego_row, self.size_px - self.ego_row), self.size_px / 2) * self.metres_per_pixel


_OVERSAMPLING = 2
"""Ratio of the raster's resolution to a patch's."""
_SHIFT = 4
"""Number of fractional bits of pixel coordinates in OpenCV's drawing functions."""
_MAX_IMAGE = 2**27
"""Largest number of pixels of a raster that is drawn as one image."""
_TILE = 1024
"""Width and height of the tiles of larger rasters, without their margins [px]."""
_NUM_TILES = 32
"""Number of tiles that are kept."""

Pixels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class MapRaster:
    """Image of roads or a route, north up: roads 255, elsewhere 0, row 0 in the north.

    A large image is drawn in tiles where patches need it, and the tiles used last are kept. A smaller one is drawn
    whole, because the last bits of a patch depend on the distance from the image's edge.
    """

    lines: tuple[Pixels, ...]
    """Vertices of each line (N, 2), from the upper left corner [1/16 px]."""
    thickness: int
    """Width of the lines [px]."""
    size: tuple[int, int]
    """Width and height of the image [px]."""
    west: float
    """x coordinate of the left edge [m]."""
    north: float
    """y coordinate of the upper edge [m]."""
    metres_per_pixel: float
    """Scale of the image [m/px]."""
    erased: tuple[tuple[Pixels, int], ...] = ()
    """Lines that are erased afterwards: vertices (N, 2) [px] and width [px]."""
    _part: Callable[[int, int, int, int], Image] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        boxes = np.array([[line.min(axis=0), line.max(axis=0)] for line in self.lines])
        part = partial(_draw_part, self.lines, boxes, self.thickness, self.erased)
        object.__setattr__(self, "_part", lru_cache(_NUM_TILES)(part))
        if not self._is_tiled:
            self._part(0, 0, *self.size)

    @property
    def image(self) -> Image:
        """The whole image (H, W) uint8."""
        return self._part(0, 0, *self.size)

    @property
    def _is_tiled(self) -> bool:
        return self.size[0] * self.size[1] > _MAX_IMAGE

    @cached_property
    def _overhang(self) -> int:
        """Width of the rim of a tile in which lines are inexact, because OpenCV clips them at the edge [px]."""
        longest = max(float(np.hypot(*np.diff(line, axis=0).T).max()) for line in self.lines) / 2**_SHIFT
        return int(min(longest, _TILE)) + 1 + self.thickness

    def surroundings(self, spec: MapSpec, poses: Array) -> Iterator[tuple[Image, tuple[int, int], Iterable[int]]]:
        """Yield images that contain the patches of cars at poses (N, 3): x, y [m], heading [rad].

        Yields:
            An image, its left and upper edge in the raster [px], and the indices of its poses.
        """
        if not self._is_tiled:
            yield self.image, (0, 0), range(len(poses))
            return
        margin = math.ceil(spec.reach / self.metres_per_pixel) + 2 + self._overhang
        positions = (poses[:, :2] - [self.west, self.north]) * [1, -1] / self.metres_per_pixel
        tiles = np.floor(positions / _TILE).astype(int)
        by_tile: dict[tuple[int, int], list[int]] = {}
        for index, (column, row) in enumerate(tiles.tolist()):
            by_tile.setdefault((column * _TILE - margin, row * _TILE - margin), []).append(index)
        for corner, indices in by_tile.items():
            yield self._part(*corner, _TILE + 2 * margin, _TILE + 2 * margin), corner, indices


def _draw_part(
    lines: Sequence[Pixels],
    boxes: Pixels,
    thickness: int,
    erased: Sequence[tuple[Pixels, int]],
    left: int,
    top: int,
    width: int,
    height: int,
) -> Image:
    """Draw a part of a raster; a part without lines is a single black pixel.

    Args:
        lines: Lines of the raster, as in `MapRaster`.
        boxes: Smallest and largest coordinates of each line (L, 2, 2) [1/16 px].
        thickness: Width of the lines [px].
        erased: Lines that are erased afterwards, as in `MapRaster`.
        left: Left edge of the part in the raster [px].
        top: Upper edge of the part in the raster [px].
        width: Width of the part [px].
        height: Height of the part [px].
    """
    corner = np.array([left, top], np.int32)
    low, high = (corner - thickness) * 2**_SHIFT, (corner + np.array([width, height]) + thickness) * 2**_SHIFT
    near = np.flatnonzero(((boxes[:, 1] >= low) & (boxes[:, 0] <= high)).all(axis=1))
    if not len(near):
        return np.zeros((1, 1), np.uint8)
    image = np.zeros((height, width), np.uint8)
    for index in near.tolist():
        line = lines[index]
        ends = np.stack([line[:-1], line[1:]])
        touching = np.flatnonzero(((ends.max(axis=0) >= low) & (ends.min(axis=0) <= high)).all(axis=1))
        if len(touching):
            part = line[touching[0] : touching[-1] + 2] - corner * 2**_SHIFT
            cv2.polylines(image, [part], False, 255, thickness, cv2.LINE_AA, _SHIFT)
    # A patch samples every `_OVERSAMPLING`-th pixel; averaging first avoids aliasing.
    smooth = np.asarray(cv2.blur(image, (_OVERSAMPLING, _OVERSAMPLING)), dtype=np.uint8)
    for line, line_width in erased:
        cv2.polylines(smooth, [line - corner], isClosed=False, color=0, thickness=line_width)
    return smooth


def rasterise_roads(network: RoadNetwork, spec: MapSpec) -> MapRaster:
    """Draw all roads of a town along their centre lines."""
    return rasterise_paths([road.centre for road in network.roads], spec)


def rasterise_route(path: Polyline, spec: MapSpec) -> MapRaster:
    """Draw the path of a route."""
    return rasterise_paths([path], spec)


def draw_map(raster: MapRaster, spec: MapSpec, pose: Pose) -> Image:
    """Return the heading-up patch (S, S) uint8 of a car at `pose`, which lies at row ego_row and column S / 2."""
    return np.asarray(draw_maps(raster, spec, np.array([[pose.x, pose.y, pose.heading]]))[0], np.uint8)


def draw_maps(raster: MapRaster, spec: MapSpec, poses: Array) -> Image:
    """Return the patches (N, S, S) uint8, as `draw_map` does, for cars at poses (N, 3): x, y [m], heading [rad]."""
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    m = spec.metres_per_pixel
    # A patch's upper left corner lies a ahead and b to the left of the car. Right on the patch is (s, -c) in the world,
    # down is (-c, -s); the raster's y points south. OpenCV counts from the pixels' centres in both images.
    a, b, k = spec.ego_row * m, spec.size_px / 2 * m, m / raster.metres_per_pixel
    x = (poses[:, 0] + c * a - s * b - raster.west) / raster.metres_per_pixel + (s - c) * k / 2 - 0.5
    y = (raster.north - poses[:, 1] - s * a - c * b) / raster.metres_per_pixel + (c + s) * k / 2 - 0.5
    raster_from_patch = np.stack([np.stack([s * k, -c * k, x], -1), np.stack([c * k, s * k, y], -1)], axis=1)
    patches = np.empty((len(poses), spec.size_px, spec.size_px), np.uint8)
    size, flags = (spec.size_px, spec.size_px), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for image, (left, top), indices in raster.surroundings(spec, poses):
        for index in indices:
            image_from_patch = raster_from_patch[index]
            if left or top:
                image_from_patch[:, 2] -= (left, top)
            cv2.warpAffine(image, image_from_patch, size, dst=patches[index], flags=flags)
    return patches


def patch_pixels(points: Array, spec: MapSpec, pose: Pose) -> Array:
    """Return the patch coordinates (N, 2) as (x, y) [px] of world points (N, 2) for a car at `pose`, edges at 0."""
    ahead, left = pose.to_vehicle(points).T / spec.metres_per_pixel
    return np.stack([spec.size_px / 2 - left, spec.ego_row - ahead], axis=-1)


def rasterise_paths(paths: Sequence[Polyline], spec: MapSpec) -> MapRaster:
    """Draw one or more paths, `spec.road_width` wide, on the smallest image that contains them."""
    scale = spec.metres_per_pixel / _OVERSAMPLING
    points = np.concatenate([path.points for path in paths])
    west, south = points.min(axis=0) - spec.road_width
    east, north = points.max(axis=0) + spec.road_width
    size = int(np.ceil((east - west) / scale)), int(np.ceil((north - south) / scale))
    pixels = [(path.points - [west, north]) * [1 / scale, -1 / scale] - 0.5 for path in paths]
    lines = tuple(np.round(line * 2**_SHIFT).astype(np.int32) for line in pixels)
    return MapRaster(lines, max(round(spec.road_width / scale), 1), size, float(west), float(north), scale)


FALSE_ROAD_LENGTH = 80.0
"""Length of a false road [m]."""
FALSE_ROAD_ANGLES_DEG = (50.0, 130.0)
"""Smallest and largest angle between the route and a false road [deg]."""


@dataclass(frozen=True)
class MapFault(Constrained):
    """Faults of the map; none by default."""

    shift: Annotated[float, Ge(0), Le(100)] = 0.0
    """Shift of both images, in a direction drawn for each drive [m]."""
    turn_deg: Annotated[float, Ge(0), Le(180)] = 0.0
    """Rotation of both images about the car, to a side drawn for each drive [deg]."""
    missing_roads: Annotated[int, Ge(0), Le(10)] = 0
    """Number of roads along the route that are missing on both images."""
    extra_roads: Annotated[int, Ge(0), Le(10)] = 0
    """Number of false roads of `FALSE_ROAD_LENGTH` that leave the route."""
    blank: bool = False
    """Whether both images are black, as without a map."""
    stale: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of the town's roads that are missing on both images, with as many false ones that leave its roads."""

    def _error_prefix(self) -> str:
        return "map_fault."


@dataclass(frozen=True, eq=False)
class DriveMap:
    """Map of a car on one drive, with its faults."""

    roads: MapRaster
    """Image of all roads on the map."""
    route: MapRaster
    """Image of the route."""
    lanes: tuple[Polyline, ...]
    """Paths of cars over the roads on the map, in the direction of driving; without the map's shift."""
    start: Pose
    """Start of the route; without the map's shift."""
    east: float = 0.0
    """Shift of the map to the east [m]."""
    north: float = 0.0
    """Shift of the map to the north [m]."""
    turn: float = 0.0
    """Rotation of the map about the car, counter-clockwise [rad]."""
    blank: bool = False
    """Whether the patches are black, as without a map."""

    def patches(self, spec: MapSpec, pose: Pose) -> tuple[Image, Image]:
        """Return the unrouted and the routed patch (S, S) uint8 of a car whose measured pose is `pose`."""
        if self.blank:
            black = np.zeros((spec.size_px, spec.size_px), np.uint8)
            return black, black.copy()
        on_map = Pose(pose.x - self.east, pose.y - self.north, pose.heading - self.turn)
        return draw_map(self.roads, spec, on_map), draw_map(self.route, spec, on_map)


class CarriedMap:
    """The map that the car carries, with its faults: patches at any pose, for drivers that correct their pose.

    Its faults, the true map and the true pose are out of reach.
    """

    def __init__(self, drive_map: DriveMap, spec: MapSpec) -> None:
        """Give access to `drive_map`, with patches of `spec`."""
        self._map, self._spec = drive_map, spec

    def patches(self, pose: Pose) -> tuple[Image, Image]:
        """Return the unrouted and the routed patch (S, S) uint8 of a car that takes itself to be at `pose`."""
        return self._map.patches(self._spec, pose)

    @property
    def start(self) -> Pose:
        """Start of the route on the map."""
        shift, start = self._map, self._map.start
        return Pose(start.x + shift.east, start.y + shift.north, start.heading)

    @property
    def lanes(self) -> tuple[Polyline, ...]:
        """Paths of cars over the map's roads and junctions, in the direction of driving; none on a blank map."""
        if self._map.blank:
            return ()
        shift = np.array([self._map.east, self._map.north])
        return tuple(Polyline(path.points + shift) for path in self._map.lanes) if shift.any() else self._map.lanes


def drive_map(
    true: DriveMap, network: RoadNetwork, route: Route, spec: MapSpec, fault: MapFault, rng: np.random.Generator
) -> DriveMap:
    """Return the map of a drive with its faults.

    Args:
        true: Map without faults.
        network: Roads of the town.
        route: Route of the drive.
        spec: Size and scale of the patches.
        fault: Faults of the map.
        rng: Random generator of the draws.
    """
    direction, side = float(rng.uniform(0.0, 2 * math.pi)), float(rng.choice([-1.0, 1.0]))
    route_roads = list(dict.fromkeys(network.lanes[lane].road for lane in route.lanes))
    order = [route_roads[i] for i in rng.permutation(len(route_roads)).tolist()]
    missing = set(order[: fault.missing_roads])
    extra = [_false_road(route.path, rng) for _ in range(fault.extra_roads)]
    num_stale = round(fault.stale * len(network.roads))
    missing.update(rng.permutation(len(network.roads))[:num_stale].tolist())
    left = rng.integers(len(network.roads), size=num_stale).tolist()
    extra += [_false_road(network.roads[index].centre, rng) for index in left]
    roads, lanes = true.roads, true.lanes
    if missing or extra:
        lanes = (*_lanes_without(network, missing), *(path for road in extra for path in (road, road.reversed())))
        known = [road.centre for index, road in enumerate(network.roads) if index not in missing]
        # If no road is left, the missing roads are erased from the true image.
        paths = [*known, *extra]
        roads = rasterise_paths(paths, spec) if paths else _erased(true.roads, network, sorted(missing))
    return replace(
        true,
        roads=roads,
        lanes=lanes,
        route=_erased(true.route, network, [road for road in route_roads if road in missing]),
        east=fault.shift * math.cos(direction),
        north=fault.shift * math.sin(direction),
        turn=side * math.radians(fault.turn_deg),
        blank=fault.blank,
    )


def _lanes_without(network: RoadNetwork, missing: Set[int]) -> Iterator[Polyline]:
    """Yield the paths of a town's lanes and connectors, except those on missing roads."""
    yield from (lane.path for lane in network.lanes if lane.road not in missing)
    for connector in network.connectors:
        ends = network.lanes[connector.from_lane], network.lanes[connector.to_lane]
        if not any(lane.road in missing for lane in ends):
            yield connector.path


def _false_road(path: Polyline, rng: np.random.Generator) -> Polyline:
    """Draw a straight road that leaves a path somewhere in its middle part."""
    start = path.pose(path.length * float(rng.uniform(0.2, 0.8)))
    angle = start.heading + float(rng.choice([-1.0, 1.0])) * math.radians(float(rng.uniform(*FALSE_ROAD_ANGLES_DEG)))
    end = (start.x + FALSE_ROAD_LENGTH * math.cos(angle), start.y + FALSE_ROAD_LENGTH * math.sin(angle))
    return Polyline(np.array([(start.x, start.y), end]))


def _erased(raster: MapRaster, network: RoadNetwork, roads: Sequence[int]) -> MapRaster:
    """Return the image with some roads erased from mouth to mouth."""
    if not roads:
        return raster
    erased = []
    for index in roads:
        road = network.roads[index]
        points = road.centre.between(*network.mouths(index)).points
        pixels = (points - [raster.west, raster.north]) * [1, -1] / raster.metres_per_pixel
        width = math.ceil(2 * road.width / raster.metres_per_pixel)  # routes are drawn wider than their lane
        erased.append((np.round(pixels).astype(np.int32), width))
    return replace(raster, erased=(*raster.erased, *erased))
