"""Charts of evaluations and the pages around them: bars of shares, calibration, points with intervals.

A page is made from a template. It is one file with everything in it, styles and pictures included.

A chart of a page is SVG in the colours of the page, light or dark; the same input gives the same bytes.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from navsim.evaluation.statistics.intervals import Share
from navsim.storage import write_bytes
from navsim.visualization.palette import CARD, DIM, DRIVERS, INK, LINE, css_variables, with_css_variables

_SIZE = (5.0, 4.0)  # of a chart [in], so that its letters are legible on a phone; wider screens enlarge it
_NAME_LENGTH = 24  # of the label of a point


@dataclass(frozen=True)
class Bar:
    """A share with its interval, drawn on a track from 0 to 100%."""

    name: str
    """Label of the bar."""
    colour: int
    """Index of the colour in `palette.DRIVERS`."""
    text: str
    """The numbers as text."""
    value: float | None
    """The share in [0, 1]; None of nothing."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end of the 95% interval."""


def share_bar(name: str, colour: int, share: Share) -> Bar:
    """Return the bar of a share."""
    return Bar(name, colour, share.full_text, share.value, *share.interval)


@dataclass(frozen=True)
class Point:
    """A point of a chart."""

    name: str
    """Label beside the point."""
    x: float
    """Value on the horizontal axis."""
    y: float
    """Value on the vertical axis, a share in [0, 1]."""
    interval: tuple[float, float] | None = None
    """95% interval of `y`."""


def scatter_chart(x_label: str, y_label: str, points: Sequence[Point], colours: Mapping[str, int]) -> Markup:
    """Draw named points with their intervals as SVG.

    Args:
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis, from 0 to 100%.
        points: The points.
        colours: Index of each point's colour in `palette.DRIVERS`, by the point's name.
    """
    figure, axes = _chart(x_label, y_label)
    middle = (min(point.x for point in points) + max(point.x for point in points)) / 2
    for point in points:
        colour = DRIVERS[colours[point.name]].light
        if point.interval is not None:
            axes.plot([point.x] * 2, point.interval, color=colour, linewidth=1.5)
        axes.plot(point.x, point.y, "o", color=colour, markersize=6)
        side, shift = ("left", 6) if point.x <= middle else ("right", -6)  # names stay inside the chart
        name = point.name if len(point.name) <= _NAME_LENGTH else f"...{point.name[-_NAME_LENGTH:]}"
        place = (point.x, point.y)
        label = axes.annotate(name, place, (shift, 5), textcoords="offset points", ha=side, color=DIM.light, fontsize=9)
        label.set_in_layout(False)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return inline_svg(figure, f"{y_label} over {x_label}")


def calibration_chart(found: Mapping[str, Mapping[str, Any]], colours: Mapping[str, int]) -> Markup:
    """Draw each driver's coverage over z as SVG, with the line of distributions that may be trusted.

    Args:
        found: Calibration of each driver, as in `calibration_mapping`.
        colours: Index of each driver's colour in `palette.DRIVERS`.
    """
    figure, axes = _chart("z", "expert's commands inside")
    points = next(iter(found.values()))["coverage"]
    axes.plot([0.0, *(p["z"] for p in points)], [0.0, *(p["nominal"] for p in points)], "--", color=INK.light)
    for index, (name, one) in enumerate(found.items()):
        colour = DRIVERS[colours[name]].light
        shift = 0.03 * (index - (len(found) - 1) / 2)  # intervals must not hide each other
        along = [point["z"] + shift for point in one["coverage"]]
        axes.plot(along, [point["value"] for point in one["coverage"]], "o-", color=colour, linewidth=2, markersize=6)
        axes.vlines(along, *zip(*(point["interval"] for point in one["coverage"]), strict=True), color=colour)
    axes.set_xlim(0.0, 2.15)
    axes.set_xticks([0.0, *(point["z"] for point in points)])
    return inline_svg(figure, "coverage over z")


