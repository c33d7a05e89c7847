"""Parked cars beside the streets, in bays along the road or on driveways.

Frame of a car: x forward, y left, standing on z = 0, its middle at the origin [m].
"""

from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.obstacles import ObstacleKind, Obstacles, prisms
from navsim.world.scenery.meshes import Instances, Mesh, ObjectClass, SemanticClass, Surface, block, panel
from navsim.world.scenery.placement import (
    Shapes,
    clear_of,
    clear_of_road,
    keep_apart,
    random_roadside_positions,
    rectangles,
)
from navsim.world.scenery.textures import PATCH_SIZE, Image, Paint

ROAD_CLEARANCE = 1.5
"""Smallest distance from a car to the carriageway [m]."""
BAY_HEIGHT = 0.14
"""Height of the parking bays above the ground, large enough for the depth test [m]."""


@dataclass(frozen=True)
class CarModel:
    """Body shape of a car."""

    length: float
    """Length of the body [m]."""
    width: float
    """Width of the body [m]."""
    height: float
    """Height of the roof [m]."""
    belt: float
    """Height of the windows' lower edge [m]."""
    cabin: tuple[float, float]
    """Rear and front end of the windows, as fractions of the length from the tail."""
    roof: tuple[float, float]
    """Rear and front end of the roof, as fractions of the length from the tail."""


SALOON = CarModel(4.6, 1.8, 1.45, 0.9, (0.13, 0.72), (0.26, 0.56))
HATCHBACK = CarModel(3.9, 1.72, 1.5, 0.92, (0.02, 0.72), (0.1, 0.54))
VAN = CarModel(4.9, 1.95, 2.05, 1.15, (0.02, 0.93), (0.03, 0.8))
MODELS = (SALOON, HATCHBACK, VAN, SALOON, HATCHBACK, SALOON)
"""Body shape of each car colour."""


def place_cars(network: RoadNetwork, taken: Shapes, spacing: float, rng: np.random.Generator) -> tuple[Array, ...]:
    """Draw parked cars about every `spacing` [m] along the streets, clear of the road and of `taken` shapes.

    Returns:
        Transforms of the cars of each model (N, 4): x [m], y [m], heading [rad], scale.
    """
    roadside = random_roadside_positions(network, spacing, (2.8, 3.4), rng)
    count = len(roadside.headings)
    on_driveway = rng.uniform(size=count) < 0.5  # with its front to the road or to the house
    turn = np.where(on_driveway, rng.choice([-0.5, 0.5], count) * np.pi, rng.choice([0.0, 0.0, 0.0, np.pi], count))
    inward = roadside.headings - np.pi / 2  # from the road towards the houses
    shift = np.where(on_driveway, 1.9, 0.0)[:, None] * np.stack([np.cos(inward), np.sin(inward)], axis=-1)
    poses = np.column_stack([roadside.positions + shift, roadside.headings + turn + rng.normal(0.0, 0.03, count)])
    models = rng.integers(len(MODELS), size=count)
    bays: Shapes = np.asarray(shapely.polygons(rectangles(poses, 5.2, 2.4)))
    free = clear_of_road(network, bays, ROAD_CLEARANCE) & clear_of(bays, taken, 0.6)
    poses, models, bays = poses[free], models[free], bays[free]
    kept = keep_apart(bays, 0.3)
    cars = np.column_stack([poses, np.ones(len(poses))])
    return tuple(cars[kept & (models == model)] for model in range(len(MODELS)))


def car_outlines(cars: tuple[Array, ...]) -> Array:
    """Return the outlines (N, 4, 2) of all cars [m]."""
    return np.concatenate(
        [rectangles(transforms, model.length, model.width) for transforms, model in zip(cars, MODELS, strict=True)]
    )


def car_heights(cars: tuple[Array, ...]) -> Array:
    """Return the heights (N,) of all cars [m]."""
    return np.repeat([model.height for model in MODELS], [len(transforms) for transforms in cars])


def car_instances(cars: tuple[Array, ...], atlas: Image) -> tuple[Instances, ...]:
    """Return the meshes of the cars of each model."""
    return tuple(Instances(_car(number, atlas), transforms, ObjectClass.CAR) for number, transforms in enumerate(cars))


def car_obstacles(cars: tuple[Array, ...]) -> Obstacles:
    """Return the collision geometry of all cars."""
    return prisms(car_outlines(cars), car_heights(cars), ObstacleKind.CAR)


def bays_surface(cars: tuple[Array, ...], origin: Array) -> Surface:
    """Return a parking bay under each car, with a texture that repeats from `origin` on."""
    corners = rectangles(np.concatenate(cars), 5.6, 2.6).reshape(-1, 2)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])[None] + 4 * np.arange(len(corners) // 4)[:, None, None]
    vertices = np.column_stack([corners, np.full(len(corners), BAY_HEIGHT)])
    return Surface(vertices, triangles.reshape(-1, 3), (corners - origin) / PATCH_SIZE)


def _car(number: int, atlas: Image) -> Mesh:
    """Return the mesh of a car model."""
    model, paint = MODELS[number], int(Paint.CAR) + number
    x0, half = -model.length / 2, model.width / 2
    (c0, c1), (r0, r1) = ((x0 + share * model.length for share in part) for part in (model.cabin, model.roof))
    nose = model.belt - 0.1 if model is not VAN else model.belt
    body = block((x0, -x0, half, 0.0, 0.28), (x0 + 0.06, -x0 - 0.08, half, 0.0, nose), paint, paint)
    low, high = (c0, c1, half - 0.06, 0.0, nose), (r0, r1, half - 0.24, 0.0, model.height)
    parts = [*body, *block(low, high, int(Paint.GLASS), paint)]
    for x in (0.62 * x0, -0.62 * x0):
        parts += [_wheel(x, y) for y in (half + 0.01, -half - 0.01)]
    parts += _lamps(-x0 + 0.005, half, 1.0, Paint.HEADLIGHT) + _lamps(x0 - 0.005, half, -1.0, Paint.TAIL_LIGHT)
    return Surface.merged(parts).mesh(atlas, SemanticClass.VEHICLE)


def _wheel(x: float, y: float, radius: float = 0.33) -> Surface:
    """Return a wheel: a dark disc at the side of the car."""
    angles = np.arange(6) * np.pi / 3 * (-1.0 if y > 0 else 1.0)
    rim = np.column_stack([x + radius * np.cos(angles), np.full(6, y), radius + radius * np.sin(angles)])
    return panel(rim, int(Paint.TYRE))


def _lamps(x: float, half: float, front: float, paint: Paint) -> list[Surface]:
    """Return two lamps at the front (1) or the back (-1)."""
    lamps = []
    for y in (half - 0.3, 0.3 - half):
        a, b = y - 0.2 * front, y + 0.2 * front
        lamps.append(panel([[x, a, 0.6], [x, b, 0.6], [x, b, 0.74], [x, a, 0.74]], int(paint)))
    return lamps
