"""Episode files: one drive as a Parquet file, readable with pandas, DuckDB and similar tools.

The file has one row per state: T rows with observation and command, and a last row for the end of the drive, in which
the columns of observation and command are null. Data that was not recorded has no column. The header is JSON in the
schema's metadata under the key `navsim`.

* Images, maps and classes are fixed-size binary: row-major uint8 of the shapes in the header.
* Objects are lists of records. `camera` and `class` count from 0, and the header names the classes. x0, y0, x1, y1 are
  the edges of the box around the visible part [px], from the image's top left. `visible` is the visible share of the
  object's outline.
* The driver's distribution is a list of densities [m] over the header's grid.

Units: metres, seconds, radians; curvature [1/m] and offset [m] are positive to the left.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from navsim.config import from_mapping, to_mapping
from navsim.errors import ConfigError, EpisodeError, TownError
from navsim.geometry import Array
from navsim.provenance import FileState, file_state, software_versions
from navsim.roads.elements import DrivingSide
from navsim.roads.routing import JunctionPassage
from navsim.sensing.observation import Image
from navsim.simulation.episode import OBJECT_COLUMNS, Episode
from navsim.simulation.scenario import Outcome, Scenario
from navsim.simulation.town import MapName, check_town_name, town_by_content
from navsim.storage import atomic_file
from navsim.world.obstacles import ObstacleKind
from navsim.world.scenery.meshes import CLASS_NAMES, ObjectClass


def binary_column(images: Image) -> pa.Array:
    """Return images (T, ...) as a column of T binary values, without a copy."""
    data = pa.py_buffer(np.ascontiguousarray(images))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(images[0].size), len(images), [None, data])


def pictures_of(column: pa.ChunkedArray, rows: int, shape: tuple[int, ...]) -> Image:
    """Return the first `rows` binary values as (rows, *shape), without a copy if the column has one chunk."""
    size = int(np.prod(shape))
    column = column.slice(0, rows)
    if column.null_count or column.type != pa.binary(size):
        raise ValueError(f"{rows} images of {shape} need as many values of {size} bytes, got {column.type}")
    pieces = [_bytes(chunk, size) for chunk in column.chunks]
    return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)).reshape(rows, *shape)


def _bytes(chunk: pa.FixedSizeBinaryArray, size: int) -> Image:
    """Return the bytes of a chunk of binary values of one size."""
    data = np.frombuffer(chunk.buffers()[1], np.uint8)
    return data[chunk.offset * size : (chunk.offset + len(chunk)) * size]


_FIELDS = {"camera": pa.uint8(), "class": pa.uint8()} | dict.fromkeys(("x0", "y0", "x1", "y1"), pa.uint16())
_RECORD = pa.struct([*_FIELDS.items(), ("visible", pa.float64())])
_NAMES = OBJECT_COLUMNS[1:]


def object_column(objects: Array, rows: int) -> pa.Array:
    """Return objects (N, OBJECT_COLUMNS), in the order of their frames, as a column of `rows` lists."""
    ends = np.searchsorted(objects[:, 0], np.arange(rows + 1)).astype(np.int32)
    parts = [pa.array(objects[:, i + 1]).cast(_RECORD.field(name).type) for i, name in enumerate(_NAMES)]
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(parts, fields=list(_RECORD)))


def objects_of(column: pa.ChunkedArray, rows: int, classes: int) -> Array:
    """Return the objects in the first `rows` lists of a column (N, OBJECT_COLUMNS).

    Raises:
        ValueError: If the column has another type, or a class is not below the number of `classes`.
    """
    column = column.slice(0, rows)
    if column.null_count or column.type != pa.list_(_RECORD):
        raise ValueError(f"{rows} frames need as many lists of objects, got {column.type}")
    lists = column.combine_chunks()
    frames = np.repeat(np.arange(rows), lists.value_lengths().to_numpy(zero_copy_only=False))
    records = lists.flatten()
    parts = [records.field(name).to_numpy(zero_copy_only=False) for name in _NAMES]
    objects = np.column_stack([frames, *parts]).astype(float).reshape(-1, len(OBJECT_COLUMNS))
    if (objects[:, 2] >= classes).any():
        raise ValueError(f"objects must be of {classes} classes, got number {objects[:, 2].max():.0f}")
    return objects


EPISODE_FORMAT = 1
"""Version of the file format; later versions read the earlier ones."""
COMPRESSION_LEVEL = 3
"""Compression level of zstd; on flat-shaded images higher levels cost time and save little."""
_KEY = b"navsim"
_MAP_FILE = "map_file"  # place of a real town's map; the town's name holds only the digest of its content
_SIDE = "driving_side"  # side of traffic, where it keeps left
_IMAGES = ("images", "road_maps", "route_maps")
_CLASSES = "classes"
_OBJECTS = "objects"
_DENSITY = "density"
_STATES = {  # columns of each per-state array of an episode
    "times": ("time",),
    "poses": ("x", "y", "heading"),
    "speeds": ("speed",),
    "stations": ("station",),
    "offsets": ("offset",),
    "route_offsets": ("route_offset",),
    "heading_errors": ("heading_error",),
}
_LATER = ("route_offset",)  # columns that earlier files do not have
_STEPS = {  # and of each per-command array
    "commands": ("command",),
    "labels": ("label",),
    "gps": ("gps_x", "gps_y", "gps_heading"),
}


@dataclasses.dataclass(frozen=True)
class EpisodeHeader:
    """Header of an episode file, which is read without the columns."""

    scenario: Scenario
    """Scenario that was driven."""
    driver: str
    """Name of the driver."""
    outcome: Outcome
    """How the drive ended."""
    route_length: float
    """Length of the route [m]."""
    passages: tuple[JunctionPassage, ...]
    """Junctions on the route, in order."""
    steps: int
    """Number of commands, T."""
    shapes: dict[str, tuple[int, ...]]
    """Shape of a row of `images` (C, H, W, 3), `road_maps` and `route_maps` (S, S) and, where recorded, `classes`
    (C, H, W)."""
    recorded: tuple[str, ...]
    """Names of the columns among these that were recorded."""
    metadata: dict[str, Any]
    """Conditions of the recording: simulation, renderer, noise."""
    versions: dict[str, str]
    """Versions of the software that wrote the file."""
    format: int = EPISODE_FORMAT
    """Version of the file format."""
    struck: ObstacleKind | None = None
    """Obstacle that the car touched; None if nothing, or in files from before this was recorded."""
    grid: tuple[float, ...] = ()
    """Curvatures (B,) [1/m] of the column `density`; empty without that column."""
    class_names: tuple[str, ...] = ()
    """Names of the values in the column `classes`; empty without that column."""
    object_names: tuple[str, ...] = ()
    """Names of the classes in the column `objects`; empty without that column."""

    def __post_init__(self) -> None:
        if set(self.shapes) - {_CLASSES} != set(_IMAGES) or not set(self.recorded) <= set(self.shapes):
            raise ValueError(f"shapes must name {', '.join(_IMAGES)}, got {', '.join(self.shapes)}")
        check_town_name(self.scenario.town)
        if _MAP_FILE in self.metadata:
            town = town_by_content(self.scenario.town, Path(self.metadata[_MAP_FILE]))
            object.__setattr__(self, "scenario", dataclasses.replace(self.scenario, town=town))

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of all columns with images or ground truth."""
        return (*self.recorded, *([_OBJECTS] if self.object_names else []))


