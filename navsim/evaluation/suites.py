"""Suites: named sets of routes and conditions from files, the same drives on every machine, with a fingerprint."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from navsim.config import from_mapping, load_config, to_mapping
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.seeding import generator
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario, StartOffset
from navsim.simulation.town import is_osm_town, town_seed

SUITES = Path(__file__).parents[2] / "configs" / "suites"
"""Where the suites with a name lie."""
SUITE_VERSION = 1
"""Part of every fingerprint; raised when the same values come to mean other drives."""
CONDITIONS = (
    "map_fault",
    "camera_noise",
    "mount_error",
    "gps",
    "vehicle",
    "vehicle_spread",
    "rules",
    "control_step",
    "cruise_speed",
    "lateral_acceleration",
)
"""Settings of a simulation that are the suite's business. Cameras and map patches are the driver's, and the renderer is
said beside the results, so that renderers can be compared."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class SuitePart:
    """Routes of a suite that are driven under the same conditions."""

    name: str
    """Name in tables and folders: small letters, digits, dots and dashes."""
    routes: RouteSuite | None = None
    """Which routes; None takes the suite's."""
    appearance: str | None = None
    """Conditions such as "shift-2", see `navsim.world.scenery.appearance`; None takes those of the routes."""
    starts: tuple[StartOffset, ...] = (StartOffset(),)
    """Where each route is begun: every route once from each of these."""
    jitter: StartOffset = field(default_factory=StartOffset)
    """Half the range of a further draw for each route, uniform, on both values of its start."""
    recovery: bool = False
    """Whether drives are counted by `navsim.evaluation.metrics.protocols` besides."""
    simulation: dict[str, Any] = field(default_factory=dict)
    """Values of the simulation that differ from the evaluation's: any of `CONDITIONS`."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a part's name needs small letters, digits, dots and dashes, got {self.name!r}")
        if not self.starts:
            raise ConfigError(f"part {self.name}: starts must hold at least one")
        unknown = sorted(set(self.simulation) - set(CONDITIONS))
        if unknown:
            raise ConfigError(f"part {self.name}: simulation.{unknown[0]}: a part may set {', '.join(CONDITIONS)}")
        changed_simulation(SimulationConfig(), self.simulation, f"part {self.name}: simulation")


@dataclass(frozen=True)
class Suite:
    """What a file in `configs/suites` says."""

    title: str = ""
    """What is measured, in a few words."""
    routes: RouteSuite = field(default_factory=RouteSuite)
    """Routes of the parts that do not name their own; seeds here and there give way to the evaluation's."""
    parts: tuple[SuitePart, ...] = ()
    """The parts, at least one, under different names."""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"a suite needs parts under different names, got {', '.join(names) or 'none'}")


@dataclass(frozen=True)
class SuiteStage:
    """A part of a suite, resolved: exactly what is driven in exactly which simulation."""

    name: str
    """Name of the part; empty where there are no parts."""
    scenarios: tuple[Scenario, ...]
    """What is driven."""
    simulation: SimulationConfig
    """In what."""
    recovery: bool = False
    """Whether drives are counted by `navsim.evaluation.metrics.protocols` besides."""


def suite_path(word: str) -> Path:
    """The file that a word after `--suite` means: a suite's name, or the path of a YAML file.

    Raises:
        ConfigError: If there is none.
    """
    for path in (SUITES / f"{word}.yaml", Path(word)):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in SUITES.glob("*.yaml")))
    raise ConfigError(f"unknown suite {word!r}: give one of {known}, or the path of a YAML file")


def load_suite(word: str) -> Suite:
    """Read a suite by its name or path.

    Raises:
        ConfigError: If there is none, or it holds wrong keys or values.
    """
    return load_config(Suite, suite_path(word))


