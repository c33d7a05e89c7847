"""Map patches as the car sees them: coarse, heading-up pictures of the roads and of the wanted route.

Roads and route are rasterised once, finer than a patch; a patch is that raster turned, shrunk and cut at the
(noisy) pose, which takes about 30 microseconds. All functions are pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from navsim.errors import ConfigError
from navsim.geometry import Array, Polyline, Pose
from navsim.roads.network import RoadNetwork
from navsim.sensing.observation import Image


@dataclass(frozen=True)
class MapSpec:
    """Size and scale of a map patch."""

    size_px: int = 50
    """Side of the square patch [px]."""
    metres_per_pixel: float = 1.0
    """Scale [m/px]."""
    ego_row: int = 36
    """Row of the car, in the middle column; rows above lie ahead of it."""
    road_width: float = 6.0
    """Width at which roads and route are drawn [m]."""

    def __post_init__(self) -> None:
        if not 8 <= self.size_px <= 512:
            raise ConfigError(f"map.size_px must be 8 to 512, got {self.size_px}")
        if not 0 <= self.ego_row < self.size_px:
            raise ConfigError(f"map.ego_row must be 0 to {self.size_px - 1}, got {self.ego_row}")
        if not self.metres_per_pixel > 0 or not self.road_width > 0:
            raise ConfigError(
                "map.metres_per_pixel and map.road_width must be above 0, "
                f"got {self.metres_per_pixel} and {self.road_width}"
            )


@dataclass(frozen=True, eq=False)
class MapRaster:
    """Roads or a route as one picture, north up."""

    image: Image
    """(H, W) uint8: roads 255, row 0 in the north."""
    west: float
    """x of the left edge [m]."""
    north: float
    """y of the upper edge [m]."""
    metres_per_pixel: float
    """Scale [m/px]."""


_OVERSAMPLING = 2
"""How much finer than a patch the raster is."""
_SHIFT = 4
"""OpenCV draws with coordinates in units of 2^-4 px."""


def rasterise_roads(network: RoadNetwork, spec: MapSpec) -> MapRaster:
    """Draw all roads of a town along their centre lines."""
    return rasterise_paths([road.centre for road in network.roads], spec)


def rasterise_route(path: Polyline, spec: MapSpec) -> MapRaster:
    """Draw the wanted path."""
    return rasterise_paths([path], spec)


def draw_map(raster: MapRaster, spec: MapSpec, pose: Pose) -> Image:
    """Cut the patch (S, S) uint8 for a car at `pose`, heading-up; the car is at (ego_row, S / 2) of the edges' grid."""
    return np.asarray(draw_maps(raster, spec, np.array([[pose.x, pose.y, pose.heading]]))[0], np.uint8)


def draw_maps(raster: MapRaster, spec: MapSpec, poses: Array) -> Image:
    """Cut the patches (N, S, S) uint8, as `draw_map` does, for cars at poses (N, 3): x, y [m], heading [rad]."""
    c, s = np.cos(poses[:, 2]), np.sin(poses[:, 2])
    m = spec.metres_per_pixel
    # A patch's upper left corner lies a ahead and b to the left of the car; right on the patch is (s, -c) in the world,
    # down is (-c, -s); the raster's y points south. OpenCV counts from the pixels' centres on both sides.
    a, b, k = spec.ego_row * m, spec.size_px / 2 * m, m / raster.metres_per_pixel
    x = (poses[:, 0] + c * a - s * b - raster.west) / raster.metres_per_pixel + (s - c) * k / 2 - 0.5
    y = (raster.north - poses[:, 1] - s * a - c * b) / raster.metres_per_pixel + (c + s) * k / 2 - 0.5
    raster_from_patch = np.stack([np.stack([s * k, -c * k, x], -1), np.stack([c * k, s * k, y], -1)], axis=1)
    patches = np.empty((len(poses), spec.size_px, spec.size_px), np.uint8)
    size, flags = (spec.size_px, spec.size_px), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for matrix, patch in zip(raster_from_patch, patches, strict=True):
        cv2.warpAffine(raster.image, matrix, size, dst=patch, flags=flags)
    return patches


def patch_pixels(points: Array, spec: MapSpec, pose: Pose) -> Array:
    """Return the patch coordinates (N, 2) as (x, y) [px] of world points (N, 2) for a car at `pose`, edges at 0."""
    ahead, left = pose.to_vehicle(points).T / spec.metres_per_pixel
    return np.stack([spec.size_px / 2 - left, spec.ego_row - ahead], axis=-1)


def rasterise_paths(paths: Sequence[Polyline], spec: MapSpec) -> MapRaster:
    """Draw one or more paths, `spec.road_width` wide, on a picture that just holds them."""
    scale = spec.metres_per_pixel / _OVERSAMPLING
    points = np.concatenate([path.points for path in paths])
    west, south = points.min(axis=0) - spec.road_width
    east, north = points.max(axis=0) + spec.road_width
    image = np.zeros((int(np.ceil((north - south) / scale)), int(np.ceil((east - west) / scale))), np.uint8)
    for path in paths:
        pixels = (path.points - [west, north]) * [1 / scale, -1 / scale] - 0.5
        cv2.polylines(
            image,
            [np.round(pixels * 2**_SHIFT).astype(np.int32)],
            isClosed=False,
            color=255,
            thickness=max(round(spec.road_width / scale), 1),
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )
    # A patch samples every `_OVERSAMPLING`-th pixel; averaging first smooths its edges.
    smooth = np.asarray(cv2.blur(image, (_OVERSAMPLING, _OVERSAMPLING)), dtype=np.uint8)
    return MapRaster(smooth, float(west), float(north), scale)
