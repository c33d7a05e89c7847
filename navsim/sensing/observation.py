"""What a real car would know at one moment; the truth is `navsim.world.vehicle.VehicleState`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Pose
from navsim.sensing.camera import Camera

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Observation:
    """Camera images, map patches at the noisy pose, speed and the noisy pose itself."""

    images: Image
    """Camera images (C, H, W, 3) uint8, RGB, row 0 at the top."""
    road_map: Image
    """Unrouted map (S, S) uint8, heading-up at the noisy pose: roads 255, elsewhere 0, edges in between."""
    route_map: Image
    """The wanted route on the same patch (S, S) uint8: route 255, elsewhere 0, edges in between."""
    speed: float
    """Speed [m/s]."""
    gps: Pose
    """Position and heading fix with drifting errors."""
    cameras: tuple[Camera, ...] = ()
    """What took each image: intrinsics and extrinsics as the car knows them, without the errors of their mounting."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3:
            raise ValueError(f"images must be (C, H, W, 3), got {self.images.shape}")
        if self.road_map.shape != self.route_map.shape or self.road_map.ndim != 2:
            raise ValueError(f"maps must be two (S, S), got {self.road_map.shape} and {self.route_map.shape}")
