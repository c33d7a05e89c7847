"""Parked cars, signs, lamps and pedestrians: clear of the road and of each other, visible where they can be hit."""

from collections.abc import Iterator

import numpy as np
import pytest
import shapely

from navsim.geometry import Pose
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.obstacles import ObstacleKind, Obstacles
from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.buildings import outlines_of, place_buildings
from navsim.world.scenery.meshes import SemanticClass
from navsim.world.scenery.parked_cars import (
    MODELS,
    bays_surface,
    car_heights,
    car_instances,
    car_obstacles,
    car_outlines,
    place_cars,
)
from navsim.world.scenery.placement import Mask, Shapes, clear_of, keep_apart, random_roadside_positions, rectangles
from navsim.world.scenery.scene import Scene, build_scene
from navsim.world.scenery.street_furniture import (
    place_lamps,
    place_pedestrians,
    place_signs,
    street_furniture_instances,
    street_furniture_obstacles,
)
from navsim.world.world import World

TOWNS = ("grid-train-1", "suburb-train-1", "village-train-0", "train-3")
ATLAS = np.zeros((128, 128, 3), np.uint8)
NOTHING: Shapes = np.empty(0, dtype=object)


@pytest.fixture(scope="module", params=TOWNS)
def town(request: pytest.FixtureRequest) -> RoadNetwork:
    return build_town(request.param)


@pytest.fixture(scope="module")
def scene(town: RoadNetwork) -> Scene:
    return build_scene(town, Appearance(building_density=0.95, car_spacing=40.0), generator(1, "scenery"))


def of_kind(obstacles: Obstacles, kind: ObstacleKind) -> Mask:
    """Return whether each triangle (F,) belongs to an object of a kind."""
    return np.asarray(obstacles.kinds == list(ObstacleKind).index(kind), dtype=bool)


def grounds_of(obstacles: Obstacles, kind: ObstacleKind) -> Shapes:
    """Return the outline of every object of a kind."""
    chosen = obstacles.triangles[of_kind(obstacles, kind)]
    flat: Shapes = np.asarray(shapely.polygons(obstacles.vertices[chosen, :2].astype(float)))
    roofs = flat[shapely.area(flat) > 1e-4]
    return np.asarray(shapely.get_parts(shapely.union_all(shapely.buffer(roofs, 1e-3))))


def houses_of(scene: Scene) -> shapely.Geometry:
    """Return the walls of all houses, seen from above."""
    obstacles = scene.obstacles
    chosen = obstacles.triangles[of_kind(obstacles, ObstacleKind.BUILDING)]
    return shapely.union_all(shapely.linestrings(obstacles.vertices[chosen, :2].astype(float)))


@pytest.mark.parametrize(
    ("kind", "clearance"),
    [(ObstacleKind.CAR, 1.5), (ObstacleKind.SIGN, 0.5), (ObstacleKind.PEDESTRIAN, 1.1), (ObstacleKind.TREE, 1.5)],
)
def test_objects_keep_clear_of_road_and_houses(
    town: RoadNetwork, scene: Scene, kind: ObstacleKind, clearance: float
) -> None:
    things = grounds_of(scene.obstacles, kind)
    assert len(things) > 5
    assert shapely.distance(things, town.carriageway).min() > clearance
    assert shapely.distance(things, houses_of(scene)).min() > 0.2


def test_nothing_stands_in_anything_else(scene: Scene) -> None:
    kinds = (ObstacleKind.CAR, ObstacleKind.SIGN, ObstacleKind.PEDESTRIAN)
    things = [grounds_of(scene.obstacles, kind) for kind in kinds]
    everything = np.concatenate(things)
    tree = shapely.STRtree(everything)
    assert len(tree.query(everything, predicate="intersects").T) == len(everything)  # each meets itself alone
    trunks = grounds_of(scene.obstacles, ObstacleKind.TREE)
    assert not len(tree.query(trunks, predicate="intersects").T)


