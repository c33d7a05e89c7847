"""Where shots look from, as the numbers that the programs and the culling need."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.rendering.interface import Shot
from navsim.rendering.tiles import FAR, NEAR
from navsim.sensing.camera import Camera


@dataclass(frozen=True, eq=False)
class Views:
    """The eyes of N shots."""

    eyes: Array
    """In the world (N, 3) [m]."""
    axes: Array
    """Right, up and backward unit vectors in the world (N, 3, 3)."""
    sizes: Array
    """Width and height [px] (N, 2)."""
    slopes: Array
    """Half the width and half the height of each picture at depth 1 (N, 2)."""
    focal_px: Array
    """Focal lengths (N,) [px]."""

    @property
    def planes(self) -> Array:
        """The sides of each view volume and its near plane (N, 5, 4), inside where >= 0."""
        right, up, back = (self.axes[:, row] for row in range(3))
        wide, high = self.slopes[:, :1], self.slopes[:, 1:]
        normals = np.stack([right - back * wide, -right - back * wide, up - back * high, -up - back * high, -back], 1)
        offsets = -(normals @ self.eyes[:, :, None])[..., 0]
        offsets[:, 4] -= NEAR
        return np.concatenate([normals, offsets[..., None]], axis=2)


def views_of(shots: Sequence[Shot]) -> Views:
    """The eyes of shots."""
    mounts = [_mount(shot.camera) for shot in shots]
    pose = np.array([(shot.pose.x, shot.pose.y, shot.pose.heading) for shot in shots])
    c, s = np.cos(pose[:, 2]), np.sin(pose[:, 2])
    world_from_vehicle = np.zeros((len(shots), 3, 3))
    world_from_vehicle[:, 0, 0], world_from_vehicle[:, 0, 1] = c, -s
    world_from_vehicle[:, 1, 0], world_from_vehicle[:, 1, 1] = s, c
    world_from_vehicle[:, 2, 2] = 1.0
    mount = np.array([mount[:4] for mount in mounts])  # (N, 4, 3): axes, then position
    turned = mount @ world_from_vehicle.transpose(0, 2, 1)
    eyes = turned[:, 3]
    eyes[:, :2] += pose[:, :2]
    lens = np.array([mount[4] for mount in mounts])
    return Views(eyes, turned[:, :3], lens[:, :2] * 2 * lens[:, 2:], lens[:, :2], lens[:, 2])


def fill_blocks(blocks: NDArray[np.float32], views: Views) -> None:
    """Write what depends on the view into the shots' blocks (N, SHOT_FLOATS), see `shaders`; upside down."""
    a, b = (FAR + NEAR) / (FAR - NEAR), 2 * FAR * NEAR / (FAR - NEAR)
    right, up, back = (views.axes[:, row] for row in range(3))
    wide, high = views.slopes[:, :1], views.slopes[:, 1:]
    rows = blocks.reshape(len(blocks), -1, 4)
    # The matrix goes column by column: entry [c, r] is row r of column c.
    rows[:, :3, 0], rows[:, :3, 1] = right / wide, -up / high
    rows[:, :3, 2], rows[:, :3, 3] = -a * back, -back
    rows[:, 3, 2] = -b
    rows[:, 4, :3] = views.eyes
    rows[:, 15, :2] = views.sizes
    rows[:, 15, 3] = np.modf(views.eyes[:, :2] @ (0.37, 0.73))[0]
    rows[:, 12, :3], rows[:, 13, :3], rows[:, 14, :3] = right * wide, -up * high, -back


@lru_cache(maxsize=64)
def _mount(camera: Camera) -> Array:
    """Axes, position, then both slopes and the focal length of a camera (5, 3)."""
    lens = (camera.width / 2 / camera.focal_px, camera.height / 2 / camera.focal_px, camera.focal_px)
    return np.concatenate([camera.axes, [camera.position], [lens]])
