"""Charts as SVG that takes its colours from the page, so that they suit light and dark, and as bars of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from navsim.evaluation.statistics.intervals import Share

WIDTH, HEIGHT = 360, 290
"""Size of a chart [px]: that of a phone, so that its letters are legible there; wider screens enlarge it."""
COLOURS = 6
"""How many series have a colour of their own."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 40


@dataclass(frozen=True)
class Bar:
    """A share with its interval, to be drawn on a track from 0 to 100%."""

    name: str
    """Whose."""
    colour: int
    """Number of the colour, from 0."""
    words: str
    """The numbers."""
    value: float | None
    """The share in [0, 1]; None of nothing."""
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end."""


def share_bar(name: str, colour: int, share: Share) -> Bar:
    """The bar of a share."""
    low, high = share.interval
    words = f"{share.count} of {share.total} ({low:.0%} to {high:.0%})" if share.total else "none"
    return Bar(name, colour % COLOURS, words, share.value, low, high)


@dataclass(frozen=True)
class ChartAxis:
    """One axis of a chart."""

    words: str
    """What it measures."""
    low: float
    """Value at its beginning."""
    high: float
    """Value at its end."""
    ticks: tuple[tuple[float, str], ...]
    """Where it is labelled, and how."""

    def share(self, value: float) -> float:
        """How far along the axis a value lies, kept within [0, 1]."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


@dataclass(frozen=True)
class Point:
    """A point of a chart."""

    x: float
    """Along."""
    y: float
    """Up."""
    interval: tuple[float, float] | None = None
    """95% interval of `y`."""
    words: str = ""
    """Name, shown on pointing at it and, in a chart of `named` points, beside it."""


@dataclass(frozen=True)
class Series:
    """Points that belong together."""

    name: str
    """Name in the legend."""
    colour: int
    """Number of the colour, from 0; -1 is that of the text, dashed, without marks."""
    points: tuple[Point, ...]
    """In order."""
    joined: bool = True
    """Whether a line leads through them."""


def percent_axis(words: str) -> ChartAxis:
    """From 0 to 100%."""
    return ChartAxis(words, 0.0, 1.0, tuple((i / 4, f"{25 * i}%") for i in range(5)))


def value_axis(words: str, values: Sequence[float], form: str = "{:.3g}") -> ChartAxis:
    """An axis with room around all values, at least one, and five labels."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    places = [low + (high - low) * i / 4 for i in range(5)]
    return ChartAxis(words, low, high, tuple((place, form.format(place)) for place in places))


def chart(across: ChartAxis, up: ChartAxis, series: Sequence[Series], title: str) -> Markup:
    """Draw series over two axes.

    Args:
        across: The horizontal axis.
        up: The vertical axis.
        series: What is drawn, the last on top.
        title: Said to those who do not see it.
    """
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts += _frame(across, up)
    for one in series:
        parts += _drawn(across, up, one)
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - made of numbers and escaped words


def _x(axis: ChartAxis, value: float) -> float:
    return round(_LEFT + axis.share(value) * (WIDTH - _LEFT - _RIGHT), 1)


def _y(axis: ChartAxis, value: float) -> float:
    return round(HEIGHT - _BOTTOM - axis.share(value) * (HEIGHT - _TOP - _BOTTOM), 1)


def _frame(across: ChartAxis, up: ChartAxis) -> list[str]:
    """Grid, labels and what the axes measure."""
    parts, bottom, right = list[str](), HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value, words in up.ticks:
        y = _y(up, value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{escape(words)}</text>')
    for value, words in across.ticks:
        x = _x(across, value)
        anchor = "end" if x > WIDTH - 24 else "middle"
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(
            f'<text class="tick" x="{min(x, right)}" y="{bottom + 15}" text-anchor="{anchor}">{escape(words)}</text>'
        )
    middle = (_LEFT + right) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across.words)}</text>')
    parts.append(
        f'<text class="axis" transform="translate(11 {(_TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(up.words)}</text>"
    )
    return parts


def _drawn(across: ChartAxis, up: ChartAxis, series: Series) -> list[str]:
    """Line, intervals and marks of one series."""
    kind = "ideal" if series.colour < 0 else f"c{series.colour % COLOURS}"
    places = [(_x(across, point.x), _y(up, point.y)) for point in series.points]
    parts = [f'<g class="{kind}">']
    if series.joined:
        parts.append(f'<polyline points="{" ".join(f"{x},{y}" for x, y in places)}"/>')
    for (x, y), point in zip(places, series.points, strict=True):
        if point.interval is not None:
            low, high = (_y(up, end) for end in point.interval)
            parts.append(f'<line class="error" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>')
        if series.colour >= 0:
            parts.append(
                f'<circle cx="{x}" cy="{y}" r="4"><title>{escape(point.words or series.name)}</title></circle>'
            )
    parts.append("</g>")
    return parts