def test_signs_stand_to_the_right_of_the_mouths_and_face_the_traffic(crossing: RoadNetwork) -> None:
    signs = place_signs(crossing)
    assert len(signs) == 4
    start, _ = crossing.mouths(0)
    # The first road leaves the crossing eastwards; traffic towards the crossing keeps to its northern side.
    edge = crossing.roads[0].half_width + 0.9
    east = signs[np.argmax(signs[:, 0])]
    assert east[:3] == pytest.approx((start + 2.0, edge, 0.0))
    turned = np.hypot(np.cos(signs[:, 2]).sum(), np.sin(signs[:, 2]).sum())
    assert turned == pytest.approx(0.0, abs=1e-9)  # one for each direction


def test_roundabouts_have_signs_on_their_approaches_and_none_on_the_ring() -> None:
    village = build_town("village-train-0")
    ring = [road.centre for road in village.roads if road.ring]
    assert ring
    signs = place_signs(village)
    assert len(signs) > 3
    middle = np.mean([line.points.mean(axis=0) for line in ring], axis=0)
    radius = np.hypot(*(ring[0].points[0] - middle))
    assert np.hypot(*(signs[:, :2] - middle).T).min() > radius


def test_lamps_and_people_stand_on_the_footway(town: RoadNetwork) -> None:
    lamps = place_lamps(town, NOTHING, generator(1, "lamps"))
    gaps = shapely.distance(shapely.points(lamps[:, :2]), town.carriageway)
    assert ((gaps > 0.6) & (gaps < 1.05)).all()
    people = np.concatenate(place_pedestrians(town, NOTHING, generator(1, "people")))
    gaps = shapely.distance(shapely.points(people[:, :2]), town.carriageway)
    assert ((gaps > 1.5) & (gaps < 2.35)).all()
    for lamp in lamps:
        over = Pose(*lamp[:3].tolist()).moved(forward=1.3)  # the lamp hangs over the kerb
        assert shapely.distance(shapely.Point(over.x, over.y), town.carriageway) < 0.4


def test_spacing_decides_how_many_cars_are_parked(town: RoadNetwork) -> None:
    few, many = (sum(map(len, place_cars(town, NOTHING, gap, generator(1, "cars")))) for gap in (150.0, 50.0))
    assert 0 < few < many


def test_cars_park_clear_of_houses(town: RoadNetwork) -> None:
    houses = outlines_of(place_buildings(town, 1.0, generator(1, "houses")))
    cars: Shapes = np.asarray(shapely.polygons(car_outlines(place_cars(town, houses, 20.0, generator(2, "cars")))))
    assert len(cars) > 20
    assert clear_of(cars, houses, 0.6).all()
    assert keep_apart(cars, 0.3).all()


def test_cars_are_hit_where_they_are_seen(town: RoadNetwork) -> None:
    cars = place_cars(town, NOTHING, 50.0, generator(2, "cars"))
    solid, seen = car_obstacles(cars), [group.baked() for group in car_instances(cars, ATLAS)]
    assert [group.mesh.semantic for group in car_instances(cars, ATLAS)] == [SemanticClass.VEHICLE] * len(MODELS)
    points = np.concatenate([mesh.vertices for mesh in seen])
    assert len(solid.vertices) == 8 * sum(map(len, cars))
    plans = shapely.union_all(shapely.polygons(car_outlines(cars)))
    assert (
        shapely.distance(shapely.points(points[:, :2].astype(float)), plans).max() < 0.02
    )  # tyres and lamps stand out
    np.testing.assert_allclose(solid.vertices[:, 2].max(), car_heights(cars).max())
    assert points[:, 2].min() >= 0.0
    np.testing.assert_allclose(points[:, 2].max(), car_heights(cars).max(), rtol=1e-5)


