import math

import numpy as np
import pytest

from navsim.randomness import generator
from navsim.roads.footprints import Footprint
from navsim.roads.network import RoadNetwork
from navsim.world.appearance import Appearance, appearance_of
from navsim.world.atmosphere import ShadeMap
from navsim.world.buildings import buildings_from
from navsim.world.scene import build_scene
from navsim.world.shade import LARGEST, Casters, draw_shade

BOX = np.array([[200.0, 200.0], [210.0, 200.0], [210.0, 210.0], [200.0, 210.0]])


def casters(network: RoadNetwork, height: float) -> Casters:
    """One house of 10 m by 10 m with a flat roof, away from all roads."""
    houses = buildings_from([Footprint(BOX, height)], network, generator(0, "house"))
    assert len(houses) == 1
    return Casters(houses, (), False, np.empty((0, 4, 2)), np.empty(0))


def light_at(shade: ShadeMap, x: float, y: float) -> int:
    column = int((x - shade.west) / shade.metres_per_pixel)
    row = int((shade.north - y) / shade.metres_per_pixel)
    return int(shade.image[row, column])


def test_a_shadow_is_as_long_as_the_sun_is_low(crossing: RoadNetwork) -> None:
    there = casters(crossing, 12.0)
    height = there.buildings[0].height + there.buildings[0].ridge / 2
    elevation = math.radians(40.0)
    sun = (-math.cos(elevation), 0.0, math.sin(elevation))  # in the west
    shade = draw_shade(there, sun, (150.0, 150.0, 280.0, 260.0))
    end = 210.0 + height / math.tan(elevation)
    assert light_at(shade, 212.0, 205.0) == 0
    assert light_at(shade, end - 1.5, 205.0) == 0
    assert light_at(shade, end + 1.5, 205.0) == 255
    assert light_at(shade, 198.0, 205.0) == 255  # towards the sun
    assert light_at(shade, 215.0, 197.0) == 255  # beside it
    assert shade.image[np.isclose(shade.image, 128, atol=100)].size > 0  # the edge is soft


def test_a_large_town_has_a_coarser_picture(crossing: RoadNetwork) -> None:
    shade = draw_shade(casters(crossing, 6.0), (0.0, -0.6, 0.8), (-2500.0, -1000.0, 2500.0, 1000.0))
    assert max(shade.image.shape) <= LARGEST + 1
    assert shade.metres_per_pixel == pytest.approx(2.5, abs=0.02)
    assert light_at(shade, 205.0, 212.0) < 255
    assert light_at(shade, 205.0, 160.0) == 255


def test_a_hidden_sun_throws_no_shadow(crossing: RoadNetwork) -> None:
    assert build_scene(crossing, Appearance(sunlight=0.01), generator(1, "scenery")).shade is None
    shade = build_scene(crossing, appearance_of("clear+noon", generator(1, "look")), generator(1, "scenery")).shade
    assert shade is not None
    assert 0.0 < (shade.image < 128).mean() < 0.5
