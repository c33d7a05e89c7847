"""Data folders: `dataset.json` and, for each split, one file per episode: `train/train-3-route1-seed0.parquet`.

Splits are by town, so that no town is used both for training and for validation. Drives through real towns are in
`streets`, outside all splits.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from navsim.config import from_mapping, to_mapping
from navsim.datasets.episode_files import EpisodeHeader, read_episode, read_header
from navsim.errors import ConfigError, EpisodeError
from navsim.roads.generators.towns import Split
from navsim.simulation.config import SimulationConfig
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Scenario
from navsim.simulation.town import EARLIER_SLUG, STREETS, town_group, town_slug
from navsim.storage import write_json

IDENTITY_NAME = "evaluation.json"
"""Name of the file that identifies an evaluation, in its folder."""
DATASET_FORMAT = 1
"""Version of the folder format; later versions read the earlier ones."""
DESCRIPTION_NAME = "dataset.json"
"""Name of the description in a data folder."""
_SUFFIX = ".parquet"
_UNITS = {
    "time": "s since the start of the drive",
    "x, y": "m, east and north; true position of the car's centre",
    "heading": "rad, counter-clockwise from east, true",
    "gps_x, gps_y, gps_heading": "as x, y, heading, with the drifting errors of the position fix",
    "speed": "m/s",
    "station": "m along the route",
    "offset": "m from the middle of the route's lane, positive to the left",
    "heading_error": "rad, heading minus the route's",
    "command": "1/m, curvature driven, positive to the left, steering noise included",
    "label": "1/m, curvature that the expert commands at the true pose, positive to the left",
    "images": "uint8 (cameras, height, width, RGB), row 0 at the top, without camera noise",
    "road_maps": "uint8 (size, size), heading-up at the gps pose, roads 255",
    "route_maps": "uint8 (size, size), the same patch, route 255",
    "classes": "uint8 (cameras, height, width), where recorded: what each pixel of images shows, see class_names",
    "objects": "where recorded: camera, class (see object_names), box [px] around what is visible, its share",
}


@dataclass(frozen=True)
class DatasetDescription:
    """Description of a data folder."""

    simulation: SimulationConfig
    """Car, cameras and maps, the same for all episodes."""
    collection: dict[str, Any]
    """Settings that decide the content of the folder, as plain values."""
    versions: dict[str, str]
    """Versions of the software that created the folder."""
    git_revision: str
    """Revision of the source code that created the folder."""
    units: dict[str, str] = field(default_factory=lambda: dict(_UNITS))
    """Unit and sign of each column of the episode files."""
    format: int = DATASET_FORMAT
    """Version of the folder format."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """The episodes of a folder, or of one split of it; only the headers are read."""

    folder: Path
    """Path of the data folder."""
    description: DatasetDescription
    """Description of the data folder."""
    headers: dict[Path, EpisodeHeader]
    """Header of each episode file, in the order of the names."""

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.headers)

    @property
    def frames(self) -> int:
        """Number of recorded frames in all episodes."""
        return sum(header.steps for header in self.headers.values())

    def episodes(self, images: bool = True) -> Iterator[Episode]:
        """Read one episode after another.

        Args:
            images: Whether to read images and maps too.

        Raises:
            EpisodeError: If a file is missing or damaged.
        """
        for path in self.headers:
            yield read_episode(path, images)


def episode_path(folder: Path, scenario: Scenario) -> Path:
    """Return the path of a scenario's episode in a data folder."""
    return folder / town_group(scenario.town) / f"{scenario.name}{_SUFFIX}"


def write_description(folder: Path, description: DatasetDescription) -> None:
    """Write `dataset.json`.

    Raises:
        StorageError: If it cannot be written.
    """
    write_json(folder / DESCRIPTION_NAME, to_mapping(description))


def read_description(folder: Path) -> DatasetDescription:
    """Read `dataset.json`.

    Raises:
        EpisodeError: If the file is missing or damaged, or has another format.
    """
    path = folder / DESCRIPTION_NAME
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise EpisodeError(f"{folder}: is not a data folder (it has no {DESCRIPTION_NAME})") from None
    except OSError as error:
        raise EpisodeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise EpisodeError(f"{path}: is damaged: {error}") from None
    found = values.get("format") if isinstance(values, dict) else None
    if found != DATASET_FORMAT:
        raise EpisodeError(f"{path}: has dataset format {found}; this version reads format {DATASET_FORMAT}")
    try:
        return from_mapping(DatasetDescription, values, str(path))
    except ConfigError as error:
        raise EpisodeError(str(error)) from None


def episode_files(folder: Path, split: Split | None = None) -> list[Path]:
    """Return the episode files of a data folder or of one split of it, by name."""
    groups = [*Split, STREETS] if split is None else [split]
    return [path for each in groups for path in sorted((folder / each).glob(f"[!.]*{_SUFFIX}"))]


