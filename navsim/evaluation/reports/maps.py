"""Maps of towns from above with the driven paths, coloured by lane offset."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.charts import inline_svg
from navsim.geometry import Array
from navsim.roads.network import RoadNetwork
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from navsim.visualization.palette import BAD, INK, OFFSETS, ROAD

OFFSET_STEPS = (0.25, 0.5, 1.0, 2.0)
"""Lane offsets at which the colour of a path changes [m]."""
MARGIN = 12.0
"""Margin around a town [m]."""

FAILURE_MARKS = {
    Outcome.LEFT_ROAD: ("X", "✖"),
    Outcome.WRONG_TURN: ("D", "◆"),
    Outcome.WRONG_LANE: ("^", "▲"),
    Outcome.COLLIDED: ("P", "✚"),
    Outcome.STUCK: ("s", "■"),
    Outcome.TIMED_OUT: ("s", "■"),
}
"""Mark at the end of a failed drive, by its outcome: for matplotlib, and as a letter."""
_SPACING = 2.0  # of a path's points [m]
_DETAIL = 0.3  # how far an outline may deviate [m]
_WIDTH = 5.0  # of a map on a page [in]


@dataclass(frozen=True)
class DriverMap:
    """One driver's paths in one town."""

    driver: str
    """Name of the driver."""
    text: str
    """Number of drives that arrived."""
    svg: Markup
    """The map as SVG for a page."""


@dataclass(frozen=True)
class TownMaps:
    """Maps of one town."""

    town: str
    """Name of the town."""
    maps: tuple[DriverMap, ...]
    """One map for each driver."""


def town_maps(network: RoadNetwork, drives: Sequence[Drive]) -> TownMaps:
    """Draw the maps of a town as SVG, one for each driver.

    Args:
        network: Roads of the town.
        drives: All drives of this town; those that broke off without an episode have no path.
    """
    town, maps = drives[0].scenario.town, []
    for driver, own in by_driver(drives).items():
        figure = Figure(figsize=(_WIDTH, _WIDTH * _height_per_width(network)))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        draw_paths(axes, network, [drive.episode for drive in own if drive.episode is not None])
        svg = inline_svg(figure, f"paths of {driver} in {town}")
        maps.append(DriverMap(driver, arrivals_text(own), svg))
    return TownMaps(town, tuple(maps))


