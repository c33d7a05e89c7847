import numpy as np
import pytest

from navsim.world.obstacles import ObstacleKind, Obstacles, prisms, walls

SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])


def enclosed_volume(obstacles: Obstacles) -> float:
    a, b, c = np.moveaxis(obstacles.vertices[obstacles.triangles].astype(float), 1, 0)
    return float(np.einsum("ij,ij->i", np.cross(a, b), c).sum() / 6)


def test_prism_faces_outwards() -> None:
    # The open floor at z = 0 adds nothing to the sum, so walls and roof alone give the volume, positive outwards.
    assert enclosed_volume(prisms([SQUARE], 3.0, ObstacleKind.BUILDING)) == pytest.approx(12.0)


def test_prisms_have_heights_of_their_own() -> None:
    two = prisms(np.stack([SQUARE, SQUARE + 10.0]), np.array([1.0, 5.0]), ObstacleKind.TREE)
    assert two.vertices[:8, 2].max() == 1.0
    assert two.vertices[8:, 2].max() == 5.0
    assert len(two.triangles) == 2 * (8 + 2)


def test_nearest_names_the_closest_kind() -> None:
    faces = [[(20.0, -5.0, 0.0), (20.0, 5.0, 0.0), (20.0, 5.0, 0.12), (20.0, -5.0, 0.12)]]
    town = Obstacles.merged(
        [
            prisms([SQUARE], 3.0, ObstacleKind.BUILDING),
            prisms([SQUARE + np.array([10.0, 0.0])], 3.0, ObstacleKind.TREE),
            walls(faces, ObstacleKind.KERB),
        ]
    )
    assert town.nearest((2.5, 1.0, 1.0)) is ObstacleKind.BUILDING
    assert town.nearest((9.5, 1.0)) is ObstacleKind.TREE
    assert town.nearest((19.0, 4.0, 0.1)) is ObstacleKind.KERB
    assert town.nearest((10.0, 2.0)) == "tree"


def test_merging_keeps_every_triangle() -> None:
    one = prisms([SQUARE], 3.0, ObstacleKind.BUILDING)
    both = Obstacles.merged([one, one])
    assert len(both.triangles) == 2 * len(one.triangles) == len(both.kinds)
    np.testing.assert_array_equal(both.vertices[both.triangles[10:]], one.vertices[one.triangles])


def test_an_empty_mesh_has_no_nearest_obstacle() -> None:
    empty = Obstacles.merged([])
    assert empty.triangles.shape == (0, 3)
    with pytest.raises(ValueError, match="no nearest obstacle"):
        empty.nearest((0.0, 0.0))


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"\(V, 3\)"):
        Obstacles(np.zeros((4, 2), np.float32), np.zeros((1, 3), np.int32), np.zeros(1, np.uint8))
    with pytest.raises(ValueError, match=r"kinds \(F,\)"):
        Obstacles(np.zeros((4, 3), np.float32), np.zeros((1, 3), np.int32), np.zeros(2, np.uint8))
