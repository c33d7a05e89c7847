"""Settings of the page of all suites: drivers, suites, and drives that are repeated."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.drivers.registry import PolicyEvaluationConfig
from navsim.drivers.action_selection import ActingConfig
from navsim.drivers.sandbox import DECISION_LIMIT
from navsim.errors import ConfigError
from navsim.evaluation.suites import changed_simulation, load_suite
from navsim.simulation.config import SimulationConfig
from navsim.simulation.town import OSM_PREFIX, MapName, is_osm_town, town_by_content

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class PageDriver:
    """One driver of the page."""

    driver: str
    """The driver, as after `--driver` of `navsim evaluate`: a policy's path, constant, `package.module:make` ..."""
    label: str = ""
    """Description of the driver in a few words."""
    simulation: dict[str, Any] = field(default_factory=dict)
    """Values that differ from the page's simulation, such as its cameras; the suites decide the conditions."""
    suites: tuple[str, ...] = ()
    """Suites of the page that it drives; empty for all."""


@dataclass(frozen=True)
class SuitesPageConfig:
    """Drivers, suites and output files of the page."""

    title: str = "Drivers over all suites"
    """Title of the page."""
    out: Path = Path("runs/suites")
    """Folder of the drives, an evaluation for each driver on each suite; finished drives are not driven again."""
    page: Path = Path("runs/suites/suites.md")
    """File of the page."""
    drivers: dict[str, PageDriver] = field(default_factory=dict)
    """Drivers by the name in the tables."""
    suites: tuple[str, ...] = ("quick", "standard", "streets", "recovery", "robustness", "lanes", "localization")
    """Suites by name or path, in the page's order."""
    towns: dict[str, str] = field(default_factory=dict)
    """The one town of a suite, such as `osm:FILE`, by the suite's name. A suite whose file is missing is left out."""
    repeat_suite: str = "standard"
    """Suite that the drivers of the next two settings drive once more."""
    repeat: tuple[str, ...] = ()
    """Drivers that repeat that suite, to check that the same seed gives the same outcomes."""
    other_renderer: tuple[str, ...] = ()
    """Drivers that repeat that suite with the other renderer, to count the outcomes that change."""
    seed: int = 0
    """Seed of every suite."""
    workers: int | None = None
    """Number of processes; None takes one per core."""
    decision_limit: float = DECISION_LIMIT
    """Longest time that a driver may take for one decision [s]."""
    acting: ActingConfig = field(default_factory=ActingConfig)
    """How learned drivers take commands from their distributions."""
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    """The car and its sensors."""

    def __post_init__(self) -> None:
        for key in ("repeat", "other_renderer"):
            unknown = [name for name in getattr(self, key) if name not in self.drivers]
            if unknown:
                raise ConfigError(f"{key} names {unknown[0]!r}, which is not in drivers: {', '.join(self.drivers)}")
        if (self.repeat or self.other_renderer) and self.repeat_suite not in self.suites:
            raise ConfigError(f"repeat_suite must be one of suites, got {self.repeat_suite!r}")
        stray = sorted(set(self.towns) - set(self.suites))
        if stray:
            raise ConfigError(f"towns names {stray[0]!r}, which is not in suites: {', '.join(self.suites)}")
        for name, driver in self.drivers.items():
            strange = sorted(set(driver.suites) - set(self.suites))
            if strange:
                raise ConfigError(
                    f"drivers.{name}.suites names {strange[0]!r}, not in suites: {', '.join(self.suites)}"
                )
            if not self.drives(name, self.repeat_suite) and name in {*self.repeat, *self.other_renderer}:
                raise ConfigError(f"drivers.{name}.suites lacks {self.repeat_suite!r}, which it is to repeat")
            if not _NAME.fullmatch(name):
                raise ConfigError(f"drivers: {name!r} must be a name of letters, digits, dots, dashes and underscores")
            _ = self.simulation_of(name)

    def drives(self, name: str, suite: str) -> bool:
        """Return whether a driver drives a suite."""
        return suite in (self.drivers[name].suites or self.suites)

    def simulation_of(self, name: str) -> SimulationConfig:
        """Return the simulation of a driver.

        Raises:
            ConfigError: If the driver's settings hold wrong keys or values.
        """
        return changed_simulation(self.simulation, self.drivers[name].simulation, f"drivers.{name}.simulation")

    def evaluation(self, suite: str, name: str, run: str = "", renderer: str = "") -> PolicyEvaluationConfig:
        """Return the settings of one driver on one suite.

        Args:
            suite: Name or path of the suite.
            name: Name of the driver.
            run: Folder of a repeated run; empty for the run of the tables.
            renderer: Renderer of the run; empty takes the simulation's.

        Raises:
            ConfigError: If the suite does not exist, or holds wrong keys or values.
        """
        simulation = self.simulation_of(name)
        if renderer:
            simulation = changed_simulation(simulation, {"renderer": renderer}, "renderer")
        return PolicyEvaluationConfig(
            driver=(f"{name}={self.drivers[name].driver}",),
            suite=suite,
            town=self.towns.get(suite),
            seed=self.seed,
            out=self.out / run / Path(suite).stem / name,
            workers=self.workers,
            decision_limit=self.decision_limit,
            film=False,
            simulation=simulation,
            acting=self.acting,
        )

    def left_out(self, suite: str) -> str:
        """Return why a suite is not driven: it has no driver, or its map's file is missing; empty if it is driven.

        Raises:
            ConfigError: If the suite does not exist, or holds wrong keys or values.
        """
        loaded = load_suite(suite)
        if not any(self.drives(name, suite) for name in self.drivers):
            return "it has no driver"
        own = [self.towns.get(suite) or (part.routes or loaded.routes).town for part in loaded.parts]
        for town in own:
            if town is not None and is_osm_town(town) and not isinstance(town_by_content(town), MapName):
                return f"there is no map file {town.removeprefix(OSM_PREFIX)} (set towns.{suite})"
        return ""