def plot_town(network: RoadNetwork, drives: Sequence[Drive], title: str) -> Figure:
    """Plot the paths in one town, one map for each driver.

    Args:
        network: Roads of the town.
        drives: All drives of this town; those that broke off without an episode have no path.
        title: Title of the figure.
    """
    drivers = by_driver(drives)
    columns = min(len(drivers), 2)
    rows = -(-len(drivers) // columns)
    height = 6.2 * _height_per_width(network)
    figure = Figure(figsize=(6.2 * columns, (height + 0.3) * rows + 0.9), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=13, color=INK.light)
    every = figure.subplots(rows, columns, squeeze=False).flat
    for axes in every[len(drivers) :]:
        axes.set_axis_off()
    for axes, (name, own) in zip(every, drivers.items(), strict=False):
        draw_paths(axes, network, [drive.episode for drive in own if drive.episode is not None])
        axes.set_title(f"{name}: {arrivals_text(own)}", fontsize=11.5, color=INK.light, loc="left")
    figure.legend(
        handles=_legend(drives), loc="outside lower left", ncols=2 * columns, frameon=False, labelcolor=INK.light
    )
    return figure


def by_driver(drives: Sequence[Drive]) -> dict[str, list[Drive]]:
    """Return the drives of each driver, in the order in which the drivers first appear."""
    names = dict.fromkeys(drive.driver for drive in drives)
    return {name: [drive for drive in drives if drive.driver == name] for name in names}


def arrivals_text(drives: Sequence[Drive]) -> str:
    """Return the number of drives that arrived, such as `7 of 8 arrived`."""
    return f"{sum(drive.outcome is Outcome.ARRIVED for drive in drives)} of {len(drives)} arrived"


def offset_labels() -> list[str]:
    """Return the meaning of each colour of `palette.OFFSETS`."""
    ranges = [f"{low:g} to {high:g} m" for low, high in itertools.pairwise(OFFSET_STEPS)]
    return [f"within {OFFSET_STEPS[0]:g} m of the lane's middle", *ranges, f"beyond {OFFSET_STEPS[-1]:g} m"]


def draw_paths(axes: Axes, network: RoadNetwork, episodes: Sequence[Episode]) -> None:
    """Draw roads, the paths in the colours of their lane offsets, starts as dots and ends of failed drives as marks.

    Args:
        axes: Where to draw.
        network: Roads of the town.
        episodes: Drives of one driver.
    """
    for outline in _outlines(network.carriageway):
        axes.add_patch(PathPatch(outline, facecolor=ROAD.light, edgecolor="none"))
    pieces = [piece for episode in episodes for piece in path_pieces(episode)]
    paths = LineCollection(
        [points for points, _ in pieces],
        colors=[OFFSETS[step].light for _, step in pieces],
        linewidths=2.2,
        capstyle="round",
        zorder=3,
    )
    axes.add_collection(paths, autolim=False)
    for episode in episodes:
        axes.plot(*episode.poses[0, :2], "o", color=INK.light, markersize=4.5, zorder=4)
        if episode.outcome in FAILURE_MARKS:
            mark, _ = FAILURE_MARKS[episode.outcome]
            axes.plot(*episode.poses[-1, :2], mark, color=BAD.light, markersize=10, zorder=5)
    west, south, east, north = _extent(network)
    axes.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    axes.set_axis_off()


def path_pieces(episode: Episode) -> list[tuple[Array, int]]:
    """Return a driven path in pieces, points (N, 2) [m] that share their ends, each with its index in `OFFSETS`."""
    kept = _thinned(episode.poses[:, :2])
    points = episode.poses[kept, :2]
    between = [np.abs(episode.offsets[first : last + 1]).max() for first, last in itertools.pairwise(kept)]
    steps = np.searchsorted(OFFSET_STEPS, between, side="right")
    breaks = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    return [(points[first : last + 1], int(steps[first])) for first, last in itertools.pairwise(breaks) if first < last]


def _thinned(points: Array) -> list[int]:
    """Return indices of points (N, 2) about `_SPACING` apart, the first and the last among them."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    chosen = np.unique(np.searchsorted(along, np.arange(0.0, along[-1], _SPACING)))
    return sorted({0, *chosen.tolist(), len(points) - 1})


def _outlines(area: shapely.Polygon | shapely.MultiPolygon) -> list[Outline]:
    """Return polygons with their holes as matplotlib's paths."""
    simple = shapely.simplify(area, _DETAIL)
    polygons = [simple] if isinstance(simple, shapely.Polygon) else list(simple.geoms)
    return [
        Outline.make_compound_path(*(Outline(np.asarray(ring.coords), closed=True) for ring in rings))
        for rings in ([polygon.exterior, *polygon.interiors] for polygon in polygons)
    ]


def _height_per_width(network: RoadNetwork) -> float:
    west, south, east, north = _extent(network)
    return (north - south) / (east - west)


def _extent(network: RoadNetwork) -> tuple[float, float, float, float]:
    """Return west, south, east and north end of a map [m]; long and narrow towns have more margin on two sides."""
    x0, y0, x1, y1 = network.bounds
    width, height = x1 - x0 + 2 * MARGIN, y1 - y0 + 2 * MARGIN
    aside, above = (MARGIN + max(least - side, 0.0) / 2 for least, side in ((height / 3, width), (width / 3, height)))
    return x0 - aside, y0 - above, x1 + aside, y1 + above


def _legend(drives: Sequence[Drive]) -> list[Line2D]:
    """Return the meaning of colours and marks; those of failures only where they occur."""
    handles = [
        Line2D([], [], color=tone.light, linewidth=3, label=label)
        for tone, label in zip(OFFSETS, offset_labels(), strict=True)
    ]
    handles.append(Line2D([], [], marker="o", color=INK.light, linestyle="", markersize=6, label="start"))
    return handles + [
        Line2D([], [], marker=FAILURE_MARKS[outcome][0], color=BAD.light, linestyle="", markersize=9, label=label)
        for outcome, label in failures_shown(drives).items()
    ]


def failures_shown(drives: Sequence[Drive]) -> dict[Outcome, str]:
    """Return the outcomes of failed drives that have a mark on a map, each with its text."""
    present = {drive.outcome for drive in drives if drive.episode is not None}
    return {outcome: outcome.replace("_", " ") for outcome in FAILURE_MARKS if outcome in present}


def town_to_show(drives: Sequence[Drive]) -> str:
    """Return the town where the first driver failed most often on routes through junctions; ties go to the first."""
    first = drives[0].driver
    failed = dict.fromkeys((drive.scenario.town for drive in drives), 0)
    for drive in drives:
        if drive.driver == first and drive.scenario.junctions and drive.episode is not None:
            failed[drive.scenario.town] += drive.episode.outcome is not Outcome.ARRIVED
    return max(failed, key=lambda town: failed[town])
