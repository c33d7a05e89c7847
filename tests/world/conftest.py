"""A small town and its scene, built once for all tests of the world."""

import numpy as np
import pytest

from navsim.geometry import Polyline
from navsim.roads.network import Road, RoadNetwork, build_network
from navsim.seeding import generator
from navsim.world.scenery.appearance import Appearance
from navsim.world.scenery.scene import Scene, build_scene


@pytest.fixture(scope="session")
def crossing() -> RoadNetwork:
    """Return four roads of 90 m that meet at right angles in the origin, and a bend that joins two of them."""
    nodes = np.array([[0.0, 0.0], [90.0, 0.0], [0.0, 90.0], [-90.0, 0.0], [0.0, -90.0]])
    roads = [Road(0, end, Polyline(np.array([nodes[0], nodes[end]])), 1, 1) for end in (1, 2, 3, 4)]
    return build_network(nodes, roads)


@pytest.fixture(scope="session")
def scene(crossing: RoadNetwork) -> Scene:
    return build_scene(crossing, Appearance(), generator(1, "scenery"))
