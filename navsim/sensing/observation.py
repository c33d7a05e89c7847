"""Observation: the sensor data of one time step; the true state is `navsim.world.vehicle.VehicleState`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Pose
from navsim.sensing.camera import Camera

Image = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Observation:
    """Camera images, map patches at the measured pose, speed and the measured pose."""

    images: Image
    """Camera images (C, H, W, 3) uint8, RGB, row 0 at the top."""
    road_map: Image
    """Unrouted map (S, S) uint8, heading-up at the measured pose: roads 255, elsewhere 0, edges in between."""
    route_map: Image
    """Route on the same patch (S, S) uint8: route 255, elsewhere 0, edges in between."""
    speed: float
    """Speed of the car [m/s]."""
    gps: Pose
    """Measured position and heading, with drifting errors."""
    cameras: tuple[Camera, ...] = ()
    """Camera of each image as specified, without the errors of its mounting."""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[-1] != 3:
            raise ValueError(f"images must be (C, H, W, 3), got {self.images.shape}")
        if self.road_map.shape != self.route_map.shape or self.road_map.ndim != 2:
            raise ValueError(f"both maps must be (S, S), got {self.road_map.shape} and {self.route_map.shape}")
