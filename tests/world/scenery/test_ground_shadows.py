import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from navsim.geometry import Array
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.buildings import Building
from navsim.world.scenery.facades import Facade
from navsim.world.scenery.lighting import (
    MAX_SHADOW_LENGTH,
    MAX_SIZE,
    MIN_SCALE,
    UNDER_BRANCHES,
    UNDER_TREES,
    GroundShadows,
    ShadowCasters,
    draw_ground_shadows,
)
from navsim.world.scenery.scene import Scene, build_scene
from navsim.world.scenery.trees import CROWNS

BOX = np.array([[-5.0, -4.0], [5.0, -4.0], [5.0, 4.0], [-5.0, 4.0]])
LAND = (-100.0, -100.0, 100.0, 100.0)
NO_TREES = tuple(np.empty((0, 4)) for _ in CROWNS)


def sun_at(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    return Appearance(sun_azimuth_deg=azimuth_deg, sun_elevation_deg=elevation_deg).sun_direction


def house(height: float, outline: Array = BOX) -> Building:
    return Building(outline, height, Facade.PLASTER, gabled=False, bay=0)


def casters(
    *houses: Building, trees: tuple[Array, ...] = NO_TREES, bare: bool = False, cars: Array | None = None
) -> ShadowCasters:
    outlines = np.empty((0, 4, 2)) if cars is None else cars
    return ShadowCasters(houses, trees, bare, outlines, np.full(len(outlines), 1.5))


def tone_at(shadows: GroundShadows, x: float, y: float) -> int:
    """Return the sunlight, of 255, at a point [m]."""
    row, column = (shadows.north - y) / shadows.metres_per_pixel, (x - shadows.west) / shadows.metres_per_pixel
    return int(shadows.image[int(row), int(column)])


def shaded_span(line: NDArray[np.uint8], scale: float, start: float) -> tuple[float, float]:
    """Return the ends of the dark part of an image row [m]."""
    dark = np.flatnonzero(line < 128)
    assert len(dark) == dark[-1] - dark[0] + 1, "the shadow has holes"
    return start + scale * float(dark[0]), start + scale * float(dark[-1] + 1)


@pytest.mark.parametrize(("elevation", "height"), [(45.0, 10.0), (30.0, 6.0), (60.0, 12.0), (20.0, 9.0)])
def test_a_shadow_is_as_long_as_height_over_tangent(elevation: float, height: float) -> None:
    shadows = draw_ground_shadows(casters(house(height)), sun_at(180.0, elevation), LAND)  # the sun in the west
    length = height / math.tan(math.radians(elevation))
    row = shadows.image[round((shadows.north - 0.0) / shadows.metres_per_pixel)]
    assert shaded_span(row, shadows.metres_per_pixel, shadows.west) == pytest.approx((-5.0, 5.0 + length), abs=0.6)


@pytest.mark.parametrize("azimuth", [0.0, 90.0, 180.0, 270.0, 37.0])
def test_shadows_fall_away_from_the_sun(azimuth: float) -> None:
    shadows = draw_ground_shadows(casters(house(10.0)), sun_at(azimuth, 40.0), LAND)
    towards = np.array([math.cos(math.radians(azimuth)), math.sin(math.radians(azimuth))])
    assert tone_at(shadows, *(-10.0 * towards)) == 0
    assert tone_at(shadows, *(10.0 * towards)) == 255


@given(azimuth=st.floats(0.0, 360.0), elevation=st.floats(25.0, 80.0), height=st.floats(3.0, 20.0))
@settings(max_examples=30, deadline=None)
def test_a_shadow_covers_plan_and_swept_silhouette(azimuth: float, elevation: float, height: float) -> None:
    shadows = draw_ground_shadows(casters(house(height)), sun_at(azimuth, elevation), LAND)
    length = height / math.tan(math.radians(elevation))
    turn = math.radians(azimuth)
    silhouette = 10.0 * abs(math.sin(turn)) + 8.0 * abs(math.cos(turn))  # of the box of 10 m by 8 m
    area = float((1.0 - shadows.image / 255.0).sum()) * shadows.metres_per_pixel**2
    exact, outline = 80.0 + length * silhouette, 36.0 + 2 * length
    assert exact - 1.0 < area < exact + shadows.metres_per_pixel * outline  # pixels that are touched are shaded


def test_the_inner_corner_of_an_l_is_lit_from_the_open_side() -> None:
    plan = np.array([[0.0, 0.0], [20.0, 0.0], [20.0, 6.0], [6.0, 6.0], [6.0, 20.0], [0.0, 20.0]])
    from_the_yard = draw_ground_shadows(casters(house(6.0, plan)), sun_at(45.0, 40.0), LAND)
    from_behind = draw_ground_shadows(casters(house(6.0, plan)), sun_at(225.0, 40.0), LAND)
    assert tone_at(from_the_yard, 8.0, 8.0) == 255
    assert tone_at(from_behind, 8.0, 8.0) == 0


def test_edges_are_soft() -> None:
    shadows = draw_ground_shadows(casters(house(10.0)), sun_at(180.0, 45.0), LAND)
    row = shadows.image[round(shadows.north / shadows.metres_per_pixel)]
    assert {0, 255} < set(row.tolist())
    assert np.abs(np.diff(row.astype(int))).max() < 255


def test_a_low_suns_shadow_ends() -> None:
    shadows = draw_ground_shadows(casters(house(20.0)), sun_at(180.0, 2.0), LAND)
    row = shadows.image[round(shadows.north / shadows.metres_per_pixel)]
    assert shaded_span(row, shadows.metres_per_pixel, shadows.west)[1] == pytest.approx(
        5.0 + MAX_SHADOW_LENGTH, abs=0.6
    )


def test_leaves_let_some_light_through_and_bare_branches_more() -> None:
    oak = (np.array([[0.0, 0.0, 0.0, 1.0]]), *NO_TREES[1:])
    overhead = sun_at(0.0, 89.9)
    assert tone_at(draw_ground_shadows(casters(trees=oak), overhead, LAND), 0.0, 0.0) == UNDER_TREES
    assert tone_at(draw_ground_shadows(casters(trees=oak, bare=True), overhead, LAND), 0.0, 0.0) == UNDER_BRANCHES
    fir = (NO_TREES[0], oak[0], *NO_TREES[2:])
    assert tone_at(draw_ground_shadows(casters(trees=fir, bare=True), overhead, LAND), 0.0, 0.0) == UNDER_TREES


def test_a_bare_tree_does_not_lighten_the_shadow_of_a_fir() -> None:
    here = np.array([[0.0, 0.0, 0.0, 1.0]])
    every_kind_here = tuple(here for _ in CROWNS)
    mixed = draw_ground_shadows(casters(trees=every_kind_here, bare=True), sun_at(0.0, 89.9), LAND)
    assert tone_at(mixed, 0.0, 0.0) == UNDER_TREES


def test_cars_throw_short_shadows() -> None:
    car = np.array([[[-2.3, -0.9], [2.3, -0.9], [2.3, 0.9], [-2.3, 0.9]]])
    shadows = draw_ground_shadows(casters(cars=car), sun_at(180.0, 45.0), LAND)
    row = shadows.image[round(shadows.north / shadows.metres_per_pixel)]
    assert shaded_span(row, shadows.metres_per_pixel, shadows.west) == pytest.approx((-2.3, 2.3 + 1.5), abs=0.6)


@pytest.mark.parametrize(("side", "scale"), [(300.0, MIN_SCALE), (900.0, MIN_SCALE), (2345.0, 1.18), (9000.0, 4.5)])
def test_large_towns_get_coarser_pictures_of_bounded_size(side: float, scale: float) -> None:
    shadows = draw_ground_shadows(casters(house(10.0)), sun_at(180.0, 45.0), (-side / 2, -100.0, side / 2, 100.0))
    assert shadows.metres_per_pixel == pytest.approx(scale)
    assert max(shadows.image.shape) <= MAX_SIZE
    assert shadows.image.shape[1] * shadows.metres_per_pixel >= side


@pytest.fixture(scope="module")
def town() -> RoadNetwork:
    return build_town("grid-train-1")


def town_shadows(town: RoadNetwork, look: Appearance) -> Scene:
    return build_scene(town, look, generator(1, "scenery"))


def test_a_town_lies_in_the_shadows_of_its_houses_only_when_the_sun_shines(town: RoadNetwork) -> None:
    sunny = town_shadows(town, Appearance(sun_elevation_deg=40.0)).ground_shadows
    assert sunny is not None
    assert 0.03 < float((sunny.image < 128).mean()) < 0.4
    assert town_shadows(town, Appearance(sunlight=0.05)).ground_shadows is None


def test_same_seed_same_shadows(town: RoadNetwork) -> None:
    first, second = (town_shadows(town, Appearance()).ground_shadows for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.image.tobytes() == second.image.tobytes()


def test_hundreds_of_houses_and_trees_take_little_time() -> None:
    rng = generator(1, "crowd")
    positions = rng.uniform(-400.0, 400.0, (400, 2))
    houses = [house(8.0, BOX + place) for place in positions]
    trees = tuple(np.column_stack([rng.uniform(-400, 400, (200, 2)), np.zeros(200), np.ones(200)]) for _ in CROWNS)
    spent = []
    for _ in range(3):
        start = time.process_time()
        draw_ground_shadows(casters(*houses, trees=trees), sun_at(120.0, 30.0), (-500.0, -500.0, 500.0, 500.0))
        spent.append(time.process_time() - start)
    assert min(spent) < 0.15
