from dataclasses import fields

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.obstacles import ObstacleKind, Obstacles
from navsim.world.scenery.appearance import Appearance, appearance_of
from navsim.world.scenery.meshes import Instances, Mesh, SemanticClass, flat_surface
from navsim.world.scenery.parked_cars import BAY_HEIGHT
from navsim.world.scenery.pavement import KERB_HEIGHT, build_kerbs, markings
from navsim.world.scenery.scene import Scene, build_scene
from navsim.world.scenery.terrain import GROUND_HEIGHT


@pytest.fixture(scope="module")
def town() -> RoadNetwork:
    return build_town("train-3")


@pytest.fixture(scope="module")
def town_scene(town: RoadNetwork) -> Scene:
    return build_scene(town, appearance_of("", generator(3, "look")), generator(3, "scenery"))


def part(scene: Scene, semantic: SemanticClass) -> Mesh:
    return next(mesh for mesh in scene.meshes if mesh.semantic is semantic)


def grounds(scene: Scene) -> list[Mesh]:
    """Return footways, ground, plain and hills."""
    return [mesh for mesh in scene.meshes if mesh.semantic is SemanticClass.GROUND]


def corners(mesh: Mesh) -> Array:
    """Return corners of each triangle (F, 3, 3)."""
    return mesh.vertices[mesh.triangles].astype(float)


def normals(mesh: Mesh) -> Array:
    a, b, c = np.moveaxis(corners(mesh), 1, 0)
    return np.asarray(np.cross(b - a, c - a) / 2)  # as long as the triangle's area


def footprint(obstacles: Obstacles, kind: ObstacleKind) -> Array:
    """Return the ground points (N, 2) of all objects of a kind."""
    chosen = obstacles.triangles[obstacles.kinds == list(ObstacleKind).index(kind)]
    return np.unique(obstacles.vertices[chosen.ravel(), :2], axis=0)


def test_the_road_covers_the_carriageway(town: RoadNetwork, town_scene: Scene) -> None:
    road = part(town_scene, SemanticClass.ROAD)
    assert normals(road)[:, 2].sum() == pytest.approx(town.carriageway.area, rel=2e-3)
    assert (normals(road)[:, 2] > 0).all()
    assert (road.vertices[:, 2] == 0).all()


def test_footways_do_not_overlap_the_road_and_the_ground_lies_below_it(town: RoadNetwork, town_scene: Scene) -> None:
    footway, ground, _, _ = grounds(town_scene)
    assert not town.is_drivable(corners(footway).mean(axis=1)[:, :2]).any()
    for mesh in (footway, ground):
        assert (normals(mesh)[:, 2] >= 0).all()
    assert (ground.vertices[:, 2] == np.float32(GROUND_HEIGHT)).all()
    paved_heights = {float(np.float32(height)) for height in (KERB_HEIGHT, BAY_HEIGHT)}
    assert set(footway.vertices[:, 2].tolist()) == paved_heights


def test_kerbs_line_the_road_and_face_it(town: RoadNetwork) -> None:
    kerbs = build_kerbs(town)
    edge = shapely.union_all([shapely.LinearRing(ring) for ring in kerbs.inner])
    assert edge.hausdorff_distance(shapely.boundary(town.carriageway)) < 0.1
    upright = kerbs.faces[np.ptp(kerbs.faces[..., 2], axis=1) > 0]
    middles = upright.mean(axis=1)[:, :2]
    a, b, c = (upright[:, i] for i in range(3))
    outwards = np.cross(b - a, c - a)[:, :2]
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    assert town.is_drivable(middles + 0.2 * outwards).all()
    assert not town.is_drivable(middles - 0.2 * outwards).any()


def test_markings_stay_on_the_roads_and_out_of_the_junctions(town: RoadNetwork) -> None:
    paint = markings(town)
    pieces = paint.vertices[paint.triangles][:, :, :2]
    inside = shapely.union_all([junction.area for junction in town.junctions]).buffer(-0.05)
    triangles = shapely.polygons(pieces)
    assert not shapely.intersects(triangles, inside).any()
    assert town.is_drivable(pieces.reshape(-1, 2)).all()
    assert (paint.vertices[:, 2] > 0).all()
    assert (paint.vertices[:, 2] < 0.05).all()


def test_dashes_and_edge_lines_lie_where_they_belong(crossing: RoadNetwork) -> None:
    points = markings(crossing).vertices
    start, _ = crossing.mouths(0)
    beside = np.unique(np.round(np.abs(points[(points[:, 0] > start + 1) & (np.abs(points[:, 1]) < 5), 1]), 2))
    # Along the first road: dashes 0.18 m wide on the centre line, edge lines 3.5 m beside it, yield bars between.
    assert {0.09, 3.41, 3.59} <= set(beside.tolist())
    assert beside.max() == pytest.approx(3.59)


@pytest.mark.parametrize("name", ["train-0", "train-7", "test-2"])
def test_nothing_stands_on_the_road(name: str) -> None:
    network = build_town(name)
    obstacles = build_scene(network, Appearance(), generator(5, name)).obstacles
    for kind, clearance in ((ObstacleKind.BUILDING, 3.0), (ObstacleKind.TREE, 1.0)):
        points = footprint(obstacles, kind)
        assert len(points) > 100
        assert shapely.distance(shapely.points(points), network.carriageway).min() > clearance