def write_episode(episode: Episode, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write an episode to one file, at once or not at all.

    Args:
        episode: What to write.
        path: Where; an existing file is replaced.
        metadata: Plain values that tell under which conditions it was recorded.

    Raises:
        StorageError: If the file cannot be written; nothing is left of it then.
    """
    classes, town = (_CLASSES,) if len(episode.classes) else (), episode.scenario.town
    place: dict[str, str] = {_SIDE: str(episode.side)} if episode.side is DrivingSide.LEFT else {}
    place |= {_MAP_FILE: str(town.file)} if isinstance(town, MapName) and town.file is not None else {}
    header = EpisodeHeader(
        scenario=episode.scenario,
        driver=episode.driver,
        outcome=episode.outcome,
        route_length=episode.route_length,
        passages=episode.passages,
        steps=len(episode),
        shapes={name: getattr(episode, name).shape[1:] for name in (*_IMAGES, *classes)},
        recorded=tuple(name for name in (*_IMAGES, *classes) if len(getattr(episode, name))),
        metadata={**metadata, **place},
        versions=software_versions(),
        struck=episode.struck,
        grid=tuple(episode.grid.tolist()),
        class_names=CLASS_NAMES if classes else (),
        object_names=tuple(ObjectClass) if episode.objects is not None else (),
    )
    columns = _float_columns(episode, _STATES) | _float_columns(episode, _STEPS)
    columns |= {name: binary_column(getattr(episode, name)) for name in header.recorded}
    if episode.objects is not None:
        columns[_OBJECTS] = object_column(episode.objects, len(episode))
    if header.grid:
        columns[_DENSITY] = _density_column(episode.densities)
    table = pa.table({name: _with_last_row(column, len(episode) + 1) for name, column in columns.items()})
    table = table.replace_schema_metadata({_KEY: json.dumps(to_mapping(header))})
    with atomic_file(path) as file:
        pq.write_table(
            table,
            file,
            row_group_size=len(table),
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=False,  # no two images are equal
            write_statistics=False,
            write_page_checksum=True,
        )


def read_header(path: Path) -> EpisodeHeader:
    """Read the header of a file; fast, since no column is read.

    Raises:
        EpisodeError: If the file is missing or damaged, is not an episode, or has another format.
    """
    with _open(path) as file:
        return _header(path, file)


def read_episode(path: Path, images: bool = True, distributions: bool | None = None) -> Episode:
    """Read an episode.

    Args:
        path: The file.
        images: Whether to read images, maps, classes and objects; otherwise they are empty, as if not recorded.
        distributions: Whether to read the driver's distributions; None takes the value of `images`.

    Returns:
        The episode; its arrays may be read-only.

    Raises:
        EpisodeError: If the file is missing or damaged, is not an episode, or has another format.
    """
    with _open(path) as file:
        header = _header(path, file)
        recorded = header.recorded if images else ()
        channels = header.channels if images else ()
        with_density = bool(header.grid) and (images if distributions is None else distributions)
        there = file.schema_arrow.names
        names = [name for group in (_STATES, _STEPS) for parts in group.values() for name in parts]
        names = [name for name in names if name in there or name not in _LATER]
        try:
            table = file.read([*names, *channels, *([_DENSITY] if with_density else [])])
        except (pa.ArrowException, OSError) as error:
            raise EpisodeError(f"{path}: is damaged: {_first_line(error)}") from None
    try:
        return _episode(header, table, recorded)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise EpisodeError(f"{path}: holds columns that do not fit its header: {_first_line(error)}") from None


def read_unchanged_episode(path: Path, state: FileState, images: bool = True) -> Episode:
    """Read an episode whose file has some state.

    Raises:
        EpisodeError: If it is missing or damaged, or another file is in its place.
    """
    episode = read_episode(path, images)
    if file_state(path) != state:
        raise EpisodeError(f"{path}: has been replaced since the run began; begin a new run for the new data")
    return episode


def _episode(header: EpisodeHeader, table: pa.Table, recorded: Sequence[str]) -> Episode:
    """Turn columns into arrays."""
    steps = header.steps
    if len(table) != steps + 1:
        raise ValueError(f"{steps} commands need {steps + 1} rows, got {len(table)}")
    arrays: dict[str, Any] = {
        name: _floats(table, columns, steps + 1)
        for name, columns in _STATES.items()
        if columns[0] in table.column_names or columns[0] not in _LATER
    }
    arrays |= {name: _floats(table, columns, steps) for name, columns in _STEPS.items()}
    arrays |= {
        name: pictures_of(table[name], steps, shape) if name in recorded else np.zeros((0, *shape), np.uint8)
        for name, shape in header.shapes.items()
    }
    if _CLASSES in recorded and arrays[_CLASSES].max() >= len(header.class_names):
        raise ValueError(f"classes must be below {len(header.class_names)}, got {arrays[_CLASSES].max()}")
    if _OBJECTS in table.column_names:
        arrays[_OBJECTS] = objects_of(table[_OBJECTS], steps, len(header.object_names))
    if _DENSITY in table.column_names:
        arrays |= {"grid": np.array(header.grid), "densities": _densities(table[_DENSITY], steps, len(header.grid))}
    return Episode(
        scenario=header.scenario,
        driver=header.driver,
        outcome=header.outcome,
        route_length=header.route_length,
        passages=header.passages,
        struck=header.struck,
        side=DrivingSide(header.metadata.get(_SIDE, DrivingSide.RIGHT)),
        **arrays,
    )


def _open(path: Path) -> pq.ParquetFile:
    """Open a Parquet file."""
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise EpisodeError(f"{path}: no such episode file") from None
    except (pa.ArrowException, OSError) as error:
        raise EpisodeError(f"{path}: is damaged or not a Parquet file: {_first_line(error)}") from None


def _header(path: Path, file: pq.ParquetFile) -> EpisodeHeader:
    """Read and check the header."""
    text = (file.schema_arrow.metadata or {}).get(_KEY)
    if text is None:
        raise EpisodeError(f"{path}: is a Parquet file, but not a recorded drive")
    try:
        values = json.loads(text)
    except ValueError as error:
        raise EpisodeError(f"{path}: has an unreadable header: {error}") from None
    found = values.get("format") if isinstance(values, dict) else None
    if found != EPISODE_FORMAT:
        raise EpisodeError(f"{path}: has episode format {found}; this version reads format {EPISODE_FORMAT}")
    try:
        return from_mapping(EpisodeHeader, values, f"{path}: header")
    except ConfigError as error:
        raise EpisodeError(str(error)) from None
    except TownError as error:
        raise EpisodeError(f"{path}: header: {error}") from None


def _float_columns(episode: Episode, names: Mapping[str, Sequence[str]]) -> dict[str, pa.Array]:
    """Return columns of the episode's arrays, one for each component."""
    columns: dict[str, pa.Array] = {}
    for name, parts in names.items():
        values = getattr(episode, name).reshape(-1, len(parts))  # (rows, components)
        columns |= {part: pa.array(np.ascontiguousarray(values[:, i])) for i, part in enumerate(parts)}
    return columns


def _density_column(densities: NDArray[np.floating]) -> pa.Array:
    """Return densities (T, B) as a column of T lists of half precision."""
    values = pa.array(np.ascontiguousarray(densities, np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(values, densities.shape[1])


def _with_last_row(column: pa.Array, rows: int) -> pa.ChunkedArray:
    """Pad a column with nulls to `rows` values."""
    return pa.chunked_array([column, pa.nulls(rows - len(column), column.type)])


def _floats(table: pa.Table, columns: Sequence[str], rows: int) -> Array:
    """Return the first `rows` values of one column (rows,) or of several columns (rows, components)."""
    parts = [table[name].slice(0, rows) for name in columns]
    if any(part.null_count or part.type != pa.float64() for part in parts):
        raise ValueError(f"{', '.join(columns)} must be numbers in the first {rows} rows")
    values: Array = np.stack([part.to_numpy() for part in parts], axis=-1)
    return values if len(columns) > 1 else values[:, 0]


def _densities(column: pa.ChunkedArray, rows: int, points: int) -> NDArray[np.floating]:
    """Return the first `rows` lists of `points` densities (rows, points)."""
    column = column.slice(0, rows)
    if column.null_count or column.type != pa.list_(pa.float16(), points):
        raise ValueError(f"{rows} distributions need as many lists of {points} numbers, got {column.type}")
    values: NDArray[np.floating] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(rows, points)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