def open_dataset(folder: Path, split: Split | None = None) -> Dataset:
    """Open a data folder and check that its episodes belong together.

    Args:
        folder: The data folder.
        split: Split of the episodes; None takes all.

    Raises:
        EpisodeError: If the folder is missing or empty, has another format, or holds a damaged or foreign episode.
    """
    description = read_description(folder)
    paths = episode_files(folder, split)
    if not paths:
        wanted = "episodes" if split is None else f"{split} episodes"
        raise EpisodeError(f"{folder}: holds no {wanted}; collect some with scripts/collect.py")
    return Dataset(folder, description, {path: checked_header(path, description) for path in paths})


def join_datasets(datasets: Sequence[Dataset]) -> Dataset:
    """Join the episodes of several folders into one dataset, under the name of the first.

    Args:
        datasets: One or more datasets of the same simulation.

    Raises:
        EpisodeError: If the folders differ in cameras, maps or anything else of their simulation.
    """
    first, headers = datasets[0], dict[Path, EpisodeHeader]()
    for dataset in datasets:
        if dataset.description.simulation != first.description.simulation:
            raise EpisodeError(f"{dataset.folder}: was recorded in another simulation than {first.folder}")
        headers |= dataset.headers
    return Dataset(first.folder, first.description, headers)


def checked_header(path: Path, description: DatasetDescription) -> EpisodeHeader:
    """Read an episode's header and check that the episode belongs to the folder it is in.

    Raises:
        EpisodeError: If it is damaged, lies where the episode of another scenario belongs, or has other images or
            maps than the folder.
    """
    header = read_header(path)
    if not _is_named_after(path, header.scenario):
        raise EpisodeError(f"{path}: holds the drive {header.scenario.name}; has it been renamed or moved?")
    camera, size = description.simulation.cameras[0], description.simulation.map.size_px
    expected = {
        "images": (len(description.simulation.cameras), camera.height, camera.width, 3),
        "road_maps": (size, size),
        "route_maps": (size, size),
    }
    if "classes" in header.shapes:
        expected["classes"] = expected["images"][:-1]
    for kind, shape in expected.items():
        if header.shapes[kind] != shape:
            raise EpisodeError(f"{path}: {kind} are {header.shapes[kind]}, the data folder has {shape}")
    _check_sensors(path, header, description.simulation)
    return header


def _is_named_after(path: Path, scenario: Scenario) -> bool:
    """Whether a file lies where the episode of a scenario belongs; earlier versions named real towns after the path."""
    expected = episode_path(path.parent.parent, scenario)
    earlier = EARLIER_SLUG + re.escape(expected.name.removeprefix(town_slug(scenario.town)))
    in_streets = expected.parent.name == STREETS and path.parent == expected.parent
    return path == expected or (in_streets and re.fullmatch(earlier, path.name) is not None)


def _check_sensors(path: Path, header: EpisodeHeader, simulation: SimulationConfig) -> None:
    """Check that an episode was recorded with the cameras and the map of its folder, if its header names them.

    Images of one size may still come from different cameras.

    Raises:
        EpisodeError: If they differ.
    """
    recorded, folder = header.metadata.get("simulation", {}), to_mapping(simulation)
    for kind in ("cameras", "map"):
        own, others = recorded.get(kind, folder[kind]), folder[kind]
        parts = enumerate(zip(own, others, strict=False)) if isinstance(own, list) else [("", (own, others))]
        for number, (one, other) in parts:
            # Older files do not name the settings of later versions.
            key = next((key for key in one if key in other and one[key] != other[key]), None)
            if key is not None:
                name = f"{kind}.{number}.{key}".replace("..", ".")
                raise EpisodeError(f"{path}: was recorded with {name} = {one[key]}, the data folder has {other[key]}")


def checked_episodes(folder: Path) -> Iterator[tuple[Path, EpisodeError | None]]:
    """Read all episodes of a folder completely.

    Yields:
        Each file with its error, None if it is whole.

    Raises:
        EpisodeError: If the folder itself cannot be used.
    """
    description = read_description(folder)
    for path in episode_files(folder):
        try:
            checked_header(path, description)
            read_episode(path)
        except EpisodeError as error:
            yield path, error
        else:
            yield path, None


def simulation_settings(values: Any, path: Path) -> SimulationConfig:
    """Read the simulation of the drive at `path` from its plain values.

    Raises:
        EpisodeError: If a key is unknown or a value is not valid.
    """
    try:
        return from_mapping(SimulationConfig, values, f"{path}: simulation")
    except ConfigError as error:
        raise EpisodeError(str(error)) from None
