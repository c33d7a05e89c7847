"""Settings of the viewer: drivers and scenarios to watch, how they are shown, and which files are written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le, MinLen

from navsim.config import Constrained
from navsim.datasets.recorder import KEYBOARD
from navsim.errors import ConfigError
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.simulation.config import SimulationConfig
from navsim.simulation.town import check_town_name
from navsim.viewer.controls import TOUR_TOWNS, TOUR_WEATHERS, Choices, with_tour
from navsim.world.scenery.appearance import parse_spec

PICTURE, FILMS = ".png", (".mp4", ".gif")
"""Suffixes of the files that can be made without a window."""


@dataclass(frozen=True)
class ViewerConfig(Constrained):
    """How drives are shown."""

    real_time_factor: Annotated[float, Ge(0), Le(100)] = 1.0
    """Ratio of simulated time to real time; 0 for as fast as possible."""
    dashboard: bool = True
    """Whether the dashboard with cameras, maps and steering distribution is shown."""
    view: Viewpoint = Viewpoint.CHASE
    """Viewpoint of the window at the start."""
    saliency: bool = False
    """Whether the dashboard shows the driver's saliency from the start."""
    pause_at: Annotated[float, Ge(0)] = 0.0
    """Time of each drive at which it is paused [s since its start]; 0 for never."""


@dataclass(frozen=True)
class WatchConfig(Constrained):
    """What to watch, and how; keys change driver, town, weather and route."""

    driver: Annotated[tuple[str, ...], MinLen(1)] = ("expert",)
    """Drivers as for `navsim evaluate`, or `keyboard`; keys can always choose the built-in ones."""
    policy: Path = Path("runs/demo/policy/best.safetensors")
    """Checkpoint of the driver called `policy`, as for `navsim evaluate`."""
    blind: Path = Path("runs/demo/blind/best.safetensors")
    """Checkpoint of the driver called `blind`."""
    town: tuple[str, ...] = ()
    """Towns to begin with, such as test-3, grid-test-0 or osm:FILE; others follow by keys."""
    appearance: tuple[str, ...] = ()
    """Conditions to begin with, such as dusk+rain, see `navsim.world.scenery.appearance`; others follow by keys."""
    route: Annotated[int, Ge(0)] = 0
    """Number of the route in the town."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of what varies between drives of one route, such as the drift of the position fix."""
    replay: Path | None = None
    """Recorded drive (.parquet, of a data folder or of an evaluation) that is shown instead."""
    record: Path | None = None
    """Data folder to which completed manual drives are added."""
    films: Path = Path("runs/films")
    """Folder for the films that the key m makes."""
    headless: bool = False
    """Whether to write a film to `out` instead of opening a window; without a display that is done in any case."""
    out: Path = Path("runs/films/drive.mp4")
    """File of the film: .mp4, .gif, or .png for one picture."""
    begin: Annotated[float, Ge(0)] = 0.0
    """Start of the film, or time of the picture [s since the start of the drive]."""
    length: Annotated[float, Ge(0)] = 0.0
    """Length of the film [s]; 0 for the rest of the drive."""
    viewer: ViewerConfig = field(default_factory=ViewerConfig)
    """How drives are shown."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """Car, sensors and rules; a replay uses those of its file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for town in self.town:
            check_town_name(town)
        for spec in self.appearance:
            parse_spec(spec)
        if self.headless and self.out.suffix not in (PICTURE, *FILMS):
            raise ConfigError(f"out must end in {', '.join(FILMS)} or {PICTURE}, got {str(self.out)!r}")
        if self.record is not None and (self.headless or self.replay is not None):
            raise ConfigError("record is for manual drives; it cannot be combined with headless or replay")
        if self.headless and self.needs_keyboard:
            raise ConfigError("the keyboard needs a window; leave out headless, or name another driver first")

    @property
    def needs_keyboard(self) -> bool:
        """Whether a person is to steer, who needs a window."""
        return self.record is not None or (self.driver[0] == KEYBOARD and self.replay is None)

    def choices(self, drivers: tuple[str, ...]) -> Choices:
        """Return the choices of the viewer with `drivers` by name."""
        towns, weathers = with_tour(self.town, TOUR_TOWNS), with_tour(self.appearance, TOUR_WEATHERS)
        return Choices(drivers, towns, weathers, self.route, self.seed)
