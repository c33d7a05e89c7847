"""Diagrams of the documentation as SVG: the layers of packages, and what flows between the parts.

They stand inline in a page and take its colours from the theme's variables, so that they are readable on light and
dark pages alike. Coordinates are in px of a drawing that is `WIDTH` wide.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 480
"""Width of the drawings [px]: narrow, so that texts stay readable on a phone."""
MARGIN = 10
"""Room at the edges of a drawing and between boxes [px]."""
ROW = 34
"""Height of a box with one line of text [px]."""

LAYERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "agents": (
        ("commands",),
        ("experiments",),
        ("localization", "perception"),
        ("training", "export"),
        ("drivers",),
        ("interpretability",),
        ("scoring",),
        ("policies",),
    ),
    "navsim": (
        ("evaluation",),
        ("viewer",),
        ("visualization", "datasets"),
        ("simulation", "localization"),
        ("drivers", "rendering"),
        ("world",),
        ("sensing",),
        ("roads",),
        ("geometry", "config", "storage", "seeding"),
    ),
}
"""Packages and modules from top to bottom; each imports only from rows below its own."""
BELOW = {"agents": "torch", "navsim": "numpy, PyBullet, ModernGL, OpenCV, Gymnasium"}
"""Libraries under each part."""


@dataclass(frozen=True)
class Box:
    """A labelled rectangle."""

    x: float
    """Left edge [px]."""
    y: float
    """Upper edge [px]."""
    width: float
    """Width of the rectangle [px]."""
    height: float
    """Height of the rectangle [px]."""
    title: str
    """Name of the part."""
    text: str = ""
    """Second line, in smaller letters."""
    library: bool = False
    """Whether it stands for code from elsewhere, which is drawn dashed."""

    @property
    def svg(self) -> str:
        """The rectangle with its texts."""
        middle, centre = self.x + self.width / 2, self.y + self.height / 2
        kind = "library" if self.library else "part"
        shape = f'<rect class="{kind}" x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}"'
        title_y = centre + 5 if not self.text else centre - 3
        lines = [f'{shape} rx="5"/>', text(middle, title_y, self.title, "title")]
        return "".join([*lines, *([text(middle, centre + 14, self.text, "note")] if self.text else [])])


def text(x: float, y: float, content: str, kind: str, anchor: str = "middle") -> str:
    """Return one line of text whose baseline is at `y`."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(content)}</text>'


def arrow(points: Sequence[tuple[float, float]], label: str = "", at: tuple[float, float] = (0, 0)) -> str:
    """Return a line through points that ends in an arrowhead, with a label that begins at `at`."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    line = f'<polyline class="arrow" points="{path}" marker-end="url(#head)"/>'
    return line + (text(*at, label, "note", "start") if label else "")


def drawing(height: float, title: str, parts: Sequence[str]) -> str:
    """Return a whole drawing; the style names the theme's colours, with others for a viewer that has none."""
    style = (
        ".diagram text{font-family:inherit;fill:var(--color-foreground-primary,#222)}"
        ".diagram .title{font-size:14px}.diagram .note{font-size:11.5px;fill:var(--color-foreground-secondary,#555)}"
        ".diagram .heading{font-size:13px;font-weight:600;fill:var(--color-foreground-secondary,#555)}"
        ".diagram .part{fill:var(--color-background-secondary,#f4f4f4);stroke:var(--color-brand-primary,#24c)}"
        ".diagram .library{fill:none;stroke:var(--color-foreground-muted,#888);stroke-dasharray:4 3}"
        ".diagram .arrow{fill:none;stroke:var(--color-foreground-secondary,#555);stroke-width:1.4}"
        ".diagram .head{fill:var(--color-foreground-secondary,#555)}"
    )
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    opening = (
        f'<svg class="diagram" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}"><style>{style}</style>{head}'
    )
    return "\n".join([opening, *parts, "</svg>\n"])


def layers() -> str:
    """Return the diagram of the packages: each row imports only from the rows below it."""
    parts, y = [], float(MARGIN)
    for part, rows in LAYERS.items():
        parts.append(text(MARGIN, y + 12, part, "heading", "start"))
        y += 20
        for names in rows:
            parts += [box.svg for box in row_of(names, y)]
            y += ROW + 6
        parts += [box.svg for box in row_of((BELOW[part],), y, library=True)]
        y += ROW + 2 * MARGIN
    return drawing(y - MARGIN, "Layers of packages: each imports only from the rows below", parts)


def row_of(names: Sequence[str], y: float, library: bool = False) -> list[Box]:
    """Return boxes of one width side by side."""
    width = (WIDTH - MARGIN * (len(names) + 1)) / len(names)
    return [Box(MARGIN + i * (width + MARGIN), y, width, ROW, name, library=library) for i, name in enumerate(names)]


def data_flow() -> str:
    """Return the diagram of what flows where: the closed loop on the left, learning on the right."""
    left, right, width, tall = 40.0, 270.0, 190.0, 46.0
    heights = [MARGIN + 84.0 * i for i in range(5)]
    boxes = [
        Box(left, heights[0], width, tall, "Town", "roads, scenery, conditions"),
        Box(left, heights[1], width, tall, "Simulation", "physics, cameras, maps"),
        Box(left, heights[2], width, tall, "Observation", "images, maps, speed, GPS"),
        Box(left, heights[3], width, tall, "Driver", "network, mode selection"),
        Box(left, heights[4], width, tall, "Evaluation", "results.json, report.html"),
        Box(right, heights[0], width, tall, "Expert", "sees the true state"),
        Box(right, heights[1], width, tall, "Episodes", "one Parquet file per drive"),
        Box(right, heights[2], width, tall, "Training", "-log P(steering | I, M)"),
        Box(right, heights[3], width, tall, "Checkpoint", "weights and configuration"),
    ]
    middle, far = left + width / 2, right + width / 2
    centres = [height + tall / 2 for height in heights]
    arrows = [
        arrow([(middle, heights[0] + tall), (middle, heights[1])], "seed", (middle + 6, heights[1] - 15)),
        arrow([(middle, heights[1] + tall), (middle, heights[2])]),
        arrow([(middle, heights[2] + tall), (middle, heights[3])]),
        arrow([(middle, heights[3] + tall), (middle, heights[4])], "drives", (middle + 6, heights[4] - 15)),
        arrow([(left, centres[3]), (16, centres[3]), (16, centres[1]), (left, centres[1])]),
        text(20, heights[2] - 14, "decision", "note", "start"),
        arrow([(left + width, centres[1]), (right, centres[1])]),
        arrow([(far, heights[0] + tall), (far, heights[1])], "label", (far + 6, heights[1] - 15)),
        arrow([(far, heights[1] + tall), (far, heights[2])]),
        arrow([(far, heights[2] + tall), (far, heights[3])]),
        arrow([(right, centres[3]), (left + width, centres[3])]),
    ]
    bottom = heights[4] + tall + MARGIN
    return drawing(bottom, "Data flow: the closed loop and learning", [*(box.svg for box in boxes), *arrows])
