import time

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from navsim.geometry import Array
from navsim.roads.elements import Footprint
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.scenery.buildings import (
    COLLISION_HEIGHT,
    MIN_PASSAGE,
    Building,
    building_obstacles,
    building_surface,
    buildings_from,
    outlines_of,
)
from navsim.world.scenery.facades import BAYS, FLOORS, Facade

L_SHAPE = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 6.0], [6.0, 6.0], [6.0, 18.0], [0.0, 18.0]])
FAR = np.array([200.0, 200.0])


def built(network: RoadNetwork, *outlines: Array, height: float = 6.0) -> tuple[Building, ...]:
    return buildings_from([Footprint(outline, height) for outline in outlines], network, generator(1, "houses"))


def star(radii: list[float]) -> Array:
    """Return a plan whose corners lie at these distances around a point, mostly concave."""
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    return np.asarray(FAR + np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def triangles_of(*houses: Building) -> Array:
    """Return corners (F, 3, 3) of the triangles of houses."""
    surface = building_surface(houses)
    return np.asarray(surface.vertices[surface.triangles])


def vectors(triangles: Array) -> Array:
    """Return outward normals, as long as the area."""
    return np.asarray(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]) / 2)


@given(radii=st.lists(st.floats(5.0, 25.0), min_size=5, max_size=12), height=st.floats(3.0, 30.0))
@settings(max_examples=40, deadline=None)
def test_walls_stand_along_every_edge_and_the_roof_covers_the_plan(
    crossing: RoadNetwork, radii: list[float], height: float
) -> None:
    (house,) = built(crossing, star(radii), height=height)
    plan = shapely.Polygon(house.outline)
    assert plan.area == pytest.approx(shapely.Polygon(star(radii)).area, rel=0.02)
    faces = triangles_of(house)
    upwards = vectors(faces)[:, 2]
    assert upwards.sum() == pytest.approx(plan.area, rel=1e-6)
    assert (upwards > -1e-9).all()
    walls = faces[np.abs(upwards) < 1e-9]
    assert np.linalg.norm(vectors(walls), axis=1).sum() == pytest.approx(plan.length * house.height, rel=1e-6)
    a, b, c = np.moveaxis(faces, 1, 0)
    volume = np.einsum("ij,ij->i", np.cross(a, b), c).sum() / 6  # closed but for the floor at z = 0; faces outwards
    assert volume == pytest.approx(plan.area * house.height, rel=1e-6)


def test_a_concave_house_keeps_its_yard_open(crossing: RoadNetwork) -> None:
    (house,) = built(crossing, L_SHAPE + FAR)
    faces = triangles_of(house)
    roof = shapely.union_all(shapely.polygons(faces[vectors(faces)[:, 2] > 1e-9][..., :2]))
    assert roof.symmetric_difference(shapely.Polygon(L_SHAPE + FAR)).area == pytest.approx(0.0, abs=1e-6)
    assert not roof.contains(shapely.Point(FAR + 12.0))
    assert not house.gabled


def test_a_house_across_the_road_keeps_its_larger_part(crossing: RoadNetwork) -> None:
    across = np.array([[50.0, -12.0], [60.0, -12.0], [60.0, 25.0], [50.0, 25.0]])
    (house,) = built(crossing, across)
    kerb = crossing.roads[0].half_width
    assert shapely.Polygon(house.outline).bounds == pytest.approx((50.0, kerb + MIN_PASSAGE, 60.0, 25.0), abs=0.2)


def test_a_house_on_the_road_alone_is_left_out(crossing: RoadNetwork) -> None:
    assert built(crossing, np.array([[50.0, -2.0], [54.0, -2.0], [54.0, 2.0], [50.0, 2.0]])) == ()


