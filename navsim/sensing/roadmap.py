"""Map patches: coarse, heading-up images of the roads and of the route around the car.

Roads and route are rasterised once, finer than a patch. A patch is that raster rotated, downscaled and cropped at the
(measured) pose, which takes about 30 microseconds. All functions are pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Gt, Le

from navsim.config import Constrained
from navsim.errors import ConfigError
from navsim.geometry import Array, Polyline, Pose
from navsim.roads.network import RoadNetwork
from navsim.sensing.observation import Image


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


@dataclass(frozen=True, eq=False)
class MapRaster:
    """Image of roads or a route, north up."""

    image: Image
    """Roads 255, elsewhere 0, row 0 in the north (H, W) uint8."""
    west: float
    """x coordinate of the left edge [m]."""
    north: float
    """y coordinate of the upper edge [m]."""
    metres_per_pixel: float
    """Scale of the image [m/px]."""


_OVERSAMPLING = 2
"""Ratio of the raster's resolution to a patch's."""
_SHIFT = 4
"""Number of fractional bits of pixel coordinates in OpenCV's drawing functions."""


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
    for matrix, patch in zip(raster_from_patch, patches, strict=True):
        cv2.warpAffine(raster.image, matrix, size, dst=patch, flags=flags)
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
    # A patch samples every `_OVERSAMPLING`-th pixel; averaging first avoids aliasing.
    smooth = np.asarray(cv2.blur(image, (_OVERSAMPLING, _OVERSAMPLING)), dtype=np.uint8)
    return MapRaster(smooth, float(west), float(north), scale)
