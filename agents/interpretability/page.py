"""An inspection as one HTML page that needs nothing beside it: pictures are inside, no script, no network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from navsim.evaluation.reports.page import data_uri, templates_of

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
class Table:
    """Rows of words and numbers."""

    head: tuple[str, ...]
    """Names of the columns; the first column holds words, the others numbers."""
    rows: tuple[tuple[str, ...], ...]
    """Cells."""
    caption: str = ""
    """What it shows."""


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