def test_no_house_of_known_outline_blocks_any_street() -> None:
    town = build_town("suburb-train-1")
    rng = generator(2, "plans")
    x0, y0, x1, y1 = town.bounds
    plans = [star(rng.uniform(6.0, 18.0, 7).tolist()) - FAR + rng.uniform((x0, y0), (x1, y1)) for _ in range(300)]
    houses = built(town, *plans)
    assert len(houses) > 200
    assert shapely.distance(outlines_of(houses), town.carriageway).min() > MIN_PASSAGE - 0.2


@pytest.mark.parametrize(
    "outline",
    [
        np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.9], [0.0, 2.9]]),  # 5.8 m2
        np.array([[0.0, 0.0], [9.0, 0.0]]),
        np.array([[0.0, 0.0], [9.0, 9.0], [9.0, 0.0], [0.0, 9.0]]),  # crosses itself
        np.array([[0.0, 0.0], [9.0, 0.0], [20.0, 0.0]]),
    ],
)
def test_invalid_outlines_are_left_out(crossing: RoadNetwork, outline: Array) -> None:
    assert built(crossing, outline + FAR) == ()
    assert len(built(crossing, outline + FAR, L_SHAPE + FAR + 50.0)) == 1


def test_low_sheds_are_one_floor_high(crossing: RoadNetwork) -> None:
    assert [house.height for house in built(crossing, L_SHAPE + FAR, height=1.0)] == [3.0]


def test_walls_can_be_driven_into_along_every_edge(crossing: RoadNetwork) -> None:
    (house,) = built(crossing, L_SHAPE + FAR)
    solid = building_obstacles([house])
    faces = solid.vertices[solid.triangles].astype(float)
    assert solid.vertices[:, 2].max() == COLLISION_HEIGHT
    assert np.linalg.norm(vectors(faces), axis=1).sum() == pytest.approx(76.0 * COLLISION_HEIGHT, rel=1e-4)


@given(width=st.floats(1.0, 70.0), height=st.floats(1.0, 60.0), kind=st.sampled_from(Facade), bay=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_walls_show_only_their_own_kinds_band(width: float, height: float, kind: Facade, bay: int) -> None:
    plan = np.array([[0.0, 0.0], [width, 0.0], [width, 10.0], [0.0, 10.0]])
    surface = building_surface([Building(plan, height, kind, gabled=False, bay=bay)])
    walls = surface.uv[:-6]  # two triangles of roof come last
    rows = walls[:, 1] * (FLOORS + 1) * len(Facade)
    assert rows.min() >= FLOORS * kind - 1e-9
    assert rows.max() <= FLOORS * (kind + 1) + 1e-9
    assert walls[:, 0].min() >= 0.0
    bays = walls[:, 0] * BAYS
    np.testing.assert_allclose(bays, np.round(bays), atol=1e-9)  # no window is cut
    np.testing.assert_allclose(rows, np.round(rows), atol=1e-9)
    roof = surface.uv[-6:, 1] * (FLOORS + 1) * len(Facade)
    assert (np.floor(roof) == FLOORS * len(Facade) + kind).all()


def test_the_same_houses_come_of_the_same_seed(crossing: RoadNetwork) -> None:
    first, second = (built(crossing, L_SHAPE + FAR, star([9.0] * 4) + 80.0) for _ in range(2))
    assert [(house.kind, house.bay, house.gabled) for house in first] == [
        (house.kind, house.bay, house.gabled) for house in second
    ]


def test_thousands_of_outlines_are_built_quickly() -> None:
    town = build_town("train-1")
    rng = generator(3, "plans")
    x0, y0, x1, y1 = town.bounds
    middles = rng.uniform((x0, y0), (x1, y1), (3000, 2))
    plans = [star(rng.uniform(5.0, 10.0, int(rng.integers(4, 12))).tolist()) - FAR + middle for middle in middles]
    start = time.process_time()
    houses = built(town, *plans)
    building_surface(houses)
    building_obstacles(houses)
    assert (
        time.process_time() - start < 12.0
    )  # about 1 s on a machine at rest; with all pairs compared it takes minutes
    assert len(houses) > 1500
