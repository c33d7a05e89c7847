"""Whether a policy and a car belong together. No torch."""

from collections.abc import Sequence
from pathlib import Path

from navsim.errors import CheckpointError
from navsim.sensing.camera import Camera
from navsim.sensing.roadmap import MapSpec


def check_fit(path: Path, trained: tuple[Sequence[Camera], MapSpec], given: tuple[Sequence[Camera], MapSpec]) -> None:
    """Refuse to drive with other senses than the policy of the file `path` was trained with.

    Args:
        path: The policy's file, for the error.
        trained: Cameras and map patches that it was trained with.
        given: Those of the car.

    Raises:
        CheckpointError: If they differ.
    """
    (cameras, map_spec), (own_cameras, own_map) = trained, given
    if tuple(cameras) != tuple(own_cameras):
        words = f"made for cameras {cameras_in_words(cameras)}; given are {cameras_in_words(own_cameras)}"
        raise CheckpointError(f"{path}: {words}")
    if map_spec != own_map:
        raise CheckpointError(f"{path}: made for the map {map_spec}; given is {own_map}")


def cameras_in_words(cameras: Sequence[Camera]) -> str:
    """Cameras in short: names, sizes, fields of view and places."""
    words = (
        f"{c.name} {c.width}x{c.height} fov {c.fov_deg:g} deg at {c.position}, yaw {c.yaw_deg:g}, pitch {c.pitch_deg:g}"
        for c in cameras
    )
    return f"[{'; '.join(words)}]"
