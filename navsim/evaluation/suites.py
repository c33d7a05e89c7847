"""Suites: named sets of routes and conditions from files, with a fingerprint; the same drives on every machine."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from navsim.config import from_mapping, load_config, merged, to_mapping
from navsim.errors import ConfigError
from navsim.evaluation.routes import RouteSuite
from navsim.seeding import generator
from navsim.simulation.config import SimulationConfig
from navsim.simulation.scenario import Scenario, StartOffset
from navsim.simulation.town import is_osm_town, town_seed
from navsim.storage import BUNDLED, expand_path, find_file

SUITES = BUNDLED["configs"] / "suites"
"""Folder of the suites that have a name."""
SUITE_VERSION = 1
"""Part of every fingerprint; raised when the same values mean other drives."""
CONDITIONS = (
    "map_fault",
    "camera_noise",
    "mount_error",
    "gps",
    "odometry",
    "faults",
    "vehicle",
    "vehicle_spread",
    "rules",
    "control_step",
    "cruise_speed",
    "lateral_acceleration",
)
"""Settings of a simulation that a suite decides. Cameras and map patches belong to the driver. The renderer is recorded
with the results, so that renderers can be compared."""

_LATER_CONDITIONS = (("odometry", None), ("gps", "lost_after"), ("faults", None), ("map_fault", "stale"))
"""Settings, or single values of one, that are in no fingerprint with their defaults: fingerprints are older."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class SuitePart:
    """Routes of a suite that are driven under the same conditions."""

    name: str
    """Name in tables and folders: small letters, digits, dots and dashes."""
    routes: RouteSuite | None = None
    """Routes of the part; None takes the suite's."""
    appearance: str | None = None
    """Conditions such as "shift-2", see `navsim.world.scenery.appearance`; None takes those of the routes."""
    starts: tuple[StartOffset, ...] = (StartOffset(),)
    """Starts of each route: every route is driven once from each."""
    jitter: StartOffset = field(default_factory=StartOffset)
    """Half the range of a further uniform draw for each route, added to both values of its start."""
    recovery: bool = False
    """Whether recoveries are counted, too, see `navsim.evaluation.metrics.protocols`."""
    simulation: dict[str, Any] = field(default_factory=dict)
    """Values of the simulation that differ from the evaluation's: any of `CONDITIONS`."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"a part's name needs small letters, digits, dots and dashes, got {self.name!r}")
        if not self.starts:
            raise ConfigError(f"part {self.name}: starts must hold at least one start")
        unknown = sorted(set(self.simulation) - set(CONDITIONS))
        if unknown:
            raise ConfigError(f"part {self.name}: simulation.{unknown[0]}: a part may set {', '.join(CONDITIONS)}")
        changed_simulation(SimulationConfig(), self.simulation, f"part {self.name}: simulation")


@dataclass(frozen=True)
class Suite:
    """Content of a file in `configs/suites`."""

    title: str = ""
    """Description of the suite in a few words."""
    routes: RouteSuite = field(default_factory=RouteSuite)
    """Routes of the parts without routes of their own; the evaluation's seed replaces all seeds."""
    parts: tuple[SuitePart, ...] = ()
    """The parts, at least one, with different names."""

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"a suite needs parts with different names, got {', '.join(names) or 'none'}")


@dataclass(frozen=True)
class SuiteStage:
    """A part of a suite, resolved to scenarios and a simulation."""

    name: str
    """Name of the part; empty for an evaluation without parts."""
    scenarios: tuple[Scenario, ...]
    """Scenarios to drive."""
    simulation: SimulationConfig
    """Simulation with the conditions of the part."""
    recovery: bool = False
    """Whether recoveries are counted, too, see `navsim.evaluation.metrics.protocols`."""


def suite_path(name: str) -> Path:
    """Return the file of a suite, given its name or the path of a YAML file.

    Raises:
        ConfigError: If the file does not exist.
    """
    for path in (SUITES / f"{name}.yaml", find_file(expand_path(name), "configs")):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in SUITES.glob("*.yaml")))
    raise ConfigError(f"unknown suite {name!r}: give one of {known}, or the path of a YAML file")


