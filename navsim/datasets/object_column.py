"""The things that a drive's images show as a column: for each frame a list of records.

`camera` and `class` count from 0, the names of the classes stand in the file's header; x0, y0, x1, y1 are the edges of
the box around what is visible [px], from the image's top left; `visible` is the visible share of the thing's outline.
"""

import numpy as np
import pyarrow as pa

from navsim.geometry import Array
from navsim.simulation.episode import OBJECT_COLUMNS

_FIELDS = {"camera": pa.uint8(), "class": pa.uint8()} | dict.fromkeys(("x0", "y0", "x1", "y1"), pa.uint16())
_RECORD = pa.struct([*_FIELDS.items(), ("visible", pa.float64())])
_NAMES = OBJECT_COLUMNS[1:]


def object_column(objects: Array, rows: int) -> pa.Array:
    """Things (N, OBJECT_COLUMNS), in the order of their frames, as a column of `rows` lists."""
    ends = np.searchsorted(objects[:, 0], np.arange(rows + 1)).astype(np.int32)
    parts = [pa.array(objects[:, i + 1]).cast(_RECORD.field(name).type) for i, name in enumerate(_NAMES)]
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(parts, fields=list(_RECORD)))


def objects_of(column: pa.ChunkedArray, rows: int, classes: int) -> Array:
    """The things in the first `rows` lists of a column (N, OBJECT_COLUMNS).

    Raises:
        ValueError: If it is no such column, or names a class beyond the number of `classes`.
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
