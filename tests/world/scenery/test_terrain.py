import numpy as np
import pytest
import shapely

from navsim.geometry import Array
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.scenery.meshes import Surface
from navsim.world.scenery.parked_cars import BAY_HEIGHT, bays_surface, place_cars
from navsim.world.scenery.pavement import KERB_HEIGHT, KERB_WIDTH, Kerbs, build_kerbs, footways
from navsim.world.scenery.placement import Shapes
from navsim.world.scenery.terrain import GROUND_HEIGHT, HILLS, Terrain, build_terrain, ground_area, tile_origin

WIDTH = 1.8
NO_BAYS = Surface.merged([])


@pytest.fixture(scope="module", params=["grid-train-1", "suburb-train-1", "village-train-0", "train-3"])
def town(request: pytest.FixtureRequest) -> RoadNetwork:
    return build_town(request.param)


@pytest.fixture(scope="module")
def kerbs(town: RoadNetwork) -> Kerbs:
    return build_kerbs(town)


@pytest.fixture(scope="module")
def terrain(town: RoadNetwork, kerbs: Kerbs) -> Terrain:
    return build_terrain(town, kerbs, WIDTH, NO_BAYS, generator(1, "hills"))


def corners(surface: Surface) -> Array:
    """Return corners (F, 3, 3) of each triangle."""
    return np.asarray(surface.vertices[surface.triangles])


def upwards(surface: Surface) -> Array:
    """Return area (F,) of each triangle seen from above, negative where it faces down."""
    a, b, c = np.moveaxis(corners(surface), 1, 0)
    return np.asarray(np.cross(b - a, c - a)[:, 2] / 2)


def area(surface: Surface) -> float:
    return float(upwards(surface).sum())


def test_the_road_is_paved_once_and_the_ground_passes_below_all_of_it(
    town: RoadNetwork, kerbs: Kerbs, terrain: Terrain
) -> None:
    assert area(terrain.road) == pytest.approx(town.carriageway.area, rel=2e-3)
    assert area(terrain.road) == pytest.approx(kerbs.road.area, rel=1e-6)
    assert area(terrain.ground) == pytest.approx(ground_area(town).area, rel=1e-6)
    assert len(terrain.ground.triangles) <= 8
    for surface in (terrain.road, terrain.footway, terrain.ground):
        assert (upwards(surface) > -1e-9).all()


def test_a_ray_from_above_meets_at_most_one_paved_surface(town: RoadNetwork, kerbs: Kerbs, terrain: Terrain) -> None:
    x0, y0, x1, y1 = town.bounds
    rays = generator(1, "rays").uniform((x0 - 70, y0 - 70), (x1 + 70, y1 + 70), (4000, 2))
    points: Shapes = np.asarray(shapely.points(rays))
    met = np.zeros(len(points), dtype=np.int64)
    for surface in (terrain.road, terrain.footway):
        triangles: Shapes = np.asarray(shapely.polygons(corners(surface)[..., :2]))
        met += np.bincount(shapely.STRtree(triangles).query(points, predicate="intersects")[0], minlength=len(points))
    on_stones = shapely.intersects(shapely.difference(kerbs.road_and_kerbs, kerbs.road), points)
    paved = shapely.intersects(shapely.union(kerbs.road, footways(kerbs, WIDTH)), points)
    assert (met[paved & ~on_stones] == 1).all()
    assert (met[~paved & ~on_stones] == 0).all()
    assert (met[on_stones] == 0).mean() > 0.95  # but for those on an edge


def test_heights_are_those_of_road_and_kerb(terrain: Terrain) -> None:
    assert set(terrain.road.vertices[:, 2].tolist()) == {0.0}
    assert set(terrain.footway.vertices[:, 2].tolist()) == {KERB_HEIGHT}
    assert set(terrain.ground.vertices[:, 2].tolist()) == {GROUND_HEIGHT}
    assert set(terrain.plain.vertices[:, 2].tolist()) == {GROUND_HEIGHT}


def test_footways_lie_behind_the_kerb_as_wide_as_asked(town: RoadNetwork, kerbs: Kerbs) -> None:
    paved = footways(kerbs, WIDTH)
    assert not paved.is_empty
    assert shapely.distance(town.carriageway, paved) > KERB_WIDTH - 0.1
    outer = shapely.intersection(kerbs.road_and_kerbs.buffer(WIDTH - 0.1), kerbs.road_and_kerbs.buffer(0.01))
    assert shapely.difference(outer, kerbs.road_and_kerbs.buffer(0.02)).difference(paved).area < 1.0
    far = shapely.difference(paved, town.carriageway.buffer(KERB_WIDTH + WIDTH + 0.3))
    assert far.area < 0.01 * paved.area  # mitred corners reach a little farther


def test_towns_without_footways_have_grass_up_to_the_kerb(town: RoadNetwork, kerbs: Kerbs) -> None:
    bare = build_terrain(town, kerbs, 0.0, NO_BAYS, generator(1, "hills"))
    assert len(bare.footway.triangles) == 0
    assert area(bare.ground) == pytest.approx(ground_area(town).area, rel=1e-6)


def test_bays_are_paved_a_little_higher(town: RoadNetwork, kerbs: Kerbs) -> None:
    cars = place_cars(town, np.empty(0, dtype=object), 60.0, generator(1, "cars"))
    bays = bays_surface(cars, tile_origin(town))
    paved = build_terrain(town, kerbs, WIDTH, bays, generator(1, "hills")).footway
    high = upwards(paved)[(corners(paved)[..., 2] == BAY_HEIGHT).all(axis=1)]
    assert len(high) == 2 * sum(map(len, cars))
    assert high.sum() == pytest.approx(5.6 * 2.6 * sum(map(len, cars)))


def test_the_plain_reaches_the_horizon_without_a_gap(town: RoadNetwork, terrain: Terrain) -> None:
    (x0, y0), (x1, y1) = terrain.ground.vertices[:, :2].min(axis=0), terrain.ground.vertices[:, :2].max(axis=0)
    inner = float((x1 - x0) * (y1 - y0))
    (a0, b0), (a1, b1) = terrain.plain.vertices[:, :2].min(axis=0), terrain.plain.vertices[:, :2].max(axis=0)
    assert area(terrain.plain) == pytest.approx(float((a1 - a0) * (b1 - b0)) - inner, rel=1e-4)
    assert (upwards(terrain.plain) > 0).all()
    assert a0 < town.bounds[0] - 2000


def test_hills_stand_on_the_plain_and_face_the_town(town: RoadNetwork, terrain: Terrain) -> None:
    a, b, c = np.moveaxis(corners(terrain.hills), 1, 0)
    inwards = np.array(town.bounds).reshape(2, 2).mean(axis=0) - corners(terrain.hills).mean(axis=1)[:, :2]
    assert ((np.cross(b - a, c - a)[:, :2] * inwards).sum(axis=1) > 0).all()
    assert np.hypot(*inwards.T).max() < np.abs(terrain.plain.vertices[:, :2]).max()
    heights = terrain.hills.vertices[:, 2]
    _, min_height, greatest = HILLS
    assert heights.min() < 0
    assert min_height <= heights[heights > 0].min() < heights.max() <= greatest
