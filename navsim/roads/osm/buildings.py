"""Outlines of houses from an extract: those that stand beside its streets, clear of the carriageway."""

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.elements import Footprint
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.reader import Extract, Projection

CLEARANCE = 1.0
"""Least distance from a wall to the carriageway [m]."""
NEARBY = 120.0
"""Houses farther from all streets are left out [m]."""
SMALLEST = 12.0
"""Least ground plan of a house [m^2]."""
DEFAULT_HEIGHT = (6.0, 9.0)
"""Where the map says nothing heights are drawn from this range [m]."""


def footprints(
    extract: Extract, projection: Projection, network: RoadNetwork, rng: np.random.Generator
) -> tuple[Footprint, ...] | None:
    """The houses of an extract; None if it has none at all.

    Houses that reach into the carriageway or within `CLEARANCE` of it are cut back; what is left of courtyards is
    filled. Of two outlines at one place, as of a house and its parts, the larger one is taken.

    Args:
        extract: The extract.
        projection: The plane of the network.
        network: The roads.
        rng: Draws the heights that the map does not tell.
    """
    if not extract.buildings:
        return None
    outlines, heights = _outlines(extract, projection, rng)
    if not outlines:
        return ()
    shapes = np.array(outlines)
    near = shapely.dwithin(shapes, _prepared(network.carriageway), NEARBY)
    shapes, tall = shapes[near], np.array(heights)[near]
    road = network.carriageway.buffer(CLEARANCE)
    shapely.prepare(road)
    touching = shapely.intersects(shapes, road)
    # Rounded corners of a cut would make many walls, hence the simplification.
    shapes[touching] = shapely.simplify(shapely.difference(shapes[touching], road.simplify(0.2)), 0.3)
    parts = [(part, float(height)) for shape, height in zip(shapes, tall, strict=True) for part in _parts(shape)]
    return tuple(Footprint(_corners(part), height) for part, height in _apart(parts))


def _outlines(
    extract: Extract, projection: Projection, rng: np.random.Generator
) -> tuple[list[shapely.Polygon], list[float]]:
    """The sound outlines and their heights [m]."""
    outlines, heights = [], []
    for building in extract.buildings:
        drawn = float(rng.uniform(*DEFAULT_HEIGHT))
        known = [extract.places[node] for node in building.nodes if node in extract.places]
        if len(known) < len(building.nodes) or len(set(known)) < 3:
            continue  # a part of it lies outside the extract
        shape = shapely.Polygon(projection.to_plane(known))
        for part in _parts(shape if shape.is_valid else shape.buffer(0)):
            outlines.append(part)
            heights.append(drawn if building.height is None else building.height)
    return outlines, heights


def _prepared(shape: shapely.Geometry) -> shapely.Geometry:
    """The same shape, quicker to ask."""
    shapely.prepare(shape)
    return shape


def _parts(shape: shapely.Geometry) -> Iterator[shapely.Polygon]:
    """The polygons of a shape that are large enough, without their courtyards."""
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.Polygon) and part.area >= SMALLEST:
            yield shapely.Polygon(part.exterior)


def _apart(parts: Sequence[tuple[shapely.Polygon, float]]) -> list[tuple[shapely.Polygon, float]]:
    """Leave out those that lie for the most part in larger ones."""
    shapes = np.array([part for part, _ in parts])
    if not len(shapes):
        return []
    areas = shapely.area(shapes)
    small, large = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    other = (areas[small] < areas[large]) | ((areas[small] == areas[large]) & (small > large))
    small, large = small[other], large[other]
    shared = shapely.area(shapely.intersection(shapes[small], shapes[large]))
    inside = set(small[shared > 0.5 * areas[small]].tolist())
    return [part for index, part in enumerate(parts) if index not in inside]


def _corners(part: shapely.Polygon) -> Array:
    """Corners (N, 2) [m], counter-clockwise, without those on straight walls."""
    straight = part.simplify(0.1)
    oriented = shapely.orient_polygons(straight if straight.is_valid and straight.area > 0 else part)
    return shapely.get_coordinates(oriented)[:-1]
