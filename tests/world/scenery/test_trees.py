import numpy as np
import pytest
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.scenery.buildings import outlines_of, place_buildings
from navsim.world.scenery.placement import Shapes
from navsim.world.scenery.trees import CROWNS, TRUNK_HEIGHT, TRUNK_RADIUS, place_trees, tree_instances, tree_obstacles

ATLAS = np.zeros((256, 256, 3), np.uint8)
NO_WALLS: Shapes = np.empty(0, dtype=object)


def planted(network: RoadNetwork, spacing: float = 12.0) -> tuple[Array, ...]:
    return place_trees(network, NO_WALLS, spacing, generator(2, "trees"))


def test_trees_keep_clear_of_road_and_walls(crossing: RoadNetwork) -> None:
    walls = outlines_of(place_buildings(crossing, 1.0, generator(1, "houses")))
    transforms = np.concatenate(place_trees(crossing, walls, 8.0, generator(2, "trees")))
    points = shapely.points(transforms[:, :2])
    assert len(transforms) > 30
    assert shapely.distance(points, crossing.carriageway).min() > 1.6
    assert shapely.distance(points, shapely.union_all(walls)).min() > 2.0


def test_every_kind_is_planted_and_spacing_thins_them_out(crossing: RoadNetwork) -> None:
    dense, sparse = planted(crossing, 8.0), planted(crossing, 40.0)
    assert len(dense) == len(CROWNS)
    assert all(len(kind) > 0 for kind in dense)
    assert sum(map(len, sparse)) < sum(map(len, dense)) / 2


def test_trunks_stand_where_trees_are_seen(crossing: RoadNetwork) -> None:
    trees = planted(crossing)
    obstacles = tree_obstacles(trees)
    transforms = np.concatenate(trees)
    gaps = np.hypot(*(obstacles.vertices[:, None, :2] - transforms[None, :, :2]).transpose(2, 0, 1)).min(axis=1)
    assert gaps.max() <= TRUNK_RADIUS * transforms[:, 3].max() + 1e-3
    assert obstacles.vertices[:, 2].max() == pytest.approx(TRUNK_HEIGHT * transforms[:, 3].max(), rel=1e-5)
    instances = tree_instances(trees, ATLAS)
    assert sum(len(group.transforms) for group in instances) == len(transforms)


@pytest.mark.parametrize("kind", range(len(CROWNS)))
def test_trees_look_outwards_all_around(crossing: RoadNetwork, kind: int) -> None:
    mesh = tree_instances(planted(crossing), ATLAS)[kind].mesh
    a, b, c = np.moveaxis(mesh.vertices[mesh.triangles].astype(float), 1, 0)
    outwards = np.cross(b - a, c - a)[:, :2]
    middles = ((a + b + c) / 3)[:, :2]
    assert ((outwards * middles).sum(axis=1) > 0).all()
    assert mesh.vertices[:, 2].min() == 0.0
    assert mesh.vertices[:, 2].max() == pytest.approx(CROWNS[kind][-1][0])
    assert len(mesh.triangles) <= 30
