"""Wavefront OBJ files: the form in which PyBullet takes meshes without losing memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_wavefront(
    path: Path,
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    uv: NDArray[np.floating] | None = None,
) -> None:
    """Write a mesh, to 0.1 mm.

    Args:
        path: File to write.
        vertices: (V, 3) [m].
        triangles: (F, 3) indices into the vertices.
        uv: Texture coordinates (V, 2) from the image's left edge and top row, if any.
    """
    text = _rows("v %.4f %.4f %.4f\n", vertices)
    if uv is None:
        text += _rows("f %d %d %d\n", triangles + 1)
    else:
        # The file counts from the bottom row, and a negative coordinate would not repeat in TinyRenderer.
        top = np.ceil(uv[:, 1].max(initial=1.0))
        text += _rows("vt %.5f %.5f\n", np.stack([uv[:, 0], top - uv[:, 1]], axis=1))
        text += _rows("f %d/%d %d/%d %d/%d\n", np.repeat(triangles + 1, 2, axis=1))
    path.write_text(text, encoding="ascii")


def _rows(row: str, values: NDArray[np.generic]) -> str:
    """One line per row of `values`; a single formatting is three times as fast as one for each."""
    return (row * len(values)) % tuple(values.ravel().tolist())