def load_suite(name: str) -> Suite:
    """Read a suite by its name or path.

    Raises:
        ConfigError: If it does not exist, or holds wrong keys or values.
    """
    return load_config(Suite, suite_path(name))


def stages(
    suite: Suite, simulation: SimulationConfig, seed: int = 0, town: str | None = None
) -> tuple[SuiteStage, ...]:
    """Resolve a suite; the same suite, seed and simulation give the same stages on every machine.

    Args:
        suite: The suite.
        simulation: Simulation of the evaluation, whose conditions the parts change.
        seed: Seed of towns, routes and all random values in the drives.
        town: One town to drive in, in place of the suite's towns.
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
    """Return the identity of a suite as 16 hexadecimal digits, the same on every machine.

    The hash covers every scenario, the conditions of every part with the rules, and `SUITE_VERSION`. Of a town from a
    file it covers the content and not the path.
    """
    parts = [
        [stage.name, stage.recovery, _conditions(stage.simulation), [_plain(scenario) for scenario in stage.scenarios]]
        for stage in stages
    ]
    text = json.dumps([SUITE_VERSION, parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _conditions(simulation: SimulationConfig) -> dict[str, Any]:
    """Return the conditions as plain values, without settings that fingerprints did not cover at first."""
    settings, defaults = to_mapping(simulation), to_mapping(SimulationConfig())
    conditions: dict[str, Any] = {name: settings[name] for name in CONDITIONS}
    for name, key in _LATER_CONDITIONS:
        if key is None and settings[name] == defaults[name]:
            del conditions[name]
        elif key is not None and settings[name][key] == defaults[name][key]:
            del conditions[name][key]
    if not conditions["rules"]["any_lane"]:
        del conditions["rules"]["any_lane"]  # the only rule at first
    return conditions


def blind_parts(stages: tuple[SuiteStage, ...]) -> list[str]:
    """Return a line for each part whose missing camera is the only one of the car."""
    return [
        f"part {stage.name}: the car has one camera, and without it drivers see black images"
        for stage in stages
        if stage.simulation.faults.missing_camera is not None and len(stage.simulation.cameras) == 1
    ]


def changed_simulation(simulation: SimulationConfig, changes: Mapping[str, Any], source: str) -> SimulationConfig:
    """Return a simulation with some values changed.

    Args:
        simulation: Simulation before the changes.
        changes: Plain values; mappings are merged recursively.
        source: Origin of the changes, for errors.

    Raises:
        ConfigError: If they hold wrong keys or values.
    """
    return (
        from_mapping(SimulationConfig, merged(to_mapping(simulation), dict(changes)), source) if changes else simulation
    )


def check_same_suite(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the fingerprint that several results share; only such results may stand in one table.

    Args:
        results: Contents of `results.json` files by the files' names.

    Raises:
        ConfigError: If one has no fingerprint, or they differ.
    """
    names: dict[str, str] = {}
    for name, values in results.items():
        found = values.get("fingerprint")
        if not isinstance(found, str):
            raise ConfigError(f"{name}: has no suite's fingerprint: from an earlier version, or no results")
        names.setdefault(found, name)
    if len(names) != 1:
        text = ", ".join(f"{name} is of {found}" for found, name in names.items()) or "none given"
        raise ConfigError(f"results of different suites cannot stand in one table: {text}")
    return next(iter(names))


def _scenarios(suite: Suite, part: SuitePart, seed: int, town: str | None) -> tuple[Scenario, ...]:
    """Return all scenarios of a part, route by route, each route from each start."""
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
    """Return a start with its draw, in whole millimetres and thousandths of a degree so that its name is exact."""
    lateral, heading = draw.uniform(-1.0, 1.0, size=2).tolist()
    return StartOffset(
        round(start.lateral + jitter.lateral * lateral, 3), round(start.heading_deg + jitter.heading_deg * heading, 3)
    )


def _plain(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as plain values, with a town from a file by its content."""
    town = f"osm:{town_seed(scenario.town):x}" if is_osm_town(scenario.town) else scenario.town
    values = to_mapping(scenario) | {"town": town}
    if scenario.length is None:
        del values["length"]  # suites from before the setting existed keep their fingerprints
    return values
