"""The road as it is built: its surface and the kerbs and footways along it."""

from dataclasses import dataclass

import numpy as np
import shapely

from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.world.scenery.meshes import Surface, quads
from navsim.world.scenery.textures import Paint

KERB_HEIGHT = 0.12
"""[m]."""
KERB_WIDTH = 0.3
"""[m]."""
FOOTWAY_TOLERANCE = 0.2
"""Within which the far edge of a footway is straightened: nobody drives along it [m]."""

Area = shapely.Polygon | shapely.MultiPolygon


@dataclass(frozen=True, eq=False)
class Kerbs:
    """The kerb stones around the carriageway, as matching closed lines."""

    inner: tuple[Array, ...]
    """Edge towards the road, one closed ring (K+1, 2) per boundary [m]; the road lies on the left."""
    outer: tuple[Array, ...]
    """Edge towards the ground, vertex by vertex [m]."""

    @property
    def faces(self) -> Array:
        """Upright and top faces (N, 4, 3) [m], counter-clockwise from outside."""
        parts = []
        for inner, outer in zip(self.inner, self.outer, strict=True):
            foot, edge, back = _at(inner, 0.0), _at(inner, KERB_HEIGHT), _at(outer, KERB_HEIGHT)
            parts.append(np.stack([foot[:-1], edge[:-1], edge[1:], foot[1:]], axis=1))
            parts.append(np.stack([edge[:-1], back[:-1], back[1:], edge[1:]], axis=1))
        return np.concatenate(parts)

    @property
    def surface(self) -> Surface:
        """The same, painted."""
        return quads(self.faces, int(Paint.KERB))

    @property
    def road(self) -> Area:
        """The area between the kerbs."""
        return _area(self.inner)

    @property
    def road_and_kerbs(self) -> Area:
        """The same with the kerb stones."""
        return _area(self.outer)


def lay_kerbs(network: RoadNetwork, tolerance: float = 0.1) -> Kerbs:
    """Lay kerb stones along the edge of the carriageway, straightened within `tolerance` [m]."""
    polygons = shapely.get_parts(shapely.orient_polygons(network.carriageway.simplify(tolerance)))
    rings = [np.array(ring.coords) for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return Kerbs(tuple(rings), tuple(_widened(ring, KERB_WIDTH) for ring in rings))


def footways(kerbs: Kerbs, width: float) -> Area:
    """The strip of `width` [m] behind the kerb stones."""
    inner = kerbs.road_and_kerbs
    if width <= 0:
        return shapely.MultiPolygon()
    outer = inner.buffer(width, join_style="mitre", mitre_limit=2.0).simplify(FOOTWAY_TOLERANCE)
    return as_area(shapely.difference(outer, inner))


def _at(points: Array, z: float) -> Array:
    """Points (N, 2) lifted to height `z` (N, 3)."""
    return np.concatenate([points, np.full((len(points), 1), z)], axis=1)


def _widened(ring: Array, width: float) -> Array:
    """A closed ring (K+1, 2) moved by `width` [m] to its right, with mitred corners."""
    steps = np.diff(ring, axis=0)
    normals = np.stack([steps[:, 1], -steps[:, 0]], axis=1) / np.hypot(*steps.T)[:, None]  # of each side, to the right
    before = np.roll(normals, 1, axis=0)
    mitre = (normals + before) / (1 + (normals * before).sum(axis=1, keepdims=True))
    moved = ring[:-1] + width * mitre
    return np.concatenate([moved, moved[:1]])


def _area(rings: tuple[Array, ...]) -> Area:
    """The area on the left of closed rings."""
    outlines = [ring for ring in rings if shapely.LinearRing(ring).is_ccw]
    holes = [ring for ring in rings if not shapely.LinearRing(ring).is_ccw]
    return as_area(
        shapely.difference(
            shapely.union_all([_filled(ring) for ring in outlines]),
            shapely.union_all([_filled(ring) for ring in holes]),
        )
    )


def _filled(ring: Array) -> shapely.Geometry:
    """The inside of a closed ring (K+1, 2); where kerbs of a real town's odd corners overlap, as sound as can be."""
    area = shapely.Polygon(ring)
    return area if area.is_valid else shapely.make_valid(area)


def as_area(shape: shapely.Geometry) -> Area:
    """The polygons of a shape; stray lines and points of a set operation are dropped."""
    return shapely.MultiPolygon([part for part in shapely.get_parts(shape) if isinstance(part, shapely.Polygon)])