def stages(
    suite: Suite, simulation: SimulationConfig, seed: int = 0, town: str | None = None
) -> tuple[SuiteStage, ...]:
    """Resolve a suite: the same suite, seed and simulation give the same stages on every machine.

    Args:
        suite: What the file says.
        simulation: Of the evaluation; parts change their conditions.
        seed: Decides towns, routes and everything random in the drives.
        town: The one town to drive in instead of those that the suite names.
    """
    return tuple(
        SuiteStage(
            part.name,
            _scenarios(suite, part, seed, town),
            changed_simulation(simulation, part.simulation, f"part {part.name}: simulation"),
            part.recovery,
        )
        for part in suite.parts
    )


def fingerprint(stages: tuple[SuiteStage, ...]) -> str:
    """What tells results of different suites apart: 16 hexadecimal digits, the same on every machine.

    The hash covers every scenario, the conditions of every part with the rules, and `SUITE_VERSION`. Towns from files
    count by the files' content, wherever they lie.
    """
    parts = []
    for stage in stages:
        settings = to_mapping(stage.simulation)
        conditions = {name: settings[name] for name in CONDITIONS}
        parts.append([stage.name, stage.recovery, conditions, [_plain(scenario) for scenario in stage.scenarios]])
    text = json.dumps([SUITE_VERSION, parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed_simulation(simulation: SimulationConfig, changes: Mapping[str, Any], source: str) -> SimulationConfig:
    """A simulation with some values changed, key by key.

    Args:
        simulation: What it is without the changes.
        changes: Plain values, mappings within mappings.
        source: Where they come from, for errors.

    Raises:
        ConfigError: If they hold wrong keys or values.
    """
    return from_mapping(SimulationConfig, _merged(to_mapping(simulation), changes), source) if changes else simulation


def check_same_suite(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The fingerprint that several results share; nothing else may stand in one table.

    Args:
        results: What `results.json` files hold, by the files' names.

    Raises:
        ConfigError: If one has no fingerprint, or they differ.
    """
    found: dict[str, str] = {}
    for name, values in results.items():
        mark = values.get("fingerprint")
        if not isinstance(mark, str):
            raise ConfigError(f"{name}: has no suite's fingerprint: from an earlier version, or no results")
        found.setdefault(mark, name)
    if len(found) != 1:
        words = ", ".join(f"{name} is of {mark}" for mark, name in found.items()) or "none given"
        raise ConfigError(f"results of different suites cannot stand in one table: {words}")
    return next(iter(found))


def _scenarios(suite: Suite, part: SuitePart, seed: int, town: str | None) -> tuple[Scenario, ...]:
    """All scenarios of a part, route by route, each route from each start."""
    routes = replace(part.routes or suite.routes, seed=seed)
    if town is not None:
        routes = replace(routes, town=town)
    if part.appearance is not None:
        routes = replace(routes, appearance=part.appearance)
    return tuple(
        replace(scenario, start=_start(start, part.jitter, generator(seed, "suite", "start", scenario.name)))
        for scenario in routes.scenarios()
        for start in part.starts
    )


def _start(start: StartOffset, jitter: StartOffset, draw: Any) -> StartOffset:
    """A start with its draw, in whole millimetres and thousandths of a degree so that its name is exact."""
    lateral, heading = draw.uniform(-1.0, 1.0, size=2).tolist()
    return StartOffset(
        round(start.lateral + jitter.lateral * lateral, 3), round(start.heading_deg + jitter.heading_deg * heading, 3)
    )


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `over` on `base`, mappings within mappings."""
    both = {
        key: _merged(base[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **over, **both}


def _plain(scenario: Scenario) -> dict[str, Any]:
    """A scenario as plain values, a town from a file by its content."""
    town = f"osm:{town_seed(scenario.town):x}" if is_osm_town(scenario.town) else scenario.town
    values = to_mapping(scenario) | {"town": town}
    if scenario.length is None:
        del values["length"]  # suites from before there was a choice keep their fingerprints
    return values
