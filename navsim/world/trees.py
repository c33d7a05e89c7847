"""Trees along the streets and in the blocks: where they stand, their three shapes, the trunks that can be hit."""

import itertools

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.meshes import Instances, Mesh, SemanticClass, Surface
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms
from navsim.world.textures import Image, Paint, palette_uv

TRUNK_RADIUS = 0.2
"""[m], at scale 1."""
TRUNK_HEIGHT = 2.4
"""[m], at scale 1."""
ROAD_CLEARANCE = 1.6
"""Least distance from a trunk's middle to the carriageway [m]."""
WALL_CLEARANCE = 2.0
"""The same to a house [m]."""
SIDES = 5
"""Of crowns and trunks: few, since every triangle costs on every picture."""

CROWNS = (
    ((1.9, 0.0), (2.7, 1.6), (4.1, 1.4), (5.2, 0.0)),
    ((1.2, 1.7), (6.0, 0.0)),
    ((1.7, 0.0), (2.6, 1.1), (5.2, 0.9), (6.6, 0.0)),
)
"""Outline of each kind of crown from below: (height, radius) [m]; a round one, a fir, a slender one."""


def place_trees(
    network: RoadNetwork, walls: shapely.Geometry, spacing: float, rng: np.random.Generator
) -> tuple[Array, ...]:
    """Draw trees beside every street about every `spacing` [m] and as many again anywhere, clear of road and `walls`.

    Returns:
        For each kind of crown: x [m], y [m], heading [rad], scale of its trees (N, 4).
    """
    points = [_beside(network, index, spacing, rng) for index in range(len(network.roads))]
    x0, y0, x1, y1 = network.bounds
    scattered = rng.uniform((x0 - 30, y0 - 30), (x1 + 30, y1 + 30), (sum(map(len, points)) // 2, 2))
    places = np.concatenate([*points, scattered])
    trees = np.column_stack([places, rng.uniform(-np.pi, np.pi, len(places)), rng.uniform(0.8, 1.3, len(places))])
    kinds = rng.integers(len(CROWNS), size=len(places))
    spots = shapely.points(places)
    road_gap = shapely.distance(spots, network.carriageway)
    # Where there are no walls their distance is not a number, which is no reason to leave a tree out.
    clear = (road_gap > ROAD_CLEARANCE) & ~(shapely.distance(spots, walls) <= WALL_CLEARANCE)
    return tuple(trees[clear & (kinds == kind)] for kind in range(len(CROWNS)))


def tree_instances(trees: tuple[Array, ...], atlas: Image) -> tuple[Instances, ...]:
    """Shape the trees of each kind."""
    return tuple(Instances(_tree(kind, atlas), places) for kind, places in enumerate(trees))


def tree_obstacles(trees: tuple[Array, ...]) -> Obstacles:
    """The trunks that can be driven into."""
    places = np.concatenate(trees)
    around = np.arange(SIDES) * 2 * np.pi / SIDES + places[:, 2:3]  # (N, SIDES)
    circle = np.stack([np.cos(around), np.sin(around)], axis=-1) * TRUNK_RADIUS
    outlines = places[:, None, :2] + places[:, 3, None, None] * circle
    return prisms(outlines, TRUNK_HEIGHT * places[:, 3], ObstacleKind.TREE)


def _beside(network: RoadNetwork, index: int, spacing: float, rng: np.random.Generator) -> Array:
    """Points (N, 2) [m] on both sides of a road, between its mouths."""
    road = network.roads[index]
    start, end = network.mouths(index)
    count = max(int(2 * (end - start) / spacing), 1)
    stations = rng.uniform(start, end, count)
    offsets = rng.choice([-1.0, 1.0], count) * (road.half_width + rng.uniform(1.8, 4.5, count))
    headings = road.centre.heading(stations)
    normals = np.stack([-np.sin(headings), np.cos(headings)], axis=-1)
    return np.asarray(road.centre.position(stations) + offsets[:, None] * normals)


def _tree(kind: int, atlas: Image) -> Mesh:
    """A trunk and a crown of a kind, standing at the origin."""
    trunk = _turned(((0.0, TRUNK_RADIUS), (TRUNK_HEIGHT, TRUNK_RADIUS)), int(Paint.TRUNK))
    crown = _turned(CROWNS[kind], int(Paint.CROWN) + kind)
    return Surface.merged([trunk, crown]).mesh(atlas, SemanticClass.VEGETATION)


def _turned(outline: tuple[tuple[float, float], ...], paint: int) -> Surface:
    """Turn an outline of (height, radius) [m] about the vertical axis; a radius of 0 closes it to a point."""
    angles = np.arange(SIDES) * 2 * np.pi / SIDES
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(SIDES)], axis=1)
    vertices = np.concatenate([radius * circle + (0.0, 0.0, height) for height, radius in outline])
    i, j = np.arange(SIDES), (np.arange(SIDES) + 1) % SIDES
    triangles = []
    for level, ((_, lower), (_, upper)) in enumerate(itertools.pairwise(outline)):
        a, b = level * SIDES, (level + 1) * SIDES
        if lower > 0:
            triangles.append(np.stack([a + i, a + j, b + j], axis=1))
        if upper > 0:
            triangles.append(np.stack([a + i, b + j, b + i], axis=1))
        if upper == 0:
            triangles[-1] = np.stack([a + i, a + j, b + i], axis=1)
    return Surface(vertices, np.concatenate(triangles), np.tile(palette_uv(paint), (len(vertices), 1)))
