"""Outlines of the houses of an extract that stand beside its streets, clear of the carriageway."""

from collections.abc import Iterator, Sequence

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.elements import Footprint
from navsim.roads.network import RoadNetwork
from navsim.roads.osm.reader import Extract, Projection

CLEARANCE = 1.0
"""Smallest distance from a wall to the carriageway [m]."""
MAX_DISTANCE = 120.0
"""Largest distance from a house to the closest street [m]."""
MIN_AREA = 12.0
"""Smallest ground plan of a house [m^2]."""
DEFAULT_HEIGHT = (6.0, 9.0)
"""Range of random heights where the map gives none [m]."""


def footprints(
    extract: Extract, projection: Projection, network: RoadNetwork, rng: np.random.Generator
) -> tuple[Footprint, ...] | None:
    """Return the houses of an extract; None if it has no buildings.

    Houses within `CLEARANCE` of the carriageway are cut back, and courtyards are filled. Of two outlines at one
    position, such as a house and its parts, the larger one is used.

    Args:
        extract: The extract.
        projection: Projection of the network.
        network: Roads of the town.
        rng: Random generator of the heights that the map does not give.
    """
    if not extract.buildings:
        return None
    outlines, heights = _outlines(extract, projection, rng)
    if not outlines:
        return ()
    shapes = np.array(outlines)
    near = shapely.dwithin(shapes, _prepared(network.carriageway), MAX_DISTANCE)
    shapes, tops = shapes[near], np.array(heights)[near]
    road = network.carriageway.buffer(CLEARANCE)
    shapely.prepare(road)
    touching = shapely.intersects(shapes, road)
    # The rounded corners of a cut would become many walls, hence the simplification.
    shapes[touching] = shapely.simplify(shapely.difference(shapes[touching], road.simplify(0.2)), 0.3)
    parts = [(part, float(height)) for shape, height in zip(shapes, tops, strict=True) for part in _parts(shape)]
    return tuple(Footprint(_corners(part), height) for part, height in _without_duplicates(parts))


def _outlines(
    extract: Extract, projection: Projection, rng: np.random.Generator
) -> tuple[list[shapely.Polygon], list[float]]:
    """Return the valid outlines and their heights [m]."""
    outlines, heights = [], []
    for building in extract.buildings:
        random_height = float(rng.uniform(*DEFAULT_HEIGHT))
        known = [extract.coordinates[node] for node in building.nodes if node in extract.coordinates]
        if len(known) < len(building.nodes) or len(set(known)) < 3:
            continue  # a part of the building lies outside the extract
        shape = shapely.Polygon(projection.to_plane(known))
        for part in _parts(shape if shape.is_valid else shape.buffer(0)):
            outlines.append(part)
            heights.append(random_height if building.height is None else building.height)
    return outlines, heights


def _prepared(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the shape, indexed for fast queries."""
    shapely.prepare(shape)
    return shape


def _parts(shape: shapely.Geometry) -> Iterator[shapely.Polygon]:
    """Yield the polygons of a shape that are large enough, without their courtyards."""
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.Polygon) and part.area >= MIN_AREA:
            yield shapely.Polygon(part.exterior)


def _without_duplicates(parts: Sequence[tuple[shapely.Polygon, float]]) -> list[tuple[shapely.Polygon, float]]:
    """Return the parts that do not lie mostly inside larger ones."""
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
    """Return the corners (N, 2) of a house [m], counter-clockwise, without those on straight walls."""
    straight = part.simplify(0.1)
    oriented = shapely.orient_polygons(straight if straight.is_valid and straight.area > 0 else part)
    return shapely.get_coordinates(oriented)[:-1]
