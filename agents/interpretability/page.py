"""An inspection as one HTML page with embedded images, without scripts and network access."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.interpretability.checks import DependenceRow
from agents.interpretability.figures import SENSE_LABELS
from agents.interpretability.inspection import Inspection
from agents.interpretability.layers import Sense
from agents.interpretability.measurements import RemovalRow, SanityRow
from agents.interpretability.regions import JUNCTION_EDGES, LANE_EDGES, RegionRow
from navsim.evaluation.reports.charts import data_uri, templates_of
from navsim.evaluation.statistics.intervals import Estimate
from navsim.number_formats import MISSING, interval, number, percent
from navsim.tables import Table

TEMPLATE = "page.html"
"""File of the page's template, in the package's `templates`."""


@dataclass(frozen=True)
class Picture:
    """An image with its caption."""

    name: str
    """Name of its file without suffix: letters, digits, dots and hyphens."""
    png: bytes = field(repr=False)
    """Content of the image as PNG."""
    caption: str
    """Text below the image."""
    pixelated: bool = False
    """Whether a browser enlarges it without smoothing."""

    @property
    def source(self) -> str:
        """Content as a data URI."""
        return data_uri("image/png", self.png)


@dataclass(frozen=True)
class PictureRow:
    """Images side by side, as far as there is room."""

    pictures: tuple[Picture, ...]
    """Images from left to right."""
    kind: str = "half"
    """Size of the images: `wide`, `half`, `third` or `small`."""
    heading: str = ""
    """Heading above the images."""


@dataclass(frozen=True)
class PageSection:
    """A section of the page; its parts appear in the order of the fields."""

    title: str
    """Heading of the section."""
    anchor: str
    """Name of the section in addresses."""
    paragraphs: tuple[str, ...] = ()
    """Paragraphs of text."""
    rows: tuple[PictureRow, ...] = ()
    """Rows of images."""
    tables: tuple[Table, ...] = ()
    """Tables of the section."""


@dataclass(frozen=True)
class Headline:
    """A main result of the inspection."""

    value: str
    """Value as text."""
    interval: str
    """Interval of 95% as text."""
    text: str
    """Meaning of the value."""


@dataclass(frozen=True)
class Page:
    """Content of the page."""

    title: str
    """Heading of the page."""
    facts: Mapping[str, str]
    """Description of the policy and the frames, a few lines."""
    headlines: tuple[Headline, ...]
    """Main results of the inspection."""
    notes: tuple[str, ...]
    """Messages about results that are missing."""
    sections: tuple[PageSection, ...]
    """Sections of the page in order."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Images of all sections."""
        return tuple(p for section in self.sections for row in section.rows for p in row.pictures)


LEADING_METHODS = ("VisualBackProp", "integrated gradients")
"""Methods for the main results: the first that the network has; fixed in advance, not chosen by result."""


def headlines(inspection: Inspection) -> list[Headline]:
    """Return the main results: those of the leading method, and the input with the largest effect."""
    numbers, lines = inspection.numbers, list[Headline]()
    leading = next((method for method in LEADING_METHODS if method in inspection.saliency), None)
    for row in numbers.removal:
        if row.method == leading:
            text = (
                f"of the probability moves, beyond chance, when the most salient {row.sense} pixels are removed first"
            )
            lines.append(_headline(row.deletion_gain, text, 3, signed=True))
    region_texts = {LANE_EDGES: "on lane edges and lines", JUNCTION_EDGES: "on lane edges at junctions"}
    for part in numbers.regions.get("camera", []):
        if part.method == leading and part.region in region_texts:
            lines.append(_headline(part.density, f"times the image's mean saliency {region_texts[part.region]}"))
    for check in numbers.sanity:
        if check.method == leading and check.randomized == "all":
            text = f"rank correlation of {check.sense} saliency with that of an untrained network"
            lines.append(_headline(check.correlation, text, signed=True))
    largest = max(numbers.dependence, key=lambda row: row.distance.value, default=None)
    if largest is not None:
        text = f"of the probability moves without {largest.removed} ({largest.how}), the input with the largest effect"
        lines.append(_headline(largest.distance, text))
    return lines


def _headline(estimate: Estimate, text: str, digits: int = 2, *, signed: bool = False) -> Headline:
    ends = estimate.low, estimate.high
    return Headline(number(estimate.value, digits, signed=signed), interval(ends, digits, signed=signed), text)


def page_html(page: Page) -> str:
    """Render the page."""
    return templates_of("agents.interpretability").get_template(TEMPLATE).render(page=page)


_RANDOMIZED_LABELS = {"decision": "the layers after the convolutions", "all": "all weights"}
_GAIN_HEADER = "gain over chance"


def removal_table(rows: Iterable[RemovalRow]) -> Table:
    """Build the table of deletion and insertion."""
    headers = (
        "order by",
        "of",
        "deletion",
        _GAIN_HEADER,
        "steering change [1/m]",
        _GAIN_HEADER,
        "insertion",
        _GAIN_HEADER,
    )
    cells = [
        (
            row.method,
            SENSE_LABELS[row.sense],
            number(row.deletion.value, 3),
            signed(row.deletion_gain),
            number(row.deletion_steering.value, 4),
            signed(row.steering_gain, 4),
            number(row.insertion.value, 3),
            signed(row.insertion_gain),
        )
        for row in rows
    ]
    return Table(headers, cells, title="Deletion: higher is better. Insertion: lower is better. 95% intervals.")


def sanity_table(rows: Iterable[SanityRow]) -> Table:
    """Build the table of networks with random weights."""
    cells = [
        (row.method, SENSE_LABELS[row.sense], _RANDOMIZED_LABELS[row.randomized], row.correlation.text(2))
        for row in rows
    ]
    headers = ("saliency", "of", "random weights", "rank correlation")
    return Table(headers, cells, title="Near 0 is good: the saliency depends on what was learned.")


def regions_table(rows: Sequence[RegionRow], sense: Sense) -> Table:
    """Build the table of saliency by region."""
    headers = (
        "part",
        "saliency by",
        "frames",
        "of the pixels",
        "of the saliency",
        "density",
        "untrained",
        "by training",
    )
    cells = [
        (
            row.region,
            row.method,
            str(row.frames),
            percent(row.pixels, 1),
            percent(row.saliency, 1),
            row.density.text(2),
            number(row.untrained.value),
            signed(row.gain, 2),
        )
        for row in rows
    ]
    return Table(headers, cells, title=f"Parts of the {SENSE_LABELS[sense]}")


def dependence_table(rows: Iterable[DependenceRow], frames: int) -> Table:
    """Build the table of removed inputs."""
    headers = ("without", "how", "distance of the distributions", "steering change [1/m]", "loss added [nats]")
    cells = [(row.removed, row.how, row.distance.text(3), row.steering.text(4), signed(row.loss, 2)) for row in rows]
    return Table(headers, cells, title=f"Mean over {frames} frames with 95% intervals")


def signed(estimate: Estimate, digits: int = 3) -> str:
    """Return a difference with its interval; a dash for a comparison with itself."""
    if estimate.value == estimate.low == estimate.high == 0:
        return MISSING
    return estimate.text(digits, signed=True)
