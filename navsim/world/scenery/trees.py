"""Trees along the streets and in the blocks: where they stand, their shapes, the trunks that can be hit."""

import itertools

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms
from navsim.world.scenery.meshes import Instances, Mesh, SemanticClass, Surface
from navsim.world.scenery.placement import Shapes, beside_roads, clear_of, clear_of_road
from navsim.world.scenery.textures import Image, Paint, palette_uv

TRUNK_RADIUS = 0.2
"""[m], at scale 1."""
TRUNK_HEIGHT = 2.4
"""[m], at scale 1."""
ROAD_CLEARANCE = 1.9
"""Least distance from a trunk's middle to the carriageway [m]."""
WALL_CLEARANCE = 2.0
"""The same to a house or a parked car [m]."""
SIDES, TRUNK_SIDES = 5, 4
"""Of crowns and of trunks: few, since every triangle costs on every picture."""

CROWNS = (
    ((1.9, 0.0), (2.7, 1.6), (4.1, 1.4), (5.2, 0.0)),
    ((1.2, 1.7), (6.0, 0.0)),
    ((1.7, 0.0), (2.6, 1.1), (5.2, 0.9), (6.6, 0.0)),
    ((2.2, 0.0), (3.0, 2.4), (4.6, 2.2), (5.6, 0.0)),
    ((0.2, 0.9), (1.0, 1.0), (1.6, 0.0)),
)
"""Outline of each kind of crown from below: (height, radius) [m]; round, fir, slender, broad, a shrub."""
EVERGREEN = 1
"""The kind that keeps its leaves."""
BRANCHES = 6
"""Of a bare tree."""


def place_trees(network: RoadNetwork, taken: Shapes, spacing: float, rng: np.random.Generator) -> tuple[Array, ...]:
    """Draw trees beside every street about every `spacing` [m] and half as many anywhere, clear of what is there.

    Returns:
        For each kind of crown: x [m], y [m], heading [rad], scale of its trees (N, 4).
    """
    beside = beside_roads(network, spacing, (2.2, 4.8), rng).positions
    x0, y0, x1, y1 = network.bounds
    scattered = rng.uniform((x0 - 30, y0 - 30), (x1 + 30, y1 + 30), (len(beside) // 2, 2))
    places = np.concatenate([beside, scattered])
    trees = np.column_stack([places, rng.uniform(-np.pi, np.pi, len(places)), rng.uniform(0.8, 1.3, len(places))])
    kinds = rng.integers(len(CROWNS), size=len(places))
    spots: Shapes = np.asarray(shapely.points(places))
    clear = clear_of_road(network, spots, ROAD_CLEARANCE) & clear_of(spots, taken, WALL_CLEARANCE)
    return tuple(trees[clear & (kinds == kind)] for kind in range(len(CROWNS)))


def tree_instances(trees: tuple[Array, ...], atlas: Image, bare: bool = False) -> tuple[Instances, ...]:
    """Shape the trees of each kind, those with broad leaves `bare` of them if wanted."""
    return tuple(
        Instances(_bare_tree(kind, atlas) if bare and kind != EVERGREEN else _tree(kind, atlas), places)
        for kind, places in enumerate(trees)
    )


def tree_obstacles(trees: tuple[Array, ...]) -> Obstacles:
    """Return the trunks that can be driven into."""
    places = np.concatenate(trees)
    around = np.arange(SIDES) * 2 * np.pi / SIDES + places[:, 2:3]  # (N, SIDES)
    circle = np.stack([np.cos(around), np.sin(around)], axis=-1) * TRUNK_RADIUS
    outlines = places[:, None, :2] + places[:, 3, None, None] * circle
    return prisms(outlines, TRUNK_HEIGHT * places[:, 3], ObstacleKind.TREE)


def _tree(kind: int, atlas: Image) -> Mesh:
    """Return a crown of a kind and a trunk that tapers within it, standing at the origin."""
    trunk = _turned(((0.0, TRUNK_RADIUS), (0.9 * CROWNS[kind][-1][0], 0.0)), int(Paint.TRUNK), TRUNK_SIDES)
    crown = _turned(CROWNS[kind], int(Paint.CROWN) + kind)
    return Surface.merged([trunk, crown]).mesh(atlas, SemanticClass.VEGETATION)


def _bare_tree(kind: int, atlas: Image) -> Mesh:
    """Return a trunk that thins out and branches around it, up to the height and width of the kind's crown."""
    top, width = CROWNS[kind][-1][0], max(radius for _, radius in CROWNS[kind])
    parts = [_turned(((0.0, TRUNK_RADIUS), (top, 0.0)), int(Paint.TRUNK), TRUNK_SIDES)]
    for number in range(BRANCHES):
        angle, start = number * 2.4, top * (0.3 + 0.09 * number)  # turned by the golden angle
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        tip = 0.9 * width * out + np.array([0.0, 0.0, min(start + 0.3 * top, top)])
        across = 0.07 * np.array([-np.sin(angle), np.cos(angle), 0.0])
        foot = np.array([0.0, 0.0, start])
        base = foot + np.array([across, -across, [0.0, 0.0, 0.16]])
        corners = np.concatenate([[*base, tip]])
        faces = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]])
        parts.append(Surface(corners, faces, np.tile(palette_uv(int(Paint.TRUNK)), (4, 1))))
    return Surface.merged(parts).mesh(atlas, SemanticClass.VEGETATION)


def _turned(outline: tuple[tuple[float, float], ...], paint: int, sides: int = SIDES) -> Surface:
    """Turn an outline of (height, radius) [m] about the vertical axis; a radius of 0 closes it to a point."""
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
