"""An inspection as one HTML page that needs nothing beside it: pictures are inside, no script, no network.

The tables of an inspection's page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.interpretability.checks import DependenceRow
from agents.interpretability.figures import SENSES
from agents.interpretability.layers import Sense
from agents.interpretability.measurements import RemovalRow, SanityRow
from agents.interpretability.regions import RegionRow
from agents.policies.description import PolicyDescription
from navsim.evaluation.reports.page import data_uri, templates_of
from navsim.evaluation.statistics.intervals import Estimate
from navsim.number_formats import MISSING, number, percent, thousands
from navsim.tables import Table

TEMPLATE = "page.html"
"""The page's template, in the package's `templates`."""


@dataclass(frozen=True)
class Picture:
    """A picture and the words below it."""

    name: str
    """Of its file, without the ending; letters, digits, dots and hyphens."""
    png: bytes = field(repr=False)
    """Its content."""
    caption: str
    """What it shows."""
    pixelated: bool = False
    """Whether a browser shall enlarge it in hard pixels."""

    @property
    def source(self) -> str:
        """The content as an address that a page can hold."""
        return data_uri("image/png", self.png)


@dataclass(frozen=True)
class Row:
    """Pictures beside each other, as far as there is room."""

    pictures: tuple[Picture, ...]
    """From left to right."""
    kind: str = "half"
    """How large they are: `wide`, `half`, `third` or `small`."""
    heading: str = ""
    """A few words above them."""


@dataclass(frozen=True)
class Section:
    """A part of the page; what it holds comes in the order of the fields."""

    title: str
    """Its heading."""
    anchor: str
    """Its name in addresses."""
    words: tuple[str, ...] = ()
    """Paragraphs."""
    rows: tuple[Row, ...] = ()
    """Pictures."""
    tables: tuple[Table, ...] = ()
    """Tables."""


@dataclass(frozen=True)
class Headline:
    """A number and what it says."""

    value: str
    """The number."""
    interval: str
    """Its 95% interval."""
    words: str
    """What it says."""


@dataclass(frozen=True)
class Page:
    """What is on the page."""

    title: str
    """Its heading."""
    facts: Mapping[str, str]
    """What was inspected, in a few lines."""
    headlines: tuple[Headline, ...]
    """The main numbers."""
    notes: tuple[str, ...]
    """What was left out or could not be told."""
    sections: tuple[Section, ...]
    """The parts."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures."""
        return tuple(p for section in self.sections for row in section.rows for p in row.pictures)


def page_html(page: Page) -> str:
    """Render the page."""
    return templates_of("agents.interpretability").get_template(TEMPLATE).render(page=page)


_FORGOTTEN = {"decision": "the layers after the convolutions", "all": "all weights"}
_GAIN = "gain over chance"


def removal_table(rows: Iterable[RemovalRow]) -> Table:
    """Deletion and insertion."""
    headers = ("order by", "of", "deletion", _GAIN, "steering change [1/m]", _GAIN, "insertion", _GAIN)
    cells = [
        (
            row.method,
            SENSES[row.sense],
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
    """Saliency of networks that have forgotten."""
    cells = [(row.method, SENSES[row.sense], _FORGOTTEN[row.forgotten], row.correlation.text(2)) for row in rows]
    headers = ("saliency", "of", "what was forgotten", "rank correlation")
    return Table(headers, cells, title="Near 0 is good: the saliency is that of what was learned.")


def regions_table(rows: Sequence[RegionRow], sense: Sense) -> Table:
    """On what saliency lies."""
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
    return Table(headers, cells, title=f"Parts of the {SENSES[sense]}")


def dependence_table(rows: Iterable[DependenceRow], frames: int) -> Table:
    """What each input is worth."""
    headers = ("without", "how", "distance of the distributions", "steering change [1/m]", "loss added [nats]")
    cells = [(row.removed, row.how, row.distance.text(3), row.steering.text(4), signed(row.loss, 2)) for row in rows]
    return Table(headers, cells, title=f"Mean over {frames} frames with 95% intervals")


def layer_table(description: PolicyDescription) -> Table:
    """Layers with their output volumes, receptive fields and costs."""
    rows = [
        (
            layer.name.removeprefix("network."),
            layer.kind,
            "" if layer.kernel is None else "x".join(map(str, layer.kernel)),
            "" if layer.stride is None else "x".join(map(str, layer.stride)),
            ("" if layer.pictures == 1 else f"{layer.pictures} of ") + " x ".join(map(str, layer.output)),
            "all" if layer.field is None else "x".join(map(str, layer.field)),
            thousands(layer.parameters) if layer.parameters else "",
            thousands(layer.flops / 1e6, 2) if layer.flops else "",
        )
        for layer in description.layers
    ]
    rows.append(("all", "", "", "", "", "", thousands(description.parameters), thousands(description.flops / 1e6, 2)))
    headers = (
        "layer",
        "kind",
        "kernel [px]",
        "stride",
        "output h x w x d",
        "receptive field [px]",
        "parameters",
        "MFLOPs",
    )
    sees = ", ".join(description.inputs).replace("_", " ")
    return Table(headers, rows, title=f"{description.network} with {description.head} head, sees {sees}")


def signed(estimate: Estimate, digits: int = 3) -> str:
    """A difference and its interval; a dash where something is compared with itself."""
    if estimate.value == estimate.low == estimate.high == 0:
        return MISSING
    return estimate.text(digits, signed=True)
