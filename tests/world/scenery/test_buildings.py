import itertools

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.elements import Footprint
from navsim.roads.generators.towns import build_town
from navsim.roads.network import RoadNetwork
from navsim.seeding import generator
from navsim.world.scenery.buildings import Building, building_surface, buildings_from, outlines_of, place_buildings
from navsim.world.scenery.facades import BAYS, FLOORS, Facade


def test_buildings_do_not_overlap_each_other_or_the_road() -> None:
    town = build_town("train-3")
    buildings = place_buildings(town, 1.0, generator(1, "houses"))
    outlines = [shapely.Polygon(building.outline) for building in buildings]
    assert len(outlines) > 60
    assert all(outline.exterior.is_ccw for outline in outlines)
    assert not any(a.intersects(b) for a, b in itertools.combinations(outlines, 2))
    assert not any(outline.intersects(town.carriageway) for outline in outlines)


def test_no_house_stands_on_a_roundabouts_island() -> None:
    village = build_town("village-train-0")
    assert any(road.ring for road in village.roads)
    houses = place_buildings(village, 1.0, generator(1, "houses"))
    assert houses
    assert min(float(np.hypot(*house.outline.mean(axis=0))) for house in houses) > 25.0


def test_density_decides_how_much_is_built(crossing: RoadNetwork) -> None:
    assert place_buildings(crossing, 0.0, generator(1, "houses")) == ()
    few = place_buildings(crossing, 0.3, generator(1, "houses"))
    many = place_buildings(crossing, 0.9, generator(1, "houses"))
    assert 0 < len(few) < len(many)


def front(height: float) -> tuple[Array, Array]:
    """Return texture coordinates (u in bays, v in floors from the top) and corners (N, 4, 3) of a flat-roofed house."""
    outline = np.array([[0.0, 0.0], [12.0, 0.0], [12.0, 9.0], [0.0, 9.0]])
    surface = building_surface([Building(outline, height, Facade.PLASTER, gabled=False, bay=1)])
    walls = surface.vertices[: len(surface.vertices) - 6].reshape(-1, 4, 3)  # two triangles of roof come last
    shown = (walls[..., 1] == 0.0).all(axis=1)
    floors_of_picture = (FLOORS + 1) * len(Facade)
    return surface.uv[: walls.shape[0] * 4].reshape(-1, 4, 2)[shown] * (BAYS, floors_of_picture), walls[shown]


def test_facades_show_whole_bays_and_floors() -> None:
    # Four bays from the second on; plaster is the second band of six floors, its ground floor at the bottom.
    uv, positions = front(6.0)
    np.testing.assert_allclose(uv, [[[1, 12], [5, 12], [5, 10], [1, 10]]])
    np.testing.assert_allclose(positions, [[[0, 0, 0], [12, 0, 0], [12, 0, 6], [0, 0, 6]]])


def test_high_facades_repeat_the_upper_floors() -> None:
    uv, positions = front(24.0)
    np.testing.assert_allclose(uv[:, :, 1], [[12, 12, 6, 6], [11, 11, 9, 9]])
    np.testing.assert_allclose(positions[:, :, 2], [[0, 0, 18, 18], [18, 18, 24, 24]])


def test_known_outlines_become_houses_and_keep_off_the_road(crossing: RoadNetwork) -> None:
    yard = np.array([[20.0, 20.0], [20.0, 30.0], [35.0, 30.0], [35.0, 20.0]])  # clockwise
    across = np.array([[40.0, -1.0], [52.0, -1.0], [52.0, 15.0], [40.0, 15.0]])  # half on the road along the x axis
    shed = np.array([[50.0, 50.0], [52.0, 50.0], [52.0, 52.0], [50.0, 52.0]])  # 4 m2
    bow_tie = np.array([[60.0, 60.0], [70.0, 70.0], [70.0, 60.0], [60.0, 70.0]])
    outlines = (yard, across, shed, bow_tie)
    houses = buildings_from([Footprint(outline, 5.0) for outline in outlines], crossing, generator(1, "houses"))
    whole, cut = outlines_of(houses)
    assert whole.equals(shapely.Polygon(yard))
    assert whole.exterior.is_ccw
    assert cut.bounds[2:] == (52.0, 15.0)
    assert shapely.distance(cut, crossing.carriageway) > 0.8
    assert [house.height for house in houses] == [5.0, 5.0]