def test_an_empty_town_can_be_built(crossing: RoadNetwork) -> None:
    bare = build_scene(crossing, Appearance(building_density=0.0), generator(1, "scenery"))
    assert len(part(bare, SemanticClass.BUILDING).triangles) == 0
    assert sum(len(trees.transforms) for trees in bare.instances) > 10


def test_building_walls_and_roofs_face_outwards(town_scene: Scene) -> None:
    mesh = part(town_scene, SemanticClass.BUILDING)
    a, b, c = np.moveaxis(corners(mesh), 1, 0)
    volume = np.einsum("ij,ij->i", np.cross(a, b), c).sum() / 6  # floors at z = 0 add nothing
    assert volume > 0
    assert (normals(mesh)[:, 2] > -1e-3).all()


def test_every_class_that_is_modelled_is_there(town_scene: Scene) -> None:
    seen = {mesh.semantic for mesh in town_scene.meshes} | {tree.mesh.semantic for tree in town_scene.instances}
    surroundings = {"BUILDING", "VEGETATION", "VEHICLE", "PEDESTRIAN", "SIGN"}
    assert {kind.name for kind in seen} == {"ROAD", "MARKING", "KERB", "GROUND"} | surroundings
    for mesh in town_scene.meshes:
        assert (mesh.uv >= 0).all()
        assert np.isfinite(mesh.vertices).all()


def test_a_town_has_few_triangles(town_scene: Scene) -> None:
    triangles = sum(len(mesh.triangles) for mesh in town_scene.meshes)
    triangles += sum(len(tree.mesh.triangles) * len(tree.transforms) for tree in town_scene.instances)
    assert triangles < 40_000
    assert len(town_scene.obstacles.triangles) < 15_000


def test_same_seed_same_scene(crossing: RoadNetwork) -> None:
    def bytes_of(seed: int) -> list[bytes]:
        scene = build_scene(crossing, appearance_of("", generator(seed, "a")), generator(seed, "s"))
        arrays: list[NDArray[np.generic]] = [scene.obstacles.vertices, *(tree.transforms for tree in scene.instances)]
        arrays += [array for mesh in scene.meshes for array in (mesh.vertices, mesh.triangles, mesh.uv, mesh.texture)]
        return [array.tobytes() for array in arrays]

    assert bytes_of(4) == bytes_of(4)
    assert bytes_of(4) != bytes_of(5)


def test_appearances_differ_in_everything() -> None:
    looks = [appearance_of("", generator(seed, "look")) for seed in range(20)]
    shifted = [appearance_of("shift-3", generator(seed, "look")) for seed in range(20)]
    assert looks[0] == appearance_of("", generator(0, "look"))
    never_in_training = {"rain", "grip", "snow", "bare", "lit_windows"}
    for field in fields(Appearance):
        assert len({getattr(look, field.name) for look in shifted}) > 1, field.name
        alike = len({getattr(look, field.name) for look in looks}) == 1
        assert alike == (field.name in never_in_training), field.name
    for look in looks:
        assert np.linalg.norm(look.sun_direction) == pytest.approx(1.0)
        assert look.sun_direction[2] > 0.3
        assert min(look.marking) > max(look.asphalt) - 30


def test_the_sun_stands_where_the_angles_say() -> None:
    look = Appearance(sun_azimuth_deg=90.0, sun_elevation_deg=30.0)
    assert look.sun_direction == pytest.approx((0.0, np.sqrt(3) / 2, 0.5), abs=1e-12)


def test_instances_are_turned_scaled_and_moved() -> None:
    one = Mesh(
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 2]], np.float32),
        np.array([[0, 1, 2]], np.int32),
        np.zeros((3, 2), np.float32),
        np.zeros((2, 2, 3), np.uint8),
        SemanticClass.VEGETATION,
    )
    baked = Instances(one, np.array([[10.0, 20.0, 0.0, 1.0], [0.0, 5.0, np.pi / 2, 3.0]])).baked()
    np.testing.assert_allclose(baked.vertices[:3], [[11, 20, 0], [10, 21, 0], [10, 20, 2]], atol=1e-6)
    np.testing.assert_allclose(baked.vertices[3:], [[0, 8, 0], [-3, 5, 0], [0, 5, 6]], atol=1e-6)
    assert baked.triangles.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_flat_surfaces_respect_holes() -> None:
    area = shapely.box(0, 0, 100, 60).difference(shapely.box(40, 20, 60, 40))
    assert isinstance(area, shapely.Polygon)
    mesh = flat_surface(area, 1.5, np.array([-10.0, -10.0])).mesh(np.zeros((2, 2, 3), np.uint8), SemanticClass.ROAD)
    assert normals(mesh)[:, 2].sum() == pytest.approx(5600.0, rel=1e-5)
    middles = corners(mesh).mean(axis=1)
    assert shapely.contains_xy(area, middles[:, 0], middles[:, 1]).all()


def test_meshes_check_their_shapes() -> None:
    texture = np.zeros((2, 2, 3), np.uint8)
    vertices, uv = np.zeros((3, 3), np.float32), np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="0 to 2"):
        Mesh(vertices, np.array([[0, 1, 3]], np.int32), uv, texture, SemanticClass.ROAD)
    with pytest.raises(ValueError, match=r"uv \(V, 2\)"):
        Mesh(vertices, np.array([[0, 1, 2]], np.int32), uv[:2], texture, SemanticClass.ROAD)
