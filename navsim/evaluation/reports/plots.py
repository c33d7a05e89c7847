"""Plots of an evaluation: scores with their intervals, and driven paths on the map of a town."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from navsim.evaluation.metrics.drives import Drive
from navsim.evaluation.reports.results import DriverScores
from navsim.evaluation.statistics.intervals import Share
from navsim.roads.network import RoadNetwork
from navsim.simulation.episode import Episode
from navsim.simulation.scenario import Outcome
from navsim.storage import write_bytes

_INK, _DIM, _PAVED, _LAND = "#1d232c", "#6b7585", "#cfd5de", "#f6f7f9"
_BARS = ("#2f6fde", "#8e9bb0", "#c2a25a", "#3fa66b", "#b25fc4", "#d9694f")
_MARKS = {
    Outcome.LEFT_ROAD: ("X", "left the road"),
    Outcome.WRONG_TURN: ("D", "wrong turn"),
    Outcome.COLLIDED: ("P", "collided"),
    Outcome.STUCK: ("s", "stuck"),
    Outcome.TIMED_OUT: ("s", "timed out"),
}
_MOST_OFFSET = 1.0  # the colours' upper end [m]: half of what ends a drive


def plot_scores(scores: Mapping[str, DriverScores], title: str) -> Figure:
    """Bars of the three scores of each driver, with 95% intervals.

    Args:
        scores: Each driver's numbers.
        title: What was driven.
    """
    columns: list[tuple[str, list[Share]]] = [
        ("routes through junctions: arrived", [score.routes.arrivals for score in scores.values()]),
        ("junctions passed of those entered", [score.routes.junctions for score in scores.values()]),
        ("lane following: arrived", [score.lanes.arrivals for score in scores.values()]),
    ]
    columns = [(words, shares) for words, shares in columns if any(share.total for share in shares)]
    figure = Figure(figsize=(3.9 * len(columns) + 0.9, 1.5 + 0.62 * len(scores)), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=12, color=_INK, x=0.01, ha="left")
    axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for ax, (words, shares) in zip(axes, columns, strict=True):
        _bars(ax, shares, words)
    axes[0].set_yticks(range(len(scores)), list(scores), fontsize=11, color=_INK)
    axes[0].invert_yaxis()
    return figure


def _bars(ax: Axes, shares: Sequence[Share], title: str) -> None:
    """One bar per driver, from 0 to 100%."""
    for row, share in enumerate(shares):
        value, (low, high) = share.value, share.interval
        if value is None:
            ax.text(2, row, "none", va="center", fontsize=9, color=_DIM)
            continue
        ax.barh(row, 100 * value, height=0.56, color=_BARS[row % len(_BARS)], zorder=2)
        ax.plot([100 * low, 100 * high], [row, row], color=_INK, linewidth=1.6, solid_capstyle="butt", zorder=3)
        for end in (low, high):
            ax.plot([100 * end] * 2, [row - 0.12, row + 0.12], color=_INK, linewidth=1.6, zorder=3)
        ax.text(104, row, f"{share.count} / {share.total}", va="center", fontsize=10, color=_INK)
    ax.set_xlim(0, 128)
    ax.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"], fontsize=9, color=_DIM)
    ax.set_title(title, fontsize=10.5, color=_INK, loc="left")
    ax.grid(axis="x", color="#e3e7ed", zorder=0)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def plot_town(network: RoadNetwork, drives: Sequence[Drive], title: str) -> Figure:
    """Paths on the map of one town, one map per driver, coloured by lane offset; ends of failed drives are marked.

    Args:
        network: The town's roads.
        drives: All of this town; those that broke off are left out.
        title: What is shown.
    """
    names = list(dict.fromkeys(drive.driver for drive in drives))
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    west, south, east, north = network.bounds
    height = 6.2 * (north - south) / (east - west)
    figure = Figure(figsize=(6.2 * columns + 0.7, (height + 0.3) * rows + 0.55), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=13, color=_INK)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, names, strict=False):
        episodes = [drive.episode for drive in drives if drive.driver == name and drive.episode is not None]
        colours = _town_map(ax, network, episodes, name)
    bar = figure.colorbar(colours, ax=axes, shrink=0.6, aspect=32, pad=0.015, extend="max")
    bar.set_label("lane offset [m]", color=_DIM)
    bar.outline.set_visible(False)
    _legend(figure, drives)
    return figure


def _town_map(ax: Axes, network: RoadNetwork, episodes: Sequence[Episode], name: str) -> LineCollection:
    """One driver's paths; returns what the colours mean."""
    ax.set_facecolor(_LAND)
    for outline in _outlines(network.carriageway):
        ax.add_patch(PathPatch(outline, facecolor=_PAVED, edgecolor="none"))
    colours = LineCollection([], cmap="turbo", clim=(0.0, _MOST_OFFSET), linewidths=2.6, capstyle="round", zorder=3)
    segments = [np.stack([episode.poses[:-1, :2], episode.poses[1:, :2]], axis=1) for episode in episodes]  # (T, 2, 2)
    colours.set_segments([segment for part in segments for segment in part])
    colours.set_array(np.concatenate([np.zeros(0), *(abs(episode.offsets[1:]) for episode in episodes)]))
    ax.add_collection(colours)
    for episode in episodes:
        ax.plot(*episode.poses[0, :2], "o", color=_INK, markersize=5, zorder=4)
        if episode.outcome in _MARKS:
            marker, _ = _MARKS[episode.outcome]
            ax.plot(*episode.poses[-1, :2], marker, color="#d11f3a", markersize=11, markeredgecolor="white", zorder=5)
    arrived = sum(episode.outcome is Outcome.ARRIVED for episode in episodes)
    ax.set_title(f"{name}: {arrived} of {len(episodes)} arrived", fontsize=11.5, color=_INK, loc="left")
    west, south, east, north = network.bounds
    ax.set(xlim=(west - 12, east + 12), ylim=(south - 12, north + 12), aspect="equal", xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return colours


def _outlines(area: shapely.Polygon | shapely.MultiPolygon) -> list[Outline]:
    """Polygons with their holes, as matplotlib's paths."""
    polygons = [area] if isinstance(area, shapely.Polygon) else list(area.geoms)
    return [
        Outline.make_compound_path(*(Outline(np.asarray(ring.coords), closed=True) for ring in rings))
        for rings in ([polygon.exterior, *polygon.interiors] for polygon in polygons)
    ]


def _legend(figure: Figure, drives: Sequence[Drive]) -> None:
    """What the marks mean; only those that occur."""
    present = {drive.episode.outcome for drive in drives if drive.episode is not None}
    handles = [Line2D([], [], marker="o", color=_INK, linestyle="", markersize=6, label="start")]
    handles += [
        Line2D([], [], marker=marker, color="#d11f3a", linestyle="", markersize=10, label=words)
        for outcome, (marker, words) in _MARKS.items()
        if outcome in present
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, labelcolor=_INK)


def town_to_show(drives: Sequence[Drive]) -> str:
    """The town where the first driver's drives through junctions failed most often; ties go to the first."""
    first = drives[0].driver
    failed = dict.fromkeys((drive.scenario.town for drive in drives), 0)
    for drive in drives:
        if drive.driver == first and drive.scenario.junctions and drive.episode is not None:
            failed[drive.scenario.town] += drive.episode.outcome is not Outcome.ARRIVED
    return max(failed, key=lambda town: failed[town])


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, at once or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    write_bytes(path, buffer.getvalue())