def _chart(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Return an empty chart whose vertical axis goes from 0 to 100%."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel(x_label, color=INK.light, fontsize=11)
    axes.set_ylabel(y_label, color=INK.light, fontsize=11)
    plain_axes(axes)
    return figure, axes


def plain_axes(axes: Axes) -> None:
    """Leave a grid and labels of the axes, without frame and ticks."""
    axes.grid(color=LINE.light, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=DIM.light, labelsize=10)
    axes.set_frame_on(False)


def inline_svg(figure: Figure, label: str) -> Markup:
    """Return a figure as SVG for a page, in the colours of the page's style sheet.

    Args:
        figure: Figure drawn in light colours of `navsim.visualization.palette`.
        label: Description for screen readers; it must differ between the figures of a page.
    """
    written = StringIO()
    without = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(written, format="svg", transparent=True, metadata=without)
    svg = written.getvalue()
    # Tags hold coordinates, of which hundredths of a point are fine enough; texts stay as they are.
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg[svg.index("<svg") :])
    size = r'<svg[^>]* viewBox="([^"]*)"[^>]*>'
    start = f'<svg class="chart" viewBox="\\1" role="img" aria-label="{escape(label)}">'
    return Markup(with_css_variables(re.sub(size, start, svg, count=1)))  # noqa: S704 - matplotlib escapes texts


def plot_scores(results: Mapping[str, Any], colours: Mapping[str, int], title: str) -> Figure:
    """Plot the main shares of each driver as bars with 95% intervals.

    Args:
        results: Results of an evaluation, as in `results_mapping`.
        colours: Index of each driver's colour in `palette.DRIVERS`.
        title: Title of the figure.
    """
    columns = main_shares(results)
    figure = Figure(figsize=(3.9 * len(columns) + 0.9, 1.5 + 0.62 * len(colours)), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK.light, x=0.01, ha="left")
    every = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (label, shares) in zip(every, columns.items(), strict=True):
        _bars(axes, [(DRIVERS[colours[name]].light, share) for name, share in shares.items()])
        axes.set_title(label, fontsize=10.5, color=INK.light, loc="left")
    every[0].set_yticks(range(len(colours)), list(colours), fontsize=11, color=INK.light)
    every[0].invert_yaxis()
    return figure


def main_shares(results: Mapping[str, Any]) -> dict[str, dict[str, Share]]:
    """Return the main scores, each with a share per driver; a score that no driver has is left out."""
    drivers = results["drivers"]
    found = {
        "routes through junctions: arrived": {name: _arrived(values) for name, values in drivers.items()},
        "junctions passed of those entered": {
            name: Share(values["junctions"]["passed"], values["junctions"]["entered"])
            for name, values in drivers.items()
        },
        "lane following: arrived": {name: _arrived(values["lane_following"]) for name, values in drivers.items()},
    }
    return {label: shares for label, shares in found.items() if any(share.total for share in shares.values())}


def _arrived(numbers: Mapping[str, Any]) -> Share:
    """Return the share of drives that arrived; results of earlier versions do not count distinct ways."""
    return Share(numbers["arrived"], numbers["routes"], numbers.get("distinct"))


def _bars(axes: Axes, bars: Sequence[tuple[str, Share]]) -> None:
    """Draw one bar of a colour for each driver, from 0 to 100%."""
    for row, (colour, share) in enumerate(bars):
        value, (low, high) = share.value, share.interval
        if value is None:
            axes.text(2, row, "none", va="center", fontsize=9, color=DIM.light)
            continue
        axes.barh(row, 100 * value, height=0.56, color=colour, zorder=2)
        axes.plot([100 * low, 100 * high], [row, row], color=INK.light, linewidth=1.6, solid_capstyle="butt", zorder=3)
        for end in (low, high):
            axes.plot([100 * end] * 2, [row - 0.12, row + 0.12], color=INK.light, linewidth=1.6, zorder=3)
        axes.text(104, row, f"{share.count} / {share.total}", va="center", fontsize=10, color=INK.light)
    axes.set_xlim(0, 128)
    plain_axes(axes)
    axes.grid(visible=False, axis="y")
    axes.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100%"])


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", facecolor=CARD.light)
    write_bytes(path, buffer.getvalue())


def render(template: str, **values: Any) -> str:
    """Render a template of this package.

    Args:
        template: Name of the template's file.
        values: Values of the template; a missing one is an error, and text is escaped.
    """
    return _environment().get_template(template).render(**values)


def data_uri(kind: str, data: bytes) -> str:
    """Return a file as an address that contains it.

    Args:
        kind: Media type, such as `image/webp`.
        data: Content of the file.
    """
    return f"data:{kind};base64,{b64encode(data).decode()}"


def templates_of(package: str) -> Environment:
    """Return the templates of a package; text is escaped, and a missing value is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = templates_of("navsim.evaluation.reports")
    style = f"{css_variables()}\n{environment.get_template('style.css').render()}"
    environment.globals["style"] = Markup(style)  # noqa: S704 - our own file
    return environment