def test_every_car_stands_on_a_paved_place(town: RoadNetwork) -> None:
    cars = place_cars(town, NOTHING, 50.0, generator(2, "cars"))
    paved = bays_surface(cars, np.array(town.bounds[:2]) - 500.0)
    transforms = shapely.union_all(shapely.polygons(paved.vertices[paved.triangles][..., :2]))
    assert shapely.contains(transforms, shapely.polygons(car_outlines(cars))).all()


def test_people_and_posts_are_as_high_as_they_are_seen(crossing: RoadNetwork) -> None:
    people = place_pedestrians(crossing, NOTHING, generator(1, "people"))
    signs, lamps = place_signs(crossing), place_lamps(crossing, NOTHING, generator(1, "lamps"))
    heights = [
        group.baked().vertices[:, 2].max() for group in street_furniture_instances(signs, lamps, people, ATLAS)[2:]
    ]
    assert heights == pytest.approx([2.6, 6.0])
    solid = street_furniture_obstacles(signs, lamps, people)
    counts = [int(of_kind(solid, kind).sum()) for kind in (ObstacleKind.SIGN, ObstacleKind.PEDESTRIAN)]
    assert counts == [10 * (len(signs) + len(lamps)), 10 * sum(map(len, people))]


def test_places_lie_evenly_on_both_sides_and_drive_on_the_right(crossing: RoadNetwork) -> None:
    transforms = random_roadside_positions(crossing, 1.0, (1.0, 2.0), generator(1, "transforms"))
    free = sum(end - start for start, end in map(crossing.mouths, range(4)))
    assert len(transforms.headings) == int(2 * free)
    gaps = shapely.distance(shapely.points(transforms.positions), crossing.carriageway)
    assert 0.99 < gaps.min() < gaps.max() < 2.01
    for pose in np.column_stack([transforms.positions, transforms.headings]).tolist():
        ahead = Pose(*pose).moved(left=4.0)
        assert crossing.is_drivable(ahead.position)  # on the right, the road lies to the left
    quarters = [np.hypot(*(transforms.positions - middle).T).__lt__(45.0).mean() for middle in 70.0 * np.eye(2)]
    assert min(quarters) > 0.15


def test_rectangles_turn_with_their_heading() -> None:
    (corners,) = rectangles(np.array([[10.0, 20.0, np.pi / 2]]), 4.0, 2.0)
    np.testing.assert_allclose(corners, [[11, 18], [11, 22], [9, 22], [9, 18]], atol=1e-12)


def test_of_shapes_too_close_the_earlier_stays() -> None:
    row: Shapes = np.asarray(shapely.points([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [9.0, 0.0]]))
    assert keep_apart(row, 1.5).tolist() == [True, False, True, True]
    assert clear_of(row, row[:1], 1.5).tolist() == [False, False, True, True]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.mark.parametrize("kind", [ObstacleKind.CAR, ObstacleKind.SIGN, ObstacleKind.PEDESTRIAN, ObstacleKind.TREE])
def test_each_kind_is_hit_as_what_it_is(world: World, kind: ObstacleKind) -> None:
    town = build_town("grid-train-1")
    everything = build_scene(town, Appearance(), generator(1, "scenery")).obstacles
    kerbs = of_kind(everything, ObstacleKind.KERB)  # would be hit on the way
    world.load(Obstacles(everything.vertices, everything.triangles[~kerbs], everything.kinds[~kerbs]))
    hits = []
    for target in shapely.centroid(grounds_of(everything, kind))[:6]:
        to_road = shapely.get_coordinates(shapely.shortest_line(target, town.carriageway))
        towards = to_road[0] - to_road[1]
        start = Pose(target.x, target.y, float(np.arctan2(towards[1], towards[0]))).moved(forward=-6.0)
        world.place(start, 4.0)
        for _ in range(20):
            world.step(0.0, 4.0)
        assert world.contact is not None
        hits.append(world.contact.kind)
    assert hits.count(kind) >= 5
