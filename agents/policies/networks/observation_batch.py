"""Observations as tensors. B: batch, C: cameras, H and W: height and width [px], S: side of a map [px]."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navsim.errors import ConfigError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec


@dataclass(frozen=True)
class ObservationSpec:
    """Shapes of a policy's observations."""

    cameras: int
    """Number of cameras."""
    height: int
    """Height of each camera's image [px]."""
    width: int
    """Width of each camera's image [px]."""
    map_size: int
    """Side of the square map patches [px]."""


def observation_spec(cameras: Sequence[Camera], map_spec: MapSpec) -> ObservationSpec:
    """Return the shapes of the images of `cameras`, all of one size, and of the map patches.

    Raises:
        ConfigError: If `cameras` is empty or the cameras' images differ in size.
    """
    sizes = {(camera.height, camera.width) for camera in cameras}
    if len(sizes) != 1:
        shown = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in cameras) or "none"
        raise ConfigError(f"a policy needs at least one camera and images of equal size, got {shown}")
    height, width = sizes.pop()
    return ObservationSpec(len(cameras), height, width, map_spec.size_px)


@dataclass(frozen=True, eq=False)
class ObservationBatch:
    """Observations of B situations, as recorded: uint8, on any device."""

    images: Tensor
    """Camera images (B, C, H, W, 3) uint8, RGB; C cameras."""
    road_map: Tensor
    """Unrouted maps (B, S, S) uint8."""
    route_map: Tensor
    """Routes drawn on the same patches (B, S, S) uint8."""
    speed: Tensor
    """Speeds (B,) float32 [m/s]."""

    def __len__(self) -> int:
        """Number of situations, B."""
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> "ObservationBatch":
        """Gather situations by their indices (N,) or a slice."""
        parts = (self.images, self.road_map, self.route_map, self.speed)
        if isinstance(index, Tensor):  # copies whole rows; indexing with [] goes byte by byte, several times slower
            return ObservationBatch(*(part.index_select(0, index) for part in parts))
        return ObservationBatch(*(part[index] for part in parts))

    def to(self, device: torch.device) -> "ObservationBatch":
        """Copy to `device`."""
        return ObservationBatch(
            self.images.to(device), self.road_map.to(device), self.route_map.to(device), self.speed.to(device)
        )

    @property
    def spec(self) -> ObservationSpec:
        """Shapes without the batch."""
        _, cameras, height, width, _ = self.images.shape
        return ObservationSpec(cameras, height, width, self.road_map.shape[-1])


@dataclass(frozen=True, eq=False)
class Inputs:
    """Observations scaled for a network, in the network's floating-point type."""

    images: Tensor
    """Camera images (B, C, H, W, 3) in about [-1, 1]."""
    maps: Tensor
    """Unrouted map and route (B, 2, S, S) in [0, 1]."""
    speed: Tensor
    """Speeds (B, 1) in units of 10 m/s."""


def scale_images(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Scale uint8 images of any shape to [-1, 1], of type `dtype`."""
    return images.to(dtype).mul_(1 / 127.5).sub_(1.0)


def scale_observations(batch: ObservationBatch, dtype: torch.dtype) -> Inputs:
    """Scale observations to a network's inputs of type `dtype`."""
    maps = torch.stack([batch.road_map, batch.route_map], dim=1)
    return Inputs(
        scale_images(batch.images, dtype),
        maps.to(dtype).mul_(1 / 255),
        (batch.speed[:, None] / 10).to(dtype),
    )
