"""Street furniture and pedestrians: lamps, yield signs at junctions, and people on the footways.

Frame of each object: x forward, standing on z = 0 [m]. Transforms (N, 4) are x [m], y [m], heading [rad] and scale.
"""

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms
from navsim.world.scenery.meshes import Instances, Mesh, ObjectClass, SemanticClass, Surface, block, panel
from navsim.world.scenery.placement import Shapes, clear_of, clear_of_road, random_roadside_positions, rectangles
from navsim.world.scenery.textures import Image, Paint

SIGN_DISTANCE = 0.9
"""Distance from the kerb to the post of a sign [m]."""
LAMP_SPACING = 90.0
"""Mean distance between lamps on one side of a street [m]."""
PEDESTRIAN_SPACING = 260.0
"""Mean distance between pedestrians on one side of a street [m]."""
PEDESTRIAN_DISTANCE = (1.6, 2.3)
"""Smallest and largest distance from the kerb to a pedestrian [m]."""
POST_WIDTH = 0.14
"""Thickness of posts [m]."""


def place_signs(network: RoadNetwork) -> Array:
    """Return the transforms (N, 4) of yield signs beside the kerbside lanes that enter junctions."""
    ends = {road for junction in network.junctions if len(junction.roads) > 2 for road in junction.roads}
    meeting = {junction.node for junction in network.junctions if len(junction.roads) > 2}
    signs = []
    for index in sorted(ends):
        road = network.roads[index]
        start, end = network.mouths(index)
        beside = road.sign * (road.half_width + SIGN_DISTANCE)
        if road.end in meeting and road.lanes_forward:
            pose = road.centre.pose(max(end - 2.0, start)).moved(left=-beside, turn=np.pi)
            signs.append((pose.x, pose.y, pose.heading, 1.0))
        if road.start in meeting and road.lanes_backward:
            pose = road.centre.pose(min(start + 2.0, end)).moved(left=beside)
            signs.append((pose.x, pose.y, pose.heading, 1.0))
    transforms = np.array(signs).reshape(-1, 4)
    points: Shapes = np.asarray(shapely.points(transforms[:, :2]))
    return transforms[clear_of_road(network, points, SIGN_DISTANCE - 0.3)]


def place_lamps(network: RoadNetwork, taken: Shapes, rng: np.random.Generator) -> Array:
    """Draw the transforms (N, 4) of lamps on the footways, with arms towards the road."""
    roadside = random_roadside_positions(network, LAMP_SPACING, (0.8, 1.0), rng)
    return _clear_poses(network, np.column_stack([roadside.positions, roadside.headings + np.pi / 2]), taken, 0.6)


def place_pedestrians(network: RoadNetwork, taken: Shapes, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the transforms (N, 4) of two kinds of pedestrian on the footways."""
    roadside = random_roadside_positions(network, PEDESTRIAN_SPACING, PEDESTRIAN_DISTANCE, rng)
    count = len(roadside.headings)
    turn = rng.choice([0.0, np.pi, np.pi / 2], count) + rng.normal(0.0, 0.2, count)
    size, kind = rng.uniform(0.9, 1.08, count), rng.integers(2, size=count)
    pedestrians = np.column_stack([roadside.positions, roadside.headings + turn])
    points: Shapes = np.asarray(shapely.points(roadside.positions))
    free = clear_of_road(network, points, 1.5) & clear_of(points, taken, 0.5)
    people = np.column_stack([pedestrians, size])
    return people[free & (kind == 0)], people[free & (kind == 1)]


def street_furniture_instances(
    signs: Array, lamps: Array, pedestrians: tuple[Array, Array], atlas: Image
) -> tuple[Instances, ...]:
    """Return the meshes of all signs, lamps and pedestrians."""
    people = [
        Instances(_pedestrian(kind, atlas), transforms, ObjectClass.PEDESTRIAN)
        for kind, transforms in enumerate(pedestrians)
    ]
    return (*people, Instances(_sign(atlas), signs, ObjectClass.SIGN), Instances(_lamp(atlas), lamps))


def street_furniture_obstacles(signs: Array, lamps: Array, pedestrians: tuple[Array, Array]) -> Obstacles:
    """Return the collision geometry of posts and pedestrians."""
    posts, people = np.concatenate([signs, lamps]), np.concatenate(pedestrians)
    return Obstacles.merged(
        [
            prisms(rectangles(posts, POST_WIDTH, POST_WIDTH), 2.5, ObstacleKind.SIGN),
            prisms(rectangles(people, 0.4, 0.5), 1.7 * people[:, 3], ObstacleKind.PEDESTRIAN),
        ]
    )


def _clear_poses(network: RoadNetwork, poses: Array, taken: Shapes, gap: float) -> Array:
    """Return the poses at least `gap` [m] from the road and 0.5 m from `taken`, from (N, 3) to (N, 4) with scale 1."""
    points: Shapes = np.asarray(shapely.points(poses[:, :2]))
    free = clear_of_road(network, points, gap) & clear_of(points, taken, 0.5)
    return np.column_stack([poses, np.ones(len(poses))])[free]


def _post(height: float) -> list[Surface]:
    half = POST_WIDTH / 2
    return block((-half, half, half, 0.0, 0.0), (-half, half, half, 0.0, height), int(Paint.METAL))


def _sign(atlas: Image) -> Mesh:
    """Return a yield sign: a white triangle with a red border, its tip down."""
    parts = _post(2.3)
    for x, size, paint in ((0.09, 0.5, Paint.RED), (0.11, 0.31, Paint.WHITE)):
        low, high = 2.2 - 0.9 * size, 2.2 + 0.8 * size
        parts.append(panel([[x, 0.0, low], [x, size, high], [x, -size, high]], int(paint)))
    parts.append(panel([[0.08, 0.0, 1.75], [0.08, -0.5, 2.6], [0.08, 0.5, 2.6]], int(Paint.METAL)))
    return Surface.merged(parts).mesh(atlas, SemanticClass.SIGN)


def _lamp(atlas: Image) -> Mesh:
    """Return a street lamp: a post of 6 m with an arm and a lamp over the kerb."""
    arm = block((0.0, 1.3, 0.05, 0.0, 5.9), (0.0, 1.3, 0.05, 0.0, 6.0), int(Paint.METAL), int(Paint.METAL))
    head = block((1.0, 1.6, 0.14, 0.0, 5.8), (1.1, 1.5, 0.1, 0.0, 5.95), int(Paint.WHITE), int(Paint.METAL))
    return Surface.merged([*_post(6.0), *arm, *head]).mesh(atlas, SemanticClass.SIGN)


def _pedestrian(kind: int, atlas: Image) -> Mesh:
    """Return a pedestrian: legs, coat and head."""
    coat, legs = int(Paint.CLOTHES) + 2 * kind, int(Paint.CLOTHES) + 2 * kind + 1
    hips, shoulders = (-0.14, 0.14, 0.2, 0.0, 0.8), (-0.14, 0.14, 0.25, 0.0, 1.42)
    parts = [
        *block((-0.16, 0.12, 0.09, 0.1, 0.0), (-0.12, 0.12, 0.09, 0.1, 0.82), legs),
        *block((-0.08, 0.2, 0.09, -0.1, 0.0), (-0.12, 0.12, 0.09, -0.1, 0.82), legs),
        *block(hips, shoulders, coat, coat),
        *block((-0.1, 0.1, 0.09, 0.0, 1.42), (-0.1, 0.1, 0.1, 0.0, 1.68), int(Paint.SKIN), int(Paint.TRUNK)),
    ]
    return Surface.merged(parts).mesh(atlas, SemanticClass.PEDESTRIAN)
