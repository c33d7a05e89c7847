import numpy as np
import pytest

from navsim.geometry import Pose
from navsim.rendering.interface import (
    Boxes,
    TileKind,
    draw_distances,
    grid_squares,
    group_indices,
    meshes_of,
    side_planes,
    visible_boxes,
)
from navsim.sensing.camera import Camera
from navsim.world.scenery.meshes import SemanticClass
from tests.rendering.plain_scenes import level, plain, quad, road, scene_of, wall

CAMERA = Camera(fov_deg=90.0, position=(0.0, 0.0, 1.4), pitch_deg=0.0)


def seen(places: list[tuple[float, float]], kind: TileKind = TileKind.STANDING, reach: float = 1e6) -> list[int]:
    """Return the indices of the cubes of 2 m that the camera may see."""
    middle = np.array([(x, y, 1.0) for x, y in places])
    boxes = Boxes.around(middle - 1, middle + 1, np.full(len(places), kind))
    planes = side_planes(CAMERA.projection_matrix() @ CAMERA.view_matrix(Pose(0.0, 0.0, 0.0)))
    return list(visible_boxes(boxes, planes, np.array([0.0, 0.0, 1.4]), np.full(len(TileKind), reach)))


@pytest.mark.parametrize(
    ("x", "y", "visible"),
    [
        (20.0, 0.0, True),
        (-20.0, 0.0, False),
        (20.0, 30.0, False),
        (20.0, 19.0, True),
        (0.5, 0.5, True),
        (0.0, -9.0, False),
    ],
)
def test_visible_boxes_keeps_what_may_be_seen(x: float, y: float, visible: bool) -> None:
    assert seen([(x, y)]) == ([0] if visible else [])


def test_boxes_beyond_their_draw_distance_are_left_out() -> None:
    assert seen([(50.0, 0.0)], reach=50.0 - np.sqrt(2) + 0.1) == [0]
    assert seen([(50.0, 0.0)], reach=50.0 - np.sqrt(2) - 0.1) == []


def test_the_nearest_boxes_come_first() -> None:
    assert seen([(90.0, 0.0), (-5.0, 0.0), (10.0, 0.0), (40.0, 0.0)]) == [2, 3, 0]


def test_draw_distances_follow_the_focal_length() -> None:
    standing, slim, detail, terrain = draw_distances(100.0, 1.4)
    assert standing == terrain == 150.0
    assert slim == pytest.approx(60.0)  # where 0.6 m are a pixel
    assert detail == pytest.approx(48.0)  # where 0.12 m are a quarter of a pixel
    assert draw_distances(400.0, 1.4).tolist() == [150.0, 150.0, 150.0, 560.0]


def test_standing_objects_come_first_and_the_terrain_last() -> None:
    grass = quad(level((0, 50), (0, 50), 0.1), plain(10, 90, 30), SemanticClass.GROUND)
    meshes = meshes_of(scene_of(grass, road(size=200.0), wall(9.0, plain(1, 2, 3))))
    assert [mesh.semantic for mesh in meshes] == [SemanticClass.BUILDING, SemanticClass.GROUND, SemanticClass.ROAD]


def test_a_wide_ground_is_drawn_after_what_lies_on_it() -> None:
    low, high = (
        np.array([[-500.0, -500.0, -0.1], [60.0, -5.0, 0.0]]),
        np.array([[500.0, 500.0, -0.1], [70.0, 5.0, 0.0]]),
    )
    boxes = Boxes.around(low, high, np.full(2, TileKind.TERRAIN))
    planes = side_planes(CAMERA.projection_matrix() @ CAMERA.view_matrix(Pose(0.0, 0.0, 0.0)))
    drawn = visible_boxes(boxes, planes, np.array([0.0, 0.0, 1.4]), np.full(len(TileKind), 150.0))
    assert drawn.tolist() == [1, 0]


def test_triangles_are_grouped_by_grid_square() -> None:
    corners = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (10, 0, 0), (11, 0, 0), (10, 1, 0)], np.float32)
    triangles = np.array([(3, 4, 5), (0, 1, 2), (2, 1, 0)])
    squares = grid_squares(corners, triangles, 10.0)
    assert squares[1] == squares[2] != squares[0]
    assert sorted(part.tolist() for part in group_indices(squares)) == [[0], [1, 2]]
    assert list(group_indices(np.empty(0, np.int64))) == []
