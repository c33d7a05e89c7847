"""What a real camera adds to a clean picture: noise, exposure, blur; and the small errors with which it is mounted.

Noise is applied where images are consumed, never recorded: it defeats compression, and a recording would freeze one
draw of it.

Maps that are wrong: shifted, turned, without a road of the route, with a road that is not there, or none at all.

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
from navsim.sensing.camera import Camera
from navsim.sensing.observation import Image
from navsim.sensing.roadmap import MapRaster, MapSpec, draw_map, rasterise_paths


@dataclass(frozen=True)
class CameraNoise:
    """How a camera spoils its pictures; 0 turns a part off."""

    variance: float = 0.0
    """Of the Gaussian noise of each pixel and colour, for colours in [0, 1]; 0.1 to 0.3 is the range of Lechner et
    al. (Neural circuit policies, 2020)."""
    exposure: float = 0.0
    """Standard deviation of the logarithm of the factor on all colours; one draw for all cameras of a moment."""
    blur_px: float = 0.0
    """Standard deviation of the Gaussian blur [px]."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 20:
                raise ConfigError(f"camera_noise.{name} must be 0 to 20, got {value}")

    @property
    def is_clean(self) -> bool:
        """Whether pictures stay as they are."""
        return self == CameraNoise()


@dataclass(frozen=True)
class MountError:
    """How far cameras sit from where they should: one draw for each camera and drive."""

    angle_sigma_deg: float = 0.0
    """Standard deviation of yaw and of pitch [deg]."""
    position_sigma: float = 0.0
    """Standard deviation along each axis [m]."""

    def __post_init__(self) -> None:
        if not (0 <= self.angle_sigma_deg <= 10 and 0 <= self.position_sigma <= 0.5):
            raise ConfigError(
                "mount_error needs angle_sigma_deg of 0 to 10 and position_sigma of 0 to 0.5, "
                f"got {self.angle_sigma_deg} and {self.position_sigma}"
            )


def with_noise(images: Image, noise: CameraNoise, rng: np.random.Generator) -> Image:
    """Spoil the pictures of one moment.

    Args:
        images: Clean pictures (C, H, W, 3) uint8; not changed.
        noise: How.
        rng: Source of the draws.

    Returns:
        Pictures of the same shape; the given ones if there is nothing to do.
    """
    if noise.is_clean:
        return images
    spoiled = images
    if noise.blur_px:
        spoiled = np.stack([cv2.GaussianBlur(image, (0, 0), noise.blur_px) for image in spoiled]).astype(np.uint8)
    gain = float(np.exp(noise.exposure * rng.normal()))
    values = spoiled.astype(np.float32) * np.float32(gain)
    if noise.variance:
        sigma = np.float32(255 * np.sqrt(noise.variance))
        values += sigma * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def with_mount_error(camera: Camera, error: MountError, rng: np.random.Generator) -> Camera:
    """Return the camera as it was really mounted; the same draws whatever the size of the error."""
    yaw, pitch, *shift = rng.normal(size=5).tolist()
    x, y, z = (float(value + error.position_sigma * draw) for value, draw in zip(camera.position, shift, strict=True))
    return replace(
        camera,
        position=(x, y, z),
        yaw_deg=camera.yaw_deg + error.angle_sigma_deg * yaw,
        pitch_deg=float(np.clip(camera.pitch_deg + error.angle_sigma_deg * pitch, -80.0, 80.0)),
    )


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
        """Return the unrouted and the routed patch (S, S) uint8 of a car that believes itself at `pose`."""
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
    """Return a straight road that turns off a path somewhere in its middle."""
    start = path.pose(path.length * float(rng.uniform(0.2, 0.8)))
    angle = start.heading + float(rng.choice([-1.0, 1.0])) * math.radians(float(rng.uniform(*SPUR_ANGLES_DEG)))
    end = (start.x + SPUR_LENGTH * math.cos(angle), start.y + SPUR_LENGTH * math.sin(angle))
    return Polyline(np.array([(start.x, start.y), end]))


def _erased(raster: MapRaster, network: RoadNetwork, roads: Sequence[int]) -> MapRaster:
    """Return the picture without what lies on some roads, from mouth to mouth."""
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
