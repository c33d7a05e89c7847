"""Pictures as columns of binary values of one size: row-major uint8. T: pictures."""

import numpy as np
import pyarrow as pa

from navsim.sensing.observation import Image


def binary_column(pictures: Image) -> pa.Array:
    """Pictures (T, ...) as a column of T binary values, without a copy."""
    data = pa.py_buffer(np.ascontiguousarray(pictures))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(pictures[0].size), len(pictures), [None, data])


def pictures_of(column: pa.ChunkedArray, rows: int, shape: tuple[int, ...]) -> Image:
    """The first `rows` binary values as (rows, *shape), without a copy where they lie in one piece."""
    size = int(np.prod(shape))
    column = column.slice(0, rows)
    if column.null_count or column.type != pa.binary(size):
        raise ValueError(f"{rows} pictures of {shape} need as many values of {size} bytes, got {column.type}")
    pieces = [_bytes(chunk, size) for chunk in column.chunks]
    return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)).reshape(rows, *shape)


def _bytes(chunk: pa.FixedSizeBinaryArray, size: int) -> Image:
    """The bytes of a chunk of binary values of one size."""
    data = np.frombuffer(chunk.buffers()[1], np.uint8)
    return data[chunk.offset * size : (chunk.offset + len(chunk)) * size]
