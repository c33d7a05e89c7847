"""The settings of the window: who drives where, how it is shown, and what is kept of it."""

from dataclasses import dataclass, field
from pathlib import Path

from navsim.datasets.recorder import KEYBOARD
from navsim.errors import ConfigError
from navsim.rendering.window.viewpoints import Viewpoint
from navsim.simulation.config import SimulationConfig
from navsim.simulation.town import check_town_name
from navsim.viewer.controls import TOUR_TOWNS, TOUR_WEATHERS, Choices, with_tour
from navsim.world.scenery.appearance import parse_spec

PICTURE, FILMS = ".png", (".mp4", ".gif")
"""Endings of what can be made without a window."""


@dataclass(frozen=True)
class ViewerConfig:
    """How drives are watched."""

    real_time_factor: float = 1.0
    """Simulated over real time; 0 for as fast as possible."""
    panel: bool = True
    """Whether the panel with cameras, maps and distribution is shown."""
    view: Viewpoint = Viewpoint.CHASE
    """The window's first camera."""
    saliency: bool = False
    """Whether the panel shows from the start what the driver looks at."""
    pause_at: float = 0.0
    """Time of each drive at which it is paused [s since its start]; 0 for never."""

    def __post_init__(self) -> None:
        if not 0 <= self.real_time_factor <= 100:
            raise ConfigError(f"viewer.real_time_factor must be 0 to 100, got {self.real_time_factor}")


@dataclass(frozen=True)
class WatchConfig:
    """What to watch, and how; driver, town, weather and route can be changed by keys."""

    driver: tuple[str, ...] = ("expert",)
    """Who drives: as for `navsim evaluate`, or `keyboard`; the built-in ones can always be chosen by keys."""
    policy: Path = Path("runs/demo/policy/best.safetensors")
    """What the word `policy` means, as for `navsim evaluate`."""
    blind: Path = Path("runs/demo/blind/best.safetensors")
    """What the word `blind` means."""
    town: tuple[str, ...] = ()
    """Towns to begin with, such as test-3, grid-test-0 or osm:FILE; others follow by keys."""
    appearance: tuple[str, ...] = ()
    """Conditions to begin with, such as dusk+rain, see `navsim.world.scenery.appearance`; others follow by keys."""
    route: int = 0
    """Number of the route in the town."""
    seed: int = 0
    """Decides what varies between drives of one route, such as the drift of the position fix."""
    replay: Path | None = None
    """A recorded drive (.parquet, of a data folder or of an evaluation's drives) to be shown instead."""
    record: Path | None = None
    """A data folder to which drives by hand are added, once driven to their end."""
    films: Path = Path("runs/films")
    """Folder for the films that the key m makes."""
    headless: bool = False
    """Write a film to `out` instead of opening a window; needs no display."""
    out: Path = Path("runs/films/drive.mp4")
    """With `headless`: .mp4, .gif, or .png for one picture."""
    begin: float = 0.0
    """With `headless`: when the film begins, or the time of the picture [s since the start of the drive]."""
    length: float = 0.0
    """With `headless`: how long the film is [s]; 0 for to the end of the drive."""
    viewer: ViewerConfig = field(default_factory=ViewerConfig)
    """How the window shows it."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """The car, its senses and the rules; a replay's file has its own."""

    def __post_init__(self) -> None:
        if not self.driver:
            raise ConfigError("driver must name at least one driver")
        for town in self.town:
            check_town_name(town)
        for spec in self.appearance:
            parse_spec(spec)
        for name in ("route", "seed", "begin", "length"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.headless and self.out.suffix not in (PICTURE, *FILMS):
            raise ConfigError(f"out must end in {', '.join(FILMS)} or {PICTURE}, got {str(self.out)!r}")
        if self.headless and self.driver[0] == KEYBOARD and self.replay is None:
            raise ConfigError("the keyboard needs a window; leave out headless, or name another driver first")
        if self.record is not None and (self.headless or self.replay is not None):
            raise ConfigError("record is for drives by hand: it goes neither with headless nor with replay")

    def choices(self, drivers: tuple[str, ...]) -> Choices:
        """What can be chosen, with `drivers` by name."""
        towns, weathers = with_tour(self.town, TOUR_TOWNS), with_tour(self.appearance, TOUR_WEATHERS)
        return Choices(drivers, towns, weathers, self.route, self.seed)
