"""Checks of recorded drives before training, and packed files: pictures decompressed into a file mapped into memory.

A packed file holds the pictures of one split of the data: N records of `record_bytes` each. It lies in `packed` in the
data folder, or in a folder given for packed files, and its name depends on the episode files. Packed files may be
removed at any time.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policies.networks.observation_batch import ObservationSpec
from agents.training.samples import record_bytes
from navsim.config import to_mapping
from navsim.datasets.dataset import Dataset, folders_text
from navsim.errors import EpisodeError, StorageError
from navsim.progress import progress
from navsim.run_folder import one_at_a_time
from navsim.simulation.episode import Episode, right_hand_view
from navsim.storage import atomic_file, is_partial
from navsim.world.scenery.meshes import CLASS_NAMES, ObjectClass

_NUMBERS = ("labels", "speeds", "stations", "offsets", "heading_errors")


def check_recorded(dataset: Dataset) -> None:
    """Make sure that the drives have pictures; reads headers only.

    Raises:
        EpisodeError: If one has none.
    """
    for path, header in dataset.headers.items():
        if len(header.recorded) < len(header.shapes):
            raise EpisodeError(
                f"{path}: was recorded without images; scripts/rerender.py draws those of a whole data folder"
            )


def check_classes(dataset: Dataset) -> None:
    """Make sure that the drives have the class of every pixel; reads headers only.

    Raises:
        EpisodeError: If one was recorded without, or with other classes than there are now.
    """
    for path, header in dataset.headers.items():
        if "classes" not in header.recorded:
            raise EpisodeError(
                f"{path}: was recorded without classes; collect with channels: [classes], or scripts/rerender.py with "
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
                f"{path}: was recorded without objects; collect with channels: [objects], or scripts/rerender.py with "
                "--channels objects adds them to a whole data folder"
            )
        if header.object_names != tuple(ObjectClass):
            raise EpisodeError(
                f"{path}: has objects of the classes {', '.join(header.object_names)}; this version knows "
                f"{', '.join(ObjectClass)}"
            )


def check_numbers(episode: Episode, max_curvature: float, name: str) -> None:
    """Make sure that a drive's numbers are usable.

    Args:
        episode: The drive.
        max_curvature: Largest curvature that the policy commands [1/m].
        name: Name of the drive, for errors.

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


