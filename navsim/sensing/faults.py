"""Sensor faults: noise, exposure and blur of cameras, errors of their mounts, and wrong maps.

Camera noise is applied where images are consumed and never recorded: it defeats compression, and a recording would
freeze one draw. Mount errors and map faults are drawn once for each drive, from its seed. A driver that relies on its
map alone fails with map faults: a map shifted or rotated, without a road of the route, with a false road, or no map.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
from annotated_types import Ge, Le

from navsim.config import Constrained
from navsim.geometry import Polyline, Pose
from navsim.roads.network import RoadNetwork
from navsim.roads.routing import Route
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapRaster, MapSpec, draw_map, rasterise_paths


@dataclass(frozen=True)
class CameraNoise(Constrained):
    """Noise of camera images; 0 turns a part off."""

    variance: Annotated[float, Ge(0), Le(20)] = 0.0
    """Variance of the Gaussian noise of each pixel and colour, for colours in [0, 1]; Lechner et al. (Neural circuit
    policies, 2020) use 0.1 to 0.3."""
    exposure: Annotated[float, Ge(0), Le(20)] = 0.0
    """Standard deviation of the logarithm of the gain; one draw for all cameras in each time step."""
    blur_px: Annotated[float, Ge(0), Le(20)] = 0.0
    """Standard deviation of the Gaussian blur [px]."""

    @property
    def is_clean(self) -> bool:
        """Whether images stay unchanged."""
        return self == CameraNoise()

    def _error_prefix(self) -> str:
        return "camera_noise."


@dataclass(frozen=True)
class MountError(Constrained):
    """Errors of the cameras' mounts, drawn once for each camera and drive."""

    angle_sigma_deg: Annotated[float, Ge(0), Le(10)] = 0.0
    """Standard deviation of yaw and of pitch [deg]."""
    position_sigma: Annotated[float, Ge(0), Le(0.5)] = 0.0
    """Standard deviation of the position along each axis [m]."""

    def _error_prefix(self) -> str:
        return "mount_error."


def with_noise(images: Image, noise: CameraNoise, rng: np.random.Generator) -> Image:
    """Add camera noise to the images of one time step.

    Args:
        images: Clean images (C, H, W, 3) uint8, not changed.
        noise: Sizes of the noise.
        rng: Random generator of the draws.

    Returns:
        Images of the same shape; the given ones if the noise is zero.
    """
    if noise.is_clean:
        return images
    noisy = images
    if noise.blur_px:
        noisy = np.stack([cv2.GaussianBlur(image, (0, 0), noise.blur_px) for image in noisy]).astype(np.uint8)
    gain = float(np.exp(noise.exposure * rng.normal()))
    values = noisy.astype(np.float32) * np.float32(gain)
    if noise.variance:
        sigma = np.float32(255 * np.sqrt(noise.variance))
        values += sigma * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def with_mount_error(camera: Camera, error: MountError, rng: np.random.Generator) -> Camera:
    """Return the camera with the errors of its mount. The number of draws does not depend on the size of the error."""
    yaw, pitch, *shift = rng.normal(size=5).tolist()
    x, y, z = (float(value + error.position_sigma * draw) for value, draw in zip(camera.position, shift, strict=True))
    return replace(
        camera,
        position=(x, y, z),
        yaw_deg=camera.yaw_deg + error.angle_sigma_deg * yaw,
        pitch_deg=float(np.clip(camera.pitch_deg + error.angle_sigma_deg * pitch, -80.0, 80.0)),
    )


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

    def _error_prefix(self) -> str:
        return "map_fault."


@dataclass(frozen=True, eq=False)
class DriveMap:
    """Map of a car on one drive, with its faults."""

    roads: MapRaster
    """Image of all roads on the map."""
    route: MapRaster
    """Image of the route."""
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
    missing = order[: fault.missing_roads]
    extra = [_false_road(route.path, rng) for _ in range(fault.extra_roads)]
    roads = true.roads
    if missing or extra:
        known = [road.centre for index, road in enumerate(network.roads) if index not in missing]
        # If no road is left, the missing roads are erased from the true image.
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
    image = raster.image.copy()
    for index in roads:
        road = network.roads[index]
        points = road.centre.between(*network.mouths(index)).points
        pixels = (points - [raster.west, raster.north]) * [1, -1] / raster.metres_per_pixel
        width = math.ceil(2 * road.width / raster.metres_per_pixel)  # routes are drawn wider than their lane
        cv2.polylines(image, [np.round(pixels).astype(np.int32)], isClosed=False, color=0, thickness=width)
    return replace(raster, image=image)
