"""Data folders: `dataset.json` and, for each split, one file per episode: `train/train-3-route1-seed0.parquet`.

Splits are by town, so that no town is used both for training and for validation. Drives through real towns are in
`streets`. They belong to the split that the folder's description names, or else to none.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from navsim.config import from_mapping, to_mapping
from navsim.datasets.collection_config import extension_advice
from navsim.datasets.episode_files import EpisodeHeader, read_episode, read_header, read_unchanged_episode
from navsim.errors import ConfigError, EpisodeError
from navsim.provenance import FileState, file_state
from navsim.roads.generators.towns import Split
from navsim.run_folder import check_idle, differences
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
REAL_TOWNS_SPLIT = "real_towns_split"
"""Key of the split to which a folder's drives in real towns belong."""
_SUFFIX = ".parquet"
_UNITS = {
    "time": "s since the start of the drive",
    "x, y": "m, east and north; true position of the car's centre",
    "heading": "rad, counter-clockwise from east, true",
    "gps_x, gps_y, gps_heading": "as x, y, heading, with the drifting errors of the position fix",
    "speed": "m/s",
    "station": "m along the route",
    "offset, route_offset": "m from the middle of the nearest lane of the route, of its own lane; positive to the left",
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


DataFolders = Path | tuple[Path, ...]
"""One data folder, or several that are used as if one folder held the episodes of all."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """The episodes of data folders, or of one split of them; only the headers are read."""

    folders: tuple[Path, ...]
    """Paths of the data folders."""
    description: DatasetDescription
    """Description of the first data folder."""
    headers: dict[Path, EpisodeHeader]
    """Header of each episode file, in the order of the files' names."""
    states: dict[Path, FileState] = field(init=False)
    """State of each file when its header was read."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", {path: file_state(path) for path in self.headers})

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
            EpisodeError: If a file is missing or damaged, or was replaced since its header was read.
        """
        for path in self.headers:
            yield read_unchanged_episode(path, self.states[path], images)


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
        values = json.loads(path.read_bytes())
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


def episode_files(folder: Path, split: Split | None = None, real_towns: bool = False) -> list[Path]:
    """Return the episode files of a data folder or of one split of it, with those in real towns if wanted, by name."""
    groups = [*Split, STREETS] if split is None else [split, *([STREETS] if real_towns else [])]
    return [path for each in groups for path in sorted((folder / each).glob(f"[!.]*{_SUFFIX}"))]


def data_folders(data: DataFolders) -> tuple[Path, ...]:
    """Return the data folders in an order that does not depend on their listing.

    Raises:
        ConfigError: If there is none, or one is named twice.
    """
    folders = (data,) if isinstance(data, Path) else tuple(sorted(data))
    if not folders or len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError(f"data = [{folders_text(folders)}]: must name one or more folders, each once")
    return folders


def folders_text(data: DataFolders) -> str:
    """Return the names of data folders for messages."""
    return ", ".join(map(str, (data,) if isinstance(data, Path) else data))


def open_dataset(data: DataFolders, split: Split | None = None) -> Dataset:
    """Open data folders and check that their episodes belong together.

    Args:
        data: One data folder, or several of the same simulation and with different drives.
        split: Split of the episodes; None takes all.

    Raises:
        EpisodeError: If a folder is missing or empty, has another format, or holds a damaged or foreign episode; if the
            folders differ in their simulation, or hold the same drive; or if none has episodes of the split.
        ConfigError: If a folder is named twice.
        StorageError: If a split is asked for while another process writes to a folder.
    """
    folders, groups = data_folders(data), [*Split, STREETS]
    if split is not None:  # to learn or to score, where drives that are still missing would not be noticed
        for folder in folders:
            check_idle(folder)
    joined = join_datasets([_open_folder(folder, split) for folder in folders])
    if split is not None and not joined.headers:
        advice = extension_advice(folders[0] / DESCRIPTION_NAME, joined.description.collection, split)
        raise EpisodeError(f"{folders_text(folders)}: holds no {split} episodes; {advice}")
    paths = sorted(joined.headers, key=lambda path: (groups.index(path.parent.name), path.name))
    for one, other in pairwise(paths):
        if one.parts[-2:] == other.parts[-2:]:
            raise EpisodeError(f"{other}: is also in {one.parent.parent}; data folders must hold different drives")
    return replace(joined, headers={path: joined.headers[path] for path in paths})


def _open_folder(folder: Path, split: Split | None) -> Dataset:
    """Open a data folder, which may have no episode of the split but others."""
    description = read_description(folder)
    if not episode_files(folder):
        raise EpisodeError(f"{folder}: holds no episodes; collect some with navsim collect")
    files = episode_files(folder, split, description.collection.get(REAL_TOWNS_SPLIT) == split)
    headers = {path: checked_header(path, description) for path in files}
    return Dataset((folder,), description, headers)


def join_datasets(datasets: Sequence[Dataset]) -> Dataset:
    """Join the episodes of several datasets into one, in the order of the datasets.

    Args:
        datasets: One or more datasets of the same simulation.

    Raises:
        EpisodeError: If they differ in cameras, maps or anything else of their simulation; names the first difference.
    """
    first, headers = datasets[0], dict[Path, EpisodeHeader]()
    for dataset in datasets:
        for found in differences(to_mapping(first.description.simulation), to_mapping(dataset.description.simulation)):
            names = (folders_text(each.folders) for each in (dataset, first))
            text = ": was recorded in another simulation than ".join(names)
            raise EpisodeError(f"{text}: {found.key} is {found.wanted}, not {found.stored}")
        headers |= dataset.headers
    return Dataset(tuple(folder for each in datasets for folder in each.folders), first.description, headers)


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
    expected |= {"classes": expected["images"][:-1]} if "classes" in header.shapes else {}
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
    folder = {kind: to_mapping(simulation)[kind] for kind in ("cameras", "map")}
    recorded = folder | header.metadata.get("simulation", {})
    for found in differences({kind: recorded[kind] for kind in folder}, folder):
        if None not in (found.stored, found.wanted):  # older files do not name the settings of later versions
            raise EpisodeError(
                f"{path}: was recorded with {found.key} = {found.stored}, the data folder has {found.wanted}"
            )


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