def check_pictures(episode: Episode, spec: ObservationSpec, name: str) -> None:
    """Make sure that a drive has pictures of the shapes of `spec`.

    Raises:
        EpisodeError: If it has none, or pictures of other shapes.
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


PACKED_NAME = "packed"
"""Name of the folder with packed files in a data folder."""
DISK_RESERVE = 256 * 2**20
"""Free space that packing leaves on the disk [bytes]."""
_FORMAT = 1
_ADVICE = "give a folder for packed pictures with --packed-folder"


def packed_path(
    dataset: Dataset, split: str, spec: ObservationSpec, classes: bool = False, folder: Path | None = None
) -> Path:
    """Return the path of a split's packed pictures; its name depends on the episode files, their times and headers.

    Args:
        dataset: Episodes of the split.
        split: Name of the split.
        spec: Shapes of the pictures.
        classes: Whether the classes of the images' pixels are included.
        folder: Folder for packed files of any data; None stands for `packed` in the first data folder.
    """
    contents = [_FORMAT, to_mapping(spec), *(["classes"] if classes else [])]
    digest = hashlib.sha256(json.dumps(contents).encode())
    for path, header in dataset.headers.items():
        status = path.stat()
        entry = [path.name, status.st_size, status.st_mtime_ns, to_mapping(header)]
        digest.update(json.dumps(entry).encode())
    data = dataset.folders[0].resolve()
    own = f"{data.name}-{hashlib.sha256(str(data).encode()).hexdigest()[:8]}"
    place = dataset.folders[0] / PACKED_NAME if folder is None else folder / own
    return place / f"{split}-{digest.hexdigest()[:16]}.bin"


def map_records(
    dataset: Dataset, split: str, spec: ObservationSpec, classes: bool = False, folder: Path | None = None
) -> Tensor:
    """Map the pictures of a split into memory, after packing them if necessary.

    Of several processes that want the same file, one packs and the others wait.

    Args:
        dataset: Episodes of the split.
        split: Name of the split.
        spec: Shapes of the pictures.
        classes: Whether to include the classes of the images' pixels.
        folder: Folder for packed files, see `packed_path`.

    Returns:
        Records (N, bytes) uint8, to be read only; pages are loaded from the disk on access.

    Raises:
        EpisodeError: If an episode is damaged, lacks images, or has other shapes than `spec`.
        StorageError: If the disk has too little room, or cannot be written to; no file is left then.
    """
    path = packed_path(dataset, split, spec, classes, folder)
    size = dataset.frames * record_bytes(spec, classes)
    if not _is_there(path, size):
        try:
            if not path.parent.is_dir():
                _check_room(path, size)  # nothing is written then, not even the folder
            path.parent.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(path.parent, patience=-1.0):  # packing may take hours
                if not _is_there(path, size):
                    _remove_others(path, split)
                    _check_room(path, size)
                    _pack(dataset, path, spec, classes)
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}; {_ADVICE}") from None
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).view(dataset.frames, -1)


def right_hand_episodes(dataset: Dataset, images: bool = True) -> Iterator[Episode]:
    """Read the episodes that a network learns from, mirrored where traffic keeps left, see `right_hand_view`."""
    cameras = dataset.description.simulation.cameras
    return (right_hand_view(episode, cameras) for episode in dataset.episodes(images))


def records_of(episode: Episode, classes: bool = False) -> NDArray[np.uint8]:
    """Return an episode's pictures as records (T, bytes), with or without the classes of the images' pixels."""
    parts = (episode.images, episode.road_maps, episode.route_maps, *((episode.classes,) if classes else ()))
    return np.concatenate([part.reshape(len(episode), -1) for part in parts], axis=1)


def _is_there(path: Path, size: int) -> bool:
    """Whether the file exists and is complete."""
    return path.is_file() and path.stat().st_size == size


def _pack(dataset: Dataset, path: Path, spec: ObservationSpec, classes: bool) -> None:
    """Write the file."""
    frames = 0
    try:
        with progress("packing", dataset.frames, "frames") as advance, atomic_file(path) as file:
            for file_path, episode in zip(dataset.headers, right_hand_episodes(dataset), strict=True):
                check_pictures(episode, spec, f"{file_path.parent.parent}: episode {episode.scenario.name}")
                file.write(records_of(episode, classes).data)
                frames += len(episode)
                advance(len(episode))
            if frames != dataset.frames:
                names = folders_text(dataset.folders)
                raise EpisodeError(f"{names}: holds {frames} frames, {dataset.frames} were announced")
    except StorageError as error:
        raise StorageError(f"{error}; {_ADVICE}") from None


def _remove_others(path: Path, split: str) -> None:
    """Remove packed files of earlier episodes, and leftovers of killed processes.

    Processes that have them mapped keep them until they end.
    """
    for other in path.parent.iterdir() if path.parent.is_dir() else ():
        if other.name.lstrip(".").startswith(f"{split}-") and (other.suffix == ".bin" or is_partial(other)):
            with suppress(PermissionError):  # on Windows, while it is mapped
                other.unlink(missing_ok=True)


def _check_room(path: Path, size: int) -> None:
    """Make sure that the file fits on the disk.

    Raises:
        StorageError: If it does not.
    """
    free = shutil.disk_usage(next(folder for folder in path.parents if folder.exists())).free
    if size + DISK_RESERVE > free:
        raise StorageError(
            f"{path}: needs {size / 1e9:.2f} GB and {DISK_RESERVE / 1e9:.2f} GB to spare, the disk has "
            f"{free / 1e9:.2f} GB free; make room, {_ADVICE}, use smaller pictures, or train where "
            "the data fits into memory"
        )
