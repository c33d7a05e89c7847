from pathlib import Path

import numpy as np
import pytest

from navsim.world.bullet import write_wavefront

CORNERS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 2.5, 0.12345]])
FACE = np.array([[0, 1, 2]])


def numbers(path: Path, kind: str) -> list[list[float]]:
    rows = [line.split() for line in path.read_text().splitlines()]
    return [[float(value) for value in row[1:]] for row in rows if row[0] == kind]


def test_vertices_and_faces_are_written_from_one(tmp_path: Path) -> None:
    write_wavefront(tmp_path / "a.obj", CORNERS, FACE)
    assert numbers(tmp_path / "a.obj", "v") == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 2.5, 0.1235]]
    assert numbers(tmp_path / "a.obj", "f") == [[1, 2, 3]]


@pytest.mark.parametrize("rows", [1.0, 3.5])
def test_texture_coordinates_count_from_the_bottom_and_stay_positive(tmp_path: Path, rows: float) -> None:
    uv = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, rows]])
    write_wavefront(tmp_path / "a.obj", CORNERS, FACE, uv)
    written = np.array(numbers(tmp_path / "a.obj", "vt"))
    assert (written >= 0).all()
    np.testing.assert_allclose((written[:, 1] + uv[:, 1]) % 1.0, 0.0, atol=1e-6)
    assert "f 1/1 2/2 3/3" in (tmp_path / "a.obj").read_text()


def test_an_empty_mesh_is_an_empty_file(tmp_path: Path) -> None:
    write_wavefront(tmp_path / "a.obj", np.empty((0, 3)), np.empty((0, 3), int))
    assert (tmp_path / "a.obj").read_text() == ""
