"""Top-down maps of towns with the driven paths, coloured by lane offset, as SVG without any file beside it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from markupsafe import Markup

from navsim.evaluation.metrics.drives import Drive
from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome

OFFSET_STEPS = (0.25, 0.5, 1.0, 2.0)
"""Lane offsets at which the colour of a path changes [m]."""
MARGIN = 12.0
"""Around a town [m]."""

_SPACING = 2.0  # of a path's points [m]
_DETAIL = 0.3  # how far an outline may deviate [m]


@dataclass(frozen=True)
class DriverMap:
    """One driver's paths on one town."""

    driver: str
    """Who drove."""
    words: str
    """How many arrived."""
    svg: Markup
    """The picture; its roads are those of the town's `TownMap`."""


@dataclass(frozen=True)
class TownMaps:
    """One town, for each driver."""

    town: str
    """Its name."""
    roads: Markup
    """The town's roads, to be put on the page once, before the maps."""
    maps: tuple[DriverMap, ...]
    """One for each driver."""


def town_maps(network: RoadNetwork, drives: Sequence[Drive], number: int) -> TownMaps:
    """Draw the maps of a town.

    Args:
        network: Its roads.
        drives: All of this town; those that broke off without an episode have no path.
        number: Tells it from the page's other towns.
    """
    west, south, east, north = network.bounds
    box = f"{west - MARGIN:.1f} {-north - MARGIN:.1f} {east - west + 2 * MARGIN:.1f} {north - south + 2 * MARGIN:.1f}"
    name = f"town-{number}"
    path = _outline(network.carriageway)
    symbol = f'<svg class="store" aria-hidden="true"><defs><path id="{name}" class="road" d="{path}"/></defs></svg>'
    maps = []
    for driver in dict.fromkeys(drive.driver for drive in drives):
        own = [drive for drive in drives if drive.driver == driver]
        episodes = [drive.episode for drive in own if drive.episode is not None]
        lines = "".join(_path(episode) for episode in episodes)
        marks = "".join(_marks(episode, max(east - west, north - south) / 55) for episode in episodes)
        words = f"{sum(drive.outcome is Outcome.ARRIVED for drive in own)} of {len(own)} arrived"
        svg = f'<svg class="map" viewBox="{box}" role="img" aria-label="paths of the driver"><use href="#{name}"/>'
        maps.append(DriverMap(driver, words, Markup(f"{svg}{lines}{marks}</svg>")))  # noqa: S704 - numbers alone
    return TownMaps(drives[0].scenario.town, Markup(symbol), tuple(maps))  # noqa: S704 - likewise


def _outline(area: shapely.Polygon | shapely.MultiPolygon) -> str:
    """Polygons with their holes as the words of an SVG path; y points down there."""
    simple = shapely.simplify(area, _DETAIL)
    polygons = [simple] if isinstance(simple, shapely.Polygon) else list(simple.geoms)
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return "".join("M" + "L".join(f"{x:.1f} {-y:.1f}" for x, y in ring.coords) + "Z" for ring in rings)


def _path(episode: Episode) -> str:
    """A driven path in pieces, each with the class of its lane offset."""
    kept = _thinned(episode.poses[:, :2])
    points = episode.poses[kept, :2]
    between = [np.abs(episode.offsets[first : last + 1]).max() for first, last in itertools.pairwise(kept)]
    classes = np.searchsorted(OFFSET_STEPS, between, side="right")
    breaks = [0, *(np.flatnonzero(np.diff(classes)) + 1).tolist(), len(classes)]
    pieces = []
    for first, last in itertools.pairwise(breaks):
        if first < last:
            words = " ".join(f"{x:.1f},{-y:.1f}" for x, y in points[first : last + 1])
            pieces.append(f'<polyline class="o{classes[first]}" points="{words}"/>')
    return "".join(pieces)


def _thinned(points: Array) -> list[int]:
    """Indices of points (N, 2) about `_SPACING` apart, the first and the last among them."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    chosen = np.unique(np.searchsorted(along, np.arange(0.0, along[-1], _SPACING)))
    return sorted({0, *chosen.tolist(), len(points) - 1})


def _marks(episode: Episode, radius: float) -> str:
    """Where the drive began and, if it failed, where it ended."""
    (x, y), (u, v) = episode.poses[0, :2], episode.poses[-1, :2]
    start = f'<circle class="start" cx="{x:.1f}" cy="{-y:.1f}" r="{radius / 2:.1f}"/>'
    if episode.outcome is Outcome.ARRIVED:
        return start
    words = episode.outcome.replace("_", " ")
    d = f"M{u - radius:.1f} {-v - radius:.1f}l{2 * radius:.1f} {2 * radius:.1f}m0 {-2 * radius:.1f}"
    d += f"l{-2 * radius:.1f} {2 * radius:.1f}"
    return f'{start}<path class="end" d="{d}"><title>{words}</title></path>'
