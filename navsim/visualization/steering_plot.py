"""The distribution over steering as a curve, with the command and the expert's label. Left is left."""

from collections.abc import Sequence

import numpy as np

from navsim.drivers.action_selection import Mode
from navsim.drivers.protocol import Decision
from navsim.geometry import Array
from navsim.sensing.observation import Image
from navsim.visualization.canvas import (
    ACCENT,
    BRIGHT,
    DIM,
    LINE,
    SURFACE,
    TRUTH,
    Colour,
    Rectangle,
    Text,
    fill,
    polyline,
)
from navsim.visualization.drive_events import decision_modes

_ACCENT_FILL: Colour = (104, 78, 42)


def draw_curve(canvas: Image, box: Rectangle, decision: Decision, label: float | None, limit: float) -> list[Text]:
    """Draw a decision's density over curvature, scaled to its own peak, from `limit` [1/m] (left) to -`limit`.

    Returns:
        The texts that belong to it.
    """
    fill(canvas, box, SURFACE)
    plot = Rectangle(box.x + 14, box.y + 34, box.width - 28, box.height - 64)
    texts = _axis(canvas, plot, limit)
    if decision.grid is not None and decision.density is not None:
        _density(canvas, plot, decision.grid, decision.density, limit)
    modes = decision_modes(decision)
    texts += _mode_texts(plot, modes, limit) if len(modes) > 1 else []
    _marker(canvas, plot, decision.curvature, limit, BRIGHT, dashed=False)
    if label is not None:
        _marker(canvas, plot, label, limit, TRUTH, dashed=True)
    return texts + _legend(box, decision, label)


def _column(plot: Rectangle, curvature: float, limit: float) -> float:
    """Where a curvature lies [px]; beyond the axis it sticks to its end."""
    share = (1 - float(np.clip(curvature / limit, -1, 1))) / 2
    return plot.x + share * plot.width


def _axis(canvas: Image, plot: Rectangle, limit: float) -> list[Text]:
    """Base line and ticks, labelled by the radius that they stand for."""
    bottom = plot.y + plot.height
    polyline(canvas, [(plot.x, bottom), (plot.x + plot.width, bottom)], LINE, 1)
    texts = []
    for share in (1.0, 0.5, 0.0, -0.5, -1.0):
        x = _column(plot, share * limit, limit)
        polyline(canvas, [(x, bottom), (x, bottom + 4)], LINE, 1)
        side = "left" if share > 0 else "right"
        words = f"{abs(share) * limit:.3g} {side}" if share else "0"
        anchor = {1.0: "la", -1.0: "ra"}.get(share, "ma")
        texts.append(Text(words, x, bottom + 8, 12, DIM, anchor))
    return texts


def _density(canvas: Image, plot: Rectangle, grid: Array, density: Array, limit: float) -> None:
    """Fill the area under the density: one column of pixels per place, since peaks are narrower than any grid line."""
    columns = np.arange(plot.width)
    curvatures = limit * (1 - 2 * (columns + 0.5) / plot.width)
    values = np.interp(curvatures, grid, density, left=0.0, right=0.0)
    peak = max(float(density.max()), 1e-12)
    heights = np.clip(values / peak, 0, 1) * plot.height
    rows = np.arange(plot.height)[:, None]
    area = canvas[plot.slices]
    area[rows >= plot.height - heights] = _ACCENT_FILL
    bottom = plot.y + plot.height
    polyline(canvas, np.stack([plot.x + columns, bottom - heights], axis=-1), ACCENT, 2)


def _mode_texts(plot: Rectangle, modes: Sequence[Mode], limit: float) -> list[Text]:
    """The share of the probability that each mode holds, over it."""
    return [
        Text(f"{mode.mass:.0%}", _column(plot, mode.curvature, limit), plot.y - 3, 13, ACCENT, "ms", outlined=True)
        for mode in modes
    ]


def _marker(canvas: Image, plot: Rectangle, curvature: float, limit: float, colour: Colour, dashed: bool) -> None:
    """A vertical line at a curvature."""
    x = _column(plot, curvature, limit)
    top, bottom = plot.y - 4, plot.y + plot.height
    length, gap = (7, 7) if dashed else (bottom - top, 1)
    for y in range(top, bottom, length + gap):
        polyline(canvas, [(x, y), (x, min(y + length, bottom))], colour, 2)


def _legend(box: Rectangle, decision: Decision, label: float | None) -> list[Text]:
    """What the lines mean, with their values."""
    texts = [Text(f"command {decision.curvature:+.3f}", box.x + 14, box.y + 9, 13, BRIGHT)]
    if label is not None:
        texts.append(Text(f"expert {label:+.3f}", box.x + box.width // 2, box.y + 9, 13, TRUTH, "ma"))
    return [*texts, Text("curvature 1/m", box.x + box.width - 14, box.y + 9, 13, DIM, "ra")]
