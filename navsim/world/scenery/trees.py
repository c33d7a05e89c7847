"""Trees along the streets and in the blocks: placement, meshes, and collision geometry of the trunks."""

import itertools

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms
from navsim.world.scenery.meshes import Instances, Mesh, SemanticClass, Surface
from navsim.world.scenery.placement import Shapes, clear_of, clear_of_road, random_roadside_positions
from navsim.world.scenery.textures import Image, Paint, palette_uv

TRUNK_RADIUS = 0.2
"""Radius of a trunk at scale 1 [m]."""
TRUNK_HEIGHT = 2.4
"""Height of a trunk's collision geometry at scale 1 [m]."""
ROAD_CLEARANCE = 1.9
"""Smallest distance from a trunk's middle to the carriageway [m]."""
OBJECT_CLEARANCE = 2.0
"""Smallest distance from a trunk's middle to another object [m]."""
CROWN_SIDES, TRUNK_SIDES = 5, 4
"""Numbers of sides of crowns and trunks: few, because every triangle costs time in every image."""
CROWNS = (
    ((1.9, 0.0), (2.7, 1.6), (4.1, 1.4), (5.2, 0.0)),
    ((1.2, 1.7), (6.0, 0.0)),
    ((1.7, 0.0), (2.6, 1.1), (5.2, 0.9), (6.6, 0.0)),
    ((2.2, 0.0), (3.0, 2.4), (4.6, 2.2), (5.6, 0.0)),
    ((0.2, 0.9), (1.0, 1.0), (1.6, 0.0)),
)
"""Outline of each kind of crown from below: (height, radius) [m]; round, fir, slender, broad, shrub."""
EVERGREEN = 1
"""Index of the kind that keeps its leaves."""
NUM_BRANCHES = 6
"""Number of branches of a bare tree."""


def place_trees(network: RoadNetwork, taken: Shapes, spacing: float, rng: np.random.Generator) -> tuple[Array, ...]:
    """Draw trees about every `spacing` [m] beside the streets and half as many anywhere, clear of road and objects.

    Returns:
        Transforms of the trees of each kind of crown (N, 4): x [m], y [m], heading [rad], scale.
    """
    beside = random_roadside_positions(network, spacing, (2.2, 4.8), rng).positions
    x0, y0, x1, y1 = network.bounds
    scattered = rng.uniform((x0 - 30, y0 - 30), (x1 + 30, y1 + 30), (len(beside) // 2, 2))
    positions = np.concatenate([beside, scattered])
    trees = np.column_stack(
        [positions, rng.uniform(-np.pi, np.pi, len(positions)), rng.uniform(0.8, 1.3, len(positions))]
    )
    kinds = rng.integers(len(CROWNS), size=len(positions))
    points: Shapes = np.asarray(shapely.points(positions))
    clear = clear_of_road(network, points, ROAD_CLEARANCE) & clear_of(points, taken, OBJECT_CLEARANCE)
    return tuple(trees[clear & (kinds == kind)] for kind in range(len(CROWNS)))


def tree_instances(trees: tuple[Array, ...], atlas: Image, bare: bool = False) -> tuple[Instances, ...]:
    """Return the meshes of the trees of each kind; `bare` trees with broad leaves have none."""
    return tuple(
        Instances(_bare_tree(kind, atlas) if bare and kind != EVERGREEN else _tree(kind, atlas), transforms)
        for kind, transforms in enumerate(trees)
    )


def tree_obstacles(trees: tuple[Array, ...]) -> Obstacles:
    """Return the collision geometry of the trunks."""
    transforms = np.concatenate(trees)
    around = np.arange(CROWN_SIDES) * 2 * np.pi / CROWN_SIDES + transforms[:, 2:3]  # (N, SIDES)
    circle = np.stack([np.cos(around), np.sin(around)], axis=-1) * TRUNK_RADIUS
    outlines = transforms[:, None, :2] + transforms[:, 3, None, None] * circle
    return prisms(outlines, TRUNK_HEIGHT * transforms[:, 3], ObstacleKind.TREE)


def _tree(kind: int, atlas: Image) -> Mesh:
    """Return a tree at the origin: a crown and a tapered trunk."""
    trunk = _surface_of_revolution(
        ((0.0, TRUNK_RADIUS), (0.9 * CROWNS[kind][-1][0], 0.0)), int(Paint.TRUNK), TRUNK_SIDES
    )
    crown = _surface_of_revolution(CROWNS[kind], int(Paint.CROWN) + kind)
    return Surface.merged([trunk, crown]).mesh(atlas, SemanticClass.VEGETATION)


def _bare_tree(kind: int, atlas: Image) -> Mesh:
    """Return a bare tree at the origin: a tapered trunk and branches within the kind's crown."""
    top, width = CROWNS[kind][-1][0], max(radius for _, radius in CROWNS[kind])
    parts = [_surface_of_revolution(((0.0, TRUNK_RADIUS), (top, 0.0)), int(Paint.TRUNK), TRUNK_SIDES)]
    for number in range(NUM_BRANCHES):
        angle, start = number * 2.4, top * (0.3 + 0.09 * number)  # rotated by the golden angle
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        tip = 0.9 * width * out + np.array([0.0, 0.0, min(start + 0.3 * top, top)])
        across = 0.07 * np.array([-np.sin(angle), np.cos(angle), 0.0])
        origin = np.array([0.0, 0.0, start])
        base = origin + np.array([across, -across, [0.0, 0.0, 0.16]])
        corners = np.concatenate([[*base, tip]])
        faces = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]])
        parts.append(Surface(corners, faces, np.tile(palette_uv(int(Paint.TRUNK)), (4, 1))))
    return Surface.merged(parts).mesh(atlas, SemanticClass.VEGETATION)


def _surface_of_revolution(outline: tuple[tuple[float, float], ...], paint: int, sides: int = CROWN_SIDES) -> Surface:
    """Return the surface of revolution of an outline of (height, radius) [m]; a radius of 0 closes it to a point."""
    angles = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1)
    vertices = np.concatenate([radius * circle + (0.0, 0.0, height) for height, radius in outline])
    i, j = np.arange(sides), (np.arange(sides) + 1) % sides
    triangles = []
    for level, ((_, lower), (_, upper)) in enumerate(itertools.pairwise(outline)):
        a, b = level * sides, (level + 1) * sides
        if lower > 0:
            triangles.append(np.stack([a + i, a + j, b + j], axis=1))
        if upper > 0:
            triangles.append(np.stack([a + i, b + j, b + i], axis=1))
        if upper == 0:
            triangles[-1] = np.stack([a + i, a + j, b + i], axis=1)
    return Surface(vertices, np.concatenate(triangles), np.tile(palette_uv(paint), (len(vertices), 1)))
