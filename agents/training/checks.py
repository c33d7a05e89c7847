"""What makes recorded drives unfit to learn from, each named with the drive and the frame, before hours are spent."""

import numpy as np

from agents.policies.networks.observation_batch import SensesSpec
from navsim.datasets.dataset import Dataset
from navsim.errors import EpisodeError
from navsim.simulation.episode import Episode
from navsim.world.scenery.meshes import CLASS_NAMES, ObjectClass

_NUMBERS = ("labels", "speeds", "stations", "offsets", "heading_errors")


def check_recorded(dataset: Dataset) -> None:
    """Make sure that the drives have pictures; reads headers only.

    Raises:
        EpisodeError: If one was recorded without.
    """
    for path, header in dataset.headers.items():
        if len(header.recorded) < len(header.shapes):
            raise EpisodeError(
                f"{path}: was recorded without images; scripts/render.py draws those of a whole data folder"
            )


def check_classes(dataset: Dataset) -> None:
    """Make sure that the drives have the class of every pixel; reads headers only.

    Raises:
        EpisodeError: If one was recorded without, or with other classes than there are now.
    """
    for path, header in dataset.headers.items():
        if "classes" not in header.recorded:
            raise EpisodeError(
                f"{path}: was recorded without classes; collect with channels: [classes], or scripts/render.py with "
                "--channels classes adds them to a whole data folder"
            )
        if header.class_names != CLASS_NAMES:
            raise EpisodeError(
                f"{path}: has the classes {', '.join(header.class_names)}; this version knows {', '.join(CLASS_NAMES)}"
            )


def check_objects(dataset: Dataset) -> None:
    """Make sure that the drives have boxes around objects; reads headers only.

    Raises:
        EpisodeError: If one was recorded without, or with other classes of objects than there are now.
    """
    for path, header in dataset.headers.items():
        if not header.object_names:
            raise EpisodeError(
                f"{path}: was recorded without objects; collect with channels: [objects], or scripts/render.py with "
                "--channels objects adds them to a whole data folder"
            )
        if header.object_names != tuple(ObjectClass):
            raise EpisodeError(
                f"{path}: has objects of the classes {', '.join(header.object_names)}; this version knows "
                f"{', '.join(ObjectClass)}"
            )


def check_numbers(episode: Episode, max_curvature: float, name: str) -> None:
    """Make sure that a drive's numbers can be learned from.

    Args:
        episode: The drive.
        max_curvature: Largest curvature that the policy commands [1/m].
        name: Of the drive, for errors.

    Raises:
        EpisodeError: If a number is not finite, or a label is beyond `max_curvature`.
    """
    for kind in _NUMBERS:
        finite = np.isfinite(getattr(episode, kind))
        if not finite.all():
            raise EpisodeError(f"{name}: {kind.removesuffix('s')} {int(np.argmin(finite))} is not finite")
    worst = int(np.abs(episode.labels).argmax())
    if abs(episode.labels[worst]) > max_curvature * (1 + 1e-6):
        raise EpisodeError(
            f"{name}: label {worst} is {episode.labels[worst]:.4f} 1/m, "
            f"beyond the policy's max_curvature of {max_curvature} 1/m"
        )


def check_pictures(episode: Episode, spec: SensesSpec, name: str) -> None:
    """Make sure that a drive has pictures, of the shapes of `spec`.

    Raises:
        EpisodeError: If it has none, or others.
    """
    if len(episode.images) != len(episode):
        raise EpisodeError(f"{name}: was recorded without images")
    images, maps = (spec.cameras, spec.height, spec.width, 3), (spec.map_size, spec.map_size)
    if episode.images.shape[1:] != images:
        raise EpisodeError(f"{name}: images are (C, H, W, 3) = {episode.images.shape[1:]}, the data set has {images}")
    for kind in ("road_maps", "route_maps"):
        shape = getattr(episode, kind).shape[1:]
        if shape != maps:
            raise EpisodeError(f"{name}: {kind} are (S, S) = {shape}, the data set has {maps}")
    for kind in ("images", "road_maps", "route_maps"):
        values = getattr(episode, kind)
        if values.dtype != np.uint8:
            raise EpisodeError(f"{name}: {kind} are {values.dtype}, must be uint8, 0 to 255")
