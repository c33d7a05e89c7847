import numpy as np
import pytest

from navsim.rendering.car_model import BODY, SHADOW, CarPart, car_parts, loft
from navsim.world.vehicle import VehicleSpec


def volume(part: CarPart) -> float:
    corners = part.vertices[part.triangles]
    return float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def square(size: float, z: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([(0, 0, z), (size, 0, z), (size, size, z), (0, size, z)], float)


@pytest.mark.parametrize("low_first", [True, False])
def test_a_loft_of_squares_is_a_box_seen_from_outside(low_first: bool) -> None:
    low, high = square(2.0, 0.0), square(2.0, 3.0)
    part = loft(low, high, BODY) if low_first else loft(high, low, BODY)
    assert volume(part) == pytest.approx(12.0)
    assert len(part.triangles) == 12


def test_every_part_is_closed_and_faces_outwards() -> None:
    for part in car_parts(VehicleSpec()):
        assert volume(part) > 0
        edges = np.concatenate([part.triangles[:, [0, 1]], part.triangles[:, [1, 2]], part.triangles[:, [2, 0]]])
        forth = {tuple(edge) for edge in edges.tolist()}
        assert {(b, a) for a, b in forth} == forth


def test_the_car_has_the_dimensions_of_its_spec() -> None:
    spec = VehicleSpec(length=5.0, width=1.8, height=1.6)
    points = np.concatenate([part.vertices for part in car_parts(spec) if part.colour != SHADOW])
    size = np.ptp(points, axis=0)
    np.testing.assert_allclose(size, [5.0, 1.8, 1.6], atol=0.2)
    assert points[:, 2].min() == pytest.approx(0.0)


def test_the_car_is_as_wide_on_both_sides() -> None:
    points = np.concatenate([part.vertices for part in car_parts(VehicleSpec())])
    assert points[:, 1].max() == pytest.approx(-points[:, 1].min())
