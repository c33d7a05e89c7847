"""Objects beside the roads and markings on the roads, in towns of all generators."""

import numpy as np
import pytest
import shapely

from navsim.geometry import Polyline
from navsim.roads.generators.towns import build_town
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.seeding import generator
from navsim.world.scenery.appearance import appearance_of
from navsim.world.scenery.meshes import SemanticClass
from navsim.world.scenery.parked_cars import ROAD_CLEARANCE
from navsim.world.scenery.pavement import YIELD_WIDTH, markings, without_worn
from navsim.world.scenery.scene import Scene, build_scene
from navsim.world.scenery.street_furniture import PEDESTRIAN_DISTANCE, SIGN_DISTANCE

TOWNS = ("train-1", "grid-train-1", "suburb-train-1", "village-train-0")
CLEARANCE = {
    SemanticClass.VEHICLE: ROAD_CLEARANCE,
    SemanticClass.SIGN: SIGN_DISTANCE - 0.5,  # a sign's plate is wider than its post
    SemanticClass.PEDESTRIAN: PEDESTRIAN_DISTANCE[0] - 0.4,
    SemanticClass.VEGETATION: 0.0,
}


@pytest.fixture(scope="module", params=TOWNS)
def place(request: pytest.FixtureRequest) -> tuple[RoadNetwork, Scene]:
    network = build_town(request.param)
    return network, build_scene(network, appearance_of("", generator(3, "look")), generator(3, "scenery"))


def test_every_class_is_there(place: tuple[RoadNetwork, Scene]) -> None:
    scene = place[1]
    classes = {mesh.semantic for mesh in scene.meshes if len(mesh.triangles)}
    classes |= {group.mesh.semantic for group in scene.instances if len(group.transforms)}
    assert classes == set(SemanticClass) - {SemanticClass.SKY}


def test_objects_beside_the_road_leave_it_free(place: tuple[RoadNetwork, Scene]) -> None:
    network, scene = place
    for group in scene.instances:
        if not len(group.transforms):
            continue
        low = group.baked().vertices.reshape(len(group.transforms), -1, 3)
        on_the_ground = low[..., 2] < 0.5  # crowns may hang over the road
        points = shapely.points(low[on_the_ground][:, :2].astype(float))
        gap = float(shapely.distance(points, network.carriageway).min())
        assert gap >= CLEARANCE[group.mesh.semantic] - 1e-3, group.mesh.semantic


def test_the_same_seed_places_the_same_objects(place: tuple[RoadNetwork, Scene]) -> None:
    network, scene = place
    again = build_scene(network, appearance_of("", generator(3, "look")), generator(3, "scenery"))
    for one, other in zip(scene.meshes, again.meshes, strict=True):
        assert one.vertices.tobytes() == other.vertices.tobytes()
        assert one.texture.tobytes() == other.texture.tobytes()
    assert all((a.transforms == b.transforms).all() for a, b in zip(scene.instances, again.instances, strict=True))
    assert (
        scene.ground_shadows is None
        or again.ground_shadows is None
        or (scene.ground_shadows.image == again.ground_shadows.image).all()
    )
    assert scene.obstacles.vertices.tobytes() == again.obstacles.vertices.tobytes()


def street(**options: object) -> RoadNetwork:
    """Return one straight road of 200 m from west to east."""
    centre = Polyline(np.array([[0.0, 0.0], [200.0, 0.0]])).resampled(2.0)
    return build_network(np.array([[0.0, 0.0], [200.0, 0.0]]), [Road(0, 1, centre, **options)])  # type: ignore[arg-type]


def painted(network: RoadNetwork) -> list[shapely.Polygon]:
    surface = markings(network)
    return [shapely.Polygon(corners[:, :2]) for corners in surface.vertices.reshape(-1, 4, 3)]


def test_an_avenue_has_an_unbroken_line_between_the_directions() -> None:
    def covered(network: RoadNetwork) -> float:
        middle = shapely.LineString([(5.0, 0.0), (195.0, 0.0)])
        return float(shapely.union_all(painted(network)).intersection(middle).length / middle.length)

    assert covered(street(lanes_forward=2, lanes_backward=2)) > 0.99
    assert 0.3 < covered(street()) < 0.45  # dashes of 3 m, gaps of 5 m


def test_a_roundabouts_ring_yields_to_nobody() -> None:
    def bars(network: RoadNetwork) -> int:
        widths = [polygon.bounds[2] - polygon.bounds[0] for polygon in painted(network)]
        return sum(abs(width - YIELD_WIDTH) < 1e-6 for width in widths)

    assert bars(street()) == 2
    assert bars(street(ring=True)) == 0


@pytest.mark.parametrize("missing", [0.25, 1.0])
def test_missing_lines_are_missing(missing: float) -> None:
    whole = markings(street(lanes_forward=2, lanes_backward=2))
    rest = without_worn(whole, missing, generator(0, "wear"))
    assert len(rest.triangles) == pytest.approx((1 - missing) * len(whole.triangles), abs=2)
    again = without_worn(whole, missing, generator(0, "wear"))
    assert (rest.vertices == again.vertices).all()
